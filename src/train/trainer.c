#include "train/trainer.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sys.h"
#include "tensor/bf16.h"
#include "train/checkpoint.h"
#include "train/ledger.h"

#include <math.h>
#include <stdlib.h>

struct trainer {
    const struct lm_trainer_config *config;
    struct lm_llama *model;
    const struct lm_feed *feed;
    const struct lm_eval_set *heldout;
    struct lm_gemm *gemm;
    struct lm_net *net;
    struct lm_gradient gradient;
    struct lm_gradient noisy;   // of a private step; gradient is one unit's then
    struct lm_optim optim;
    struct lm_batch batch, eval_batch;
    struct lm_checkpoint_place place;
    struct lm_checkpoint state;
    struct lm_track_speed speed;
};

/* ---- memory: planned, printed, refused before the first step ---- */

/* Adapters are trained through the products of tensor/gemm.h. */
static struct lm_net_config net_config(const struct lm_trainer_config *config, const struct lm_feed *feed,
                                       bool bf16)
{
    return (struct lm_net_config){ .positions = feed->positions, .bf16 = bf16 && !config->lora };
}

static enum lm_rc plan_memory(const struct lm_trainer_config *config, const struct lm_llama *model,
                              const struct lm_feed *feed, const struct lm_eval_set *heldout, bool bf16,
                              struct lm_err *err)
{
    const size_t weights = model->parameter_count * sizeof(float);
    const struct lm_net_config net = net_config(config, feed, bf16);
    const struct lm_lora *lora = config->lora;
    size_t eval = 0;
    for (size_t i = 0; i < heldout->count; i++)
        eval += heldout->pieces[i].len * (sizeof(uint32_t) + sizeof(int32_t));
    const struct {
        const char *what;
        size_t bytes;
    } rows[] = {
        { "weights", weights },
        { "adapter and frozen matrices", lora ? lm_lora_bytes(&lora->config, &model->config, NULL) : 0 },
        { "gradient", lora ? lora->count * sizeof(float) : weights },
        { "sum of gradients",
          config->dp ? (lora ? lora->count : model->parameter_count) * sizeof(float) : 0 },
        { "optimiser", lm_optim_bytes(&config->optim, &model->config, lora) },
        { "activations and scratch", lm_net_bytes(&model->config, &net, lm_threads()) },
        { "packed bf16 weights", bf16 && lora ? weights : 0 },   // two copies of two bytes
        { "batches", lm_batch_bytes(feed->rows + lm_net_rows(feed->positions), feed->positions) },
        { "held-out set", eval },
    };
    size_t sum = 0;
    struct lm_buf text = { 0 };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sum += rows[i].bytes;
        if (rows[i].bytes > 0)
            lm_buf_printf(&text, "%s%s %.1f MB", i ? ", " : "", rows[i].what, (double)rows[i].bytes / 1e6);
    }
    const size_t sum_mb = (sum + 999999) / 1000000;
    lm_say("%s: memory plan %zu MB: %s", config->what, sum_mb, text.ptr);
    lm_buf_release(&text);
    if (config->memory_max_mb > 0 && sum_mb > config->memory_max_mb)
        return lm_fail(
            err, LM_ENOMEM,
            "%s: the plan needs %zu MB and memory-max-mb is %llu; make the model or the context smaller, "
            "or raise the limit",
            config->what, sum_mb, (unsigned long long)config->memory_max_mb);
    return LM_OK;
}

/* ---- evaluation ---- */

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

/* After every change of what is trained. */
static enum lm_rc pack_weights(struct trainer *t, struct lm_err *err)
{
    if (t->config->lora)
        LM_TRY(lm_lora_apply(t->config->lora, t->gemm, err));
    lm_net_refresh(t->net);
    return LM_OK;
}

static void tell_tracker(struct trainer *t)
{
    const struct lm_track *track = t->config->track;
    if (track)
        track->lines(track->state, lm_buf_str(&t->state.log), &t->speed);
}

static enum lm_rc evaluate(struct trainer *t, struct lm_err *err)
{
    struct lm_measure m;
    LM_TRY(pack_weights(t, err));
    LM_TRY(lm_eval_measure(t->net, &t->eval_batch, t->heldout, &m, err));
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
    tell_tracker(t);
    return LM_OK;
}

/* ---- one step ---- */

static size_t step_tokens(const struct lm_feed *feed)
{
    return feed->rows * feed->positions;
}

