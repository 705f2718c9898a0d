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
    const char *splits;   // NULL, or pre_tokenizer of tokenizer.json instead of the grammar
    bool nfc;             // the family normalises first
    bool ignore_merges;   // a piece that is a token is that token
    bool add_bos;         // when the file does not say
};
enum { LM_PARTS_PRE_COUNT = 78 };
extern const struct lm_parts_pre lm_parts_pre[LM_PARTS_PRE_COUNT];

/* Where the ids of roles are, by enum lm_token_role. */
int64_t lm_parts_role(const struct lm_tokenizer_parts *p, size_t role);
void lm_parts_set_role(struct lm_tokenizer_parts *p, size_t role, int64_t id);

/* MODEL, ADDED or SPECIAL.  Tokens that open or close texts and turns are special whatever their type. */
enum lm_token_kind lm_parts_kind(const struct lm_tokenizer_parts *p, size_t id);

/* What does not depend on the model: texts are UTF-8 and not empty, types and ids in range. */
enum lm_rc lm_parts_check(const struct lm_tokenizer_parts *p, const char *name, struct lm_err *err);

/* The tokens around a text on its own, by id; -1 for none. */
struct lm_parts_around {
    int64_t before, after;
};

/* Whether the file asks for BOS and EOS around a text; a flag without a token is refused. */
enum lm_rc lm_parts_find_around(const struct lm_tokenizer_parts *p, const char *name, bool bos_usual,
                                struct lm_parts_around *ret, struct lm_err *err);

/* Pieces of tokenizer.json: up to the added tokens; the vocabulary; a merge; the template for what is around
 * a text (again_before: also before the second of two). */
void lm_parts_write_start(const struct lm_tokenizer_parts *p, struct lm_buf *ret);
void lm_parts_write_vocab(const struct lm_tokenizer_parts *p, struct lm_buf *ret);
void lm_parts_write_merge(struct lm_str left, struct lm_str right, struct lm_buf *ret);
void lm_parts_write_template(const struct lm_tokenizer_parts *p, struct lm_parts_around a, bool again_before,
                             struct lm_buf *ret);

/* tokenizer.json of parts that parts.c has checked. */
enum lm_rc lm_parts_write_bytes(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                                struct lm_err *err);
enum lm_rc lm_parts_write_pieces(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                                 struct lm_err *err);

enum lm_rc lm_parts_write_words(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                                struct lm_err *err);

enum lm_rc lm_parts_write_unigram(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                                  struct lm_err *err);

/* What both do to text where a map of characters is part of it: the normalizer as Hugging Face has it, to
 * which more steps may be added; and the option of the model that says what sentencepiece does. */
void lm_parts_write_normalizer(const struct lm_tokenizer_parts *p, const char *more, struct lm_buf *ret);
void lm_parts_write_sentencepiece(const struct lm_tokenizer_parts *p, struct lm_buf *ret);

/* The other way, of a Unigram model that came from sentencepiece; LM_EINVAL: it did not.  p has the tokens.
 */
enum lm_rc lm_parts_set_unigram(const struct lm_tokenizer *t, struct lm_arena *arena,
                                struct lm_tokenizer_parts *p, struct lm_err *err);

/* Every token comes out of its own bytes: then it makes no difference whether whole pieces are looked up. */
bool lm_merges_reach_all(const struct lm_tokenizer *t);

/* BERT's vocabulary as vocab.txt spells it; types say which tokens are special. */
enum lm_rc lm_words_write_json(const struct lm_tokenizer_parts *p, const struct lm_word_rules *rules,
                               struct lm_parts_around around, const char *name, struct lm_buf *ret,
                               struct lm_err *err);

/* A token of vocab.txt as GGUF spells it; appends. */
void lm_word_to_gguf(struct lm_str token, struct lm_buf *ret);

/* Some ordinary token has a capital letter: the vocabulary was made without lower-casing. */
bool lm_words_have_capitals(const struct lm_str *tokens, size_t count);

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
