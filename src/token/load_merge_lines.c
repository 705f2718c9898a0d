/* token/load_merge_lines.c - reading model.merges of tokenizer.json: the bytes of both sides of each line.
 *
 * That needs no ids, so it is done by a thread of its own while the vocabulary is read, where the file is
 * large; what the lines mean is load_merge_list.c's. */
#include "token/load.h"

#include "base/json.h"
#include "base/sys.h"

enum lm_rc lm_load_merge_sides(const struct lm_token_load *l, struct lm_json_reader *r,
                               enum lm_json_kind kind, size_t number, struct lm_str *ret_left,
                               struct lm_str *ret_right, struct lm_err *err)
{
    struct lm_str left = { 0 }, right = r->text;
    if (kind == LM_JSON_STRING) {
        const char *blank = right.len ? memchr(right.ptr, ' ', right.len) : NULL;
        left = (struct lm_str){ right.ptr, blank ? (size_t)(blank - right.ptr) : 0 };
        right = (struct lm_str){ right.ptr + left.len + 1, blank ? right.len - left.len - 1 : 0 };
        if (left.len == 0 || right.len == 0 || memchr(right.ptr, ' ', right.len))
            return lm_fail(err, LM_EFORMAT, "%s: merge %zu: '%.*s' is not two tokens and a space", l->name,
                           number, (int)r->text.len, r->text.ptr);
    } else if (kind == LM_JSON_ARRAY) {
        LM_TRY(lm_json_want(r, LM_JSON_STRING, err));
        left = r->text;
        LM_TRY(lm_json_want(r, LM_JSON_STRING, err));
        right = r->text;
        LM_TRY(lm_json_want(r, LM_JSON_ARRAY_END, err));
    } else {
        return lm_fail(err, LM_EFORMAT, "%s: merge %zu is neither text nor a list", l->name, number);
    }
    *ret_left = left;
    *ret_right = right;
    return LM_OK;
}

enum lm_rc lm_load_merge_unknown(const struct lm_token_load *l, size_t number, struct lm_str side,
                                 struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: merge %zu: '%.*s' is no ordinary token of the vocabulary", l->name,
                   number, (int)side.len, side.ptr);
}

/* ---- all lines ---- */

/* At least the number of lines, all written as the first: a text has two quotes, a list one bracket. */
static size_t count_lines(struct lm_str json)
{
    const struct lm_str inside = lm_str_trim((struct lm_str){ json.ptr + 1, json.len ? json.len - 1 : 0 });
    const bool lists = lm_str_starts(inside, LM_STR("["));
    const size_t count = lm_load_count(inside, lists ? '[' : '"');
    return lists ? count : count / 2 + 1;
}

static enum lm_rc read_line(struct lm_merge_lines *m, struct lm_json_reader *r, enum lm_json_kind kind,
                            struct lm_err *err)
{
    struct lm_str sides[2];
    LM_TRY(lm_load_merge_sides(m->l, r, kind, m->count, &sides[0], &sides[1], err));
    for (size_t i = 0; i < 2; i++) {
        if (!m->l->family->spell(m->l, sides[i], &m->bytes))
            return lm_load_merge_unknown(m->l, m->count, sides[i], err);
        m->ends[m->count][i] = (uint32_t)m->bytes.len;
    }
    m->count++;
    return LM_OK;
}

static enum lm_rc read_lines(struct lm_merge_lines *m, struct lm_err *err)
{
    struct lm_json_reader r;
    if (m->json.len > UINT32_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: merges of more than 4 GB are not supported", m->l->name);
    m->room = count_lines(m->json);
    m->ends = lm_alloc(m->room * sizeof(*m->ends));
    lm_buf_space(&m->bytes, m->json.len + LM_MERGE_SPARE);   // no side is longer than it is written
    lm_json_open(&r, m->json, lm_arena_printf(&m->arena, "%s: merges", m->l->name), &m->arena);
    LM_TRY(lm_json_want(&r, LM_JSON_ARRAY, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_ARRAY_END)
            return LM_OK;
        if (m->count == m->room)
            return lm_fail(err, LM_EFORMAT, "%s: the merges are written in two notations", m->l->name);
        LM_TRY(read_line(m, &r, kind, err));
    }
}

static void *run(void *lines)
{
    struct lm_merge_lines *m = lines;
    m->rc = read_lines(m, &m->err);
    return NULL;
}

/* ---- beside the vocabulary ---- */

void lm_load_merges_start(struct lm_token_load *l, struct lm_str json)
{
    enum { LARGE = 1 << 20 };
    struct lm_merge_lines *m = &l->lines;
    *m = (struct lm_merge_lines){ .l = l, .json = json };
    m->running = json.len >= LARGE && lm_threads() > 1 && lm_thread_beside(&m->thread, run, m);
}

enum lm_rc lm_load_merges_wait(struct lm_token_load *l, struct lm_err *err)
{
    struct lm_merge_lines *m = &l->lines;
    if (m->running)
        pthread_join(m->thread, NULL);
    else
        run(m);
    m->running = false;
    return m->rc == LM_OK ? LM_OK : lm_fail(err, m->rc, "%s", m->err.text);
}

void lm_load_merges_stop(struct lm_token_load *l)
{
    struct lm_merge_lines *m = &l->lines;
    if (m->running)
        pthread_join(m->thread, NULL);
    free(m->ends);
    lm_buf_release(&m->bytes);
    lm_arena_release(&m->arena);
    *m = (struct lm_merge_lines){ 0 };
}
