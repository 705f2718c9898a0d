/* review/heldout.c - bits per byte and perplexity of held-out documents. */

#include "review/heldout.h"

#include "base/mem.h"
#include "base/sys.h"
#include "infer/engine.h"
#include "token/ngram.h"

#include <math.h>
#include <stdlib.h>

double lm_bits_per_byte(const struct lm_likelihood *l)
{
    return l->bytes ? -l->log_prob / ((double)l->bytes * M_LN2) : 0;
}

double lm_perplexity(const struct lm_likelihood *l)
{
    return l->tokens ? exp(-l->log_prob / (double)l->tokens) : 1;
}

/* What is kept of a document, to be summed and resampled. */
enum { MODEL, BASELINE, TOKENS, BYTES, STATS };

static double model_bits(const struct lm_metric_config *config, const double *sums)
{
    (void)config;
    return sums[BYTES] > 0 ? -sums[MODEL] / (sums[BYTES] * M_LN2) : 0;
}

static double baseline_bits(const struct lm_metric_config *config, const double *sums)
{
    (void)config;
    return sums[BYTES] > 0 ? -sums[BASELINE] / (sums[BYTES] * M_LN2) : 0;
}

static double bits_ratio(const struct lm_metric_config *config, const double *sums)
{
    (void)config;
    const bool measured = isfinite(sums[BASELINE]) && sums[BASELINE] < 0;
    return measured ? sums[MODEL] / sums[BASELINE] : NAN;   // NaN: no gate holds
}

/* The documents to score: every `step`-th. */
struct choice {
    const struct lm_shard *shard;
    uint64_t step;
    size_t count;
};

static struct choice choose(const struct lm_shard *shard, int64_t tokens_max)
{
    const uint64_t max = (uint64_t)tokens_max;
    const uint64_t step = shard->token_count <= max ? 1 : (shard->token_count + max - 1) / max;
    return (struct choice){ shard, step, (size_t)((shard->document_count + step - 1) / step) };
}

/* End-of-text and the tokens of chosen document `index`, into *tokens; returns how many. */
static size_t document_tokens(const struct choice *c, size_t index, uint32_t end_of_text,
                              struct lm_tokens *tokens)
{
    const uint64_t document = index * c->step, start = lm_shard_doc_start(c->shard, document);
    const size_t count = (size_t)(c->shard->ends[document] - start);
    lm_grow(&tokens->ids, &tokens->cap, count + 1, sizeof(*tokens->ids));
    tokens->ids[0] = end_of_text;
    lm_shard_get(c->shard, start, count, tokens->ids + 1);
    return tokens->len = count + 1;
}

static enum lm_rc score_model(const struct choice *c, const struct lm_model *model, uint32_t end_of_text,
                              double *stats, struct lm_err *err)
{
    struct lm_scorer *scorer = NULL;
    enum lm_rc rc = lm_scorer_new(model, &scorer, err);
    struct lm_tokens tokens = { 0 };
    double *logs = NULL;
    size_t logs_cap = 0;
    struct lm_progress progress = lm_progress_start("review: held-out text", "documents", c->count);
    for (size_t i = 0; i < c->count && rc == LM_OK; i++) {
        const size_t len = document_tokens(c, i, end_of_text, &tokens);
        lm_grow(&logs, &logs_cap, len, sizeof(*logs));
        rc = lm_stop_asked() ? lm_fail(err, LM_ESTOP, "review: asked to stop; nothing is kept")
                             : lm_scorer_run(scorer, tokens.ids, len, logs, err);
        double *row = stats + i * STATS;
        for (size_t k = 1; k < len && rc == LM_OK; k++)
            row[MODEL] += logs[k];
        row[TOKENS] = (double)(len - 1);
        row[BYTES] = (double)c->shard->doc_bytes[i * c->step];
        lm_progress_at(&progress, i + 1, NULL);
    }
    lm_progress_end(&progress, c->count);
    free(logs);
    lm_tokens_release(&tokens);
    lm_scorer_free(scorer);
    return rc;
}

