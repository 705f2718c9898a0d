#ifndef LM_TOKEN_PLAN_H
#define LM_TOKEN_PLAN_H
/* token/plan.h - what encoding and decoding much text needs beside a vocabulary; made once, when that much
 * has come.  Before, everything takes the plain way, which gives the same. */

#include "token/bpe_wide.h"
#include "token/breaks.h"
#include "token/tokenizer_impl.h"

enum { LM_SLICE_MAX = 16 };

/* With nothing but bpe.bpe it is the plain way. */
struct lm_token_plan {
    struct lm_bpe_wide bpe;
    uint8_t *cuts;            // token/cuts.h; NULL: the grammar cuts
    struct lm_grams *grams;   // token/grams.h; NULL: long pieces stay whole
    struct lm_breaks breaks;
};

/* What ids add to a text that has begun. */
struct lm_token_slices {
    uint8_t (*bytes)[LM_SLICE_MAX];   // [size], then zeros
    uint8_t *lens[2];   // [skip_special][size]; LM_SLICE_LONG: not in here; LM_SLICE_HOLE: no token
    size_t size;
};
enum { LM_SLICE_LONG = 254, LM_SLICE_HOLE = 255 };

const struct lm_token_slices *lm_token_slices(const struct lm_tokenizer *t);   // as lm_token_plan
const struct lm_token_slices *lm_token_slices_for(const struct lm_tokenizer *t,
                                                  size_t ids);   // that are decoded
void lm_token_slices_free(struct lm_token_slices *slices);

/* The tokenizer's plan, made if need be; any thread may ask. */
const struct lm_token_plan *lm_token_plan(const struct lm_tokenizer *t);

/* The same for as many bytes more that are to be encoded; NULL: it is not worth its making yet. */
const struct lm_token_plan *lm_token_plan_for(const struct lm_tokenizer *t, size_t bytes);
void lm_token_plan_free(struct lm_token_plan *plan);

#endif
