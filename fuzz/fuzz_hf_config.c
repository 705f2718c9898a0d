/* A config.json that is accepted passes the check, and what we write of it means the same. */
#include "model/llama.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_err err = { 0 };
    struct lm_llama_config config, again;
    if (lm_llama_config_parse(&config, (struct lm_str){ (const char *)data, size }, "fuzz", &err) != LM_OK) {
        LM_ASSERT(err.text[0] != '\0');
        return 0;
    }
    LM_ASSERT(lm_llama_config_check(&config, NULL) == LM_OK);
    LM_ASSERT(lm_llama_parameter_count(&config) > 0);
    struct lm_buf first = { 0 }, second = { 0 };
    lm_llama_config_json(&config, &first);
    const enum lm_rc rc = lm_llama_config_parse(&again, lm_buf_str(&first), "again", &err);
    LM_ASSERT(rc == LM_OK);
    lm_llama_config_json(&again, &second);
    LM_ASSERT(lm_str_eq(lm_buf_str(&first), lm_buf_str(&second)));
    lm_buf_release(&first);
    lm_buf_release(&second);
    return 0;
}
