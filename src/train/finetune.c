/* Supervised fine-tuning: a model and question-answer pairs in, a model that answers out. */
#include "train/train.h"

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "train/pairs.h"
#include "train/recipe.h"
#include "train/trainer.h"

#include <stdlib.h>

static enum lm_rc file_digest(const char *dir, const char *name, char ret[LM_SHA256_HEX], struct lm_err *err)
{
    char *path = lm_path_join(dir, name);
    const enum lm_rc rc = lm_sha256_file(path, ret, err);
    free(path);
    return rc;
}

static enum lm_rc recipe_of(const struct lm_finetune_config *c, const char *model_dir, const char *pairs_path,
                            char ret[LM_SHA256_HEX], struct lm_err *err)
{
    char digests[3][LM_SHA256_HEX];
    LM_TRY(file_digest(model_dir, "model.safetensors", digests[0], err));
    LM_TRY(file_digest(model_dir, "tokenizer.json", digests[1], err));
    LM_TRY(lm_sha256_file(pairs_path, digests[2], err));
    const struct lm_str parts[] = { lm_str(digests[0]), lm_str(digests[1]), lm_str(digests[2]) };
    lm_recipe(&lm_finetune_options, c, parts, sizeof parts / sizeof parts[0], ret);
    return LM_OK;
}

enum lm_rc lm_finetune_spec(const struct lm_finetune_config *c, const struct lm_llama_config *model,
                            struct lm_pair_spec *ret, struct lm_err *err)
{
    enum { SIZE_MAX_UNASKED = 512 };
    const int64_t unasked = model->context < SIZE_MAX_UNASKED ? model->context : SIZE_MAX_UNASKED;
    const int64_t size = c->window_size ? c->window_size : unasked;
    const int64_t stride = c->window_stride ? c->window_stride : (size + 1) / 2;
    if (size < 2 || size > model->context)
        return lm_fail(err, LM_EINVAL,
                       "window-size %lld is outside 2..%lld: the context of the model is its limit",
                       (long long)size, (long long)model->context);
    *ret = (struct lm_pair_spec){ .snapshot = c->snapshot,
                                  .system = c->system,
                                  .window = { (size_t)size, (size_t)stride },
                                  .preferences = c->dpo_beta > 0,
                                  .skip_unlabelled = c->skip_unlabelled };
    return lm_window_spec_check(ret->window, err);
}

/* The adapter that the options ask for, at its start. */
static enum lm_rc adapter_of(const struct lm_finetune_config *c, struct lm_llama *model, struct lm_lora *ret,
                             struct lm_err *err)
{
    static const char *const all[] = { "all" };
    struct lm_lora_config config = { .rank = c->lora_rank,
                                     .alpha = c->lora_alpha,
                                     .stabilized = c->lora_stabilized,
                                     .dropout = c->lora_dropout };
    const struct lm_opt_list *t = &c->lora_targets;
    LM_TRY(lm_lora_targets_parse(t->len ? t->items : (const char **)all, t->len ? t->len : 1, &config.targets,
                                 err));
    LM_TRY(lm_lora_init(ret, &config, model, err));
    lm_lora_random(ret, (uint64_t)c->training.seed);
    return LM_OK;
}

/* As many as make every unit expected `epochs` times. */
static uint64_t private_steps(uint64_t units, size_t rows, uint64_t epochs)
{
    const uint64_t rounds = units < rows ? 1 : (units + rows - 1) / rows;
    return rounds * epochs;
}

static enum lm_rc train(const struct lm_finetune_config *c, struct lm_llama *model,
                        const struct lm_tokenizer *tokenizer, const struct lm_pair_set *pairs,
                        size_t positions, const char *model_dir, const char *pairs_path, const char *work_dir,
                        struct lm_lora *lora, struct lm_trainer_result *result, struct lm_err *err)
{
    const size_t rows =
        (size_t)c->training.batch_tokens / positions ? (size_t)c->training.batch_tokens / positions : 1;
    struct lm_pair_feed *source =
        lm_pair_feed_new(&pairs->train, rows, positions, (uint64_t)c->epochs, (uint64_t)c->training.seed);
    struct lm_feed feed = { source, rows, positions, lm_pair_feed_steps(source), lm_pair_feed_fill };
    struct lm_trainer_config config = lm_trainer_config_of(&c->training, "finetune", work_dir, feed.steps);
    config.lora = c->lora_rank > 0 ? lora : NULL;
    struct lm_pair_units *units = NULL;
    struct lm_dp_source of_units;
    struct lm_dp dp;
    struct lm_sampling sampling;
    enum lm_rc rc = lm_sampling_init(&sampling, &c->training.loop, tokenizer, true, positions,
                                     (uint64_t)c->training.seed, err);
    config.sampling = &sampling;
    config.tokenizer_dir = model_dir;
    if (rc == LM_OK)
        rc = recipe_of(c, model_dir, pairs_path, config.recipe, err);
    if (rc == LM_OK && lm_dp_wanted(&c->training.dp)) {
        rc = lm_pair_units_new(pairs, c->training.dp.unit, &units, &of_units, err);
        if (rc == LM_OK)
            feed.steps = private_steps(of_units.units, rows, (uint64_t)c->epochs);
        config.optim.steps = feed.steps;
        if (rc == LM_OK)
            rc = lm_private_run(&config, &c->training.dp, c->training.ledger, &of_units, rows, &dp, err);
    }
    struct lm_dpo dpo = { 0 };
    if (rc == LM_OK && c->dpo_beta > 0) {
        lm_dpo_init(&dpo, c->dpo_beta, &pairs->train, positions, rows > 1 ? rows / 2 : 1,
                    (uint64_t)c->training.seed);
        feed.steps = lm_dpo_steps(&dpo, (uint64_t)c->epochs);
        config.optim.steps = feed.steps;
        config.dpo = &dpo;
    }
    if (rc == LM_OK)
        rc = lm_trainer_run(&config, model, &feed, &pairs->heldout, result, err);
    lm_sampling_release(&sampling);
    lm_dpo_release(&dpo);
    if (rc == LM_OK && config.dp)
        rc = lm_dp_json(config.dp, &result->privacy, err);
    lm_pair_units_free(units);
    lm_pair_feed_free(source);
    return rc;
}

