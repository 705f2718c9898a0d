/* adapter_config.json: what parses has a rank and a weight that can be computed with. */
#include "train/lora.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_err err = { 0 };
    struct lm_lora_config c;
    if (lm_lora_config_parse(&c, (struct lm_str){ (const char *)data, size }, "fuzz", &err) != LM_OK) {
        LM_ASSERT(err.text[0] != '\0');
        return 0;
    }
    LM_ASSERT(c.rank >= 1 && c.rank <= LM_LORA_RANK_MAX);
    LM_ASSERT(c.alpha > 0);
    return 0;
}
