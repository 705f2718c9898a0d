/* One update: batch, forward, backward, optimiser, a line of the log. */
#include "train/trainer_impl.h"

#include "base/json.h"

#include <math.h>
#include <string.h>

/* ---- of a private run: its log holds nothing that depends on raw losses or gradients ---- */

static enum lm_rc private_part(void *state, size_t part, size_t parts, struct lm_gradient *gradient,
                               double told[LM_PART_TOLD], struct lm_err *err)
{
    struct lm_training *t = state;
    (void)told;
    return lm_dp_add(t->config->dp, t->net, &t->batch, t->state.step, part, parts, &t->gradient,
                     gradient->slab, err);
}

/* Noise goes on what is summed, where it is updated. */
static void finish_own(struct lm_training *t)
{
    const struct lm_slices *s = &t->optim.slices;
    if (s->ranks->count == 1) {
        lm_dp_finish(t->config->dp, t->state.step, t->noisy.slab, 0, t->noisy.count);
        return;
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].owner == s->ranks->rank)
            lm_dp_finish(t->config->dp, t->state.step, t->noisy.slab, s->items[i].at, s->items[i].count);
}

static enum lm_rc private_step(struct lm_training *t, struct lm_err *err)
{
    struct lm_checkpoint *s = &t->state;
    const struct lm_part_work work = { .train = private_part, .state = t };
    double norm, told[LM_PART_TOLD];
    lm_net_refresh(t->net);
    LM_TRY(lm_batch_parts_train(&t->parts, &work, &t->noisy, told, &t->stop, err));
    LM_TRY(lm_slices_reduce(&t->optim.slices, t->noisy.slab, err));
    finish_own(t);
    LM_TRY(lm_optim_update(&t->optim, &t->noisy, s->step, &norm, err));
    const double lr = t->config->optim.lr * lm_lr_share(&t->config->optim, s->step);
    s->step++;
    s->loss = NAN;
    lm_buf_putc(&s->log, '{');
    lm_json_key_int(&s->log, "step", (int64_t)s->step);
    lm_json_key_num(&s->log, "lr", lr);
    lm_json_key_num(&s->log, "noisy_grad_norm", norm);
    lm_buf_puts(&s->log, "}\n");
    return LM_OK;
}

static enum lm_rc train_step(struct lm_training *t, struct lm_err *err)
{
    struct lm_checkpoint *s = &t->state;
    struct lm_part_rows rows = { t->net, &t->batch };
    const struct lm_part_work work = { lm_part_rows_train, &rows, t->net };
    double norm, told[LM_PART_TOLD];
    t->batch.step = lm_trainer_batch_number(t);
    t->feed->fill(t->feed->state, t->batch.step, &t->batch);
    if (t->batch.trained == 0)
        return lm_fail(err, LM_EFORMAT, "%s: step %llu has no token to learn from", t->config->what,
                       (unsigned long long)s->step + 1);
    lm_net_refresh(t->net);
    LM_TRY(lm_batch_parts_train(&t->parts, &work, &t->gradient, told, &t->stop, err));
    const double loss = told[0];
    if (lm_trainer_is_spike(t, loss))
        return lm_trainer_roll_back(t, loss, err);
    LM_TRY(lm_trainer_check_loss(t, loss, err));
    LM_TRY(lm_optim_step(&t->optim, &t->gradient, s->step, &norm, err));
    const double lr = t->config->optim.lr * lm_lr_share(&t->config->optim, s->step);
    s->step++;
    s->loss = loss;
    lm_trainer_note_loss(t);
    lm_buf_putc(&s->log, '{');
    lm_json_key_int(&s->log, "step", (int64_t)s->step);
    lm_json_key_num(&s->log, "loss", s->loss);
    lm_json_key_num(&s->log, "lr", lr);
    lm_json_key_num(&s->log, "grad_norm", norm);
    lm_json_key_int(&s->log, "tokens", (int64_t)t->batch.trained);
    lm_buf_puts(&s->log, "}\n");
    return LM_OK;
}

enum { TOLD_LOSS, TOLD_MARGIN, TOLD_ACCURACY };

static enum lm_rc preference_part(void *state, size_t part, size_t parts, struct lm_gradient *gradient,
                                  double told[LM_PART_TOLD], struct lm_err *err)
{
    const struct lm_training *t = state;
    struct lm_dpo_told of_part;
    LM_TRY(lm_dpo_part(t->config->dpo, t->net, lm_trainer_batch_number(t), part, parts, gradient, &of_part,
                       err));
    told[TOLD_LOSS] = of_part.loss;
    told[TOLD_MARGIN] = of_part.margin;
    told[TOLD_ACCURACY] = of_part.accuracy;
    return LM_OK;
}

static enum lm_rc preference_step(struct lm_training *t, struct lm_err *err)
{
    struct lm_checkpoint *s = &t->state;
    const struct lm_part_work work = { .train = preference_part, .state = t };
    double norm, sums[LM_PART_TOLD];
    lm_net_refresh(t->net);
    LM_TRY(lm_batch_parts_train(&t->parts, &work, &t->gradient, sums, &t->stop, err));
    const struct lm_dpo_told told = { sums[TOLD_LOSS], sums[TOLD_MARGIN], sums[TOLD_ACCURACY] };
    if (lm_trainer_is_spike(t, told.loss))
        return lm_trainer_roll_back(t, told.loss, err);
    LM_TRY(lm_trainer_check_loss(t, told.loss, err));
    LM_TRY(lm_optim_step(&t->optim, &t->gradient, s->step, &norm, err));
    const double lr = t->config->optim.lr * lm_lr_share(&t->config->optim, s->step);
    s->step++;
    s->loss = told.loss;
    lm_trainer_note_loss(t);
    lm_buf_putc(&s->log, '{');
    lm_json_key_int(&s->log, "step", (int64_t)s->step);
    lm_json_key_num(&s->log, "loss", told.loss);
    lm_json_key_num(&s->log, "margin", told.margin);
    lm_json_key_num(&s->log, "accuracy", told.accuracy);
    lm_json_key_num(&s->log, "lr", lr);
    lm_json_key_num(&s->log, "grad_norm", norm);
    lm_buf_puts(&s->log, "}\n");
    return LM_OK;
}

enum lm_rc lm_trainer_step(struct lm_training *t, struct lm_err *err)
{
    const struct lm_trainer_config *c = t->config;
    return c->dp ? private_step(t, err) : c->dpo ? preference_step(t, err) : train_step(t, err);
}
