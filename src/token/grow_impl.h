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

static inline bool lm_grow_has_merges(const struct lm_tokenizer *t)
{
    return t->family != LM_FAMILY_WORDS && t->family != LM_FAMILY_CHAIN;
}

/* tokenizer.json of t with the new tokens and merges put in: all else stays byte for byte. */
enum lm_rc lm_growth_json(const struct lm_growth *g, struct lm_buf *ret, struct lm_err *err);

/* grown.json; grown: the new tokenizer. */
void lm_growth_mapping(const struct lm_growth *g, const struct lm_tokenizer *grown, struct lm_buf *ret);

/* ---- Unigram models: grow_chain.c ---- */

/* LM_EINVAL for a chain that cannot grow. */
enum lm_rc lm_grow_chain_check(const struct lm_tokenizer *t, struct lm_err *err);

/* A text as the words that its model sees, to be cut by this grammar; and one of them as the model sees it.
 */
struct lm_str lm_grow_chain_words(const struct lm_tokenizer *t, struct lm_str text, struct lm_buf *buf);
extern const struct lm_grammar lm_grammar_chain_words;
struct lm_str lm_grow_chain_word(struct lm_str word);

bool lm_grow_chain_is_byte(const struct lm_tokenizer *t, uint32_t id);   // <0x00>..

/* The score of a new piece that is made of these old ones; and the least that one may have. */
double lm_grow_chain_score(const struct lm_tokenizer *t, const uint32_t *pieces, size_t count);
double lm_grow_chain_floor(const struct lm_tokenizer *t);

/* All files but grown.json and report.json. */
enum lm_rc lm_growth_files(const struct lm_tokenizer *grown, const char *from_dir, const char *out_dir,
                           struct lm_err *err);

#endif