static enum lm_rc run(const struct lm_finetune_config *c, struct lm_llama *model,
                      const struct lm_tokenizer *tokenizer, const char *model_dir, const char *pairs_path,
                      const char *work_dir, const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    if (lm_tokenizer_vocab_size(tokenizer) > (uint64_t)model->config.vocab_size)
        return lm_fail(err, LM_EINVAL, "'%s': the tokenizer knows %u tokens, the model only %lld", model_dir,
                       lm_tokenizer_vocab_size(tokenizer), (long long)model->config.vocab_size);
    if (c->dpo_beta > 0 && lm_dp_wanted(&c->training.dp))
        return lm_fail(err, LM_EINVAL,
                       "finetune: preferences (dpo-beta) cannot be learned privately (dp-...); "
                       "leave one of them out");
    if (c->dpo_beta > 0 && (c->training.dropout > 0 || c->lora_dropout > 0))
        return lm_fail(
            err, LM_EINVAL,
            "finetune: preferences (dpo-beta) are learned against the whole model as it was; leave "
            "dropout and lora-dropout out");
    struct lm_pair_set pairs = { 0 };
    struct lm_trainer_result result = { 0 };
    struct lm_pair_spec spec;
    LM_TRY(lm_finetune_spec(c, &model->config, &spec, err));
    struct lm_lora lora = { 0 };
    enum lm_rc rc = lm_pair_set_read(&pairs, pairs_path, tokenizer, &spec, err);
    if (rc == LM_OK && c->lora_rank > 0)
        rc = adapter_of(c, model, &lora, err);
    if (rc == LM_OK) {
        lm_say("finetune: %zu pairs, %zu sequences to train on, %zu held out; left out: %zu pairs without an "
               "answer, "
               "%zu windows without a target",
               pairs.pairs, pairs.train.count, pairs.heldout.count, pairs.unanswered, pairs.windows_empty);
        model->config.eos_id = lm_chat_end(tokenizer);   // an answer ends with its turn
        rc = train(c, model, tokenizer, &pairs, spec.window.size, model_dir, pairs_path, work_dir, &lora,
                   &result, err);
    }
    const bool writes = !c->training.ranks || c->training.ranks->rank == 0;
    if (rc == LM_OK && writes) {
        lm_buf_putc(metrics, '{');
        rc = lm_trainer_write(model, &result, model_dir, out_dir, metrics, err);
        lm_json_key_int(metrics, "pairs", (int64_t)pairs.pairs);
        lm_json_key_int(metrics, "sequences", (int64_t)pairs.train.count);
        lm_json_key_int(metrics, "pairs_unanswered", (int64_t)pairs.unanswered);
        lm_json_key_int(metrics, "windows_empty", (int64_t)pairs.windows_empty);
        lm_buf_putc(metrics, '}');
    }
    if (rc == LM_OK && writes && c->lora_rank > 0) {
        LM_FREE char *dir = lm_path_join(out_dir, "adapter");
        rc = lm_lora_save(&lora, model_dir, dir, err);
    }
    lm_lora_release(&lora);
    lm_trainer_result_release(&result);
    lm_pair_set_release(&pairs);
    return rc;
}

enum lm_rc lm_finetune(const struct lm_finetune_config *config, const char *model_dir, const char *pairs_path,
                       const char *work_dir, const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_llama model = { 0 };
    struct lm_tokenizer *tokenizer = NULL;
    enum lm_rc rc = lm_llama_load(&model, model_dir, err);
    if (rc == LM_OK)
        rc = lm_tokenizer_load(model_dir, &tokenizer, err);
    if (rc == LM_OK)
        rc = run(config, &model, tokenizer, model_dir, pairs_path, work_dir, out_dir, metrics, err);
    lm_tokenizer_free(tokenizer);
    lm_llama_release(&model);
    return rc;
}
