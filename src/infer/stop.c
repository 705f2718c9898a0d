#include "infer/stop.h"

#include "base/mem.h"

#include <stdlib.h>

void lm_stop_filter_init(struct lm_stop_filter *f, const struct lm_str *stops, size_t count,
                         size_t piece_bytes_max)
{
    size_t longest = 0;
    *f = (struct lm_stop_filter){ .count = count, .stops = lm_zalloc(count + 1, sizeof *f->stops) };
    for (size_t i = 0; i < count; i++) {
        LM_ASSERT(stops[i].len > 0);
        f->stops[i] = (struct lm_str){ lm_memdup(stops[i].ptr, stops[i].len), stops[i].len };
        longest = stops[i].len > longest ? stops[i].len : longest;
    }
    lm_buf_space(&f->held, longest + piece_bytes_max);
}

void lm_stop_filter_release(struct lm_stop_filter *f)
{
    for (size_t i = 0; i < f->count; i++)
        free((char *)f->stops[i].ptr);
    free(f->stops);
    lm_buf_release(&f->held);
    *f = (struct lm_stop_filter){ 0 };
}

/* Start of the longest stop string that ends at `end`, or -1. */
static ptrdiff_t stop_ending_at(const struct lm_stop_filter *f, size_t end)
{
    size_t longest = 0;
    const struct lm_str text = { f->held.ptr, end };
    for (size_t i = 0; i < f->count; i++)
        if (f->stops[i].len > longest && lm_str_ends(text, f->stops[i]))
            longest = f->stops[i].len;
    return longest > 0 ? (ptrdiff_t)(end - longest) : -1;
}

static bool may_begin_stop(const struct lm_stop_filter *f, struct lm_str suffix)
{
    for (size_t i = 0; i < f->count; i++)
        if (lm_str_starts(f->stops[i], suffix))
            return true;
    return false;
}

static void keep_from(struct lm_buf *held, size_t start)
{
    memmove(held->ptr, held->ptr + start, held->len - start);
    held->len -= start;
}

bool lm_stop_filter_add(struct lm_stop_filter *f, struct lm_str piece, struct lm_buf *ret)
{
    if (f->count == 0) {
        lm_buf_add_str(ret, piece);
        return false;
    }
    const size_t old = f->held.len;   // nothing ends in there: it would have been found
    lm_buf_add_str(&f->held, piece);
    for (size_t end = old + 1; end <= f->held.len; end++) {
        const ptrdiff_t start = stop_ending_at(f, end);
        if (start >= 0) {
            lm_buf_add(ret, f->held.ptr, (size_t)start);
            lm_buf_reset(&f->held);
            return true;
        }
    }
    size_t start = 0;
    while (start < f->held.len &&
           !may_begin_stop(f, (struct lm_str){ f->held.ptr + start, f->held.len - start }))
        start++;
    if (start > 0) {
        lm_buf_add(ret, f->held.ptr, start);
        keep_from(&f->held, start);
    }
    return false;
}

void lm_stop_filter_end(struct lm_stop_filter *f, struct lm_buf *ret)
{
    lm_buf_add_str(ret, lm_buf_str(&f->held));
    lm_buf_reset(&f->held);
}
