#include "train/feed.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>

/* Documents one behind the other. */
struct stream {
    const uint64_t *ends;             // cumulative, in tokens
    uint64_t *own_ends, *documents;   // of some of the shard's documents; NULL: of all, by their own numbers
    uint64_t document_count, token_count;
    uint64_t windows;        // per epoch
    uint64_t taken;          // windows before the feed's next one
    uint64_t epoch, shift;   // of `order`
    uint32_t *order;         // this epoch's windows
    uint64_t seed, last;     // its turns are the numbers behind those of the stream before, up to this one
};

struct lm_shard_feed {
    const struct lm_shard *shard;
    uint32_t end_of_text;
    size_t rows, positions;
    struct stream *streams;
    size_t stream_count;
    uint64_t number;   // of the next window
};

/* ---- streams ---- */

static void start_epoch(struct stream *s, size_t positions, uint64_t epoch)
{
    struct lm_rng rng = lm_rng_make(s->seed, epoch);
    const uint64_t slack = s->token_count - s->windows * positions;
    s->epoch = epoch;
    s->shift = lm_rng_below(&rng, slack + 1);
    for (uint64_t i = 0; i < s->windows; i++)
        s->order[i] = (uint32_t)i;
    lm_rng_shuffle(&rng, s->order, s->windows);
}

/* The documents of one source. */
static void take_source(struct stream *s, const struct lm_shard *shard, uint32_t source)
{
    for (uint64_t d = 0; d < shard->document_count; d++)
        s->document_count += shard->sources[d] == source;
    s->documents = lm_zalloc(s->document_count, sizeof *s->documents);
    s->own_ends = lm_zalloc(s->document_count, sizeof *s->own_ends);
    s->ends = s->own_ends;
    for (uint64_t d = 0, i = 0; d < shard->document_count; d++)
        if (shard->sources[d] == source) {
            s->token_count += shard->ends[d] - lm_shard_doc_start(shard, d);
            s->documents[i] = d;
            s->own_ends[i++] = s->token_count;
        }
}

static enum lm_rc start_stream(struct stream *s, const char *name, size_t positions, struct lm_err *err)
{
    if (s->token_count < positions)
        return lm_fail(err, LM_EINVAL, "%s has %llu tokens, less than one context of %zu", name,
                       (unsigned long long)s->token_count, positions);
    /* One window fewer than would fit, so that there is room for a shift of up to a window and more. */
    const uint64_t fit = s->token_count / positions;
    s->windows = fit > 1 ? fit - 1 : 1;
    if (s->windows > UINT32_MAX)
        return lm_fail(err, LM_EINVAL, "%s has %llu windows, more than 2^32; make the context longer", name,
                       (unsigned long long)s->windows);
    s->order = lm_zalloc(s->windows, sizeof *s->order);
    start_epoch(s, positions, 0);
    return LM_OK;
}

static enum lm_rc mix_streams(struct lm_shard_feed *f, const double *shares, uint64_t seed,
                              struct lm_err *err)
{
    const char *name = f->shard->names;
    double sum = 0;
    f->streams = lm_zalloc(f->shard->source_count, sizeof *f->streams);
    for (uint32_t i = 0; i < f->shard->source_count; i++, name = lm_shard_next_name(name)) {
        sum += shares[i];
        if (shares[i] == 0)
            continue;
        struct stream *s = &f->streams[f->stream_count++];
        s->seed = lm_hash64(name, strlen(name)) ^ seed;
        s->last = sum < 1 ? (uint64_t)(sum * 0x1p64) : UINT64_MAX;
        take_source(s, f->shard, i);
        LM_TRY(start_stream(s, name, f->positions, err));
    }
    f->streams[f->stream_count - 1].last = UINT64_MAX;   // whatever the rounding
    return LM_OK;
}

static enum lm_rc whole_stream(struct lm_shard_feed *f, uint64_t seed, struct lm_err *err)
{
    f->streams = lm_alloc(sizeof *f->streams);
    f->stream_count = 1;
    *f->streams = (struct stream){ .ends = f->shard->ends,
                                   .document_count = f->shard->document_count,
                                   .token_count = f->shard->token_count,
                                   .seed = seed,
                                   .last = UINT64_MAX };
    return start_stream(f->streams, "the shard", f->positions, err);
}

enum lm_rc lm_shard_feed_new(const struct lm_shard *shard, const struct lm_mix *mix, uint32_t end_of_text,
                             size_t rows, size_t positions, uint64_t seed, struct lm_shard_feed **ret,
                             struct lm_err *err)
{
    struct lm_shard_feed *f = lm_alloc(sizeof *f);
    *f = (struct lm_shard_feed){
        .shard = shard, .end_of_text = end_of_text, .rows = rows, .positions = positions
    };
    const enum lm_rc rc = mix->shares ? mix_streams(f, mix->shares, seed, err) : whole_stream(f, seed, err);
    if (rc == LM_OK)
        *ret = f;
    else
        lm_shard_feed_free(f);
    return rc;
}

