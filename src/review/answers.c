/* review/answers.c - generation, loss and scores of held-out questions. */

#include "review/answers.h"

#include "base/sys.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

const struct lm_answer_metric lm_answer_metrics[LM_ANSWER_METRICS] = {
    { "rouge-l", "ROUGE-L", "longest common run of words, in order" },
    { "f1", "Word F1", "words shared with the reference" },
    { "exact-match", "Exact match", "answers equal to the reference" },
    { "bleu", "BLEU", "runs of one to four words shared" },
    { "distinct-1", "Distinct 1", "different words in all answers" },
    { "distinct-2", "Distinct 2", "different pairs of words in all answers" },
};

/* ---- models ---- */

enum lm_rc lm_speaker_load(struct lm_speaker *ret, const char *path, struct lm_err *err)
{
    LM_TRY(lm_model_open(path, &ret->model, err));
    LM_TRY(lm_model_check_finite(&ret->model, err));
    LM_TRY(lm_model_fingerprint(path, ret->fingerprint, err));
    return lm_model_tokenizer(path, &ret->tokenizer, err);
}

void lm_speaker_release(struct lm_speaker *s)
{
    lm_model_close(&s->model);
    lm_tokenizer_free(s->tokenizer);
    *s = (struct lm_speaker){ 0 };
}

/* ---- conversations ---- */

/* [system] user [assistant] as tokens; with the answer and its mask, or open for the model to answer. */
static enum lm_rc encode(struct lm_encoder *encoder, const char *system, const struct lm_question *question,
                         bool with_answer, struct lm_tokens *ret, struct lm_buf *mask, struct lm_err *err)
{
    struct lm_chat_message messages[3];
    size_t n = 0;
    if (system)
        messages[n++] = (struct lm_chat_message){ LM_STR("system"), lm_str(system) };
    messages[n++] = (struct lm_chat_message){ LM_STR("user"), question->text };
    if (with_answer)
        messages[n++] = (struct lm_chat_message){ LM_STR("assistant"), question->reference };
    ret->len = 0;
    return lm_chat_encode(encoder, messages, n, !with_answer, ret, mask, err);
}

/* ---- answers ---- */

/* Answers that the engine works on; guarded by `lock`. */
struct batch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t running;
};
enum { RUNNING_MAX = 32 };   // the engine decodes 16 together; the others wait in its queue

struct waiting {
    struct batch *batch;
    struct lm_answer *answer;
};

/* On the engine's thread. */
static void take(void *user, const struct lm_engine_event *event)
{
    struct waiting *w = user;
    lm_buf_add_str(&w->answer->text, event->text);
    if (event->finish == LM_FINISH_NONE)
        return;
    w->answer->cut = event->finish == LM_FINISH_LENGTH;
    pthread_mutex_lock(&w->batch->lock);
    w->batch->running--;
    pthread_cond_signal(&w->batch->changed);
    pthread_mutex_unlock(&w->batch->lock);
}

static void wait_below(struct batch *b, size_t running)
{
    pthread_mutex_lock(&b->lock);
    while (b->running >= running)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

/* A question that fills the context has no answer. */
static enum lm_rc submit(struct lm_engine *engine, const struct lm_tokens *prompt, size_t tokens_max,
                         size_t context, struct waiting *w, struct lm_err *err)
{
    if (prompt->len >= context)
        return LM_OK;
    struct lm_sampling sampling;
    lm_sampling_defaults(&sampling);
    sampling.temperature = 0;
    sampling.max_tokens = tokens_max < context - prompt->len ? tokens_max : context - prompt->len;
    pthread_mutex_lock(&w->batch->lock);
    w->batch->running++;
    pthread_mutex_unlock(&w->batch->lock);
    uint64_t ticket;
    const enum lm_rc rc =
        lm_engine_submit(engine, prompt->ids, prompt->len, &sampling, take, w, &ticket, err);
    if (rc != LM_OK) {
        pthread_mutex_lock(&w->batch->lock);
        w->batch->running--;
        pthread_mutex_unlock(&w->batch->lock);
    }
    return rc;
}

static enum lm_rc ask_all(const struct lm_review_config *config, const struct lm_speaker *speaker,
                          const char *system, struct lm_engine *engine, struct waiting *waiting,
                          struct lm_answers *a, struct lm_err *err)
{
    struct lm_encoder *encoder = lm_encoder_new(speaker->tokenizer);
    struct lm_tokens prompt = { 0 };
    struct lm_progress progress = lm_progress_start("review: answers", "questions", a->questions.len);
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; i < a->questions.len && rc == LM_OK; i++) {
        wait_below(waiting[i].batch, RUNNING_MAX);
        if (lm_stop_asked()) {
            rc = lm_fail(err, LM_ESTOP, "review: asked to stop; nothing is kept");
            break;
        }
        rc = encode(encoder, system, &a->questions.items[i], false, &prompt, NULL, err);
        if (rc == LM_OK)
            rc = submit(engine, &prompt, (size_t)config->answer_tokens_max,
                        (size_t)speaker->model.config.context, &waiting[i], err);
        lm_progress_at(&progress, i + 1, a->name);
    }
    if (rc == LM_OK)
        wait_below(waiting[0].batch, 1);
    lm_progress_end(&progress, a->questions.len);
    lm_tokens_release(&prompt);
    lm_encoder_free(encoder);
    return rc;
}

