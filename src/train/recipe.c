#include "train/recipe.h"

#include "base/sys.h"

void lm_recipe(const struct lm_opt_table *options, const void *config, const struct lm_str *parts,
               size_t count, char ret[LM_SHA256_HEX])
{
    struct lm_sha256 hash;
    struct lm_buf json = { 0 };
    lm_sha256_init(&hash);
    lm_opt_to_json(options, config, true, &json);
    lm_sha256_add_field(&hash, lm_str(options->name));
    lm_sha256_add_field(&hash, lm_buf_str(&json));
    lm_sha256_add_field(&hash, lm_str(lm_version));
    for (size_t i = 0; i < count; i++)
        lm_sha256_add_field(&hash, parts[i]);
    lm_sha256_end_hex(&hash, ret);
    lm_buf_release(&json);
}
