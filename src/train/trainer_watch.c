/* What looks after a run: it stops when the held-out loss gets no better, and goes back when the loss jumps.
 *
 * A jump is a loss, measured before the update it would make, that lies far above the running mean of the
 * last ones, or is no number.  The run goes back to its last anchor, a checkpoint at a multiple of
 * spike_back, and on with the batch behind the one that jumped: those in between are skipped, the undone ones
 * too, since what led up to the jump may have caused it (Chowdhery et al. 2022, arXiv:2204.02311,
 * section 5.1).  Steps and learning rate count on from the anchor; the log keeps what was undone.  All of it
 * follows from data and recipe, so a run that is killed at any moment takes the same way. */
#include "train/trainer_impl.h"

#include "base/json.h"
#include "base/sys.h"

#include <math.h>

enum { WINDOW_LOSSES = 50, LOSSES_MIN = 20 };     // weights fall by 1 / WINDOW_LOSSES a step
static const double DEVIATION_SHARE_MIN = 0.01;   // of the mean: a loss that hardly moves may move a little

enum lm_rc lm_trainer_watch_check(const struct lm_training *t, struct lm_err *err)
{
    const struct lm_trainer_config *c = t->config;
    if (c->loop.patience > 0 && (t->heldout->count == 0 || c->eval_every == 0))
        return lm_fail(err, LM_EINVAL, "%s: patience counts evaluations, and there are none: %s", c->what,
                       c->eval_every == 0 ? "set eval-every" : "nothing is held out");
    if (c->loop.spike_deviations > 0 && c->dp)
        return lm_fail(
            err, LM_EINVAL,
            "%s: spike-deviations would look at losses that a private run may not show; leave it out",
            c->what);
    return LM_OK;
}

/* ---- early stopping ---- */

enum lm_rc lm_trainer_note_heldout(struct lm_training *t, struct lm_err *err)
{
    struct lm_checkpoint *s = &t->state;
    struct lm_best *best = &s->best;
    const uint64_t before = best->step;
    if (t->config->loop.patience == 0)
        return LM_OK;
    if (before > 0 && !(s->heldout_loss < best->loss)) {
        best->worse++;
        return LM_OK;
    }
    *best = (struct lm_best){ .step = s->step,
                              .loss = s->heldout_loss,
                              .bits_per_byte = s->heldout_bits_per_byte };
    struct lm_ranks *r = lm_trainer_ranks(t->config);
    return lm_ranks_agree(r, r->rank == 0 ? lm_checkpoint_save_best(&t->place, before, s, err) : LM_OK, err);
}

bool lm_trainer_out_of_patience(const struct lm_training *t)
{
    const int64_t patience = t->config->loop.patience;
    return patience > 0 && t->state.best.worse >= (uint64_t)patience;
}

enum lm_rc lm_trainer_take_best(struct lm_training *t, struct lm_err *err)
{
    struct lm_checkpoint *s = &t->state;
    if (s->best.step == 0)
        return LM_OK;
    lm_buf_putc(&s->log, '{');
    lm_json_key_int(&s->log, "step", (int64_t)s->step);
    lm_json_key_bool(&s->log, "stopped_early", lm_trainer_out_of_patience(t));
    lm_json_key_int(&s->log, "best_step", (int64_t)s->best.step);
    lm_buf_puts(&s->log, "}\n");
    lm_say("%s: step %llu had the lowest held-out loss, %.4f; its weights are written", t->config->what,
           (unsigned long long)s->best.step, s->best.loss);
    lm_trainer_tell(t);
    s->heldout_loss = s->best.loss;
    s->heldout_bits_per_byte = s->best.bits_per_byte;
    struct lm_ranks *r = lm_trainer_ranks(t->config);   // rank 0 writes the model
    return lm_ranks_agree(r, r->rank == 0 ? lm_checkpoint_load_best(&t->place, s, err) : LM_OK, err);
}

/* ---- jumps of the loss ---- */

uint64_t lm_trainer_batch_number(const struct lm_training *t)
{
    uint64_t number = t->state.step;
    for (size_t i = 0; i < t->state.spikes.rollbacks; i++)
        number += t->state.spikes.skipped[i].count;
    return number;
}

