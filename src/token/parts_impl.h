#ifndef LM_TOKEN_PARTS_IMPL_H
#define LM_TOKEN_PARTS_IMPL_H
/* token/parts_impl.h - between parts.c (checks), parts_json.c (arrays to tokenizer.json) and parts_out.c (the
 * way back). */

#include "token/parts.h"
#include "token/tokenizer_impl.h"

/* What a name in tokenizer.ggml.pre means.  To add one: a row in parts.c, when its grammar is in pretoken.c.
 */
struct lm_parts_pre {
    const char *name;
    enum lm_grammar_id grammar;
    bool nfc;             // the family normalises first
    bool ignore_merges;   // a piece that is a token is that token
    bool add_bos;         // when the file does not say
};
enum { LM_PARTS_PRE_COUNT = 13 };
extern const struct lm_parts_pre lm_parts_pre[LM_PARTS_PRE_COUNT];

/* Where the ids of roles are, by enum lm_token_role. */
int64_t lm_parts_role(const struct lm_tokenizer_parts *p, size_t role);
void lm_parts_set_role(struct lm_tokenizer_parts *p, size_t role, int64_t id);

/* MODEL, ADDED or SPECIAL.  Tokens that open or close texts and turns are special whatever their type. */
enum lm_token_kind lm_parts_kind(const struct lm_tokenizer_parts *p, size_t id);

/* tokenizer.json of parts that parts.c has checked. */
enum lm_rc lm_parts_write_bytes(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                                struct lm_err *err);
enum lm_rc lm_parts_write_pieces(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                                 struct lm_err *err);

/* The merges that scores mean, in order. */
struct lm_score_line {
    float score;
    uint32_t id, left, right;
};
struct lm_score_lines {
    struct lm_score_line *items;   // free() it
    size_t len, cap;
};
enum lm_rc lm_parts_score_lines(const struct lm_tokenizer_parts *p, const char *name,
                                struct lm_score_lines *ret, struct lm_err *err);

#endif
