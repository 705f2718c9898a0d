#include "train/lora.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- targets ---- */

/* To add a row: a matrix inside the layers whose gradient net.c takes by a product. */
static const struct {
    const char *name;
    enum lm_llama_tensor kind;
} target_rows[] = {
    { "q_proj", LM_LLAMA_WQ },        { "k_proj", LM_LLAMA_WK },        { "v_proj", LM_LLAMA_WV },
    { "o_proj", LM_LLAMA_WO },        { "gate_proj", LM_LLAMA_W_GATE }, { "up_proj", LM_LLAMA_W_UP },
    { "down_proj", LM_LLAMA_W_DOWN },
};
enum { TARGETS = sizeof target_rows / sizeof target_rows[0] };

const char *lm_lora_target_name(enum lm_llama_tensor kind)
{
    for (size_t i = 0; i < TARGETS; i++)
        if (target_rows[i].kind == kind)
            return target_rows[i].name;
    return NULL;
}

static uint32_t target_bits(struct lm_str name)
{
    uint32_t bits = 0;
    const struct lm_str proj = LM_STR("_proj");
    for (size_t i = 0; i < TARGETS; i++) {
        struct lm_str full = lm_str(target_rows[i].name), brief = full;
        brief.len -= proj.len;
        if (lm_str_eq(name, LM_STR("all")) || lm_str_eq(name, full) || lm_str_eq(name, brief))
            bits |= UINT32_C(1) << target_rows[i].kind;
    }
    return bits;
}

enum lm_rc lm_lora_targets_parse(const char *const *names, size_t count, uint32_t *ret, struct lm_err *err)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        const uint32_t more = target_bits(lm_str(names[i]));
        if (!more)
            return lm_fail(err, LM_EINVAL,
                           "'%s' is no matrix that an adapter can be put on; there are q, k, v, o, gate, up, "
                           "down, or all of them: all",
                           names[i]);
        bits |= more;
    }
    if (!bits)
        return lm_fail(err, LM_EINVAL, "an adapter needs at least one target, for example q,v or all");
    *ret = bits;
    return LM_OK;
}

/* ---- memory ---- */

struct sizes {
    size_t params;
    size_t a[LM_LLAMA_TENSOR_COUNT], b[LM_LLAMA_TENSOR_COUNT];
};

static struct sizes sizes_of(const struct lm_lora_config *c, const struct lm_llama_config *model)
{
    struct sizes s = { 0 };
    const size_t rank = (size_t)c->rank;
    for (size_t i = 0; i < TARGETS; i++) {
        const enum lm_llama_tensor kind = target_rows[i].kind;
        size_t rows, cols;
        if (!(c->targets >> kind & 1))
            continue;
        lm_llama_shape(model, kind, &rows, &cols);
        const size_t layers = lm_llama_layer_count(model, kind);
        s.a[kind] = s.params;
        s.b[kind] = s.params + layers * rank * cols;
        s.params = s.b[kind] + layers * rows * rank;
    }
    return s;
}

size_t lm_lora_bytes(const struct lm_lora_config *config, const struct lm_llama_config *model,
                     size_t *ret_count)
{
    const struct sizes s = sizes_of(config, model);
    if (ret_count)
        *ret_count = s.params;
    return s.params * sizeof(float);
}

static enum lm_rc check(const struct lm_lora_config *c, const struct lm_llama_config *model,
                        struct lm_err *err)
{
    if (model->family != LM_FAMILY_LLAMA)
        return lm_fail(
            err, LM_EINVAL,
            "adapters are put on models of the Llama family only; train the whole model: lora-rank 0");
    if (c->rank < 1 || c->rank > LM_LORA_RANK_MAX || c->rank > model->dim)
        return lm_fail(err, LM_EINVAL, "the rank %lld of an adapter is outside 1..%lld", (long long)c->rank,
                       (long long)(model->dim < LM_LORA_RANK_MAX ? model->dim : LM_LORA_RANK_MAX));
    if (!(c->alpha > 0 && isfinite(c->alpha)))
        return lm_fail(err, LM_EINVAL, "the alpha %g of an adapter is not above 0", c->alpha);
    if (!c->targets)
        return lm_fail(err, LM_EINVAL, "an adapter needs at least one target");
    return LM_OK;
}

