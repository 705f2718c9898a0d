/* review/questions.c - choosing held-out questions. */

#include "review/questions.h"

#include "base/line.h"
#include "train/pairs.h"

#include <inttypes.h>
#include <stdlib.h>

void lm_questions_release(struct lm_questions *q)
{
    free(q->items);
    lm_arena_release(&q->arena);
    *q = (struct lm_questions){ 0 };
}

static struct lm_str keep(struct lm_arena *arena, struct lm_str s)
{
    return s.len == 0 ? LM_STR("") : (struct lm_str){ lm_arena_strndup(arena, s.ptr, s.len), s.len };
}

static void add(struct lm_questions *q, const struct lm_pair *pair)
{
    lm_grow(&q->items, &q->cap, q->len + 1, sizeof(*q->items));
    q->items[q->len++] = (struct lm_question){ keep(&q->arena, pair->id), keep(&q->arena, pair->question),
                                               keep(&q->arena, pair->answer) };
}

static enum lm_rc read_all(struct lm_line_reader *r, const char *path, const char *snapshot,
                           struct lm_arena *scratch, struct lm_questions *ret, struct lm_err *err)
{
    struct lm_str line;
    enum lm_rc rc;
    while ((rc = lm_line_next(r, &line, err)) == LM_OK) {
        struct lm_pair pair;
        lm_arena_reset(scratch);
        const char *name = lm_arena_printf(scratch, "%s:%" PRIu64, path, lm_line_number(r));
        LM_TRY(lm_pair_parse(line, name, scratch, &pair, err));
        if (pair.heldout && lm_str_eq(pair.snapshot, lm_str(snapshot)))
            add(ret, &pair);
    }
    return rc == LM_ENOTHING ? LM_OK : rc;
}

/* Every total/count_max-th, from the first. */
static void thin(struct lm_questions *q, size_t count_max)
{
    q->total = q->len;
    if (q->total <= count_max)
        return;
    for (size_t i = 0; i < count_max; i++)
        q->items[i] = q->items[i * q->total / count_max];   // never before i
    q->len = count_max;
}

enum lm_rc lm_questions_read(const char *path, const char *snapshot, size_t count_max,
                             struct lm_questions *ret, struct lm_err *err)
{
    LM_ASSERT(ret->len == 0 && count_max > 0);
    struct lm_line_reader *r = NULL;
    LM_TRY(lm_line_open(path, 0, &r, err));
    struct lm_arena scratch = { 0 };
    const enum lm_rc rc = read_all(r, path, snapshot, &scratch, ret, err);
    lm_arena_release(&scratch);
    lm_line_close(r);
    LM_TRY(rc);
    thin(ret, count_max);
    return LM_OK;
}
