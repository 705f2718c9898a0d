/* A model in memory: where each weight lies, and its rows. */
#include "model/model.h"

#include "base/mem.h"

#include <stdlib.h>

const void *lm_weight_row(const struct lm_weight *w, size_t row)
{
    LM_DASSERT(row < w->rows);
    if (w->paired) {
        const size_t half = w->paired / 2, d = row % w->paired;
        row = row - d + 2 * (d % half) + d / half;
    }
    return (const char *)w->data + row * lm_type_bytes(w->type, w->cols);
}

void lm_weight_row_f32(const struct lm_weight *w, size_t row, float *ret)
{
    lm_types[w->type].decode(ret, lm_weight_row(w, row), w->cols);
}

static const struct {
    enum lm_llama_tensor from;
    enum lm_tensor to;
} llama_tensors[LM_LLAMA_TENSOR_COUNT] = {
    { LM_LLAMA_EMBED, LM_T_EMBED },
    { LM_LLAMA_ATTN_NORM, LM_T_ATTN_NORM },
    { LM_LLAMA_WQ, LM_T_WQ },
    { LM_LLAMA_WK, LM_T_WK },
    { LM_LLAMA_WV, LM_T_WV },
    { LM_LLAMA_WO, LM_T_WO },
    { LM_LLAMA_FFN_NORM, LM_T_FFN_NORM },
    { LM_LLAMA_W_GATE, LM_T_W_GATE },
    { LM_LLAMA_W_UP, LM_T_W_UP },
    { LM_LLAMA_W_DOWN, LM_T_W_DOWN },
    { LM_LLAMA_NORM, LM_T_NORM },
    { LM_LLAMA_HEAD, LM_T_HEAD },
    { LM_LLAMA_POSITION, LM_T_POSITION },
    { LM_LLAMA_ATTN_NORM_BIAS, LM_T_ATTN_NORM_BIAS },
    { LM_LLAMA_BQ, LM_T_BQ },
    { LM_LLAMA_BK, LM_T_BK },
    { LM_LLAMA_BV, LM_T_BV },
    { LM_LLAMA_BO, LM_T_BO },
    { LM_LLAMA_FFN_NORM_BIAS, LM_T_FFN_NORM_BIAS },
    { LM_LLAMA_B_UP, LM_T_B_UP },
    { LM_LLAMA_B_DOWN, LM_T_B_DOWN },
    { LM_LLAMA_NORM_BIAS, LM_T_NORM_BIAS },
};

void lm_model_of_llama(struct lm_model *ret, const struct lm_llama *llama)
{
    const struct lm_llama_config *c = &llama->config;
    *ret = (struct lm_model){
        .config = lm_model_config_of_llama(c),
        .weights = lm_zalloc(LM_T_COUNT * (size_t)c->layers, sizeof(struct lm_weight)),
    };
    for (size_t i = 0; i < sizeof llama_tensors / sizeof llama_tensors[0]; i++) {
        const enum lm_llama_tensor from = llama_tensors[i].from;
        struct lm_weight *to = &ret->weights[(size_t)llama_tensors[i].to * (size_t)c->layers];
        for (size_t l = 0; l < lm_llama_layer_count(c, from); l++) {
            to[l] = (struct lm_weight){ .data = lm_llama_at(llama, from, l), .type = LM_TYPE_F32 };
            lm_llama_shape(c, from, &to[l].rows, &to[l].cols);
        }
    }
}

void lm_llama_copy(struct lm_llama *ret, const struct lm_model *m)
{
    const struct lm_llama_config *c = &ret->config;
    for (size_t i = 0; i < LM_LLAMA_TENSOR_COUNT; i++) {
        const enum lm_llama_tensor kind = llama_tensors[i].from;
        if (kind == LM_LLAMA_HEAD && c->tied)
            continue;
        for (size_t l = 0; l < lm_llama_layer_count(c, kind); l++) {
            const struct lm_weight *w = lm_model_at(m, llama_tensors[i].to, l);
            float *to = lm_llama_at(ret, kind, l);
            LM_ASSERT(w->data);
            for (size_t row = 0; row < w->rows; row++)
                lm_weight_row_f32(w, row, to + row * w->cols);
        }
    }
}
