/* token/encode_files.c - files of any size to ids, in bounded memory and with several threads.
 *
 * Files are mapped, broken into parts (breaks.h) and encoded in rounds of some parts a thread; the ids of a
 * round are given out in order, and the pages it has read are let go.  Nothing depends on the threads. */
#include "base/sys.h"
#include "token/plan.h"

#include <omp.h>

enum {
    PART_BYTES = 1 << 20,            // a part ends at the next break behind so many
    PART_BYTES_MAX = 64 << 20,       // and there must be one before so many
    ROUND_PARTS = 16,                // of a thread
    KEPT_IDS_MAX = 4 * PART_BYTES,   // room that a part keeps for the next round
};

struct part {
    size_t file, start, end;   // bytes of the file
    bool last;                 // of its file
    struct lm_map map;
    struct lm_tokens ids;
};

struct work {
    const struct lm_tokenizer *t;
    const char *const *paths;
    size_t path_count, next;   // of paths: the next to open
    struct lm_map map;         // of the file at work
    size_t at;                 // bytes of it that are in parts
    bool open;
    int threads;
    struct lm_encoder **encoders;   // [threads]
    struct part *parts;             // [part_max]
    size_t part_count, part_max;
};

static enum lm_rc no_break(const char *path, size_t at, struct lm_err *err)
{
    return lm_fail(
        err, LM_ELIMIT,
        "%s: from byte %zu on there is no place to break the text in %d MB (a single blank or line "
        "end between letters), so memory would not be bounded; break the text into lines, or "
        "encode it from standard input",
        path, at, PART_BYTES_MAX >> 20);
}

/* The next part of the file at work. */
static enum lm_rc put_part(struct work *w, struct lm_err *err)
{
    const size_t left = w->map.len - w->at;
    const size_t seen = left > PART_BYTES_MAX ? w->at + PART_BYTES_MAX : w->map.len;
    struct part *p = &w->parts[w->part_count];
    size_t end = seen;
    if (left > PART_BYTES + PART_BYTES / 4)
        end = lm_breaks_next(&lm_token_plan(w->t)->breaks, (struct lm_str){ w->map.ptr, seen },
                             w->at + PART_BYTES);
    if (end == seen && seen < w->map.len)
        return no_break(w->paths[w->next - 1], w->at, err);
    p->file = w->next - 1;
    p->start = w->at;
    p->end = w->at = end;
    p->map = w->map;
    p->last = end == w->map.len;
    w->open = !p->last;
    w->part_count++;
    return LM_OK;
}

/* Parts for a round; none when all files are done. */
static enum lm_rc fill(struct work *w, struct lm_err *err)
{
    size_t bytes = 0;
    w->part_count = 0;
    while (w->part_count < w->part_max && bytes < w->part_max * PART_BYTES) {
        if (!w->open && w->next == w->path_count)
            return LM_OK;
        if (!w->open) {
            LM_TRY(lm_map_open(&w->map, w->paths[w->next], err));
            w->next++;
            w->at = 0;
            w->open = true;
        }
        LM_TRY(put_part(w, err));
        const struct part *p = &w->parts[w->part_count - 1];
        bytes += p->end - p->start;
    }
    return LM_OK;
}

static void encode_parts(struct work *w, bool allow_special)
{
#pragma omp parallel num_threads(w->threads)
    {
        struct lm_encoder *e = w->encoders[omp_get_thread_num()];
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < w->part_count; i++) {
            struct part *p = &w->parts[i];
            p->ids.len = 0;
            lm_encode_part(e, (struct lm_str){ p->map.ptr, p->map.len }, p->start, p->end, allow_special,
                           &p->ids);
        }
    }
}

/* Gives out what the round has made, and lets go of what it has read. */
static enum lm_rc give_out(struct work *w, lm_ids_sink *put, void *user, struct lm_err *err)
{
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; i < w->part_count; i++) {
        struct part *p = &w->parts[i];
        if (rc == LM_OK)
            rc = put(user, p->file, p->ids.ids, p->ids.len, p->last, err);
        lm_map_drop(&p->map, p->start, p->end - p->start);
        if (p->last)
            lm_map_close(&p->map);
        if (p->ids.cap > KEPT_IDS_MAX)
            lm_tokens_release(&p->ids);
    }
    w->part_count = 0;
    return rc;
}

static void close_all(struct work *w)
{
    if (w->open)
        lm_map_close(&w->map);
    for (size_t i = 0; i < w->part_max; i++)
        lm_tokens_release(&w->parts[i].ids);
    for (int i = 0; i < w->threads; i++)
        lm_encoder_free(w->encoders[i]);
    free(w->encoders);
    free(w->parts);
}

enum lm_rc lm_encode_files(const struct lm_tokenizer *t, const char *const *paths, size_t count,
                           bool allow_special, lm_ids_sink *put, void *user, struct lm_err *err)
{
    struct work w = { .t = t, .paths = paths, .path_count = count, .threads = lm_threads() };
    w.part_max = (size_t)w.threads * ROUND_PARTS;
    w.parts = lm_zalloc(w.part_max, sizeof(*w.parts));
    w.encoders = lm_zalloc((size_t)w.threads, sizeof(struct lm_encoder *));
    for (int i = 0; i < w.threads; i++)
        w.encoders[i] = i == 0 ? lm_encoder_new(t) : lm_encoder_beside(w.encoders[0]);
    enum lm_rc rc = LM_OK;
    while (rc == LM_OK && (w.open || w.next < count)) {
        const enum lm_rc filled = fill(&w, err);   // what is before a fault is given out all the same
        encode_parts(&w, allow_special);
        rc = give_out(&w, put, user, filled == LM_OK ? err : NULL);
        rc = filled == LM_OK ? rc : filled;
        if (rc == LM_OK && lm_stop_asked())
            rc = lm_fail(err, LM_ESTOP, "stopped while encoding");
    }
    close_all(&w);
    return rc;
}
