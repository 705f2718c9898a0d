/* Pre-training: token shards in, a model from scratch out. */
#include "train/train.h"

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "token/tokenizer.h"
#include "train/recipe.h"
#include "train/trainer.h"

#include <stdlib.h>

/* What pre-training reads. */
struct source {
    struct lm_tokenizer *tokenizer;
    struct lm_shard train, heldout;
    bool has_heldout;
    struct lm_llama start;   // what is gone on from, until training takes it; no parameters: nothing is
    char start_digest[LM_SHA256_HEX];
};

static enum lm_rc open_shard(struct lm_shard *shard, const char *dir, const char *name,
                             const struct lm_tokenizer *tokenizer, struct lm_err *err)
{
    char *path = lm_path_join(dir, name);
    enum lm_rc rc = lm_shard_open(shard, path, err);
    if (rc == LM_OK && memcmp(shard->tokenizer_sha256, lm_tokenizer_sha256(tokenizer), LM_SHA256_BYTES) != 0)
        rc = lm_fail(err, LM_EINVAL, "'%s' was made with another tokenizer.json; build the tokens again",
                     path);
    free(path);
    return rc;
}

/* The model to go on from. */
static enum lm_rc open_start(struct source *s, const struct lm_pretrain_config *c, struct lm_err *err)
{
    if (!c->from)
        return LM_OK;
    LM_FREE char *path = lm_path_join(c->from, "model.safetensors");
    LM_TRY(lm_sha256_file(path, s->start_digest, err));
    LM_TRY(lm_llama_load(&s->start, c->from, err));
    const struct lm_llama_config *shape = &s->start.config;
    if (s->train.vocab_size > shape->vocab_size)
        return lm_fail(
            err, LM_EINVAL,
            "%s has rows for %lld tokens, the text is made of %lld; 'loom model grow' gives it the "
            "rows of a vocabulary that has grown",
            c->from, (long long)shape->vocab_size, (long long)s->train.vocab_size);
    if (c->context > shape->context)
        return lm_fail(err, LM_EINVAL, "%s sees %lld tokens at most; --context=%lld is more", c->from,
                       (long long)shape->context, (long long)c->context);
    return LM_OK;
}

static enum lm_rc source_open(struct source *s, const struct lm_pretrain_config *c, const char *tokens_dir,
                              const char *tokenizer_dir, struct lm_err *err)
{
    LM_TRY(lm_tokenizer_load(tokenizer_dir, &s->tokenizer, err));
    LM_TRY(open_shard(&s->train, tokens_dir, "train.tokens", s->tokenizer, err));
    LM_TRY(open_start(s, c, err));
    char *path = lm_path_join(tokens_dir, "heldout.tokens");
    s->has_heldout = lm_path_exists(path);
    free(path);
    return s->has_heldout ? open_shard(&s->heldout, tokens_dir, "heldout.tokens", s->tokenizer, err) : LM_OK;
}

static void source_close(struct source *s)
{
    lm_tokenizer_free(s->tokenizer);
    lm_shard_close(&s->train);
    lm_shard_close(&s->heldout);
    lm_llama_release(&s->start);
}

static struct lm_llama_config model_config(const struct lm_pretrain_config *c, const struct source *s)
{
    const uint32_t end = lm_tokenizer_end_of_text(s->tokenizer);
    if (s->start.params)
        return s->start.config;
    return (struct lm_llama_config){
        .vocab_size = s->train.vocab_size,
        .dim = c->dim,
        .layers = c->layers,
        .heads = c->heads,
        .kv_heads = c->family == LM_FAMILY_GPT2 ? c->heads : c->kv_heads,
        .ffn_dim = c->ffn_dim,
        .context = c->context,
        .rope_theta = c->rope_theta,
        .norm_eps = c->norm_eps,
        .tied = c->tied,
        .bos_id = end,   // a document starts with the end of the one before
        .eos_id = end,
        .family = c->family,
    };
}

static struct lm_trainer_config trainer_config(const struct lm_pretrain_config *c, const struct source *s,
                                               const char *work_dir)
{
    struct lm_trainer_config t = lm_trainer_config_of(&c->training, "pretrain", work_dir, (uint64_t)c->steps);
    const struct lm_str parts[] = {
        { s->train.map.ptr, s->train.map.len },
        { s->heldout.map.ptr, s->heldout.map.len },
        { (const char *)lm_tokenizer_sha256(s->tokenizer), LM_SHA256_BYTES },
        lm_str(s->start_digest),
    };
    const size_t part_count = sizeof parts / sizeof parts[0] - !s->start.params;
    lm_recipe(&lm_pretrain_options, c, parts, part_count, t.recipe);
    return t;
}

static enum lm_rc feed_new(const struct lm_pretrain_config *c, const struct source *s, uint32_t end_of_text,
                           size_t rows, size_t positions, struct lm_shard_feed **ret, struct lm_err *err)
{
    struct lm_mix mix;
    LM_TRY(lm_mix_parse(&c->mix, &s->train, &mix, err));
    const enum lm_rc rc = lm_shard_feed_new(&s->train, &mix, end_of_text, rows, positions,
                                            (uint64_t)c->training.seed, ret, err);
    lm_mix_release(&mix);
    return rc;
}

static void count_tokens(struct lm_shard_feed *feed, const struct lm_trainer_result *result, uint64_t *tokens)
{
    uint64_t first = 0, left = result->steps;   // batches up to the next one that was left out, and steps
    for (size_t i = 0; i < result->spikes.rollbacks; i++) {
        const struct lm_skip *skip = &result->spikes.skipped[i];
        const uint64_t count = skip->first - first < left ? skip->first - first : left;
        lm_shard_feed_count(feed, first, first + count, tokens);
        first = skip->first + skip->count;
        left -= count;
    }
    lm_shard_feed_count(feed, first, first + left, tokens);
}

