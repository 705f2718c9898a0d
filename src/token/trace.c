#include "token/trace.h"

#include "text/text.h"

void lm_trace_release(struct lm_trace *t)
{
    free(t->from);
    free(t->other);
    free(t->moves);
    *t = (struct lm_trace){ 0 };
}

void lm_trace_start(struct lm_trace *t, struct lm_str text, size_t start)
{
    uint32_t cp;
    lm_grow(&t->from, &t->from_cap, text.len, sizeof(*t->from));
    t->start = start;
    t->len = text.len;
    t->move_count = t->skipped = 0;
    for (size_t at = 0, len; at < text.len; at += len) {
        len = lm_utf8_next(text, at, &cp);
        for (size_t i = 0; i < len; i++)
            t->from[at + i] = (struct lm_span){ start + at, start + at + len };
    }
}

/* ---- moves ---- */

void lm_trace_put(struct lm_trace *t, size_t len, size_t olds)
{
    lm_grow(&t->moves, &t->move_cap, t->move_count + 1, sizeof(*t->moves));
    t->moves[t->move_count++] =
        (struct lm_trace_move){ (uint32_t)len, (uint32_t)olds, olds ? LM_TRACE_OWN : LM_TRACE_BEFORE };
}

void lm_trace_drop(struct lm_trace *t, size_t olds)
{
    if (t->move_count > 0)
        t->moves[t->move_count - 1].olds += (uint32_t)olds;
    else
        t->skipped += olds;
}

void lm_trace_part(struct lm_trace *t, struct lm_str made, size_t olds)
{
    uint32_t cp;
    if (made.len == 0)
        lm_trace_drop(t, olds);
    for (size_t at = 0, len; at < made.len; at += len, olds = 0) {
        len = lm_utf8_next(made, at, &cp);
        lm_trace_put(t, len, olds);
    }
}

void lm_trace_kept(struct lm_trace *t, struct lm_str text)
{
    uint32_t cp;
    for (size_t at = 0, len; at < text.len; at += len) {
        len = lm_utf8_next(text, at, &cp);
        lm_trace_put(t, len, 1);
    }
}

/* Behind so many characters. */
static size_t skip(struct lm_str text, size_t at, size_t characters)
{
    uint32_t cp;
    for (; characters > 0 && at < text.len; characters--)
        at += lm_utf8_next(text, at, &cp);
    return at;
}

/* Where the new character of a move comes from; at: of the old text; end: behind its old characters. */
static struct lm_span origin(const struct lm_trace *t, const struct lm_trace_move *m, struct lm_str old,
                             size_t at, size_t end, struct lm_span last)
{
    if (m->of == LM_TRACE_SAME)
        return last;
    if (m->of == LM_TRACE_ALL && end > at)
        return (struct lm_span){ t->from[at].start, t->from[end - 1].end };
    if (m->of == LM_TRACE_OWN && at < old.len)
        return t->from[at];
    return at > 0 ? t->from[at - 1] : (struct lm_span){ t->start, t->start };
}

void lm_trace_step(struct lm_trace *t, struct lm_str old)
{
    struct lm_span last = { t->start, t->start };
    size_t made = 0, at = skip(old, 0, t->skipped);
    for (size_t i = 0; i < t->move_count; i++)
        made += t->moves[i].len;
    lm_grow(&t->other, &t->other_cap, made, sizeof(*t->other));
    made = 0;
    for (size_t i = 0; i < t->move_count; i++) {
        const size_t end = skip(old, at, t->moves[i].olds);
        last = origin(t, &t->moves[i], old, at, end, last);
        for (size_t k = 0; k < t->moves[i].len; k++)
            t->other[made++] = last;
        at = end;
    }
    struct lm_span *const before = t->from;
    const size_t cap = t->from_cap;
    t->from = t->other;
    t->from_cap = t->other_cap;
    t->other = before;
    t->other_cap = cap;
    t->len = made;
    t->move_count = t->skipped = 0;
}

/* ---- normal forms ----
 *
 * 1 + n characters become one that n compose with, and all parts of a character but the first are for none.
 * So parts are counted: all old characters decomposed, each new one decomposed into such parts. */

struct form_part {
    uint32_t cp;
    bool first, used;   // first: of its old character
};

enum {
    CLUSTER_MAX = 128
};   // parts between two places where nothing composes; of more the first are counted

static size_t decompose(enum lm_normal_form form, struct lm_str character, struct lm_buf *buf,
                        struct form_part *parts, size_t count)
{
    const bool compatible = form == LM_FORM_NFKC || form == LM_FORM_NFKD;
    const struct lm_str normal = lm_token_form(compatible ? LM_FORM_NFKD : LM_FORM_NFD, character, buf);
    for (size_t at = 0; at < normal.len && count < CLUSTER_MAX; count++) {
        parts[count] = (struct form_part){ .first = at == 0 };
        at += lm_utf8_next(normal, at, &parts[count].cp);
    }
    return count;
}

/* Old characters that a new one is for, of those whose parts these are: marks its parts as used. */
static size_t stands_for(enum lm_normal_form form, struct lm_str character, struct lm_buf *buf,
                         struct form_part *parts, size_t count)
{
    struct form_part own[CLUSTER_MAX];
    size_t firsts = 0;
    const size_t own_count = decompose(form, character, buf, own, 0);
    for (size_t k = 0; k < own_count; k++)
        for (size_t i = 0; i < count; i++)
            if (!parts[i].used && parts[i].cp == own[k].cp) {
                parts[i].used = true;
                firsts += parts[i].first;
                break;
            }
    return firsts;
}

/* A cluster: text between two places where nothing composes. */
static void move_cluster(struct lm_trace *t, enum lm_normal_form form, struct lm_str cluster,
                         struct lm_buf buf[2])
{
    struct form_part parts[CLUSTER_MAX];
    size_t count = 0, left = 0, len;   // left: old characters that no new one is for yet
    uint32_t cp;
    for (size_t at = 0; at < cluster.len; at += len, left++) {
        len = lm_utf8_next(cluster, at, &cp);
        count = decompose(form, (struct lm_str){ cluster.ptr + at, len }, &buf[0], parts, count);
    }
    const struct lm_str normal = lm_token_form(form, cluster, &buf[1]);
    for (size_t at = 0; at < normal.len; at += len) {
        len = lm_utf8_next(normal, at, &cp);
        size_t olds = stands_for(form, (struct lm_str){ normal.ptr + at, len }, &buf[0], parts, count);
        olds = olds < left ? olds : left;
        lm_trace_put(t, len, olds);
        left -= olds;
    }
    lm_trace_drop(t, left);
}

void lm_trace_form(struct lm_trace *t, enum lm_normal_form form, struct lm_str text)
{
    struct lm_buf buf[2] = { { 0 }, { 0 } };
    for (size_t at = 0, end; at < text.len; at = end) {
        uint32_t cp;
        end = at + lm_utf8_next(text, at, &cp);
        for (size_t len; end < text.len; end += len) {
            len = lm_utf8_next(text, end, &cp);
            if (lm_token_form_boundary(form, cp))
                break;
        }
        move_cluster(t, form, (struct lm_str){ text.ptr + at, end - at }, buf);
    }
    lm_buf_release(&buf[0]);
    lm_buf_release(&buf[1]);
}
