#include "train/track.h"

#include "base/json.h"

enum lm_rc lm_track_line_parse(struct lm_str line, const char *name, struct lm_arena *arena,
                               struct lm_track_point *ret, size_t *ret_count, struct lm_err *err)
{
    struct lm_json_reader r;
    int64_t step = -1;
    size_t count = 0;
    lm_json_open(&r, line, name, arena);
    LM_TRY(lm_json_want(&r, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        const struct lm_str key = r.text;
        const struct lm_json_reader before = r;
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_OBJECT || kind == LM_JSON_ARRAY) {
            r = before;
            LM_TRY(lm_json_skip(&r, err));
        } else if (kind == LM_JSON_NUMBER && lm_str_eq(key, LM_STR("step"))) {
            if (!lm_str_to_i64(r.text, &step) || step < 0)
                return lm_fail(err, LM_EFORMAT, "%s: the step is no whole number", name);
        } else if (kind == LM_JSON_NUMBER && count < LM_TRACK_NAMES_MAX) {
            ret[count].name = key;
            count += lm_str_to_f64(r.text, &ret[count].value);
        }
    }
    LM_TRY(lm_json_want(&r, LM_JSON_END, err));
    if (step < 0)
        return lm_fail(err, LM_EFORMAT, "%s: the line has no step", name);
    for (size_t i = 0; i < count; i++)
        ret[i].step = step;
    *ret_count = count;
    return LM_OK;
}

/* ---- marks ---- */

static struct lm_track_mark *find(struct lm_track_marks *m, struct lm_str name)
{
    for (size_t i = 0; i < m->count; i++)
        if (lm_str_eq(lm_str(m->marks[i].name), name))
            return &m->marks[i];
    return NULL;
}

static struct lm_track_mark *find_or_add(struct lm_track_marks *m, struct lm_str name)
{
    struct lm_track_mark *mark = find(m, name);
    if (mark)
        return mark;
    if (m->count == LM_TRACK_NAMES_MAX || name.len >= LM_TRACK_NAME_BYTES_MAX ||
        memchr(name.ptr, 0, name.len))
        return NULL;
    mark = &m->marks[m->count++];
    memset(mark, 0, sizeof *mark);
    memcpy(mark->name, name.ptr, name.len);
    return mark;
}

bool lm_track_marks_pass(struct lm_track_marks *m, struct lm_str name)
{
    struct lm_track_mark *mark = find_or_add(m, name);
    return mark && ++mark->seen > mark->there;
}

void lm_track_marks_add(struct lm_track_marks *m, struct lm_str name, uint64_t points)
{
    struct lm_track_mark *mark = find_or_add(m, name);
    if (mark)
        mark->there += points;
}
