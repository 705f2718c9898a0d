#include "model/hf_shards.h"

#include "base/json.h"

#include <stdlib.h>

enum { INDEX_BYTES_MAX = 64 << 20 };

static enum lm_rc open_file(struct lm_hf_shards *s, const char *path, struct lm_err *err)
{
    lm_grow(&s->files, &s->cap, s->count + 1, sizeof *s->files);
    LM_TRY(lm_safetensors_open(&s->files[s->count], path, err));
    s->count++;
    return LM_OK;
}

/* ---- the index ---- */

struct names {
    const char *items[LM_HF_SHARDS_MAX];   // in the reader's arena, in order of first mention
    size_t count;
};

static enum lm_rc add_name(struct names *n, struct lm_json_reader *r, struct lm_err *err)
{
    const struct lm_str name = r->text;
    for (size_t i = 0; i < n->count; i++)
        if (lm_str_eq(name, lm_str(n->items[i])))
            return LM_OK;
    if (name.len == 0 || name.ptr[0] == '.' || memchr(name.ptr, '/', name.len) ||
        memchr(name.ptr, '\0', name.len))
        return lm_fail(err, LM_EFORMAT, "%s: '%.*s' is not the name of a file in this folder", r->name,
                       (int)(name.len < 200 ? name.len : 200), name.ptr);
    if (n->count == LM_HF_SHARDS_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: more than %d files", r->name, LM_HF_SHARDS_MAX);
    n->items[n->count++] = lm_arena_strndup(r->arena, name.ptr, name.len);
    return LM_OK;
}

static enum lm_rc read_weight_map(struct names *n, struct lm_json_reader *r, struct lm_err *err)
{
    LM_TRY(lm_json_want(r, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(r, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            return LM_OK;
        LM_TRY(lm_json_want(r, LM_JSON_STRING, err));
        LM_TRY(add_name(n, r, err));
    }
}

static enum lm_rc read_index(struct names *n, struct lm_json_reader *r, struct lm_err *err)
{
    LM_TRY(lm_json_want(r, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(r, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        if (lm_str_eq(r->text, LM_STR("weight_map")))
            LM_TRY(read_weight_map(n, r, err));
        else
            LM_TRY(lm_json_skip(r, err));
    }
    LM_TRY(lm_json_want(r, LM_JSON_END, err));
    return n->count > 0 ? LM_OK : lm_fail(err, LM_EFORMAT, "%s: weight_map names no file", r->name);
}

static enum lm_rc open_indexed(struct lm_hf_shards *s, const char *dir, struct lm_err *err)
{
    struct names names = { .count = 0 };
    struct lm_buf text = { 0 };
    struct lm_arena arena = { 0 };
    struct lm_json_reader reader;
    enum lm_rc rc = lm_file_read(s->name, INDEX_BYTES_MAX, &text, err);
    if (rc == LM_OK) {
        lm_json_open(&reader, lm_buf_str(&text), s->name, &arena);
        rc = read_index(&names, &reader, err);
    }
    for (size_t i = 0; i < names.count && rc == LM_OK; i++) {
        LM_FREE char *path = lm_path_join(dir, names.items[i]);
        rc = open_file(s, path, err);
    }
    lm_arena_release(&arena);
    lm_buf_release(&text);
    return rc;
}

/* ---- public ---- */

static const struct lm_tensor_view *find_in(const struct lm_safetensors *files, size_t count,
                                            const char *name)
{
    for (size_t i = 0; i < count; i++) {
        const struct lm_tensor_view *view = lm_safetensors_find(&files[i], name);
        if (view)
            return view;
    }
    return NULL;
}

static enum lm_rc check_single(const struct lm_hf_shards *s, struct lm_err *err)
{
    for (size_t f = 1; f < s->count; f++)
        for (size_t i = 0; i < s->files[f].count; i++) {
            const struct lm_str name = s->files[f].tensors[i].name;
            LM_FREE char *terminated = lm_alloc(name.len + 1);
            memcpy(terminated, name.ptr, name.len);
            terminated[name.len] = '\0';
            if (find_in(s->files, f, terminated))
                return lm_fail(err, LM_EFORMAT, "%s: tensor '%.200s' is in two files", s->name, terminated);
        }
    return LM_OK;
}

enum lm_rc lm_hf_shards_open(struct lm_hf_shards *s, const char *dir, struct lm_err *err)
{
    LM_FREE char *whole = lm_path_join(dir, "model.safetensors");
    LM_FREE char *index = lm_path_join(dir, "model.safetensors.index.json");
    const bool indexed = !lm_path_exists(whole) && lm_path_exists(index);
    *s = (struct lm_hf_shards){ .name = lm_strdup(indexed ? index : whole) };
    enum lm_rc rc = indexed ? open_indexed(s, dir, err) : open_file(s, whole, err);
    if (rc == LM_OK)
        rc = check_single(s, err);
    if (rc != LM_OK)
        lm_hf_shards_close(s);
    return rc;
}

void lm_hf_shards_close(struct lm_hf_shards *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        lm_safetensors_close(&s->files[i]);
    free(s->files);
    free(s->name);
    *s = (struct lm_hf_shards){ 0 };
}

const struct lm_tensor_view *lm_hf_shards_find(const struct lm_hf_shards *s, const char *name)
{
    return find_in(s->files, s->count, name);
}
