/* The loop that pre-training and fine-tuning share. */
#include "train/trainer_impl.h"

#include "base/energy.h"
#include "base/file.h"
#include "base/sys.h"
#include "tensor/bf16.h"
#include "train/ledger.h"

#include <math.h>

void lm_trainer_tell(struct lm_training *t)
{
    const struct lm_track *track = t->config->track;
    if (track)
        track->lines(track->state, lm_buf_str(&t->state.log), &t->speed);
}

static size_t step_tokens(const struct lm_feed *feed)
{
    return feed->rows * feed->positions;
}

static bool due(uint64_t step, uint64_t every, uint64_t last)
{
    return step > 0 && (step == last || (every > 0 && step % every == 0));
}

/* A point to go back to. */
static bool anchor(const struct lm_training *t)
{
    return t->place.anchor_every > 0 && t->state.step > 0 && t->state.step % t->place.anchor_every == 0;
}

static bool in_bf16(const struct lm_training *t)
{
    return t->config->precision != LM_PRECISION_F32 && lm_net_bf16_works();
}

/* "850", "12.3k", "4.56M" */
static void add_count(struct lm_buf *ret, double count)
{
    static const char *const units[] = { "", "k", "M", "G", "T" };
    size_t unit = 0;
    for (; count >= 1000 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        count /= 1000;
    lm_buf_printf(ret, "%.*f%s", unit == 0 || count >= 100 ? 0 : count >= 10 ? 1 : 2, count, units[unit]);
}

/* Loss, tokens per second and, where the whole model is trained, the share of the machine's peak in products
 * of this kind; tokens that are left, and joules where the processor tells of them.  For people and trackers.
 */
static void show(struct lm_training *t, struct lm_progress *progress, uint64_t steps_made, double peak_gflops)
{
    const struct lm_trainer_config *c = t->config;
    const double seconds = (double)(lm_now_ns() - progress->started_ns) * 1e-9;
    const double rate = seconds > 0 ? (double)(steps_made * step_tokens(t->feed)) / seconds : 0;
    const double share = rate * lm_net_flops(&t->model->config, t->feed->positions) / (peak_gflops * 1e9);
    const bool whole = !c->lora && !c->dpo;   // what lm_net_flops counts
    const double joules = lm_energy_joules(&t->energy);
    struct lm_buf note = { 0 };
    lm_buf_puts(&note, c->dp ? "private" : "loss ");
    if (!c->dp)
        lm_buf_printf(&note, "%.3f", t->state.loss);
    if (!c->dpo) {   // whose steps are pairs, not tokens
        lm_buf_printf(&note, ", %.0f tokens/s, ", rate);
        add_count(&note, (double)((c->optim.steps - t->state.step) * step_tokens(t->feed)));
        lm_buf_puts(&note, " tokens left");
    }
    if (whole)
        lm_buf_printf(&note, ", %.0f %% of %s peak", 100 * share, in_bf16(t) ? "bf16" : "f32");
    if (isfinite(joules))
        lm_buf_printf(&note, ", %.0f J", joules);
    lm_progress_at(progress, t->state.step, note.ptr);
    lm_buf_release(&note);
    t->speed = (struct lm_track_speed){ seconds, c->dpo ? NAN : rate, whole ? share : NAN, joules };
    lm_trainer_tell(t);
}

/* From the state on to the last step. */
static enum lm_rc loop(struct lm_training *t, struct lm_err *err)
{
    enum { PEAK_MS = 60 };
    const struct lm_trainer_config *c = t->config;
    struct lm_checkpoint *s = &t->state;
    const uint64_t steps = c->optim.steps;
    const bool alone = lm_trainer_ranks(c)->count == 1;   // else all stop after the same step
    const double peak =
        (in_bf16(t) ? lm_bf16_peak_gflops(PEAK_MS) : lm_peak_gflops(PEAK_MS)) * lm_trainer_ranks(c)->count;
    struct lm_progress progress = lm_progress_start(c->what, "steps", steps);
    t->energy = lm_energy_start("/sys/class/powercap");
    t->saved = s->step;
    for (uint64_t made = 1;; made++) {
        if ((due(s->step, c->checkpoint_every, steps) || anchor(t)) && t->saved != s->step) {
            LM_TRY(lm_trainer_save(t, err));
            t->saved = s->step;
        }
        if (due(s->step, c->eval_every, steps) && s->evaluated != s->step && t->heldout->count > 0)
            LM_TRY(lm_trainer_evaluate(t, err));
        LM_TRY(lm_trainer_leave(t, err));
        if (c->rung && (s->step == lm_trainer_rung_step(c->rung, steps) || lm_trainer_out_of_patience(t)))
            return lm_trainer_stop_at_rung(t, t->saved == s->step, err);
        if (s->step == steps || lm_trainer_out_of_patience(t))
            break;
        if (t->stop || (alone && lm_stop_asked())) {
            if (s->step > 0)
                LM_TRY(lm_trainer_save(t, err));
            return lm_fail(err, LM_ESTOP,
                           "%s: stopped after step %llu of %llu; the same command goes on from there",
                           c->what, (unsigned long long)s->step, (unsigned long long)steps);
        }
        LM_TRY(lm_trainer_step(t, err));
        show(t, &progress, made, peak);
    }
    lm_progress_end(&progress, s->step);
    LM_TRY(lm_trainer_take_best(t, err));
    return c->lora ? lm_lora_merge(c->lora, t->gemm, err) : LM_OK;
}

static enum lm_rc start(struct lm_training *t, struct lm_err *err)
{
    const struct lm_trainer_config *c = t->config;
    const bool bf16 = in_bf16(t);
    if (c->rung && t->heldout->count == 0)
        return lm_fail(err, LM_EINVAL, "%s: nothing is held out, so runs cannot be compared", c->what);
    LM_TRY(lm_trainer_watch_check(t, err));
    LM_TRY(lm_trainer_check_model(t, err));
    const struct lm_net_config net = lm_trainer_net_config(c, t->feed, bf16);
    LM_TRY(lm_trainer_join(t, err));
    LM_TRY(lm_trainer_plan(t, bf16, err));
    t->net = lm_net_new(t->model, t->gemm, &net);
    lm_gradient_init(&t->gradient, t->model, c->lora);
    lm_optim_init_shared(&t->optim, &c->optim, t->model, c->lora, bf16 ? NULL : t->gemm, lm_trainer_ranks(c));
    if (c->dp)
        lm_gradient_init(&t->noisy, t->model, c->lora);
    lm_batch_parts_init(&t->parts, lm_trainer_parts(c, t->feed), t->model, c->lora, &t->optim.slices);
    lm_batch_init(&t->batch, c->dp || c->dpo ? 1 : t->feed->rows, t->feed->positions);
    lm_batch_init(&t->eval_batch, lm_net_rows(t->feed->positions), t->feed->positions);

    t->place = (struct lm_checkpoint_place){ c->work_dir, c->recipe, bf16 ? "bf16" : lm_isa_name(lm_isa()),
                                             c->loop.spike_deviations > 0 ? (uint64_t)c->loop.spike_back : 0,
                                             c->optim.steps };
    t->state.params = t->optim.params;
    t->state.m = t->optim.m;
    t->state.v = t->optim.v;
    t->state.count = t->optim.count;
    enum lm_rc rc = LM_OK;
    if (lm_trainer_ranks(c)->rank == 0)   // the only one that writes
        rc = lm_dir_make(c->work_dir, err);
    if (lm_trainer_ranks(c)->rank == 0 && rc == LM_OK)
        rc = lm_checkpoint_check_place(&t->place, err);
    LM_TRY(lm_ranks_agree(lm_trainer_ranks(c), rc, err));
    if (c->dpo) {   // the frozen model is the one of the start, whatever a checkpoint holds
        lm_net_refresh(t->net);
        LM_TRY(lm_dpo_freeze(c->dpo, t->net, err));
    }
    if (c->track) {
        const struct lm_track_run run = {
            c->what, c->recipe, c->work_dir, c->optim.steps, t->model->parameter_count, c->dp != NULL
        };
        c->track->begin(c->track->state, &run);
    }
    rc = lm_trainer_load(t, err);
    if (rc == LM_OK)
        lm_say("%s: goes on after step %llu", c->what, (unsigned long long)t->state.step);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

static void release(struct lm_training *t)
{
    lm_batch_release(&t->batch);
    lm_batch_release(&t->eval_batch);
    lm_optim_release(&t->optim);
    lm_gradient_release(&t->gradient);
    lm_gradient_release(&t->noisy);
    lm_batch_parts_release(&t->parts);
    lm_net_free(t->net);
    lm_gemm_free(t->gemm);
    lm_buf_release(&t->state.log);
    lm_buf_release(&t->state.samples);
}

enum lm_rc lm_trainer_run(const struct lm_trainer_config *config, struct lm_llama *model,
                          const struct lm_feed *feed, const struct lm_eval_set *heldout,
                          struct lm_trainer_result *ret, struct lm_err *err)
{
    LM_ASSERT(feed->steps == config->optim.steps);
    LM_ASSERT(feed->steps > 0);

    struct lm_training t = { .config = config, .model = model, .feed = feed, .heldout = heldout };
    enum lm_rc rc = lm_gemm_new(&t.gemm, err);
    if (rc == LM_OK && config->precision == LM_PRECISION_BF16 && !lm_net_bf16_works())
        lm_warn("%s: this processor has no bf16 products; f32 is used", config->what);
    if (rc == LM_OK)
        rc = start(&t, err);
    if (rc == LM_OK)
        rc = loop(&t, err);
    if (rc == LM_OK) {
        const bool writes = lm_trainer_ranks(config)->rank == 0;
        lm_trainer_tell_memory(&t);
        const uint64_t steps = t.state.best.step ? t.state.best.step : t.state.step;
        *ret = (struct lm_trainer_result){
            .steps = steps,
            .steps_made = t.state.step,
            .tokens = steps * step_tokens(feed),
            .spikes = t.state.spikes,
            .loss = t.state.loss,
            .heldout_loss = t.state.heldout_loss,
            .heldout_bits_per_byte = t.state.heldout_bits_per_byte,
            .snapshots = writes && config->loop.snapshot_every > 0 ? lm_trainer_snapshots_dir(&t) : NULL,
            .samples = t.state.samples,
            .log = t.state.log,
        };
        t.state.log = t.state.samples = (struct lm_buf){ 0 };   // the result owns them now
    }
    release(&t);
    return rc;
}

enum lm_rc lm_private_run(struct lm_trainer_config *config, const struct lm_dp_options *options,
                          struct lm_db *ledger, const struct lm_dp_source *source, size_t rows,
                          struct lm_dp *dp, struct lm_err *err)
{
    struct lm_ranks *ranks = lm_trainer_ranks(config);
    LM_TRY(lm_dp_init(dp, options, source, rows, config->optim.steps, config->work_dir, ranks, config->recipe,
                      err));
    config->optim.clip = 0;
    config->dp = dp;
    const struct lm_ledger_run run = { options->partition, dp->run, config->what, dp->phase, options->delta };
    return lm_ranks_agree(ranks, ledger ? lm_ledger_enter(ledger, &run, err) : LM_OK, err);
}
