/* Held-out loss: in the loop, where it goes into the log, and at a rung, where it leaves no trace. */
#include "train/trainer_impl.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/sys.h"

#include <math.h>
#include <stdlib.h>

enum lm_rc lm_eval_measure(struct lm_net *net, struct lm_batch *batch, const struct lm_eval_set *set,
                           struct lm_measure *ret, struct lm_err *err)
{
    struct lm_packing packing = { set->pieces, set->count, 0 };
    const size_t positions = batch->rows * batch->positions;
    float *losses = lm_alloc(positions * sizeof *losses);
    double sum = 0;
    size_t count = 0;
    enum lm_rc rc = LM_OK;
    while (rc == LM_OK && lm_pack(&packing, batch)) {
        rc = lm_net_measure(net, batch, losses, err);
        for (size_t i = 0; rc == LM_OK && i < positions; i++)
            sum += losses[i];
        count += batch->trained;
    }
    free(losses);
    if (rc == LM_OK && !isfinite(sum))
        rc = lm_fail(err, LM_EFORMAT, "the held-out loss is not finite");
    if (rc == LM_OK)
        *ret = (struct lm_measure){
            .loss = count ? sum / (double)count : 0,
            .bits_per_byte = set->text_bytes ? sum / M_LN2 / (double)set->text_bytes : 0,
        };
    return rc;
}

enum lm_rc lm_trainer_evaluate(struct lm_training *t, struct lm_err *err)
{
    struct lm_measure m;
    LM_TRY(lm_trainer_measure(t, &m, err));
    struct lm_checkpoint *s = &t->state;
    s->evaluated = s->step;
    s->heldout_loss = m.loss;
    s->heldout_bits_per_byte = m.bits_per_byte;
    lm_buf_putc(&s->log, '{');
    lm_json_key_int(&s->log, "step", (int64_t)s->step);
    lm_json_key_num(&s->log, "heldout_loss", m.loss);
    lm_json_key_num(&s->log, "heldout_bits_per_byte", m.bits_per_byte);
    lm_buf_puts(&s->log, "}\n");
    lm_say("%s: step %llu: held-out loss %.4f, %.4f bits per byte", t->config->what,
           (unsigned long long)s->step, m.loss, m.bits_per_byte);
    lm_trainer_tell(t);
    return lm_trainer_note_heldout(t, err);
}

uint64_t lm_trainer_rung_step(const struct lm_rung *r, uint64_t steps)
{
    LM_ASSERT(r->part > 0 && r->part <= r->parts && r->parts <= UINT32_MAX);
    const uint64_t whole = steps / r->parts * r->part, rest = steps % r->parts * r->part;
    return whole + (rest + r->parts - 1) / r->parts;
}

/* Measures here, aside from log and state, and leaves. */
enum lm_rc lm_trainer_stop_at_rung(struct lm_training *t, bool saved, struct lm_err *err)
{
    struct lm_rung *r = t->config->rung;
    struct lm_measure m = { .loss = t->state.heldout_loss, .bits_per_byte = t->state.heldout_bits_per_byte };
    if (!saved)
        LM_TRY(lm_trainer_save(t, err));
    if (t->state.evaluated != t->state.step)
        LM_TRY(lm_trainer_measure(t, &m, err));
    if (t->state.best.step > 0 && t->state.best.loss < m.loss)   // the weights that the run would write
        m = (struct lm_measure){ .loss = t->state.best.loss, .bits_per_byte = t->state.best.bits_per_byte };
    r->step = t->state.step;
    r->steps = t->config->optim.steps;
    r->loss = t->state.loss;
    r->heldout_loss = m.loss;
    r->heldout_bits_per_byte = m.bits_per_byte;
    lm_buf_reset(&r->log);
    lm_buf_add_str(&r->log, lm_buf_str(&t->state.log));
    r->reached = true;
    return lm_fail(err, LM_ESTOP, "%s: stopped after step %llu of %llu, as it was to", t->config->what,
                   (unsigned long long)r->step, (unsigned long long)r->steps);
}