static enum lm_rc generate(const struct lm_review_config *config, const struct lm_speaker *speaker,
                           const char *system, struct lm_answers *a, struct lm_err *err)
{
    struct batch batch = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
    LM_FREE struct waiting *waiting = lm_zalloc(a->questions.len, sizeof(*waiting));
    for (size_t i = 0; i < a->questions.len; i++)
        waiting[i] = (struct waiting){ &batch, &a->items[i] };
    struct lm_engine *engine = NULL;
    LM_TRY(lm_engine_new(&speaker->model, speaker->tokenizer, NULL, &engine, err));
    const enum lm_rc rc = ask_all(config, speaker, system, engine, waiting, a, err);
    lm_engine_free(engine);   // no sink is called from here on
    pthread_cond_destroy(&batch.changed);
    pthread_mutex_destroy(&batch.lock);
    return rc;
}

/* ---- loss ---- */

enum { SNAPSHOT, BASE, TOKENS, LOSS_STATS };

static double snapshot_loss(const struct lm_metric_config *config, const double *sums)
{
    (void)config;
    return sums[TOKENS] > 0 ? -sums[SNAPSHOT] / sums[TOKENS] : 0;
}

static double base_loss(const struct lm_metric_config *config, const double *sums)
{
    (void)config;
    return sums[TOKENS] > 0 ? -sums[BASE] / sums[TOKENS] : 0;
}

static double loss_ratio(const struct lm_metric_config *config, const double *sums)
{
    (void)config;
    return isfinite(sums[BASE]) && sums[BASE] < 0 ? sums[SNAPSHOT] / sums[BASE] : NAN;   // no gate holds
}

/* Sums of ln P over the answer's tokens, one column of stats. */
static enum lm_rc score_answers(const struct lm_speaker *speaker, const struct lm_tokenizer *tokenizer,
                                const char *system, const struct lm_questions *questions, size_t column,
                                double *stats, struct lm_err *err)
{
    struct lm_scorer *scorer = NULL;
    LM_TRY(lm_scorer_new(&speaker->model, &scorer, err));
    struct lm_encoder *encoder = lm_encoder_new(tokenizer);
    struct lm_tokens tokens = { 0 };
    struct lm_buf mask = { 0 };
    double *logs = NULL;
    size_t logs_cap = 0;
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; i < questions->len && rc == LM_OK; i++) {
        lm_buf_reset(&mask);
        rc = encode(encoder, system, &questions->items[i], true, &tokens, &mask, err);
        lm_grow(&logs, &logs_cap, tokens.len + 1, sizeof(*logs));
        if (rc == LM_OK)
            rc = lm_scorer_run(scorer, tokens.ids, tokens.len, logs, err);
        double *row = stats + i * LOSS_STATS;
        row[TOKENS] = 0;
        for (size_t k = 1; k < tokens.len && rc == LM_OK; k++)
            if (mask.ptr[k]) {
                row[column] += logs[k];
                row[TOKENS] += 1;
            }
    }
    free(logs);
    lm_buf_release(&mask);
    lm_tokens_release(&tokens);
    lm_encoder_free(encoder);
    lm_scorer_free(scorer);
    return rc;
}

