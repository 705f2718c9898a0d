/* What a run leaves on its way: named snapshots, and texts that the model is let write. */
#include "train/trainer_impl.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"

#include <math.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 64, RECIPE_CHARS = 12 };

/* ---- snapshots: folders that are whole or absent ---- */

char *lm_trainer_snapshots_dir(const struct lm_training *t)
{
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof name, "%.*s-snapshots", RECIPE_CHARS, t->config->recipe);
    return lm_path_join(t->config->work_dir, name);
}

static char *snapshot_dir(const struct lm_training *t, uint64_t step)
{
    char name[NAME_MAX_BYTES];
    LM_FREE char *dir = lm_trainer_snapshots_dir(t);
    snprintf(name, sizeof name, "step-%010llu", (unsigned long long)step);
    return lm_path_join(dir, name);
}

static enum lm_rc write_model(const struct lm_training *t, const char *dir, struct lm_err *err)
{
    LM_TRY(lm_path_remove(dir, err));
    LM_TRY(lm_dir_make(dir, err));
    LM_TRY(lm_llama_save(t->model, dir, err));
    return lm_tokenizer_files_copy(t->config->tokenizer_dir, dir, err);
}

/* The model with its adapter in it; afterwards it is the base again. */
static enum lm_rc write_merged(const struct lm_training *t, const char *dir, struct lm_err *err)
{
    const size_t bytes = t->model->parameter_count * sizeof(float);
    float *base = lm_slab_alloc(bytes);
    memcpy(base, t->model->params, bytes);
    enum lm_rc rc = lm_lora_merge(t->config->lora, t->gemm, err);
    if (rc == LM_OK)
        rc = write_model(t, dir, err);
    memcpy(t->model->params, base, bytes);
    free(base);
    return rc;
}

static enum lm_rc snapshot(const struct lm_training *t, struct lm_err *err)
{
    const struct lm_loop_options *o = &t->config->loop;
    const uint64_t step = t->state.step, reach = (uint64_t)o->keep_snapshots * (uint64_t)o->snapshot_every;
    LM_FREE char *dir = snapshot_dir(t, step), *tmp = NULL;
    if (asprintf(&tmp, "%s.tmp", dir) < 0)
        return lm_fail(err, LM_ENOMEM, "snapshot: no memory for a name");
    LM_TRY((t->config->lora ? write_merged : write_model)(t, tmp, err));
    LM_TRY(lm_path_remove(dir, err));
    LM_TRY(lm_path_rename(tmp, dir, err));
    if (reach > 0 && step > reach) {
        LM_FREE char *old = snapshot_dir(t, step - reach);
        return lm_path_remove(old, err);
    }
    return LM_OK;
}

/* ---- samples ---- */

static void add_token(struct lm_tokens *tokens, uint32_t id)
{
    lm_grow(&tokens->ids, &tokens->cap, tokens->len + 1, sizeof *tokens->ids);
    tokens->ids[tokens->len++] = id;
}

enum lm_rc lm_sampling_init(struct lm_sampling *s, const struct lm_loop_options *options,
                            const struct lm_tokenizer *tokenizer, bool chat, size_t positions, uint64_t seed,
                            struct lm_err *err)
{
    *s = (struct lm_sampling){ .tokenizer = tokenizer,
                               .end = chat ? lm_chat_end(tokenizer) : lm_tokenizer_end_of_text(tokenizer),
                               .seed = seed };
    if (options->sample_every == 0)
        return LM_OK;
    const struct lm_str text = options->sample_prompt ? lm_str(options->sample_prompt) : LM_STR("");
    const struct lm_chat_message question = { LM_STR("user"), text };
    struct lm_encoder *encoder = lm_encoder_new(tokenizer);
    const uint32_t start = lm_tokenizer_end_of_text(tokenizer);   // a document starts behind the one before
    enum lm_rc rc = LM_OK;
    if (chat) {
        rc = lm_chat_encode(encoder, &question, 1, true, &s->prompt, NULL, err);
    } else {
        add_token(&s->prompt, start);
        lm_encode(encoder, text, false, &s->prompt);
    }
    lm_encoder_free(encoder);
    if (rc == LM_OK && s->prompt.len >= positions)
        rc = lm_fail(err, LM_EINVAL, "sample-prompt has %zu tokens, and a window only %zu; make it shorter",
                     s->prompt.len, positions);
    return rc;
}

void lm_sampling_release(struct lm_sampling *s)
{
    lm_tokens_release(&s->prompt);
}

