#ifndef LM_TRAIN_PAIRS_H
#define LM_TRAIN_PAIRS_H
/* train/pairs.h - question-answer pairs as pieces to train on.
 *
 * A pair becomes a chat by the tokenizer's template, the one that serving uses.  Only what the assistant says
 * has targets, the token that ends its turn included: a model learns to stop.  Sequences longer than a row
 * are cut into overlapping windows (train/window.h), and every target is in exactly one of them.  A window
 * without a target is left out and counted: it would train nothing.  So is, if that is asked for, a pair
 * without an answer, which is refused else. */

#include "base/mem.h"
#include "token/tokenizer.h"
#include "train/feed.h"

/* One line of pairs.jsonl; borrows from the line or the arena.  Three forms, each with "split":
 *     {"question":"..","answer":".."}                  a pair; an answer that is an object or an array is
 * trained as compact JSON
 *     {"messages":[{"role":"user","content":".."},..]} a chat: every turn of the assistant is trained
 *     {"question":"..","answer":"..","rejected":".."}  a preference, for train/dpo.h
 * Of a chat, question and answer are the last user's and the last assistant's message. */
struct lm_pair {
    struct lm_str id, snapshot, question, answer;
    struct lm_str rejected;                   // of a preference; ptr NULL: none
    struct lm_str document, person;           // where it comes from; empty when it does not say
    const struct lm_chat_message *messages;   // of a chat
    size_t message_count;                     // 0: a pair
    bool heldout;                             // split "heldout", else "train"
};

/* LM_EFORMAT, with `name` and the offset, for what is not an object with question, answer and split. */
enum lm_rc lm_pair_parse(struct lm_str line, const char *name, struct lm_arena *arena, struct lm_pair *ret,
                         struct lm_err *err);

/* Whose the pieces [first, first + count) of a training set are. */
struct lm_pair_owner {
    struct lm_str document, person;   // document: the pair's id where it names none; in the arena
    size_t first, count;
};

struct lm_pair_set {
    struct lm_eval_set train, heldout;   // pieces live in the arena; text_bytes are bytes of answers
    struct lm_arena arena;
    struct lm_pair_owner *owners;   // of the training pairs
    size_t owner_count, owner_cap;
    size_t pairs;                       // used
    size_t unanswered, windows_empty;   // left out
};

struct lm_pair_spec {
    const char *snapshot, *system;   // NULL: all, none
    struct lm_window_spec window;
    bool preferences;       // pieces to train on are chosen and rejected by turns; what is too long for one
                            // window is left out and counted as windows_empty
    bool skip_unlabelled;   // pairs without an answer are left out, not refused
};

/* Reads the file; LM_EINVAL when no pair is left to train on, and for the first without an answer, by its
 * line. */
enum lm_rc lm_pair_set_read(struct lm_pair_set *set, const char *path, const struct lm_tokenizer *tokenizer,
                            const struct lm_pair_spec *spec, struct lm_err *err);
void lm_pair_set_release(struct lm_pair_set *set);

/* Adds one pair; exposed for tests of the mask. */
enum lm_rc lm_pair_set_add(struct lm_pair_set *set, const struct lm_pair *pair, struct lm_encoder *encoder,
                           const struct lm_pair_spec *spec, struct lm_err *err);

/* train/show.c: the first `count` pieces to train on, as text; what has a target stands in colour, or between
 * guillemets without.  model_dir is loaded for its tokenizer and context only. */
struct lm_finetune_config;
enum lm_rc lm_pairs_show(const struct lm_finetune_config *config, const char *model_dir,
                         const char *pairs_path, size_t count, bool color, struct lm_buf *ret,
                         struct lm_err *err);
/* The windows that fine-tuning cuts; LM_EINVAL when they would be longer than the model's context. */
struct lm_llama_config;
enum lm_rc lm_finetune_spec(const struct lm_finetune_config *config, const struct lm_llama_config *model,
                            struct lm_pair_spec *ret, struct lm_err *err);

/* Every epoch in an order of its own, packed; the last batch of an epoch may be partly empty. */
struct lm_pair_feed;
struct lm_pair_feed *lm_pair_feed_new(const struct lm_eval_set *train, size_t rows, size_t positions,
                                      uint64_t epochs, uint64_t seed);
void lm_pair_feed_free(struct lm_pair_feed *f);
uint64_t lm_pair_feed_steps(const struct lm_pair_feed *f);
void lm_pair_feed_fill(void *state, uint64_t step, struct lm_batch *ret);

#endif
