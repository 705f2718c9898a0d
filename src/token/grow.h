#ifndef LM_TOKEN_GROW_H
#define LM_TOKEN_GROW_H
/* token/grow.h - new tokens for a trained vocabulary, from the words of new data.
 *
 * Words of the new data are spelt by the old tokenizer, and merging goes on from there: the most frequent
 * pair of old or new tokens becomes a token.  Every old id and every old merge stays what it was, new merges
 * stand behind all old ones, new ids begin behind the highest old id.  So a text without the new tokens
 * encodes as before, and one with them encodes as before and is merged further (WordPiece: takes the longest
 * piece, which may be a new one).  A new piece of a Unigram model gets the score of its old pieces and a
 * little more, or the least there is (grow_chain.c): around it other old pieces may meet than before.
 *
 * Byte-level BPE, BPE of sentencepiece, WordPiece, Unigram; no other chain of components (token/chain.h). */

#include "token/tokenizer.h"

struct lm_grow_config {
    int64_t count_min;        // a new token must occur so often in the new data when it is made
    int64_t tokens_max;       // new tokens
    double gain_min;          // share of the tokens of the new data that a new one must save
    int64_t chars_max;        // of a new token
    int64_t mem_mb;           // for counted words; more go to disk
    struct lm_opt_list old;   // files of old data, to report what changes there
};
extern const struct lm_opt_table lm_grow_options;

/* The tokenizer is borrowed until lm_grower_free.  LM_EINVAL for one that cannot grow. */
struct lm_grower;
enum lm_rc lm_grower_new(const struct lm_tokenizer *t, const struct lm_grow_config *config,
                         const char *tmp_dir, struct lm_grower **ret, struct lm_err *err);

/* Weights of the texts are not looked at.  old: not to learn from, but to report about. */
enum lm_rc lm_grower_add(struct lm_grower *g, const struct lm_train_text *texts, size_t count, bool old,
                         struct lm_err *err);

/* Writes tokenizer.json, vocab.json or vocab.txt, vocab.bin, grown.json (docs/formats/grown.md), report.json;
 * tokenizer_config.json and other companions are copied from from_dir, where they are (NULL: none is).
 * LM_ENOTHING when no pair is frequent enough: nothing is written.  Appends metrics.  The files depend on
 * tokenizer, texts and options alone. */
enum lm_rc lm_grower_end(struct lm_grower *g, const char *from_dir, const char *out_dir,
                         struct lm_buf *metrics, struct lm_err *err);
void lm_grower_free(struct lm_grower *g);   // NULL is fine

/* ---- grown.json: token/grown.c ---- */

struct lm_grown_token {
    uint32_t id;
    uint32_t piece_count;     // >= 1
    const uint32_t *pieces;   // what the old vocabulary spells it with; below old_size
};

struct lm_grown {
    uint32_t old_size, new_size;     // highest id + 1, before and after
    struct lm_grown_token *tokens;   // ids ascend from old_size, without holes
    size_t count, cap;
    struct lm_arena arena;
};

enum lm_rc lm_grown_parse(struct lm_str json, const char *name, struct lm_grown *ret, struct lm_err *err);
enum lm_rc lm_grown_load(const char *path, struct lm_grown *ret, struct lm_err *err);
void lm_grown_release(struct lm_grown *g);

#endif