static enum lm_rc train_baseline(const struct lm_shard *train, int order, uint32_t end_of_text,
                                 struct lm_ngram **ret, struct lm_err *err)
{
    const struct choice all = { .shard = train, .step = 1, .count = train->document_count };
    struct lm_tokens tokens = { 0 };
    LM_TRY(lm_ngram_new(order, train->vocab_size, ret, err));
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; i < all.count && rc == LM_OK; i++) {
        document_tokens(&all, i, end_of_text, &tokens);
        rc = lm_ngram_add(*ret, tokens.ids, tokens.len, err);
    }
    lm_tokens_release(&tokens);
    if (rc == LM_OK)
        lm_ngram_end(*ret);
    else
        lm_ngram_free(*ret);
    return rc;
}

static enum lm_rc score_baseline(const struct choice *c, const struct lm_shard *train, int order,
                                 uint32_t end_of_text, double *stats, struct lm_err *err)
{
    struct lm_ngram *ngram;
    LM_TRY(train_baseline(train, order, end_of_text, &ngram, err));
#pragma omp parallel num_threads(lm_threads())
    {
        struct lm_tokens tokens = { 0 };
#pragma omp for schedule(dynamic, 4)
        for (size_t i = 0; i < c->count; i++) {
            const size_t len = document_tokens(c, i, end_of_text, &tokens);
            stats[i * STATS + BASELINE] = lm_ngram_score(ngram, tokens.ids, len);
        }
        lm_tokens_release(&tokens);
    }
    lm_ngram_free(ngram);
    return LM_OK;
}

static struct lm_heldout_score score_of(const double *stats, const double *sums, size_t count, size_t which,
                                        lm_metric_value *bits, const struct lm_review_config *config)
{
    struct lm_heldout_score s = {
        .sum = { sums[which], (uint64_t)sums[TOKENS], (uint64_t)sums[BYTES] },
        .bits_interval =
            lm_bootstrap(stats, count, STATS, bits, NULL, (size_t)config->resamples, (uint64_t)config->seed),
    };
    s.bits_per_byte = lm_bits_per_byte(&s.sum);
    s.perplexity = lm_perplexity(&s.sum);
    return s;
}

static void sign(const struct lm_review_config *config, const struct lm_model *model, const struct choice *c,
                 struct lm_heldout_result *ret)
{
    snprintf(ret->model.signature, LM_SIGNATURE_MAX,
             "bits-per-byte|unit:byte|prefix:eot|end:eot|doc:separate|win:%lld|overlap:half|docs:every-%llu|"
             "bs:%lld|seed:%lld|loom:%s",
             (long long)model->config.context, (unsigned long long)c->step, (long long)config->resamples,
             (long long)config->seed, lm_version);
    snprintf(ret->baseline.signature, LM_SIGNATURE_MAX,
             "bits-per-byte|unit:byte|prefix:eot|end:eot|doc:separate|model:kneser-ney-%lld|docs:every-%llu|"
             "bs:%lld|seed:%lld|loom:%s",
             (long long)config->ngram_order, (unsigned long long)c->step, (long long)config->resamples,
             (long long)config->seed, lm_version);
}

enum lm_rc lm_heldout_judge(const struct lm_review_config *config, const struct lm_model *model,
                            uint32_t end_of_text, const struct lm_shard *train,
                            const struct lm_shard *heldout, struct lm_heldout_result *ret, struct lm_err *err)
{
    if (heldout->document_count == 0 || heldout->text_bytes == 0)
        return lm_fail(err, LM_ENOENT,
                       "there is no held-out document to score; make the tokens with a larger heldout-share");
    const struct choice c = choose(heldout, config->heldout_tokens_max);
    LM_FREE double *stats = lm_zalloc(c.count, STATS * sizeof(*stats));
    LM_TRY(score_model(&c, model, end_of_text, stats, err));
    LM_TRY(score_baseline(&c, train, (int)config->ngram_order, end_of_text, stats, err));

    double sums[STATS] = { 0 };
    for (size_t i = 0; i < c.count; i++)
        for (size_t k = 0; k < STATS; k++)
            sums[k] += stats[i * STATS + k];
    *ret = (struct lm_heldout_result){
        .documents = c.count,
        .documents_total = (size_t)heldout->document_count,
        .model = score_of(stats, sums, c.count, MODEL, model_bits, config),
        .baseline = score_of(stats, sums, c.count, BASELINE, baseline_bits, config),
        .ratio = bits_ratio(NULL, sums),
        .ratio_interval = lm_bootstrap(stats, c.count, STATS, bits_ratio, NULL, (size_t)config->resamples,
                                       (uint64_t)config->seed),
    };
    sign(config, model, &c, ret);
    return LM_OK;
}