enum lm_rc lm_lora_init(struct lm_lora *l, const struct lm_lora_config *config, struct lm_llama *model,
                        struct lm_err *err)
{
    LM_TRY(check(config, &model->config, err));
    const struct sizes s = sizes_of(config, &model->config);
    const double rank = (double)config->rank;
    *l = (struct lm_lora){
        .config = *config,
        .model = model,
        .scale = (float)(config->alpha / (config->stabilized ? sqrt(rank) : rank)),
        .params = lm_slab_alloc(s.params * sizeof *l->params),
        .count = s.params,
    };
    memcpy(l->a, s.a, sizeof l->a);
    memcpy(l->b, s.b, sizeof l->b);
    return LM_OK;
}

void lm_lora_release(struct lm_lora *l)
{
    free(l->params);
    *l = (struct lm_lora){ 0 };
}

float *lm_lora_a(const struct lm_lora *l, enum lm_llama_tensor kind, size_t layer)
{
    size_t rows, cols;
    LM_ASSERT(lm_lora_has(l, kind));
    lm_llama_shape(&l->model->config, kind, &rows, &cols);
    return l->params + l->a[kind] + layer * (size_t)l->config.rank * cols;
}

float *lm_lora_b(const struct lm_lora *l, enum lm_llama_tensor kind, size_t layer)
{
    size_t rows, cols;
    LM_ASSERT(lm_lora_has(l, kind));
    lm_llama_shape(&l->model->config, kind, &rows, &cols);
    return l->params + l->b[kind] + layer * (size_t)l->config.rank * rows;
}

void lm_lora_random(struct lm_lora *l, uint64_t seed)
{
    memset(l->params, 0, l->count * sizeof *l->params);
    for (size_t i = 0; i < TARGETS; i++) {
        const enum lm_llama_tensor kind = target_rows[i].kind;
        size_t rows, cols;
        if (!lm_lora_has(l, kind))
            continue;
        struct lm_rng rng = lm_rng_make(seed, 0x10a0 + (uint64_t)kind);
        lm_llama_shape(&l->model->config, kind, &rows, &cols);
        const size_t count = l->b[kind] - l->a[kind];
        const double bound = 1 / sqrt((double)cols);
        for (size_t j = 0; j < count; j++)
            l->params[l->a[kind] + j] = (float)(bound * (2 * lm_rng_unit(&rng) - 1));
    }
}

/* ---- merging ---- */

/* w += scale b a, one layer of a kind. */
static enum lm_rc merge_one(const struct lm_lora *l, struct lm_gemm *gemm, enum lm_llama_tensor kind,
                            size_t layer, float *scaled, struct lm_err *err)
{
    const size_t rank = (size_t)l->config.rank;
    size_t rows, cols;
    lm_llama_shape(&l->model->config, kind, &rows, &cols);
    const float *b = lm_lora_b(l, kind, layer);
    for (size_t i = 0; i < rows * rank; i++)
        scaled[i] = l->scale * b[i];
    const struct lm_product p = { .c = lm_llama_at(l->model, kind, layer),
                                  .a = scaled,
                                  .b = lm_lora_a(l, kind, layer),
                                  .m = rows,
                                  .n = cols,
                                  .k = rank,
                                  .accumulate = true };
    return lm_gemm_run(gemm, &p, err);
}

enum lm_rc lm_lora_merge(const struct lm_lora *l, struct lm_gemm *gemm, struct lm_err *err)
{
    const struct lm_llama_config *c = &l->model->config;
    const size_t widest = (size_t)(c->ffn_dim > c->dim ? c->ffn_dim : c->dim);
    float *scaled = lm_slab_alloc(widest * (size_t)l->config.rank * sizeof *scaled);
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; i < TARGETS && rc == LM_OK; i++) {
        const enum lm_llama_tensor kind = target_rows[i].kind;
        for (size_t layer = 0; rc == LM_OK && lm_lora_has(l, kind) && layer < lm_llama_layer_count(c, kind);
             layer++)
            rc = merge_one(l, gemm, kind, layer, scaled, err);
    }
    free(scaled);
    return rc;
}