/* The log of a private step holds nothing that depends on raw losses or gradients. */
static enum lm_rc private_step(struct trainer *t, struct lm_err *err)
{
    struct lm_checkpoint *s = &t->state;
    double norm;
    LM_TRY(pack_weights(t, err));
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

static enum lm_rc train_step(struct trainer *t, struct lm_err *err)
{
    struct lm_checkpoint *s = &t->state;
    double norm;
    t->feed->fill(t->feed->state, s->step, &t->batch);
    if (t->batch.trained == 0)
        return lm_fail(err, LM_EFORMAT, "%s: step %llu has no token to learn from", t->config->what,
                       (unsigned long long)s->step + 1);
    memset(t->gradient.slab, 0, t->gradient.count * sizeof *t->gradient.slab);
    LM_TRY(pack_weights(t, err));
    LM_TRY(lm_net_train(t->net, &t->batch, &t->gradient, &s->loss, err));
    LM_TRY(lm_optim_step(&t->optim, &t->gradient, s->step, &norm, err));
    if (!isfinite(s->loss))
        return lm_fail(err, LM_EFORMAT, "step %llu: the loss is not finite; lower the learning rate",
                       (unsigned long long)s->step + 1);
    const double lr = t->config->optim.lr * lm_lr_share(&t->config->optim, s->step);
    s->step++;
    lm_buf_putc(&s->log, '{');
    lm_json_key_int(&s->log, "step", (int64_t)s->step);
    lm_json_key_num(&s->log, "loss", s->loss);
    lm_json_key_num(&s->log, "lr", lr);
    lm_json_key_num(&s->log, "grad_norm", norm);
    lm_json_key_int(&s->log, "tokens", (int64_t)t->batch.trained);
    lm_buf_puts(&s->log, "}\n");
    return LM_OK;
}

static enum lm_rc preference_step(struct trainer *t, struct lm_err *err)
{
    struct lm_checkpoint *s = &t->state;
    struct lm_dpo_told told;
    double norm;
    memset(t->gradient.slab, 0, t->gradient.count * sizeof *t->gradient.slab);
    LM_TRY(pack_weights(t, err));
    LM_TRY(lm_dpo_step(t->config->dpo, t->net, &t->batch, s->step, &t->gradient, &told, err));
    LM_TRY(lm_optim_step(&t->optim, &t->gradient, s->step, &norm, err));
    const double lr = t->config->optim.lr * lm_lr_share(&t->config->optim, s->step);
    s->step++;
    s->loss = told.loss;
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

/* ---- the loop ---- */

static bool due(uint64_t step, uint64_t every, uint64_t last)
{
    return step > 0 && (step == last || (every > 0 && step % every == 0));
}

static bool in_bf16(const struct trainer *t)
{
    return t->config->precision != LM_PRECISION_F32 && lm_net_bf16_works();
}

/* Loss, tokens per second and, where the whole model is trained, the share of the machine's peak in products
 * of this kind, for people. */
static void show(struct trainer *t, struct lm_progress *progress, uint64_t started_step, double peak_gflops)
{
    char note[128];
    const double seconds = (double)(lm_now_ns() - progress->started_ns) * 1e-9;
    const double tokens = (double)((t->state.step - started_step) * step_tokens(t->feed));
    const double rate = seconds > 0 ? tokens / seconds : 0;
    const double share = rate * lm_net_flops(&t->model->config, t->feed->positions) / (peak_gflops * 1e9);
    char loss[32] = "private";
    if (!t->config->dp)
        snprintf(loss, sizeof loss, "loss %.3f", t->state.loss);
    snprintf(note, sizeof note, "%s, %.0f tokens/s", loss, rate);
    if (!t->config->lora)
        snprintf(note, sizeof note, "%s, %.0f tokens/s, %.0f %% of %s peak", loss, rate, 100 * share,
                 in_bf16(t) ? "bf16" : "f32");
    lm_progress_at(progress, t->state.step, note);
    t->speed = (struct lm_track_speed){ seconds, rate, t->config->lora ? NAN : share, NAN };
    tell_tracker(t);
}

static uint64_t rung_step(const struct lm_rung *r, uint64_t steps)
{
    LM_ASSERT(r->part > 0 && r->part <= r->parts && r->parts <= UINT32_MAX);
    const uint64_t whole = steps / r->parts * r->part, rest = steps % r->parts * r->part;
    return whole + (rest + r->parts - 1) / r->parts;
}

/* Measures here, aside from log and state, and leaves. */
static enum lm_rc stop_at_rung(struct trainer *t, bool saved, struct lm_err *err)
{
    struct lm_rung *r = t->config->rung;
    struct lm_measure m = { .loss = t->state.heldout_loss, .bits_per_byte = t->state.heldout_bits_per_byte };
    if (!saved)
        LM_TRY(lm_checkpoint_save(&t->place, &t->state, err));
    if (t->state.evaluated != t->state.step) {
        LM_TRY(pack_weights(t, err));
        LM_TRY(lm_eval_measure(t->net, &t->eval_batch, t->heldout, &m, err));
    }
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

/* From the state on to the last step. */
static enum lm_rc loop(struct trainer *t, struct lm_err *err)
{
    enum { PEAK_MS = 60 };
    const struct lm_trainer_config *c = t->config;
    struct lm_checkpoint *s = &t->state;
    const uint64_t steps = c->optim.steps, started = s->step;
    uint64_t saved = s->step;
    const double peak = in_bf16(t) ? lm_bf16_peak_gflops(PEAK_MS) : lm_peak_gflops(PEAK_MS);
    struct lm_progress progress = lm_progress_start(c->what, "steps", steps);
    for (;;) {
        if (due(s->step, c->checkpoint_every, steps) && saved != s->step) {
            LM_TRY(lm_checkpoint_save(&t->place, s, err));
            saved = s->step;
        }
        if (due(s->step, c->eval_every, steps) && s->evaluated != s->step && t->heldout->count > 0)
            LM_TRY(evaluate(t, err));
        if (c->rung && s->step == rung_step(c->rung, steps))
            return stop_at_rung(t, saved == s->step, err);
        if (s->step == steps)
            break;
        if (lm_stop_asked()) {
            if (s->step > 0)
                LM_TRY(lm_checkpoint_save(&t->place, s, err));
            return lm_fail(err, LM_ESTOP,
                           "%s: stopped after step %llu of %llu; the same command goes on from there",
                           c->what, (unsigned long long)s->step, (unsigned long long)steps);
        }
        LM_TRY(c->dp ? private_step(t, err) : c->dpo ? preference_step(t, err) : train_step(t, err));
        show(t, &progress, started, peak);
    }
    lm_progress_end(&progress, steps);
    return c->lora ? lm_lora_apply(c->lora, t->gemm, err) : LM_OK;   // the model is the last step's
}

static enum lm_rc start(struct trainer *t, struct lm_err *err)
{
    const struct lm_trainer_config *c = t->config;
    const bool bf16 = in_bf16(t);
    if (c->rung && t->heldout->count == 0)
        return lm_fail(err, LM_EINVAL, "%s: nothing is held out, so runs cannot be compared", c->what);
    const struct lm_net_config net = net_config(c, t->feed, bf16);
    LM_TRY(plan_memory(c, t->model, t->feed, t->heldout, bf16, err));
    t->net = lm_net_new(t->model, t->gemm, &net);
    lm_gradient_init(&t->gradient, t->model, c->lora);
    lm_optim_init(&t->optim, &c->optim, t->model, c->lora, t->gemm);
    if (c->dp)
        lm_gradient_init(&t->noisy, t->model, c->lora);
    lm_batch_init(&t->batch, c->dp || c->dpo ? 1 : t->feed->rows, t->feed->positions);
    lm_batch_init(&t->eval_batch, lm_net_rows(t->feed->positions), t->feed->positions);
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++)
        if (lm_llama_tensors[kind].is_matrix)
            for (size_t l = 0; l < lm_llama_layer_count(&t->model->config, kind); l++)
                lm_gemm_weight(t->gemm, lm_llama_at(t->model, kind, l));

