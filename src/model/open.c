/* Opening and closing a model, whatever it is stored as; what is true of every weight. */
#include "model/open.h"

#include "model/source.h"

#include <math.h>
#include <stdlib.h>

static enum lm_rc finish(enum lm_rc rc, struct lm_model *m, struct lm_model *ret)
{
    if (rc == LM_OK)
        *ret = *m;
    else
        lm_model_close(m);
    return rc;
}

enum lm_rc lm_model_open(const char *path, struct lm_model *ret, struct lm_err *err)
{
    struct lm_model m = { .source = lm_zalloc(1, sizeof *m.source) };
    if (lm_path_is_dir(path))
        return finish(lm_source_open_hf(m.source, path, &m, err), &m, ret);
    enum lm_rc rc = lm_gguf_open(&m.source->gguf, path, err);
    if (rc == LM_OK)
        rc = lm_source_open_gguf(m.source, &m, err);
    return finish(rc, &m, ret);
}

enum lm_rc lm_model_parse_gguf(struct lm_str bytes, const char *name, struct lm_model *ret,
                               struct lm_err *err)
{
    struct lm_model m = { .source = lm_zalloc(1, sizeof *m.source) };
    enum lm_rc rc = lm_gguf_parse(&m.source->gguf, bytes, name, err);
    if (rc == LM_OK)
        rc = lm_source_open_gguf(m.source, &m, err);
    return finish(rc, &m, ret);
}

void lm_model_close(struct lm_model *m)
{
    if (!m)
        return;
    struct lm_model_source *s = m->source;
    if (s) {
        lm_gguf_close(&s->gguf);
        lm_hf_shards_close(&s->shards);
        for (size_t i = 0; i < s->copy_count; i++)
            free(s->copies[i]);
        free(s->copies);
        free(s->stored);
        free(s->notes);
        lm_arena_release(&s->arena);
        free(s);
    }
    free(m->weights);
    *m = (struct lm_model){ 0 };
}

struct lm_str lm_model_note(const struct lm_model *m, const char *key)
{
    if (m->source)
        for (size_t i = 0; i < m->source->note_count; i++)
            if (strcmp(m->source->notes[i].key, key) == 0)
                return m->source->notes[i].value;
    return LM_STR("");
}

uint64_t lm_model_file_bytes(const struct lm_model *m)
{
    uint64_t sum = 0;
    if (!m->source)
        return 0;
    for (size_t i = 0; i < m->source->gguf.map_count; i++)
        sum += m->source->gguf.maps[i].len;
    for (size_t i = 0; i < m->source->shards.count; i++)
        sum += m->source->shards.files[i].map.len;
    return sum;
}

/* ---- NaN and infinity ---- */

/* Index of the first value that is not finite, or SIZE_MAX. */
static size_t first_bad(const struct lm_weight *w)
{
    LM_FREE float *row = lm_alloc(w->cols * sizeof *row);
    for (size_t r = 0; r < w->rows; r++) {
        lm_weight_row_f32(w, r, row);
        for (size_t i = 0; i < w->cols; i++)
            if (!isfinite(row[i]))
                return r * w->cols + i;
    }
    return SIZE_MAX;
}

enum lm_rc lm_model_check_finite(const struct lm_model *m, struct lm_err *err)
{
    const size_t layers = (size_t)m->config.layers, count = LM_T_COUNT * layers;
    LM_FREE size_t *bad = lm_zalloc(count, sizeof *bad);
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < count; i++) {
        const bool again = i / layers == LM_T_HEAD && m->config.tied;
        bad[i] = m->weights[i].data && !again ? first_bad(&m->weights[i]) : SIZE_MAX;
    }
    const enum lm_naming naming = m->source ? m->source->naming : LM_NAMING_HF;
    for (size_t i = 0; i < count; i++) {
        if (bad[i] == SIZE_MAX)
            continue;
        char name[LM_TENSOR_NAME_MAX];
        const enum lm_tensor tensor = (enum lm_tensor)(i / layers);
        lm_tensor_name_text(lm_tensor_name_find(m->config.arch, tensor, naming), naming, i % layers, name);
        const size_t cols = m->weights[i].cols;
        return lm_fail(err, LM_EFORMAT, "%s: tensor '%s' is not finite in row %zu, column %zu",
                       m->source ? m->source->name : "model", name, bad[i] / cols, bad[i] % cols);
    }
    return LM_OK;
}
