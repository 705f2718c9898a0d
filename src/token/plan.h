#ifndef LM_TOKEN_PLAN_H
#define LM_TOKEN_PLAN_H
/* token/plan.h - what encoding a vocabulary fast needs beside it; made once, when the first encoder is. */

#include "token/bpe_wide.h"
#include "token/tokenizer_impl.h"

struct lm_token_plan {
    struct lm_bpe_wide bpe;
    uint8_t *cuts;            // token/cuts.h; NULL: the grammar cuts
    struct lm_grams *grams;   // token/grams.h; NULL: long pieces stay whole
};

/* The tokenizer's plan, made if need be; any thread may ask. */
const struct lm_token_plan *lm_token_plan(const struct lm_tokenizer *t);
void lm_token_plan_free(struct lm_token_plan *plan);

#endif