    t->place = (struct lm_checkpoint_place){ c->work_dir, c->recipe, bf16 ? "bf16" : lm_isa_name(lm_isa()) };
    t->state.params = t->optim.params;
    t->state.m = t->optim.m;
    t->state.v = t->optim.v;
    t->state.count = t->optim.count;
    LM_TRY(lm_dir_make(c->work_dir, err));
    if (c->dpo) {   // the frozen model is the one of the start, whatever a checkpoint holds
        LM_TRY(pack_weights(t, err));
        LM_TRY(lm_dpo_freeze(c->dpo, t->net, &t->batch, err));
    }
    if (c->track) {
        const struct lm_track_run run = { c->what, c->recipe, c->work_dir, c->optim.steps,
                                          t->model->parameter_count };
        c->track->begin(c->track->state, &run);
    }
    const enum lm_rc rc = lm_checkpoint_load(&t->place, &t->state, err);
    if (rc == LM_OK)
        lm_say("%s: goes on after step %llu", c->what, (unsigned long long)t->state.step);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

static void release(struct trainer *t)
{
    lm_batch_release(&t->batch);
    lm_batch_release(&t->eval_batch);
    lm_optim_release(&t->optim);
    lm_gradient_release(&t->gradient);
    lm_gradient_release(&t->noisy);
    lm_net_free(t->net);
    lm_gemm_free(t->gemm);
    lm_buf_release(&t->state.log);
}

enum lm_rc lm_trainer_run(const struct lm_trainer_config *config, struct lm_llama *model,
                          const struct lm_feed *feed, const struct lm_eval_set *heldout,
                          struct lm_trainer_result *ret, struct lm_err *err)
{
    LM_ASSERT(feed->steps == config->optim.steps);
    LM_ASSERT(feed->steps > 0);

