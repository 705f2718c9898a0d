#ifndef LM_TRAIN_FEED_H
#define LM_TRAIN_FEED_H
/* train/feed.h - where batches come from: token shards (pre-training) or question-answer pairs (fine-tuning).
 *
 * A batch is a pure function of (data, options, seed, step), so the cursor of a run is its step number:
 * nothing else has to be saved, and a run that goes on reads what it would have read. */

#include "base/option.h"
#include "corpus/shard.h"
#include "train/batch.h"
#include "train/window.h"

struct lm_feed {
    void *state;
    size_t rows, positions;   // of every batch
    uint64_t steps;           // the run's length
    void (*fill)(void *state, uint64_t step, struct lm_batch *ret);
};

/* What is measured: pieces in order, and the bytes of text their targets stand for. */
struct lm_eval_set {
    struct lm_piece *pieces;
    size_t count, cap;
    uint64_t text_bytes;
    uint32_t *inputs;   // the pieces point in here
    int32_t *targets;
};
void lm_eval_set_release(struct lm_eval_set *set);

/* Pieces into rows, in order: each starts in the row where it fits behind the one before, or in a new one. */
struct lm_packing {
    const struct lm_piece *pieces;
    size_t count, next;
};
/* Fills the batch; false when no piece was left.  Every piece fits a row. */
bool lm_pack(struct lm_packing *packing, struct lm_batch *ret);

/* ---- train/feed_mix.c: how much of each source ---- */

/* Shares of the sources of a shard, by number; NULL shares: the shard as it is. */
struct lm_mix {
    double *shares;   // [source_count], sum 1
};
/* items: SOURCE=NUMBER for every source of the shard.  LM_EINVAL names the one that is unknown, missing or
 * there twice, a number that is none, or the sources when all have weight 0.  No items: the shard as it is.
 */
enum lm_rc lm_mix_parse(const struct lm_opt_list *items, const struct lm_shard *shard, struct lm_mix *ret,
                        struct lm_err *err);
void lm_mix_release(struct lm_mix *mix);

/* ---- train/feed_shard.c ----
 * A shard, or each source of it when they are mixed, is read as one stream in which a document is:
 * end-of-text, its tokens; the targets are its tokens and the end-of-text behind them.  So every token is
 * predicted once, from its own document only.  Windows of `positions` tokens tile the stream; every epoch has
 * its own shift and its own order.  Of mixed sources every window is of the one that is due: after n windows
 * each has had its share of them, give or take a few. */

struct lm_shard_feed;
/* LM_EINVAL names a source that is shorter than a window. */
enum lm_rc lm_shard_feed_new(const struct lm_shard *shard, const struct lm_mix *mix, uint32_t end_of_text,
                             size_t rows, size_t positions, uint64_t seed, struct lm_shard_feed **ret,
                             struct lm_err *err);
void lm_shard_feed_free(struct lm_shard_feed *f);
void lm_shard_feed_fill(void *state, uint64_t step, struct lm_batch *ret);

/* Adds the tokens that the steps [first, end) train on to those of their sources: tokens[source_count]. */
void lm_shard_feed_count(struct lm_shard_feed *f, uint64_t first, uint64_t end, uint64_t *tokens);

/* Whole documents from the first on, until tokens_max is reached (0: all); a long one in windows that overlap
 * by half, every token scored once. */
void lm_shard_eval_set(const struct lm_shard *shard, uint32_t end_of_text, size_t positions,
                       uint64_t tokens_max, struct lm_eval_set *ret);

#endif
