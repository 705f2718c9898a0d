#ifndef LM_TRAIN_RECIPE_H
#define LM_TRAIN_RECIPE_H
/* train/recipe.h - the digest of everything that shapes a run: options, data, program version. */

#include "base/hash.h"
#include "base/option.h"

/* Neutral options stay out.  `parts` are bytes of data, hashed one by one. */
void lm_recipe(const struct lm_opt_table *options, const void *config, const struct lm_str *parts,
               size_t count, char ret[LM_SHA256_HEX]);

#endif
