/* One update: batch, forward, backward, optimiser, a line of the log. */
#include "train/trainer_impl.h"

#include "base/json.h"

#include <math.h>
#include <string.h>

/* The log of a private step holds nothing that depends on raw losses or gradients. */
static enum lm_rc private_step(struct lm_training *t, struct lm_err *err)
{
    struct lm_checkpoint *s = &t->state;
    double norm;
    lm_net_refresh(t->net);
    LM_TRY(lm_dp_step(t->config->dp, t->net, &t->batch, s->step, &t->gradient, t->noisy.slab, err));
    LM_TRY(lm_optim_step(&t->optim, &t->noisy, s->step, &norm, err));
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
    double norm, loss;
    t->batch.step = lm_trainer_batch_number(t);
    t->feed->fill(t->feed->state, t->batch.step, &t->batch);
    if (t->batch.trained == 0)
        return lm_fail(err, LM_EFORMAT, "%s: step %llu has no token to learn from", t->config->what,
                       (unsigned long long)s->step + 1);
    lm_net_refresh(t->net);
    LM_TRY(lm_batch_parts_train(&t->parts, t->net, &t->batch, &t->gradient, &loss, &t->stop, err));
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

static enum lm_rc preference_step(struct lm_training *t, struct lm_err *err)
{
    struct lm_checkpoint *s = &t->state;
    struct lm_dpo_told told;
    double norm;
    memset(t->gradient.slab, 0, t->gradient.count * sizeof *t->gradient.slab);
    lm_net_refresh(t->net);
    LM_TRY(lm_dpo_step(t->config->dpo, t->net, lm_trainer_batch_number(t), &t->gradient, &told, err));
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