void lm_shard_feed_free(struct lm_shard_feed *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->stream_count; i++) {
        free(f->streams[i].documents);
        free(f->streams[i].own_ends);
        free(f->streams[i].order);
    }
    free(f->streams);
    free(f);
}

/* ---- turns: window after window, a pure function of its number ---- */

/* Multiples of the golden ratio fall evenly on the circle (Weyl), so every arc gets its share of any run of
 * them. */
static struct stream *turn_of(const struct lm_shard_feed *f, uint64_t number)
{
    const uint64_t at = number * 0x9e3779b97f4a7c15;
    struct stream *s = f->streams;
    while (at > s->last)
        s++;
    return s;
}

/* Makes `number` the next window. */
static void seek(struct lm_shard_feed *f, uint64_t number)
{
    if (f->stream_count == 1) {
        f->streams->taken = f->number = number;
        return;
    }
    if (number < f->number) {
        f->number = 0;
        for (size_t i = 0; i < f->stream_count; i++)
            f->streams[i].taken = 0;
    }
    for (; f->number < number; f->number++)
        turn_of(f, f->number)->taken++;
}

/* The next window: its stream and where it starts there. */
static const struct stream *take(struct lm_shard_feed *f, uint64_t *ret_at)
{
    struct stream *s = turn_of(f, f->number++);
    const uint64_t turn = s->taken++, epoch = turn / s->windows;
    if (epoch != s->epoch)
        start_epoch(s, f->positions, epoch);
    *ret_at = s->shift + (uint64_t)s->order[turn % s->windows] * f->positions;
    return s;
}

/* ---- windows: walks over the documents they touch ---- */

struct walk {
    const struct stream *stream;
    uint64_t at, end;   // what is left of the window, in the stream
    uint64_t index;     // of the document there, in the stream
};

struct part {
    uint64_t document;   // in the shard
    uint64_t offset;     // of its tokens
    size_t len;
};

static struct walk walk_start(const struct stream *s, uint64_t at, size_t len)
{
    return (struct walk){ s, at, at + len, lm_ends_find(s->ends, s->document_count, at) };
}

static bool walk_next(struct walk *w, struct part *ret)
{
    if (w->at == w->end)
        return false;
    const struct stream *s = w->stream;
    const uint64_t first = w->index ? s->ends[w->index - 1] : 0, end = s->ends[w->index];
    ret->document = s->documents ? s->documents[w->index] : w->index;
    ret->offset = w->at - first;
    ret->len = (size_t)((end < w->end ? end : w->end) - w->at);
    w->at += ret->len;
    w->index++;
    return true;
}

/* A document's tokens [offset, offset + len) as targets at position t of a row, a segment of its own. */
static void put_part(const struct lm_shard_feed *f, const struct part *part, size_t row, size_t t,
                     struct lm_batch *ret)
{
    const uint64_t from = lm_shard_doc_start(f->shard, part->document) + part->offset;
    const size_t base = row * f->positions + t;
    uint32_t *input = ret->input + base;
    if (part->offset == 0) {
        input[0] = f->end_of_text;
        lm_shard_get(f->shard, from, part->len - 1, input + 1);
    } else {
        lm_shard_get(f->shard, from - 1, part->len, input);
    }
    uint32_t last;
    lm_shard_get(f->shard, from + part->len - 1, 1, &last);
    for (size_t i = 0; i < part->len; i++) {
        ret->target[base + i] = (int32_t)(i + 1 < part->len ? input[i + 1] : last);
        ret->start[base + i] = (uint32_t)t;
    }
}

void lm_shard_feed_fill(void *state, uint64_t step, struct lm_batch *ret)
{
    struct lm_shard_feed *f = state;
    LM_ASSERT(ret->rows == f->rows && ret->positions == f->positions);

    lm_batch_clear(ret);
    seek(f, step * f->rows);
    for (size_t row = 0; row < f->rows; row++) {
        uint64_t at;
        struct part part;
        const struct stream *s = take(f, &at);
        struct walk walk = walk_start(s, at, f->positions);
        for (size_t t = 0; walk_next(&walk, &part); t += part.len)
            put_part(f, &part, row, t, ret);
        ret->trained += f->positions;
    }
}

void lm_shard_feed_count(struct lm_shard_feed *f, uint64_t first, uint64_t end, uint64_t *tokens)
{
    seek(f, first * f->rows);
    while (f->number < end * f->rows) {
        uint64_t at;
        struct part part;
        const struct stream *s = take(f, &at);
        for (struct walk walk = walk_start(s, at, f->positions); walk_next(&walk, &part);)
            tokens[f->shard->sources[part.document]] += part.len;
    }
}

/* ---- held-out text ---- */

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