static double deviation(const struct lm_spikes *p)
{
    return fmax(sqrt(p->variance), DEVIATION_SHARE_MIN * p->mean);
}

bool lm_trainer_is_spike(const struct lm_training *t, double loss)
{
    const struct lm_loop_options *o = &t->config->loop;
    const struct lm_spikes *p = &t->state.spikes;
    if (o->spike_deviations == 0 || t->state.step < (uint64_t)o->spike_back || p->seen < LOSSES_MIN)
        return false;
    return !(loss <= p->mean + o->spike_deviations * deviation(p));
}

void lm_trainer_note_loss(struct lm_training *t)
{
    struct lm_spikes *p = &t->state.spikes;
    if (t->config->loop.spike_deviations == 0)
        return;
    const double share = 1.0 / (double)(p->seen < WINDOW_LOSSES ? p->seen + 1 : WINDOW_LOSSES);
    const double off = t->state.loss - p->mean, move = share * off;
    p->mean += move;
    p->variance = (1 - share) * (p->variance + off * move);
    p->seen++;
}

/* The state of the anchor, but what the run has learned since about its data and its best stays. */
static enum lm_rc rewind_to(struct lm_training *t, uint64_t anchor, struct lm_err *err)
{
    struct lm_checkpoint *s = &t->state;
    const struct lm_checkpoint now = *s;
    const struct lm_skip skip = { lm_trainer_batch_number(t) - (now.step - anchor), now.step - anchor + 1 };
    s->log = s->samples = (struct lm_buf){ 0 };
    const enum lm_rc rc = lm_trainer_rewind(t, anchor, err);
    lm_buf_release(&s->log);
    lm_buf_release(&s->samples);
    s->log = now.log;
    s->samples = now.samples;
    LM_TRY(rc);
    s->evaluated = now.evaluated < anchor ? now.evaluated : anchor;
    s->sampled = now.sampled < anchor ? now.sampled : anchor;
    s->best = now.best;
    memcpy(s->spikes.skipped, now.spikes.skipped, sizeof s->spikes.skipped);
    s->spikes.rollbacks = now.spikes.rollbacks;
    s->spikes.skipped[s->spikes.rollbacks++] = skip;
    t->saved = anchor;
    return LM_OK;
}

enum lm_rc lm_trainer_roll_back(struct lm_training *t, double loss, struct lm_err *err)
{
    const struct lm_loop_options *o = &t->config->loop;
    struct lm_checkpoint *s = &t->state;
    const uint64_t from = s->step + 1, anchor = s->step - s->step % (uint64_t)o->spike_back;
    if (s->spikes.rollbacks >= (size_t)o->rollbacks_max)
        return lm_fail(
            err, LM_EFORMAT,
            "step %llu: the loss jumped to %g, from a mean of %g, after %zu rollbacks (rollbacks-max); "
            "lower the learning rate or look at the data; checkpoints are kept",
            (unsigned long long)from, loss, s->spikes.mean, s->spikes.rollbacks);
    if (lm_trainer_ranks(t->config)->rank == 0)
        lm_warn(
            "%s: step %llu: the loss jumped to %g, from a mean of %g with deviation %g: back to step %llu, "
            "and on "
            "behind that batch",
            t->config->what, (unsigned long long)from, loss, s->spikes.mean, deviation(&s->spikes),
            (unsigned long long)anchor);
    LM_TRY(lm_slices_reduce(&t->optim.slices, t->gradient.slab, err));   // ends what is under way
    LM_TRY(rewind_to(t, anchor, err));
    lm_buf_putc(&s->log, '{');
    lm_json_key_int(&s->log, "step", (int64_t)anchor);
    lm_json_key_int(&s->log, "rolled_back_from", (int64_t)from);
    lm_json_key_num(&s->log, "spike", loss);
    lm_json_key_int(&s->log, "batches_skipped", (int64_t)s->spikes.skipped[s->spikes.rollbacks - 1].count);
    lm_buf_puts(&s->log, "}\n");
    return LM_OK;
}
