/* What stops a run before it does harm: weights that are no numbers, a loss worse than guessing, and
 * checkpoints of another run in its place. */
#include "train/trainer_impl.h"

#include <math.h>
#include <stdlib.h>

/* A model that guesses evenly has a loss of ln V; one that has learned to be wrong has more, but three times
 * as much only a model whose logits run away. */
enum { GUESSES_MAX = 3 };

static void name_tensor(enum lm_llama_tensor kind, size_t layer, char ret[128])
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(ret, 128, lm_llama_tensors[kind].hf_name, (int)layer);   // %d or nothing: a table
#pragma GCC diagnostic pop
}

/* The tensor of a layer, in a slab laid out like the model, whose values have the largest mean square; the
 * first one that is not finite, if there is one.  Returns that square. */
static double largest(const struct lm_llama *model, float *const tensor[LM_LLAMA_TENSOR_COUNT], char ret[128])
{
    double most = -1;
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++) {
        size_t rows, cols;
        if (kind == LM_LLAMA_HEAD && model->config.tied)
            continue;
        lm_llama_shape(&model->config, kind, &rows, &cols);
        for (size_t l = 0; l < lm_llama_layer_count(&model->config, kind); l++) {
            const double square = lm_sum_squares(tensor[kind] + l * rows * cols, rows * cols);
            if (isfinite(square) && square / (double)(rows * cols) <= most)
                continue;
            name_tensor(kind, l, ret);
            most = square / (double)(rows * cols);
            if (!isfinite(square))
                return square;
        }
    }
    return most;
}

enum lm_rc lm_trainer_check_model(const struct lm_training *t, struct lm_err *err)
{
    char name[128];
    if (isfinite(largest(t->model, t->model->tensor, name)))
        return LM_OK;
    return lm_fail(err, LM_EFORMAT,
                   "%s: the weights of %s are not all numbers; take a sound copy of the model",
                   t->config->what, name);
}

enum lm_rc lm_trainer_check_params(const struct lm_training *t, struct lm_err *err)
{
    char name[128] = "the adapter";
    if (isfinite(lm_sum_squares(t->state.params, t->state.count)))
        return LM_OK;
    if (!t->config->lora)
        largest(t->model, t->model->tensor, name);
    return lm_fail(
        err, LM_EFORMAT,
        "step %llu: the weights of %s are no longer finite, so they are not saved; lower the learning "
        "rate; earlier checkpoints are kept",
        (unsigned long long)t->state.step, name);
}

enum lm_rc lm_trainer_check_loss(struct lm_training *t, double loss, struct lm_err *err)
{
    const struct lm_trainer_config *c = t->config;
    struct lm_slices *slices = &t->optim.slices;
    const double guess = log((double)t->model->config.vocab_size);
    const bool ran_away = !c->dpo && t->state.step > 0 && loss > GUESSES_MAX * guess;
    const struct lm_slice *not_finite;
    char name[LM_LLAMA_NAME_MAX];
    double norm;
    if (isfinite(loss) && !ran_away)
        return LM_OK;
    LM_TRY(lm_slices_reduce(slices, t->gradient.slab, err));
    LM_TRY(lm_slices_norm(slices, t->gradient.slab, &norm, &not_finite, err));
    lm_optim_slice_name(&t->optim, not_finite ? not_finite : lm_slices_largest(slices), name);
    return lm_fail(
        err, LM_EFORMAT,
        "step %llu: the loss is %g, and guessing costs %.1f: training has diverged, most of all in %s; "
        "lower the learning rate (%g in this step); earlier checkpoints are kept",
        (unsigned long long)t->state.step + 1, loss, guess, name,
        c->optim.lr * lm_lr_share(&c->optim, t->state.step));
}
