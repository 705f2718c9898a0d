#include "infer/weights.h"

#include "base/mem.h"

#include <stdlib.h>

/* Runs twice: to count, and to copy. */
struct packer {
    const struct lm_model *model;
    float *to;   // NULL: only count
    size_t floats;
};

static const float *pack(struct packer *p, const float *matrix, size_t rows, size_t cols)
{
    float *place = p->to ? p->to + p->floats : NULL;
    if (place)
        lm_panels_pack(place, matrix, rows, cols);
    p->floats += lm_panels_floats(rows, cols);
    return place;
}

static const float *floats_at(const struct packer *p, enum lm_tensor tensor, size_t layer)
{
    return lm_model_at(p->model, tensor, layer)->data;
}

static const float *pack_tensor(struct packer *p, enum lm_tensor tensor, size_t layer)
{
    const struct lm_weight *w = lm_model_at(p->model, tensor, layer);
    return pack(p, w->data, w->rows, w->cols);
}

static const float *pack_vector(struct packer *p, enum lm_tensor tensor, size_t layer)
{
    const size_t len = (size_t)p->model->config.dim;
    float *place = p->to ? p->to + p->floats : NULL;
    if (place)
        memcpy(place, lm_model_at(p->model, tensor, layer)->data,
               len * sizeof *place);   // the slab is zeroed
    p->floats += lm_panel_pad(len);
    return place;
}

static const float *pack_heads(struct packer *p, size_t layer)
{
    const struct lm_model_config *c = &p->model->config;
    const struct {
        enum lm_tensor tensor;
        int64_t heads;
    } parts[] = { { LM_T_WQ, c->heads }, { LM_T_WK, c->kv_heads }, { LM_T_WV, c->kv_heads } };
    const size_t head_dim = (size_t)c->head_dim, dim = (size_t)c->dim;
    const float *start = p->to ? p->to + p->floats : NULL;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        for (size_t h = 0; h < (size_t)parts[i].heads; h++)
            pack(p, floats_at(p, parts[i].tensor, layer) + h * head_dim * dim, head_dim, dim);
    return start;
}

static const float *pack_gate_up(struct packer *p, size_t layer)
{
    const size_t dim = (size_t)p->model->config.dim, ffn = (size_t)p->model->config.ffn_dim;
    const size_t step = LM_FFN_PANELS * LM_PANEL;
    const float *start = p->to ? p->to + p->floats : NULL;
    for (size_t row = 0; row < ffn; row += step) {
        const size_t rows = ffn - row < step ? ffn - row : step;
        pack(p, floats_at(p, LM_T_W_GATE, layer) + row * dim, rows, dim);
        pack(p, floats_at(p, LM_T_W_UP, layer) + row * dim, rows, dim);
    }
    return start;
}

static void pack_model(struct packer *p, struct lm_weights *w)
{
    p->floats = 0;
    for (size_t l = 0; l < (size_t)p->model->config.layers; l++) {
        struct lm_layer_weights *layer = &w->layers[l];
        layer->attn_norm = pack_vector(p, LM_T_ATTN_NORM, l);
        layer->qkv = pack_heads(p, l);
        layer->wo = pack_tensor(p, LM_T_WO, l);
        layer->ffn_norm = pack_vector(p, LM_T_FFN_NORM, l);
        layer->gate_up = pack_gate_up(p, l);
        layer->down = pack_tensor(p, LM_T_W_DOWN, l);
    }
    w->norm = pack_vector(p, LM_T_NORM, 0);
    w->head = pack_tensor(p, LM_T_HEAD, 0);
}

void lm_weights_init(struct lm_weights *w, const struct lm_model *model)
{
    struct packer p = { .model = model };
    *w = (struct lm_weights){ .layers = lm_zalloc((size_t)model->config.layers, sizeof *w->layers) };
    pack_model(&p, w);
    w->packed = p.to = lm_slab_alloc(p.floats * sizeof *p.to);
    pack_model(&p, w);
}

void lm_weights_release(struct lm_weights *w)
{
    free(w->packed);
    free(w->layers);
    *w = (struct lm_weights){ 0 };
}
