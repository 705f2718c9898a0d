/* Bytes as a GGUF file: a model that is accepted has a configuration that passes its check, and all of its
 * weights can be read. */
#include "model/open.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_err err = { 0 };
    struct lm_model m;
    if (lm_model_parse_gguf((struct lm_str){ (const char *)data, size }, "fuzz", &m, &err) != LM_OK) {
        LM_ASSERT(err.text[0] != '\0');
        return 0;
    }
    LM_ASSERT(lm_model_config_check(&m.config, NULL) == LM_OK);
    LM_ASSERT(lm_model_parameters(&m.config) > 0);
    (void)lm_model_check_finite(&m, &err);
    (void)lm_model_note(&m, "name");
    lm_model_close(&m);
    return 0;
}