    struct trainer t = { .config = config, .model = model, .feed = feed, .heldout = heldout };
    const bool rounds = config->precision != LM_PRECISION_F32 && config->lora;
    enum lm_rc rc = lm_gemm_new(rounds ? LM_GEMM_BF16 : LM_GEMM_F32, &t.gemm, err);
    if (rc == LM_OK && config->precision == LM_PRECISION_BF16 && !lm_net_bf16_works())
        lm_warn("%s: this processor has no bf16 products; f32 is used", config->what);
    if (rc == LM_OK)
        rc = start(&t, err);
    if (rc == LM_OK)
        rc = loop(&t, err);
    if (rc == LM_OK) {
        *ret = (struct lm_trainer_result){
            .steps = t.state.step,
            .tokens = t.state.step * step_tokens(feed),
            .loss = t.state.loss,
            .heldout_loss = t.state.heldout_loss,
            .heldout_bits_per_byte = t.state.heldout_bits_per_byte,
            .log = t.state.log,
        };
        t.state.log = (struct lm_buf){ 0 };   // the result owns it now
    }
    release(&t);
    return rc;
}

void lm_trainer_result_release(struct lm_trainer_result *r)
{
    lm_buf_release(&r->log);
    lm_buf_release(&r->privacy);
}

enum lm_rc lm_private_run(struct lm_trainer_config *config, const struct lm_dp_options *options,
                          struct lm_db *ledger, const struct lm_dp_source *source, size_t rows,
                          struct lm_dp *dp, struct lm_err *err)
{
    LM_TRY(lm_dp_init(dp, options, source, rows, config->optim.steps, config->work_dir, config->recipe, err));
    config->optim.clip = 0;
    config->dp = dp;
    const struct lm_ledger_run run = { options->partition, dp->run, config->what, dp->phase, options->delta };
    return ledger ? lm_ledger_enter(ledger, &run, err) : LM_OK;
}

enum lm_rc lm_tokenizer_files_copy(const char *from_dir, const char *to_dir, struct lm_err *err)
{
    static const char *const files[] = { "tokenizer.json", "tokenizer_config.json", "chat_template.jinja" };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        LM_FREE char *from = lm_path_join(from_dir, files[i]), *to = lm_path_join(to_dir, files[i]);
        if (i == 0 || lm_path_exists(from))
            LM_TRY(lm_file_copy(from, to, err));
    }
    return LM_OK;
}

enum lm_rc lm_trainer_write(const struct lm_llama *model, const struct lm_trainer_result *result,
                            const char *tokenizer_dir, const char *out_dir, struct lm_buf *metrics,
                            struct lm_err *err)
{
    LM_TRY(lm_dir_make(out_dir, err));
    LM_TRY(lm_llama_save(model, out_dir, err));
    LM_TRY(lm_tokenizer_files_copy(tokenizer_dir, out_dir, err));
    if (result->privacy.len > 0) {
        LM_FREE char *privacy = lm_path_join(out_dir, "privacy.json");
        LM_TRY(lm_file_write(privacy, lm_buf_str(&result->privacy), err));
        lm_json_key(metrics, "privacy");
        lm_buf_add_str(metrics, lm_buf_str(&result->privacy));
    }
    char *path = lm_path_join(out_dir, "metrics.jsonl");
    const enum lm_rc rc = lm_file_write(path, lm_buf_str(&result->log), err);
    free(path);
    LM_TRY(rc);
    lm_json_key_int(metrics, "parameters", (int64_t)model->parameter_count);
    lm_json_key_int(metrics, "steps", (int64_t)result->steps);
    lm_json_key_int(metrics, "tokens", (int64_t)result->tokens);
    if (result->privacy.len == 0)
        lm_json_key_num(metrics, "loss", result->loss);
    lm_json_key_num(metrics, "heldout_loss", result->heldout_loss);
    lm_json_key_num(metrics, "heldout_bits_per_byte", result->heldout_bits_per_byte);
    return LM_OK;
}
