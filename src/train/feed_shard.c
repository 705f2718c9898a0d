#include "train/feed.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>

struct lm_shard_feed {
    const struct lm_shard *shard;
    uint32_t end_of_text;
    size_t rows, positions;
    uint64_t seed, windows;   // windows per epoch
    uint64_t epoch, shift;    // of `order`
    uint32_t *order;          // this epoch's windows
    uint32_t *tokens;         // positions + 1
};

static void start_epoch(struct lm_shard_feed *f, uint64_t epoch)
{
    struct lm_rng rng = lm_rng_make(f->seed, epoch);
    const uint64_t slack = f->shard->token_count - f->windows * f->positions;
    f->epoch = epoch;
    f->shift = lm_rng_below(&rng, slack + 1);
    for (uint64_t i = 0; i < f->windows; i++)
        f->order[i] = (uint32_t)i;
    lm_rng_shuffle(&rng, f->order, f->windows);
}

struct lm_shard_feed *lm_shard_feed_new(const struct lm_shard *shard, uint32_t end_of_text, size_t rows,
                                        size_t positions, uint64_t seed)
{
    LM_ASSERT(shard->token_count >= positions);
    LM_ASSERT(shard->token_count / positions <= UINT32_MAX);

    struct lm_shard_feed *f = lm_alloc(sizeof *f);
    *f = (struct lm_shard_feed){
        .shard = shard, .end_of_text = end_of_text, .rows = rows, .positions = positions, .seed = seed
    };
    /* One window fewer than would fit, so that there is room for a shift of up to a window and more. */
    const uint64_t fit = shard->token_count / positions;
    f->windows = fit > 1 ? fit - 1 : 1;
    f->order = lm_zalloc(f->windows, sizeof *f->order);
    f->tokens = lm_zalloc(positions + 1, sizeof *f->tokens);
    start_epoch(f, 0);
    return f;
}

void lm_shard_feed_free(struct lm_shard_feed *f)
{
    if (!f)
        return;
    free(f->order);
    free(f->tokens);
    free(f);
}

/* Positions [at, at + len) of the stream: inputs, targets, and segments by document. */
static void put_window(struct lm_shard_feed *f, uint64_t at, size_t row, struct lm_batch *ret)
{
    const size_t len = f->positions, base = row * len;
    if (at == 0) {
        f->tokens[0] = f->end_of_text;
        lm_shard_get(f->shard, 0, len, f->tokens + 1);
    } else {
        lm_shard_get(f->shard, at - 1, len + 1, f->tokens);
    }
    uint64_t document = lm_shard_doc_at(f->shard, at);
    uint32_t start = 0;
    for (size_t t = 0; t < len; t++) {
        if (at + t == f->shard->ends[document]) {
            start = (uint32_t)t;
            do
                document++;
            while (f->shard->ends[document] <= at + t);
        }
        ret->input[base + t] = f->tokens[t];
        ret->target[base + t] = (int32_t)f->tokens[t + 1];
        ret->start[base + t] = start;
    }
    ret->trained += len;
}

void lm_shard_feed_fill(void *state, uint64_t step, struct lm_batch *ret)
{
    struct lm_shard_feed *f = state;
    LM_ASSERT(ret->rows == f->rows && ret->positions == f->positions);

    lm_batch_clear(ret);
    for (size_t row = 0; row < f->rows; row++) {
        const uint64_t number = step * f->rows + row, epoch = number / f->windows;
        if (epoch != f->epoch)
            start_epoch(f, epoch);
        put_window(f, f->shift + (uint64_t)f->order[number % f->windows] * f->positions, row, ret);
    }
}

static void add_document(const struct lm_shard *shard, uint64_t document, uint32_t end_of_text,
                         struct lm_window_spec spec, struct lm_eval_set *ret, size_t *used, uint32_t *scratch)
{
    const uint64_t first = lm_shard_doc_start(shard, document);
    const size_t len = (size_t)(shard->ends[document] - first);
    scratch[0] = end_of_text;
    lm_shard_get(shard, first, len, scratch + 1);
    for (size_t w = 0; w < lm_window_count(spec, len); w++) {
        const struct lm_window window = lm_window_get(spec, scratch, len, w);   // over the inputs
        struct lm_piece piece = { ret->inputs + *used, ret->targets + *used, window.len };
        for (size_t i = 0; i < window.len; i++, ++*used) {
            ret->inputs[*used] = window.tokens[i];
            ret->targets[*used] = i >= window.fresh ? (int32_t)window.tokens[i + 1] : LM_TARGET_NONE;
        }
        lm_grow(&ret->pieces, &ret->cap, ret->count + 1, sizeof piece);
        ret->pieces[ret->count++] = piece;
    }
}

void lm_shard_eval_set(const struct lm_shard *shard, uint32_t end_of_text, size_t positions,
                       uint64_t tokens_max, struct lm_eval_set *ret)
{
    const struct lm_window_spec spec = { positions, positions > 1 ? positions / 2 : 1 };
    uint64_t documents = 0, longest = 0;
    size_t space = 0;
    for (; documents < shard->document_count; documents++) {
        const uint64_t first = lm_shard_doc_start(shard, documents), len = shard->ends[documents] - first;
        if (documents > 0 && tokens_max > 0 && first + len > tokens_max)
            break;
        longest = len > longest ? len : longest;
        space += lm_window_count(spec, (size_t)len) * positions;
        ret->text_bytes += shard->doc_bytes[documents];
    }
    ret->inputs = lm_zalloc(space, sizeof *ret->inputs);
    ret->targets = lm_zalloc(space, sizeof *ret->targets);
    uint32_t *scratch = lm_zalloc(longest + 1, sizeof *scratch);
    size_t used = 0;
    for (uint64_t d = 0; d < documents; d++)
        add_document(shard, d, end_of_text, spec, ret, &used, scratch);
    free(scratch);
}
