/* review/segments.c - texts and references from lines and from JSON Lines. */

#include "review/segments.h"

#include "base/json.h"
#include "base/line.h"
#include "text/text.h"

#include <inttypes.h>
#include <stdlib.h>

void lm_segments_release(struct lm_segments *s)
{
    free(s->items);
    lm_arena_release(&s->arena);
    *s = (struct lm_segments){ 0 };
}

/* ---- lines ---- */

struct lines {
    struct lm_str *items;
    size_t len, cap;
};

static enum lm_rc read_lines(const char *path, struct lm_arena *arena, struct lines *ret, struct lm_err *err)
{
    struct lm_line_reader *r = NULL;
    LM_TRY(lm_line_open(path, 0, &r, err));
    struct lm_str line;
    enum lm_rc rc;
    while ((rc = lm_line_next(r, &line, err)) == LM_OK) {
        if (!lm_utf8_valid(line)) {
            rc = lm_fail(err, LM_EFORMAT, "%s:%" PRIu64 ": the line is not valid UTF-8", path,
                         lm_line_number(r));
            break;
        }
        lm_grow(&ret->items, &ret->cap, ret->len + 1, sizeof(*ret->items));
        ret->items[ret->len++] = (struct lm_str){ lm_arena_strndup(arena, line.ptr, line.len), line.len };
    }
    lm_line_close(r);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

/* Reference `which` of every segment. */
static enum lm_rc read_refs(struct lm_segments *s, const char *hyp_path, const char *path, size_t which,
                            struct lm_err *err)
{
    struct lines lines = { 0 };
    enum lm_rc rc = read_lines(path, &s->arena, &lines, err);
    if (rc == LM_OK && lines.len != s->len)
        rc = lm_fail(err, LM_EFORMAT,
                     "'%s' has %zu lines and '%s' has %zu: line by line one must answer the other", hyp_path,
                     s->len, path, lines.len);
    for (size_t i = 0; rc == LM_OK && i < s->len; i++) {
        struct lm_str *refs = (struct lm_str *)s->items[i].refs;   // made below, not yet shown to anybody
        refs[which] = lines.items[i];
    }
    free(lines.items);
    return rc;
}

enum lm_rc lm_segments_from_lines(struct lm_segments *ret, const char *hyp_path, const char *const *ref_paths,
                                  size_t ref_count, struct lm_err *err)
{
    LM_ASSERT(ret->len == 0);
    struct lines hyps = { 0 };
    enum lm_rc rc = read_lines(hyp_path, &ret->arena, &hyps, err);
    if (rc == LM_OK) {
        lm_grow(&ret->items, &ret->cap, hyps.len, sizeof(*ret->items));
        struct lm_str *refs = lm_arena_alloc(&ret->arena, (hyps.len * ref_count + 1) * sizeof(*refs));
        for (size_t i = 0; i < hyps.len; i++)
            ret->items[ret->len++] = (struct lm_segment){ hyps.items[i], refs + i * ref_count, ref_count };
    }
    for (size_t k = 0; rc == LM_OK && k < ref_count; k++)
        rc = read_refs(ret, hyp_path, ref_paths[k], k, err);
    free(hyps.items);
    return rc;
}

/* ---- JSON Lines ---- */

enum { REFS_MAX = 1024 };

static enum lm_rc parse_refs(struct lm_json_reader *r, struct lm_segment *ret, struct lm_err *err)
{
    struct lm_str *refs = NULL;
    size_t cap = 0, len = 0;
    enum lm_json_kind kind;
    LM_TRY(lm_json_want(r, LM_JSON_ARRAY, err));
    enum lm_rc rc;
    while ((rc = lm_json_next(r, &kind, err)) == LM_OK && kind == LM_JSON_STRING && len < REFS_MAX) {
        lm_grow(&refs, &cap, len + 1, sizeof(*refs));
        refs[len++] = r->text;
    }
    if (rc == LM_OK && kind != LM_JSON_ARRAY_END)
        rc = lm_fail(err, LM_EFORMAT, "%s: refs must be a list of up to %d strings", r->name, REFS_MAX);
    if (rc == LM_OK) {
        struct lm_str *kept = lm_arena_alloc(r->arena, (len + 1) * sizeof(*kept));
        for (size_t i = 0; i < len; i++)
            kept[i] = (struct lm_str){ lm_arena_strndup(r->arena, refs[i].ptr, refs[i].len), refs[i].len };
        ret->refs = kept;
        ret->ref_count = len;
    }
    free(refs);
    return rc;
}

enum lm_rc lm_segment_parse(struct lm_str line, const char *name, struct lm_arena *arena,
                            struct lm_segment *ret, struct lm_err *err)
{
    struct lm_json_reader r;
    struct lm_segment segment = { 0 };
    bool has_hyp = false;
    lm_json_open(&r, line, name, arena);
    LM_TRY(lm_json_want(&r, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        if (lm_str_eq(r.text, LM_STR("hyp"))) {
            LM_TRY(lm_json_want(&r, LM_JSON_STRING, err));
            segment.hyp = (struct lm_str){ lm_arena_strndup(arena, r.text.ptr, r.text.len), r.text.len };
            has_hyp = true;
        } else if (lm_str_eq(r.text, LM_STR("refs"))) {
            LM_TRY(parse_refs(&r, &segment, err));
        } else {
            LM_TRY(lm_json_skip(&r, err));
        }
    }
    LM_TRY(lm_json_want(&r, LM_JSON_END, err));
    if (!has_hyp)
        return lm_fail(err, LM_EFORMAT, "%s: the object has no \"hyp\"", name);
    *ret = segment;
    return LM_OK;
}

enum lm_rc lm_segments_from_jsonl(struct lm_segments *ret, const char *path, struct lm_err *err)
{
    LM_ASSERT(ret->len == 0);
    struct lm_line_reader *r = NULL;
    LM_TRY(lm_line_open(path, 0, &r, err));
    struct lm_str line;
    enum lm_rc rc;
    while ((rc = lm_line_next(r, &line, err)) == LM_OK) {
        char name[512];
        snprintf(name, sizeof(name), "%s:%" PRIu64, path, lm_line_number(r));
        struct lm_segment segment;
        if (line.len == 0)
            continue;
        if ((rc = lm_segment_parse(line, name, &ret->arena, &segment, err)) != LM_OK)
            break;
        lm_grow(&ret->items, &ret->cap, ret->len + 1, sizeof(*ret->items));
        ret->items[ret->len++] = segment;
    }
    lm_line_close(r);
    return rc == LM_ENOTHING ? LM_OK : rc;
}
