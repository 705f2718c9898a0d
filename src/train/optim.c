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

void lm_optim_init_shared(struct lm_optim *o, const struct lm_optim_config *config, struct lm_llama *model,
                          struct lm_lora *lora, struct lm_gemm *gemm, struct lm_ranks *ranks)
{
    const bool muon = config->optimizer == LM_OPTIMIZER_MUON && !lora;
    *o = (struct lm_optim){
        .config = *config,
        .model = model,
        .lora = lora,
        .params = lora ? lora->params : model->params,
        .count = lora ? lora->count : model->parameter_count,
        .muon = muon ? lm_muon_new(&model->config, gemm) : NULL,
    };
    lm_slices_init(&o->slices, model, lora, muon ? lm_muon_handles : NULL, ranks);
    o->m = lm_slab_alloc(lm_slices_state(&o->slices) * sizeof *o->m);
    o->v = lm_slab_alloc(lm_slices_state(&o->slices) * sizeof *o->v);
}

void lm_optim_init(struct lm_optim *o, const struct lm_optim_config *config, struct lm_llama *model,
                   struct lm_lora *lora, struct lm_gemm *gemm)
{
    lm_optim_init_shared(o, config, model, lora, gemm, &lm_ranks_alone);
}

void lm_optim_release(struct lm_optim *o)
{
    free(o->m);
    free(o->v);
    lm_slices_release(&o->slices);
    lm_muon_free(o->muon);
    *o = (struct lm_optim){ 0 };
}

size_t lm_optim_bytes(const struct lm_optim_config *config, const struct lm_llama_config *model,
                      const struct lm_lora *lora, int ranks, bool bf16)
{
    const size_t bytes = (lora ? lora->count : lm_llama_parameter_count(model)) * sizeof(float);
    const bool muon = config->optimizer == LM_OPTIMIZER_MUON && !lora;
    const size_t inbox = bytes / (size_t)ranks * (size_t)(ranks - 1);
    return 2 * bytes + inbox + (muon ? lm_muon_bytes(model, bf16) : 0);
}

void lm_optim_slice_name(const struct lm_optim *o, const struct lm_slice *slice, char ret[LM_LLAMA_NAME_MAX])
{
    snprintf(ret, LM_LLAMA_NAME_MAX, "the adapter");
    if (slice->kind < 0)
        return;
    const float *at = o->params + slice->at, *first = o->model->tensor[slice->kind];
    lm_llama_name(&o->model->config, slice->kind, (size_t)(at - first) / (slice->rows * slice->cols), ret);
}

static enum lm_rc fail_not_finite(const struct lm_optim *o, const struct lm_slice *slice, uint64_t step,
                                  struct lm_err *err)
{
    char name[LM_LLAMA_NAME_MAX];
    lm_optim_slice_name(o, slice, name);
    return lm_fail(err, LM_EFORMAT,
                   "step %llu: the gradient of %s is not finite; lower the learning rate, or go on from an "
                   "earlier checkpoint",
                   (unsigned long long)step + 1, name);
}

static void adamw(struct lm_optim *o, const struct lm_slice *slice, const float *grad,
                  const struct lm_adamw *update)
{
    const struct lm_kernels *kernels = lm_kernels();
    float *w = o->params + slice->at, *m = o->m + slice->state_at, *v = o->v + slice->state_at;
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < slice->count; i += LM_SLICE_UNIT) {
        const size_t n = slice->count - i < LM_SLICE_UNIT ? slice->count - i : LM_SLICE_UNIT;
        kernels->adamw(w + i, m + i, v + i, grad + i, n, update);
    }
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

static enum lm_rc update(struct lm_optim *o, const struct lm_slice *slice, const float *grad, uint64_t step,
                         float grad_scale, struct lm_err *err)
{
    enum { MOMENTUM_PERCENT = 95 };
    const struct lm_optim_config *c = &o->config;
    const double decay = slice->kind < 0 || lm_llama_tensors[slice->kind].is_matrix ? c->weight_decay : 0;
    if (o->muon && lm_muon_handles(slice->kind)) {
        const struct lm_muon_update matrix = { .w = o->params + slice->at,
                                               .momentum = o->m + slice->state_at,
                                               .grad = grad,
                                               .rows = slice->rows,
                                               .cols = slice->cols,
                                               .lr = (float)(lm_lr_share(c, step) * c->matrix_lr),
                                               .decay = (float)decay,
                                               .beta = MOMENTUM_PERCENT / 100.0f,
                                               .grad_scale = grad_scale };
        return lm_muon_step(o->muon, &matrix, err);
    }
    const struct lm_adamw values = adamw_of(c, step, decay, grad_scale);
    adamw(o, slice, grad, &values);
    return LM_OK;
}

enum lm_rc lm_optim_step(struct lm_optim *o, struct lm_gradient *g, uint64_t step, double *ret_norm,
                         struct lm_err *err)
{
    LM_TRY(lm_slices_reduce(&o->slices, g->slab, err));
    return lm_optim_update(o, g, step, ret_norm, err);
}

enum lm_rc lm_optim_update(struct lm_optim *o, const struct lm_gradient *g, uint64_t step, double *ret_norm,
                           struct lm_err *err)
{
    const double clip = o->config.clip;
    const struct lm_slice *not_finite;
    double norm;
    LM_TRY(lm_slices_norm(&o->slices, g->slab, &norm, &not_finite, err));
    if (not_finite)
        return fail_not_finite(o, not_finite, step, err);
    const float grad_scale = clip > 0 && norm > clip ? (float)(clip / norm) : 1;
    for (size_t i = 0; i < o->slices.count; i++) {
        const struct lm_slice *slice = &o->slices.items[i];
        if (slice->owner == o->slices.ranks->rank)
            LM_TRY(update(o, slice, g->slab + slice->at, step, grad_scale, err));
    }
    *ret_norm = norm;
    return lm_slices_spread(&o->slices, o->params, err);
}
