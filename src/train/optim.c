#include "train/optim.h"

#include "base/mem.h"
#include "base/sys.h"

#include <math.h>
#include <stdlib.h>

const char *const lm_schedules[] = { "cosine", "wsd", "constant", NULL };

/* How much of the way down is done after this step, 0..1. */
static double decayed(const struct lm_optim_config *c, uint64_t step)
{
    const uint64_t room = c->steps > c->warmup_steps ? c->steps - c->warmup_steps : 1;
    const uint64_t asked = c->decay_steps > 0 ? c->decay_steps : (c->steps + 4) / 5;
    const uint64_t span = c->schedule == LM_SCHEDULE_WSD && asked < room ? asked : room;
    const uint64_t left = step + 1 < c->steps ? c->steps - (step + 1) : 0;
    return left < span ? (double)(span - left) / (double)span : 0;
}

double lm_lr_share(const struct lm_optim_config *c, uint64_t step)
{
    if (step < c->warmup_steps)
        return (double)(step + 1) / (double)c->warmup_steps;
    if (c->schedule == LM_SCHEDULE_CONSTANT)
        return 1;
    const double done = decayed(c, step);
    const double kept = c->schedule == LM_SCHEDULE_WSD ? 1 - done : 0.5 * (1 + cos(M_PI * done));
    return c->lr_end_share + (1 - c->lr_end_share) * kept;
}

void lm_optim_init(struct lm_optim *o, const struct lm_optim_config *config, struct lm_llama *model,
                   struct lm_lora *lora, struct lm_gemm *gemm)
{
    const size_t count = lora ? lora->count : model->parameter_count;
    const bool muon = config->optimizer == LM_OPTIMIZER_MUON && !lora;
    *o = (struct lm_optim){
        .config = *config,
        .model = model,
        .lora = lora,
        .params = lora ? lora->params : model->params,
        .count = count,
        .m = lm_slab_alloc(count * sizeof *o->m),
        .v = lm_slab_alloc(count * sizeof *o->v),
        .muon = muon ? lm_muon_new(&model->config, gemm) : NULL,
    };
}

void lm_optim_release(struct lm_optim *o)
{
    free(o->m);
    free(o->v);
    lm_muon_free(o->muon);
    *o = (struct lm_optim){ 0 };
}

size_t lm_optim_bytes(const struct lm_optim_config *config, const struct lm_llama_config *model,
                      const struct lm_lora *lora)
{
    if (lora)
        return 2 * lora->count * sizeof(float);
    const size_t moments = 2 * lm_llama_parameter_count(model) * sizeof(float);
    return moments + (config->optimizer == LM_OPTIMIZER_MUON ? lm_muon_bytes(model) : 0);
}

/* Names the first tensor whose values are not finite. */
static enum lm_rc fail_not_finite(const struct lm_optim *o, const struct lm_gradient *g, uint64_t step,
                                  struct lm_err *err)
{
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT && !o->lora; kind++) {
        size_t rows, cols;
        lm_llama_shape(&o->model->config, kind, &rows, &cols);
        for (size_t l = 0; l < lm_llama_layer_count(&o->model->config, kind); l++)
            if (!isfinite(lm_sum_squares(g->tensor[kind] + l * rows * cols, rows * cols))) {
                char name[128];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                snprintf(name, sizeof name, lm_llama_tensors[kind].hf_name,
                         (int)l);   // %d or nothing: a table
#pragma GCC diagnostic pop
                return lm_fail(
                    err, LM_EFORMAT,
                    "step %llu: the gradient of %s is not finite; lower the learning rate, or go on "
                    "from an earlier checkpoint",
                    (unsigned long long)step + 1, name);
            }
    }
    return lm_fail(err, LM_EFORMAT,
                   "step %llu: the norm of the gradient is not finite; lower the learning rate",
                   (unsigned long long)step + 1);
}

enum { UPDATE_UNIT = 1 << 14 };

static void adamw(struct lm_optim *o, size_t at, const float *grad, size_t count,
                  const struct lm_adamw *update)
{
    const struct lm_kernels *kernels = lm_kernels();
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < count; i += UPDATE_UNIT) {
        const size_t n = count - i < UPDATE_UNIT ? count - i : UPDATE_UNIT;
        kernels->adamw(o->params + at + i, o->m + at + i, o->v + at + i, grad + i, n, update);
    }
}

static enum lm_rc muon(struct lm_optim *o, size_t at, const float *grad, size_t layers,
                       struct lm_muon_update update, struct lm_err *err)
{
    for (size_t l = 0; l < layers; l++) {
        const size_t shift = l * update.rows * update.cols;
        update.w = o->model->params + at + shift;
        update.momentum = o->m + at + shift;
        update.grad = grad + shift;
        LM_TRY(lm_muon_step(o->muon, &update, err));
    }
    return LM_OK;
}

static struct lm_adamw adamw_of(const struct lm_optim_config *c, uint64_t step, double decay,
                                float grad_scale)
{
    const double count = (double)(step + 1);
    return (struct lm_adamw){
        .lr = (float)(lm_lr_share(c, step) * c->lr),
        .beta1 = (float)c->beta1,
        .beta2 = (float)c->beta2,
        .eps = (float)c->adam_eps,
        .decay = (float)decay,
        .bias1 = (float)(1 - pow(c->beta1, count)),
        .bias2 = (float)(1 - pow(c->beta2, count)),
        .grad_scale = grad_scale,
    };
}

enum lm_rc lm_optim_step(struct lm_optim *o, const struct lm_gradient *g, uint64_t step, double *ret_norm,
                         struct lm_err *err)
{
    enum { MOMENTUM_PERCENT = 95 };
    const struct lm_optim_config *c = &o->config;
    const struct lm_llama_config *model = &o->model->config;
    const double norm = sqrt(lm_sum_squares(g->slab, o->count));
    if (!isfinite(norm))
        return fail_not_finite(o, g, step, err);

    const double share = lm_lr_share(c, step);
    const float grad_scale = c->clip > 0 && norm > c->clip ? (float)(c->clip / norm) : 1;
    *ret_norm = norm;
    if (o->lora) {
        const struct lm_adamw update = adamw_of(c, step, c->weight_decay, grad_scale);
        adamw(o, 0, g->slab, o->count, &update);
        return LM_OK;
    }
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++) {
        if (kind == LM_LLAMA_HEAD && model->tied)
            continue;
        size_t rows, cols;
        lm_llama_shape(model, kind, &rows, &cols);
        const size_t at = (size_t)(o->model->tensor[kind] - o->model->params);
        const size_t layers = lm_llama_layer_count(model, kind);
        const double decay = lm_llama_tensors[kind].is_matrix ? c->weight_decay : 0;
        if (o->muon && lm_muon_handles(kind)) {
            const struct lm_muon_update update = { .rows = rows,
                                                   .cols = cols,
                                                   .lr = (float)(share * c->matrix_lr),
                                                   .decay = (float)decay,
                                                   .beta = MOMENTUM_PERCENT / 100.0f,
                                                   .grad_scale = grad_scale };
            LM_TRY(muon(o, at, g->tensor[kind], layers, update, err));
            continue;
        }
        const struct lm_adamw update = adamw_of(c, step, decay, grad_scale);
        adamw(o, at, g->tensor[kind], layers * rows * cols, &update);
    }
    return LM_OK;
}
