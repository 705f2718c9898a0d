#ifndef LM_TOKEN_GROW_IMPL_H
#define LM_TOKEN_GROW_IMPL_H
/* token/grow_impl.h - between grow.c (which tokens) and grow_write.c (the files).  Not for others. */

#include "token/bpe_train.h"
#include "token/grow.h"
#include "token/tokenizer_impl.h"

/* What was learned, as tokens to be written. */
struct lm_growth {
    const struct lm_tokenizer *t;       // the old one
    const struct lm_learned *learned;   // its vocabulary starts with t's
    const uint32_t *kept;               // [kept_count] ids in learned, in the order of the new ids
    size_t kept_count;
};

/* tokenizer.json of t with the new tokens and merges put in: all else stays byte for byte. */
enum lm_rc lm_growth_json(const struct lm_growth *g, struct lm_buf *ret, struct lm_err *err);

/* grown.json; grown: the new tokenizer. */
void lm_growth_mapping(const struct lm_growth *g, const struct lm_tokenizer *grown, struct lm_buf *ret);

/* All files but grown.json and report.json. */
enum lm_rc lm_growth_files(const struct lm_tokenizer *grown, const char *from_dir, const char *out_dir,
                           struct lm_err *err);

#endif
