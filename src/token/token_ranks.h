#ifndef LM_TOKEN_TOKEN_RANKS_H
#define LM_TOKEN_TOKEN_RANKS_H
/* token/token_ranks.h - tokens with ranks, as tiktoken means them, on the way to a tokenizer.json.
 *
 * Whichever neighbours spell the token of the lowest rank are merged next.  The rank is the order of ids. */

#include "base/err.h"
#include "base/mem.h"
#include "token/pretoken.h"
#include "token/vocab.h"

struct lm_token_ranks {
    struct lm_vocab vocab;   // holes where a rank is missing
    struct lm_token_map map;
};

struct lm_token_rank_special {
    const char *text;
    uint32_t id;
};

/* What ranks do not say. */
struct lm_token_ranks_settings {
    int grammar;   // of lm_grammars, or -1: pattern
    const char *pattern;
    const struct lm_token_rank_special *special;   // not among the ranks
    size_t special_count;
    int64_t first;   // index in `special` of the token before each text; -1: none
};

/* NULL, or why not: the rank is outside of 0..LM_VOCAB_SIZE_MAX - 1, the token empty or longer than 1024
 * bytes, or one of them is there already. */
const char *lm_token_ranks_add(struct lm_token_ranks *r, int64_t id, struct lm_str bytes);
void lm_token_ranks_release(struct lm_token_ranks *r);

/* As tokenizer.json; all ways to make a token are merges: for lm_tokenizer_take with `ranks`. */
void lm_token_ranks_write(const struct lm_token_ranks *r, const struct lm_token_ranks_settings *settings,
                          struct lm_buf *ret);

/* A pattern as tiktoken's engine reads it, in the words of tokenizer.json; in the arena. */
enum lm_rc lm_token_ranks_pattern(struct lm_str pattern, const char *name, struct lm_arena *arena,
                                  const char **ret, struct lm_err *err);

#endif