/* By chance, with probabilities exp(logit / TEMPERATURE). */
static uint32_t choose(const float *logits, size_t vocab, struct lm_rng *rng)
{
    static const double temperature = 0.8;
    double top = -INFINITY, sum = 0;
    for (size_t v = 0; v < vocab; v++)
        top = fmax(top, (double)logits[v]);
    for (size_t v = 0; v < vocab; v++)
        sum += exp(((double)logits[v] - top) / temperature);
    double left = lm_rng_unit(rng) * sum;
    for (size_t v = 0; v + 1 < vocab; v++) {
        left -= exp(((double)logits[v] - top) / temperature);
        if (left < 0)
            return (uint32_t)v;
    }
    return (uint32_t)(vocab - 1);
}

/* Appends to `ids`, which begin with the prompt, until the end of the text, of the window or of what is
 * asked. */
static enum lm_rc go_on(struct lm_training *t, struct lm_tokens *ids, struct lm_err *err)
{
    const struct lm_sampling *s = t->config->sampling;
    const size_t vocab = (size_t)t->model->config.vocab_size, positions = t->feed->positions;
    struct lm_rng rng = lm_rng_make(s->seed, t->state.step);
    struct lm_batch batch;
    lm_batch_init(&batch, 1, positions);
    float *logits = lm_zalloc(vocab, sizeof *logits);
    int32_t *none = lm_zalloc(positions, sizeof *none);
    for (size_t i = 0; i < positions; i++)
        none[i] = LM_TARGET_NONE;
    enum lm_rc rc = LM_OK;
    const size_t most = s->prompt.len + (size_t)t->config->loop.sample_tokens;
    while (rc == LM_OK && ids->len < most && ids->len < positions) {
        const struct lm_piece piece = { ids->ids, none, ids->len };
        lm_batch_clear(&batch);
        lm_batch_put(&batch, 0, 0, &piece);
        rc = lm_net_next(t->net, &batch, ids->len - 1, logits, err);
        const uint32_t next = rc == LM_OK ? choose(logits, vocab, &rng) : s->end;
        if (next == s->end)
            break;
        add_token(ids, next);
    }
    free(none);
    free(logits);
    lm_batch_release(&batch);
    return rc;
}

static enum lm_rc sample(struct lm_training *t, struct lm_err *err)
{
    const struct lm_sampling *s = t->config->sampling;
    const char *prompt = t->config->loop.sample_prompt ? t->config->loop.sample_prompt : "";
    struct lm_checkpoint *state = &t->state;
    struct lm_tokens ids = { 0 };
    struct lm_buf text = { 0 };
    for (size_t i = 0; i < s->prompt.len; i++)
        add_token(&ids, s->prompt.ids[i]);
    lm_net_refresh(t->net);
    enum lm_rc rc = go_on(t, &ids, err);
    for (size_t i = s->prompt.len; rc == LM_OK && i < ids.len; i++)   // a model may have more ids than words
        if (ids.ids[i] < lm_tokenizer_vocab_size(s->tokenizer))
            rc = lm_decode(s->tokenizer, ids.ids + i, 1, true, &text, err);
    if (rc == LM_OK) {
        lm_say("%s: step %llu writes: %s%.*s", t->config->what, (unsigned long long)state->step, prompt,
               (int)text.len, text.len ? text.ptr : "");
        lm_buf_putc(&state->samples, '{');
        lm_json_key_int(&state->samples, "step", (int64_t)state->step);
        lm_json_key_str(&state->samples, "prompt", lm_str(prompt));
        lm_json_key_str(&state->samples, "text", lm_buf_str(&text));
        lm_buf_puts(&state->samples, "}\n");
        state->sampled = state->step;
        LM_FREE char *path = lm_path_join(t->config->work_dir, "samples.jsonl");
        rc = lm_file_write(path, lm_buf_str(&state->samples), err);
    }
    lm_buf_release(&text);
    lm_tokens_release(&ids);
    return rc;
}

static bool due(uint64_t step, int64_t every)
{
    return step > 0 && every > 0 && step % (uint64_t)every == 0;
}

enum lm_rc lm_trainer_leave(struct lm_training *t, struct lm_err *err)
{
    const struct lm_loop_options *o = &t->config->loop;
    struct lm_ranks *r = lm_trainer_ranks(t->config);
    const bool snapshots = due(t->state.step, o->snapshot_every);
    const bool samples = due(t->state.step, o->sample_every) && t->state.sampled != t->state.step;
    enum lm_rc rc = LM_OK;
    if (!snapshots && !samples)
        return LM_OK;
    if (snapshots && r->rank == 0)
        rc = snapshot(t, err);
    if (samples && r->rank == 0 && rc == LM_OK)
        rc = sample(t, err);
    t->state.sampled = samples ? t->state.step : t->state.sampled;
    return lm_ranks_agree(r, rc, err);
}