static enum lm_rc judge_loss(const struct lm_review_config *config, const struct lm_speaker *speaker,
                             const struct lm_speaker *base, const char *system, struct lm_answers *a,
                             struct lm_err *err)
{
    const size_t count = a->questions.len, resamples = (size_t)config->resamples;
    const uint64_t seed = (uint64_t)config->seed;
    LM_FREE double *stats = lm_zalloc(count, LOSS_STATS * sizeof(*stats));
    LM_TRY(score_answers(speaker, speaker->tokenizer, system, &a->questions, SNAPSHOT, stats, err));
    LM_TRY(score_answers(base, speaker->tokenizer, system, &a->questions, BASE, stats, err));
    double sums[LOSS_STATS] = { 0 };
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < LOSS_STATS; k++)
            sums[k] += stats[i * LOSS_STATS + k];
    a->loss = (struct lm_answer_loss){
        .snapshot = snapshot_loss(NULL, sums),
        .base = base_loss(NULL, sums),
        .ratio = loss_ratio(NULL, sums),
        .snapshot_interval = lm_bootstrap(stats, count, LOSS_STATS, snapshot_loss, NULL, resamples, seed),
        .base_interval = lm_bootstrap(stats, count, LOSS_STATS, base_loss, NULL, resamples, seed),
        .ratio_interval = lm_bootstrap(stats, count, LOSS_STATS, loss_ratio, NULL, resamples, seed),
        .tokens = (uint64_t)sums[TOKENS],
    };
    char template[LM_CHAT_NAME];
    lm_chat_template_name(speaker->tokenizer, template);
    snprintf(a->loss.signature, LM_SIGNATURE_MAX,
             "answer-loss|unit:nats-per-token|template:%s|end:yes|system:%s|win:%lld|overlap:half|bs:%lld|"
             "seed:%lld|loom:%s",
             template, system ? "yes" : "no", (long long)speaker->model.config.context,
             (long long)config->resamples, (long long)config->seed, lm_version);
    return LM_OK;
}

/* ---- scores ---- */

static enum lm_rc judge_texts(const struct lm_review_config *config, struct lm_answers *a, struct lm_err *err)
{
    const size_t count = a->questions.len;
    LM_FREE struct lm_segment *segments = lm_zalloc(count, sizeof(*segments));
    LM_FREE double *each = lm_zalloc(count, sizeof(*each));
    for (size_t i = 0; i < count; i++)
        segments[i] =
            (struct lm_segment){ lm_buf_str(&a->items[i].text), &a->questions.items[i].reference, 1 };
    struct lm_metric_config metric_config = lm_metric_config_default();
    metric_config.resamples = config->resamples;
    metric_config.seed = config->seed;
    for (size_t m = 0; m < LM_ANSWER_METRICS; m++) {
        const struct lm_metric *metric = lm_metric_find(lm_answer_metrics[m].metric);
        LM_TRY(lm_metric_run(metric, &metric_config, segments, count, &a->scores[m], each, err));
        for (size_t i = 0; i < count && strcmp(metric->name, "rouge-l") == 0; i++)
            a->items[i].rouge_l = each[i];
    }
    for (size_t i = 0; i < count; i++) {
        a->empty += lm_str_trim(lm_buf_str(&a->items[i].text)).len == 0;
        a->cut += a->items[i].cut;
    }
    return LM_OK;
}

static enum lm_rc judge(const struct lm_review_config *config, const struct lm_speaker *base,
                        const struct lm_review_snapshot *snapshot, struct lm_answers *ret, struct lm_err *err)
{
    struct lm_speaker speaker = { 0 };
    enum lm_rc rc = lm_speaker_load(&speaker, snapshot->dir, err);
    if (rc == LM_OK &&
        memcmp(lm_tokenizer_sha256(speaker.tokenizer), lm_tokenizer_sha256(base->tokenizer), 32) != 0)
        rc = lm_fail(
            err, LM_EINVAL,
            "snapshot '%s' and the base model have different tokenizers: their losses cannot be compared",
            snapshot->name);
    memcpy(ret->fingerprint, speaker.fingerprint, sizeof(ret->fingerprint));
    if (rc == LM_OK)
        rc = generate(config, &speaker, snapshot->system, ret, err);
    if (rc == LM_OK)
        rc = judge_loss(config, &speaker, base, snapshot->system, ret, err);
    if (rc == LM_OK)
        rc = judge_texts(config, ret, err);
    lm_speaker_release(&speaker);
    return rc;
}

enum lm_rc lm_answers_judge(const struct lm_review_config *config, const struct lm_speaker *base,
                            const struct lm_review_snapshot *snapshot, const char *pairs_path,
                            struct lm_answers *ret, struct lm_err *err)
{
    ret->name = snapshot->name;
    LM_TRY(lm_questions_read(pairs_path, snapshot->pairs ? snapshot->pairs : snapshot->name,
                             (size_t)config->answers_max, &ret->questions, err));
    if (ret->questions.len == 0)
        return LM_OK;
    ret->items = lm_zalloc(ret->questions.len, sizeof(*ret->items));
    return judge(config, base, snapshot, ret, err);
}

void lm_answers_release(struct lm_answers *a)
{
    for (size_t i = 0; a->items && i < a->questions.len; i++)
        lm_buf_release(&a->items[i].text);
    free(a->items);
    lm_questions_release(&a->questions);
    *a = (struct lm_answers){ 0 };
}
