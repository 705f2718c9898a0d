#include "model/hf_gpt2.h"

#include "base/file.h"
#include "model/model.h"
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 64, PARTS_MAX = 3 };

// clang-format off
/* Every tensor of the file, and which of ours lie side by side in it. */
static const struct row {
    const char *name;
    size_t parts;
    enum lm_llama_tensor kind[PARTS_MAX];
    bool transposed;
} rows[] = {
    { "transformer.wte.weight",              1, { LM_LLAMA_EMBED } },
    { "transformer.wpe.weight",              1, { LM_LLAMA_POSITION } },
    { "transformer.h.%d.ln_1.weight",        1, { LM_LLAMA_ATTN_NORM } },
    { "transformer.h.%d.ln_1.bias",          1, { LM_LLAMA_ATTN_NORM_BIAS } },
    { "transformer.h.%d.attn.c_attn.weight", 3, { LM_LLAMA_WQ, LM_LLAMA_WK, LM_LLAMA_WV }, true },
    { "transformer.h.%d.attn.c_attn.bias",   3, { LM_LLAMA_BQ, LM_LLAMA_BK, LM_LLAMA_BV } },
    { "transformer.h.%d.attn.c_proj.weight", 1, { LM_LLAMA_WO }, true },
    { "transformer.h.%d.attn.c_proj.bias",   1, { LM_LLAMA_BO } },
    { "transformer.h.%d.ln_2.weight",        1, { LM_LLAMA_FFN_NORM } },
    { "transformer.h.%d.ln_2.bias",          1, { LM_LLAMA_FFN_NORM_BIAS } },
    { "transformer.h.%d.mlp.c_fc.weight",    1, { LM_LLAMA_W_UP }, true },
    { "transformer.h.%d.mlp.c_fc.bias",      1, { LM_LLAMA_B_UP } },
    { "transformer.h.%d.mlp.c_proj.weight",  1, { LM_LLAMA_W_DOWN }, true },
    { "transformer.h.%d.mlp.c_proj.bias",    1, { LM_LLAMA_B_DOWN } },
    { "transformer.ln_f.weight",             1, { LM_LLAMA_NORM } },
    { "transformer.ln_f.bias",               1, { LM_LLAMA_NORM_BIAS } },
    { "lm_head.weight",                      1, { LM_LLAMA_HEAD } },
};
// clang-format on
enum { ROWS = sizeof rows / sizeof rows[0] };

struct writer {
    const struct lm_llama *m;
    float *copy;   // of all that does not lie as the file wants it
    size_t used;
    struct lm_tensor_view *views;
    char (*names)[NAME_BYTES];
    size_t count;
};

/* The parts of a row as the file wants them: (in, all outputs), or one vector after the other. */
static const float *join(struct writer *w, const struct row *r, size_t layer, size_t out, size_t in)
{
    float *to = w->copy + w->used;
    const size_t all = r->parts * out;
    w->used += all * in;
    for (size_t p = 0; p < r->parts; p++) {
        const float *from = lm_llama_at(w->m, r->kind[p], layer);
        for (size_t i = 0; i < out; i++)
            for (size_t j = 0; j < in; j++)
                to[r->transposed ? j * all + p * out + i : p * out * in + i * in + j] = from[i * in + j];
    }
    return to;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void put(struct writer *w, const struct row *r, size_t layer)
{
    const enum lm_llama_tensor kind = r->kind[0];
    const bool matrix = lm_llama_tensors[kind].is_matrix;
    struct lm_tensor_view *v = &w->views[w->count];
    char *name = w->names[w->count++];
    size_t out, in;
    lm_llama_shape(&w->m->config, kind, &out, &in);
    snprintf(name, NAME_BYTES, r->name, (int)layer);   // %d or nothing: a table
    *v = (struct lm_tensor_view){ .name = lm_str(name), .dtype = LM_F32, .dims = matrix ? 2 : 1 };
    v->shape[0] = !matrix ? r->parts * in : r->transposed ? in : out;
    v->shape[1] = !matrix ? 0 : r->transposed ? r->parts * out : in;
    v->bytes = r->parts * out * in * sizeof(float);
    v->data = r->transposed || r->parts > 1 ? join(w, r, layer, out, in) : lm_llama_at(w->m, kind, layer);
}
#pragma GCC diagnostic pop

enum lm_rc lm_gpt2_save_weights(const struct lm_llama *m, const char *dir, struct lm_err *err)
{
    const size_t layers = (size_t)m->config.layers, most = ROWS * layers;
    struct writer w = { .m = m,
                        .copy = lm_slab_alloc(m->parameter_count * sizeof *w.copy),
                        .views = lm_zalloc(most, sizeof *w.views),
                        .names = lm_zalloc(most, sizeof *w.names) };
    for (size_t i = 0; i < ROWS; i++)
        for (size_t l = 0; l < lm_llama_layer_count(&m->config, rows[i].kind[0]); l++)
            if (rows[i].kind[0] != LM_LLAMA_HEAD || !m->config.tied)
                put(&w, &rows[i], l);
    LM_FREE char *path = lm_path_join(dir, "model.safetensors");
    const enum lm_rc rc = lm_safetensors_write(path, w.views, w.count, LM_STR("{\"format\":\"pt\"}"), err);
    free(w.copy);
    free(w.views);
    free(w.names);
    return rc;
}

/* What inference opens is what is trained. */
enum lm_rc lm_gpt2_load(struct lm_llama *ret, const struct lm_llama_config *config, const char *dir,
                        struct lm_err *err)
{
    struct lm_model m;
    LM_TRY(lm_model_open(dir, &m, err));
    lm_llama_init(ret, config);
    lm_llama_copy(ret, &m);
    lm_model_close(&m);
    return LM_OK;
}
