/* GGUF files from disk and from memory; a set of split files as one. */
#include "model/gguf_impl.h"

#include <stdlib.h>

/* ---- split files ---- */

struct split {
    int64_t no, count, tensors;   // tensors: of all files, -1: not said
};

static enum lm_rc read_split(const struct lm_gguf *g, struct split *ret, struct lm_err *err)
{
    struct split s = { 0, 1, -1 };
    LM_TRY(lm_gguf_get_int(g, "split.no", &s.no, err));
    LM_TRY(lm_gguf_get_int(g, "split.count", &s.count, err));
    LM_TRY(lm_gguf_get_int(g, "split.tensors.count", &s.tensors, err));
    if (s.count == 0)   // some writers, for a file that is whole
        s.count = 1;
    if (s.count < 0 || s.count > 99999 || s.no < 0 || s.no >= s.count)
        return lm_fail(err, LM_EFORMAT,
                       "%s: keys 'split.no' and 'split.count': part %lld of %lld makes no sense", g->name,
                       (long long)s.no, (long long)s.count);
    *ret = s;
    return LM_OK;
}

/* Appends the tensors of one more file; takes its mapping. */
static enum lm_rc add_part(struct lm_gguf *g, const struct split *first, int64_t no, const char *path,
                           struct lm_err *err)
{
    struct lm_gguf part = { .name = lm_arena_strdup(&g->arena, path) };
    struct lm_map *map = &g->maps[no];
    struct split s = { 0 };
    enum lm_rc rc = lm_map_open(map, path, err);
    if (rc != LM_OK)
        return lm_err_prefix(err, rc, "%s is part 1 of %lld", g->name, (long long)first->count);
    g->map_count = (size_t)no + 1;
    rc = lm_gguf_read(&part, (struct lm_str){ map->ptr, map->len }, err);
    if (rc == LM_OK)
        rc = read_split(&part, &s, err);
    if (rc == LM_OK && (s.no != no || s.count != first->count))
        rc =
            lm_fail(err, LM_EFORMAT, "%s: says it is part %lld of %lld, but its name says %lld of %lld", path,
                    (long long)s.no + 1, (long long)s.count, (long long)no + 1, (long long)first->count);
    if (rc == LM_OK) {
        const size_t count = g->tensor_count + part.tensor_count;
        g->tensors = lm_realloc(g->tensors, count + 1, sizeof *g->tensors);
        memcpy(g->tensors + g->tensor_count, part.tensors, part.tensor_count * sizeof *part.tensors);
        g->by_name = lm_realloc(g->by_name, count + 1, sizeof(void *));
        g->tensor_count = count;
    }
    lm_gguf_close(&part);
    return rc;
}

/* x-00001-of-00003.gguf: the other two lie beside it. */
static enum lm_rc open_parts(struct lm_gguf *g, const struct split *s, struct lm_err *err)
{
    char end[32], other[32];
    snprintf(end, sizeof end, "-%05d-of-%05d.gguf", (int)s->no + 1, (int)s->count);
    const struct lm_str path = lm_str(g->name);
    if (s->no != 0)
        return lm_fail(err, LM_EFORMAT,
                       "%s: this is part %lld of %lld: open part 1, '...-00001-of-%05d.gguf'", g->name,
                       (long long)s->no + 1, (long long)s->count, (int)s->count);
    if (!lm_str_ends(path, lm_str(end)))
        return lm_fail(err, LM_EFORMAT,
                       "%s: part 1 of %lld must be named '...%s', so that the others can be found", g->name,
                       (long long)s->count, end);
    g->maps = lm_realloc(g->maps, (size_t)s->count, sizeof *g->maps);
    for (int64_t no = 1; no < s->count; no++) {
        snprintf(other, sizeof other, "-%05d-of-%05d.gguf", (int)no + 1, (int)s->count);
        struct lm_buf name = { 0 };
        lm_buf_add(&name, path.ptr, path.len - strlen(end));
        lm_buf_puts(&name, other);
        LM_FREE char *file = lm_buf_take(&name);
        LM_TRY(add_part(g, s, no, file, err));
    }
    if (s->tensors >= 0 && (uint64_t)s->tensors != g->tensor_count)
        return lm_fail(
            err, LM_EFORMAT,
            "%s: key 'split.tensors.count': %lld tensors are promised, but the %lld files have %zu", g->name,
            (long long)s->tensors, (long long)s->count, g->tensor_count);
    return lm_gguf_index_tensors(g, err);
}

/* ---- public ---- */

enum lm_rc lm_gguf_parse(struct lm_gguf *g, struct lm_str bytes, const char *name, struct lm_err *err)
{
    *g = (struct lm_gguf){ 0 };
    g->name = lm_arena_strdup(&g->arena, name);
    struct split s = { 0 };
    enum lm_rc rc = lm_gguf_read(g, bytes, err);
    if (rc == LM_OK)
        rc = read_split(g, &s, err);
    if (rc == LM_OK && s.count > 1)
        rc = lm_fail(err, LM_EFORMAT, "%s: this is part %lld of %lld: the others are needed too", name,
                     (long long)s.no + 1, (long long)s.count);
    if (rc != LM_OK)
        lm_gguf_close(g);
    return rc;
}

enum lm_rc lm_gguf_open(struct lm_gguf *g, const char *path, struct lm_err *err)
{
    *g = (struct lm_gguf){ 0 };
    g->name = lm_arena_strdup(&g->arena, path);
    g->maps = lm_zalloc(1, sizeof *g->maps);
    struct split s = { 0 };
    enum lm_rc rc = lm_map_open(g->maps, path, err);
    if (rc == LM_OK) {
        g->map_count = 1;
        rc = lm_gguf_read(g, (struct lm_str){ g->maps->ptr, g->maps->len }, err);
    }
    if (rc == LM_OK)
        rc = read_split(g, &s, err);
    if (rc == LM_OK && s.count > 1)
        rc = open_parts(g, &s, err);
    if (rc != LM_OK)
        lm_gguf_close(g);
    return rc;
}

void lm_gguf_close(struct lm_gguf *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->map_count; i++)
        lm_map_close(&g->maps[i]);
    free(g->maps);
    free(g->values);
    free(g->tensors);
    free(g->by_key);
    free(g->by_name);
    lm_arena_release(&g->arena);
    *g = (struct lm_gguf){ 0 };
}