/* What was learned from, for the lineage.  A private run draws otherwise and is not counted. */
static void add_sources(const struct lm_shard *shard, struct lm_shard_feed *feed,
                        const struct lm_trainer_result *result, struct lm_buf *metrics)
{
    uint64_t *tokens = lm_zalloc(2 * (size_t)shard->source_count + 1, sizeof *tokens);
    uint64_t *there = tokens + shard->source_count, sum = 0;
    count_tokens(feed, result, tokens);
    for (uint64_t d = 0; d < shard->document_count; d++)
        there[shard->sources[d]] += shard->ends[d] - lm_shard_doc_start(shard, d);
    for (uint32_t i = 0; i < shard->source_count; i++)
        sum += tokens[i];
    lm_json_key(metrics, "sources");
    lm_buf_putc(metrics, '[');
    const char *name = shard->names;
    for (uint32_t i = 0; i < shard->source_count; i++, name = lm_shard_next_name(name)) {
        lm_json_sep(metrics);
        lm_buf_putc(metrics, '{');
        lm_json_key_str(metrics, "name", lm_str(name));
        lm_json_key_int(metrics, "tokens", (int64_t)tokens[i]);
        lm_json_key_num(metrics, "share", sum ? (double)tokens[i] / (double)sum : 0);
        lm_json_key_num(metrics, "epochs", (double)tokens[i] / (double)there[i]);
        lm_buf_putc(metrics, '}');
    }
    lm_buf_putc(metrics, ']');
    free(tokens);
}

/* The first weights: those that are gone on from, or random ones. */
static struct lm_llama first_model(struct source *s, const struct lm_llama_config *shape, uint64_t seed)
{
    struct lm_llama model = s->start;
    s->start = (struct lm_llama){ 0 };
    if (!model.params) {
        lm_llama_init(&model, shape);
        lm_llama_random(&model, seed);
    }
    return model;
}

static enum lm_rc run(const struct lm_pretrain_config *c, struct source *s, const char *tokenizer_dir,
                      const char *work_dir, const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    const struct lm_llama_config shape = model_config(c, s);
    LM_TRY(lm_llama_config_check(&shape, err));
    const size_t positions = (size_t)c->context;
    if (lm_dp_wanted(&c->training.dp) && c->training.dp.unit == LM_DP_PERSON)
        return lm_fail(err, LM_EINVAL,
                       "pretrain: token shards know documents, not persons; group each person's "
                       "text as one document, and take dp-unit=document");
    if (lm_dp_wanted(&c->training.dp) && c->mix.len > 0)
        return lm_fail(err, LM_EINVAL,
                       "pretrain: a private run draws documents by chance; mix would change the chance that "
                       "its promise counts on");

    struct lm_trainer_config config = trainer_config(c, s, work_dir);
    const uint32_t end = lm_tokenizer_end_of_text(s->tokenizer);
    const size_t rows =
        (size_t)c->training.batch_tokens / positions ? (size_t)c->training.batch_tokens / positions : 1;
    struct lm_shard_feed *source;
    LM_TRY(feed_new(c, s, end, rows, positions, &source, err));
    const struct lm_feed feed = { source, rows, positions, (uint64_t)c->steps, lm_shard_feed_fill };
    struct lm_eval_set heldout = { 0 };
    if (s->has_heldout)
        lm_shard_eval_set(&s->heldout, end, positions, (uint64_t)c->eval_tokens_max, &heldout);

    struct lm_llama model = first_model(s, &shape, (uint64_t)c->training.seed);
    struct lm_trainer_result result = { 0 };
    struct lm_sampling sampling;
    struct lm_shard_units *units = NULL;
    struct lm_dp_source of_units;
    struct lm_dp dp;
    enum lm_rc rc = lm_sampling_init(&sampling, &c->training.loop, s->tokenizer, false, positions,
                                     (uint64_t)c->training.seed, err);
    config.sampling = &sampling;
    config.tokenizer_dir = tokenizer_dir;
    if (rc == LM_OK && lm_dp_wanted(&c->training.dp)) {
        units = lm_shard_units_new(&s->train, end, positions, &of_units);
        rc = lm_private_run(&config, &c->training.dp, c->training.ledger, &of_units, rows, &dp, err);
    }
    if (rc == LM_OK)
        rc = lm_trainer_run(&config, &model, &feed, &heldout, &result, err);
    if (rc == LM_OK && config.dp)
        rc = lm_dp_json(config.dp, &result.privacy, err);
    if (rc == LM_OK && (!c->training.ranks || c->training.ranks->rank == 0)) {
        lm_buf_putc(metrics, '{');
        rc = lm_trainer_write(&model, &result, tokenizer_dir, out_dir, metrics, err);
        if (!config.dp)
            add_sources(&s->train, source, &result, metrics);
        lm_buf_putc(metrics, '}');
    }
    lm_sampling_release(&sampling);
    lm_trainer_result_release(&result);
    lm_shard_units_free(units);
    lm_llama_release(&model);
    lm_eval_set_release(&heldout);
    lm_shard_feed_free(source);
    return rc;
}

enum lm_rc lm_pretrain(const struct lm_pretrain_config *config, const char *tokens_dir,
                       const char *tokenizer_dir, const char *work_dir, const char *out_dir,
                       struct lm_buf *metrics, struct lm_err *err)
{
    struct source s = { 0 };
    enum lm_rc rc = source_open(&s, config, tokens_dir, tokenizer_dir, err);
    if (rc == LM_OK)
        rc = run(config, &s, tokenizer_dir, work_dir, out_dir, metrics, err);
    source_close(&s);
    return rc;
}
