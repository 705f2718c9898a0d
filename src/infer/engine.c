/* The scheduler: a queue of requests, the running ones, and the thread that takes step after step. */
#include "infer/engine.h"

#include "base/mem.h"
#include "infer/forward.h"
#include "infer/prefix.h"
#include "infer/request.h"

#include <pthread.h>
#include <stdlib.h>

enum { SEQUENCES_DEFAULT = 16, QUEUE_DEFAULT = 64, PREFILL_DEFAULT = 64 };

struct lm_engine {
    struct lm_engine_config config;   // with the defaults filled in
    struct lm_request_world world;
    pthread_t thread;

    pthread_mutex_t lock;   // guards from here ...
    pthread_cond_t wake;    // something was submitted or cancelled, or it is time to stop
    struct lm_request *queue, **queue_end;
    size_t queue_len;
    struct lm_request **running;   // sequences_max places; changed by the engine thread only
    size_t running_count;
    uint64_t last_ticket;
    struct lm_engine_stats stats;
    bool cancel_asked, stop;   // ... to here

    /* The engine thread's own. */
    struct lm_forward *forward;
    struct lm_prefix *prefix;   // hands out the blocks of the cache
    struct lm_forward_row *rows;
    struct lm_request **sampled;   // requests of the rows with logits, in their order
    struct lm_choice *choices;
    struct lm_sample_scratch *scratch;   // per worker
    struct lm_request_text text;
    size_t row_count, sampled_count, prefill_count;
    uint64_t prefix_queries, prefix_hits;   // since the engine began
    const float *logits;
    size_t stride;
};

/* ---- submitting and cancelling, from any thread ---- */

enum lm_rc lm_engine_submit(struct lm_engine *e, const uint32_t *prompt, size_t prompt_len,
                            const struct lm_sampling *sampling, lm_engine_sink *sink, void *user,
                            uint64_t *ret_ticket, struct lm_err *err)
{
    LM_ASSERT(sink);

    struct lm_request *r;
    LM_TRY(lm_request_new(&e->world, prompt, prompt_len, sampling, sink, user, &r, err));
    pthread_mutex_lock(&e->lock);
    const bool full = e->queue_len >= e->config.queue_max;
    if (!full) {
        r->ticket = ++e->last_ticket;
        if (ret_ticket)
            *ret_ticket = r->ticket;
        *e->queue_end = r;
        e->queue_end = &r->next;
        e->queue_len++;
        pthread_cond_signal(&e->wake);
    }
    pthread_mutex_unlock(&e->lock);
    if (!full)
        return LM_OK;
    lm_request_free(r);
    return lm_fail(err, LM_ELIMIT, "the queue is full: %zu requests wait already", e->config.queue_max);
}

void lm_engine_cancel(struct lm_engine *e, uint64_t ticket)
{
    pthread_mutex_lock(&e->lock);
    struct lm_request *found = NULL;
    for (size_t i = 0; i < e->running_count; i++)
        if (e->running[i]->ticket == ticket)
            found = e->running[i];
    for (struct lm_request *r = e->queue; r && !found; r = r->next)
        if (r->ticket == ticket)
            found = r;
    if (found) {
        found->cancelled = true;
        e->cancel_asked = true;
        pthread_cond_signal(&e->wake);
    }
    pthread_mutex_unlock(&e->lock);
}

struct lm_engine_stats lm_engine_stats(struct lm_engine *e)
{
    pthread_mutex_lock(&e->lock);
    struct lm_engine_stats stats = e->stats;
    stats.running = e->running_count;
    stats.waiting = e->queue_len;
    pthread_mutex_unlock(&e->lock);
    return stats;
}

/* ---- between steps, under the lock ---- */

static void note_usage(struct lm_engine *e)
{
    const struct lm_kv_pool *kv = lm_forward_kv(e->forward);
    e->stats.kv_usage = 1 - (double)lm_prefix_unused(e->prefix) / (double)kv->block_count;
    e->stats.prefix_queries = e->prefix_queries;
    e->stats.prefix_hits = e->prefix_hits;
}

/* Takes cancelled requests out of the queue and of the running ones; returns them as a list.  `all`:
 * everybody. */
static struct lm_request *take_cancelled(struct lm_engine *e, bool all)
{
    struct lm_request *list = NULL, **list_end = &list;
    size_t kept = 0;
    for (size_t i = 0; i < e->running_count; i++) {
        struct lm_request *r = e->running[i];
        if (!all && !r->cancelled) {
            e->running[kept++] = r;
            continue;
        }
        lm_prefix_give(e->prefix, &r->table);
        *list_end = r;
        list_end = &r->next;
    }
    e->running_count = kept;
    struct lm_request **at = &e->queue;
    while (*at) {
        struct lm_request *r = *at;
        if (!all && !r->cancelled) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        e->queue_len--;
        *list_end = r;
        list_end = &r->next;
    }
    e->queue_end = at;
    *list_end = NULL;
    e->cancel_asked = false;
    return list;
}

/* Positions of shared blocks are in the cache already, whoever computed them. */
static void skip_shared(struct lm_engine *e, struct lm_request *r)
{
    const size_t known = r->table.shared * LM_KV_TOKENS;
    if (known <= r->cached)
        return;
    e->prefix_hits += known - r->cached;
    r->cached = known;
}

/* First come, first served: who waits for memory is not overtaken.  A request gets all its blocks at once, so
 * nobody has to be thrown out later. */
static void admit(struct lm_engine *e)
{
    while (e->queue && e->running_count < e->config.sequences_max &&
           lm_prefix_take(e->prefix, &e->queue->table)) {
        struct lm_request *r = e->queue;
        e->queue = r->next;
        if (!e->queue)
            e->queue_end = &e->queue;
        r->next = NULL;
        e->queue_len--;
        e->running[e->running_count++] = r;
        e->prefix_queries += r->prompt_len;
        skip_shared(e, r);
    }
}

/* ---- one step ---- */

static bool is_decoding(const struct lm_request *r)
{
    return r->len > r->prompt_len;
}

static void add_rows(struct lm_engine *e, struct lm_request *r, size_t count)
{
    for (size_t i = 0; i < count; i++, r->cached++)
        e->rows[e->row_count++] = (struct lm_forward_row){
            .token = r->tokens[r->cached],
            .position = (uint32_t)r->cached,
            .blocks = r->table.blocks,
            .wants_logits = r->cached + 1 == r->len,
        };
    if (r->cached == r->len)
        e->sampled[e->sampled_count++] = r;
    r->steps_waited = 0;
}

/* The shortest rest first, so that short prompts need not wait for long ones; each step in vain counts like
 * some tokens less, so that long ones come to their turn. */
static struct lm_request *next_prefill(const struct lm_engine *e)
{
    struct lm_request *best = NULL;
    int64_t best_rank = 0;
    for (size_t i = 0; i < e->running_count; i++) {
        struct lm_request *r = e->running[i];
        if (r->cached == r->len || is_decoding(r))
            continue;
        const int64_t rest = (int64_t)(r->len - r->cached);
        const int64_t rank = rest - (int64_t)(r->steps_waited * (1 + e->config.prefill_tokens / 4));
        if (!best || rank < best_rank)
            best = r, best_rank = rank;
    }
    return best;
}

static void plan(struct lm_engine *e)
{
    e->row_count = e->sampled_count = 0;
    for (size_t i = 0; i < e->running_count; i++) {
        if (is_decoding(e->running[i]))
            add_rows(e, e->running[i], 1);
        else
            e->running[i]->steps_waited++;
    }
    size_t left = e->config.prefill_tokens;
    for (struct lm_request *r; left > 0 && (r = next_prefill(e));) {
        lm_prefix_follow(e->prefix, &r->table);   // what a prompt like it has left behind meanwhile
        skip_shared(e, r);
        const size_t rest = r->len - r->cached, count = rest < left ? rest : left;
        add_rows(e, r, count);
        left -= count;
    }
    e->prefill_count = e->config.prefill_tokens - left;
}

static void sample_row(void *context, size_t chunk, size_t worker)
{
    const struct lm_engine *e = context;
    lm_request_sample(&e->world, e->sampled[chunk], e->logits + chunk * e->stride, &e->scratch[worker],
                      &e->choices[chunk]);
}

/* Takes a finished request out of the running ones: when its owner hears of the end, its place is free. */
static void retire(struct lm_engine *e, struct lm_request *r)
{
    lm_prefix_give(e->prefix, &r->table);
    pthread_mutex_lock(&e->lock);
    size_t kept = 0;
    for (size_t i = 0; i < e->running_count; i++)
        if (e->running[i] != r)
            e->running[kept++] = e->running[i];
    e->running_count = kept;
    note_usage(e);
    pthread_mutex_unlock(&e->lock);
}

static void publish(struct lm_engine *e)
{
    for (size_t i = 0; i < e->running_count; i++)
        lm_prefix_publish(e->prefix, &e->running[i]->table, e->running[i]->cached);
}

static void count_step(struct lm_engine *e)
{
    size_t tokens = 0;
    for (size_t i = 0; i < e->sampled_count; i++)
        tokens += !e->choices[i].none;
    pthread_mutex_lock(&e->lock);
    e->stats.steps++;
    e->stats.prompt_tokens += e->prefill_count;
    e->stats.completion_tokens += tokens;
    pthread_mutex_unlock(&e->lock);
}

static void step(struct lm_engine *e)
{
    plan(e);
    LM_ASSERT(e->row_count > 0);   // whoever runs has a token that is not in the cache
    e->logits = lm_forward_run(e->forward, e->rows, e->row_count, &e->stride);
    publish(e);
    lm_team_run(lm_forward_team(e->forward), e->sampled_count, sample_row, e);
    count_step(e);
    for (size_t i = 0; i < e->sampled_count; i++) {
        struct lm_request *r = e->sampled[i];
        struct lm_engine_event event;
        lm_request_accept(&e->world, r, &e->choices[i], &e->text, &event);
        if (event.finish != LM_FINISH_NONE)
            retire(e, r);
        r->sink(r->user, &event);
        if (event.finish != LM_FINISH_NONE)
            lm_request_free(r);
    }
}

/* ---- the thread ---- */

static void tell_cancelled(struct lm_request *list)
{
    while (list) {
        struct lm_request *next = list->next;
        lm_request_tell_cancelled(list);
        lm_request_free(list);
        list = next;
    }
}

static void *engine_main(void *arg)
{
    struct lm_engine *e = arg;
    bool stop = false;
    while (!stop) {
        pthread_mutex_lock(&e->lock);
        while (!e->stop && !e->queue && e->running_count == 0)
            pthread_cond_wait(&e->wake, &e->lock);
        stop = e->stop;
        struct lm_request *cancelled = stop || e->cancel_asked ? take_cancelled(e, stop) : NULL;
        admit(e);
        note_usage(e);
        const bool work = e->running_count > 0;
        pthread_mutex_unlock(&e->lock);
        tell_cancelled(cancelled);
        if (work)
            step(e);
    }
    return NULL;
}

/* ---- making and freeing ---- */

static size_t or_default(size_t value, size_t fallback)
{
    return value > 0 ? value : fallback;
}

static void make_scratch(struct lm_engine *e)
{
    const struct lm_engine_config *c = &e->config;
    const size_t workers = lm_team_size(lm_forward_team(e->forward));
    e->running = lm_zalloc(c->sequences_max, sizeof *e->running);
    e->rows = lm_zalloc(c->sequences_max + c->prefill_tokens, sizeof *e->rows);
    e->sampled = lm_zalloc(c->sequences_max, sizeof *e->sampled);
    e->choices = lm_zalloc(c->sequences_max, sizeof *e->choices);
    e->scratch = lm_zalloc(workers, sizeof *e->scratch);
    for (size_t i = 0; i < workers; i++)
        lm_sample_scratch_init(&e->scratch[i], e->world.vocab);
    lm_buf_space(&e->text.piece, e->world.piece_bytes_max);
    lm_buf_space(&e->text.text, 2 * e->world.piece_bytes_max + LM_STOP_BYTES_MAX);
}

/* A request must fit the cache even when it is alone. */
static enum lm_rc configure(struct lm_engine *e, const struct lm_model *model,
                            const struct lm_engine_config *config, struct lm_err *err)
{
    enum { SEQUENCES_MAX = 1 << 12, PREFILL_MAX = 1 << 16 };
    const size_t context = (size_t)model->config.context;
    struct lm_engine_config *c = &e->config;
    *c = config ? *config : (struct lm_engine_config){ 0 };
    c->sequences_max = or_default(c->sequences_max, SEQUENCES_DEFAULT);
    c->queue_max = or_default(c->queue_max, QUEUE_DEFAULT);
    c->prefill_tokens = or_default(c->prefill_tokens, PREFILL_DEFAULT);
    if (c->sequences_max > SEQUENCES_MAX || c->prefill_tokens > PREFILL_MAX)
        return lm_fail(err, LM_EINVAL, "%zu sequences or %zu prefill tokens per step are more than %d and %d",
                       c->sequences_max, c->prefill_tokens, SEQUENCES_MAX, PREFILL_MAX);
    c->kv_tokens_max = or_default(c->kv_tokens_max, c->sequences_max * context);
    return LM_OK;
}

enum lm_rc lm_engine_new(const struct lm_model *model, const struct lm_tokenizer *tokenizer,
                         const struct lm_engine_config *config, struct lm_engine **ret, struct lm_err *err)
{
    struct lm_engine *e = lm_zalloc(1, sizeof *e);
    e->queue_end = &e->queue;
    enum lm_rc rc = configure(e, model, config, err);
    const struct lm_engine_config *c = &e->config;
    if (rc == LM_OK) {
        const struct lm_forward_config forward = {
            .rows_max = c->sequences_max + c->prefill_tokens,
            .logits_max = c->sequences_max,
            .kv_tokens = c->kv_tokens_max,
            .kv_type = c->kv_type,
        };
        rc = lm_forward_new(model, &forward, &e->forward, err);
    }
    if (rc != LM_OK) {
        free(e);
        return rc;
    }
    const size_t context = (size_t)model->config.context;
    lm_request_world_init(&e->world, model, tokenizer,
                          c->kv_tokens_max < context ? c->kv_tokens_max : context);
    e->prefix = lm_prefix_new(lm_forward_kv(e->forward), !c->share_nothing);
    make_scratch(e);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->wake, NULL);
    if (pthread_create(&e->thread, NULL, engine_main, e) != 0) {
        rc = lm_fail(err, LM_EIO, "cannot start the engine thread");
        e->stop = true;   // and there is none to join
    }
    if (rc != LM_OK) {
        lm_engine_free(e);
        return rc;
    }
    *ret = e;
    return LM_OK;
}

void lm_engine_free(struct lm_engine *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    const bool runs = !e->stop;
    e->stop = true;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
    if (runs)
        pthread_join(e->thread, NULL);
    for (size_t i = 0; i < lm_team_size(lm_forward_team(e->forward)); i++)
        lm_sample_scratch_release(&e->scratch[i]);
    lm_prefix_free(e->prefix);
    lm_forward_free(e->forward);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->lock);
    lm_buf_release(&e->text.piece);
    lm_buf_release(&e->text.text);
    free(e->running);
    free(e->rows);
    free(e->sampled);
    free(e->choices);
    free(e->scratch);
    free(e);
}

/* ---- one request, waited for ---- */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t done;
    struct lm_buf *text;
    enum lm_finish finish;
    const char *error;
};

static void collect(void *user, const struct lm_engine_event *event)
{
    struct waiter *w = user;
    lm_buf_add_str(w->text, event->text);
    if (event->finish == LM_FINISH_NONE)
        return;
    pthread_mutex_lock(&w->lock);
    w->finish = event->finish;
    w->error = event->error;
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

enum lm_rc lm_engine_complete(struct lm_engine *e, const uint32_t *prompt, size_t prompt_len,
                              const struct lm_sampling *sampling, struct lm_buf *ret_text,
                              enum lm_finish *ret_finish, struct lm_err *err)
{
    struct waiter w = { .text = ret_text };
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.done, NULL);
    enum lm_rc rc = lm_engine_submit(e, prompt, prompt_len, sampling, collect, &w, NULL, err);
    if (rc == LM_OK) {
        pthread_mutex_lock(&w.lock);
        while (w.finish == LM_FINISH_NONE)
            pthread_cond_wait(&w.done, &w.lock);
        pthread_mutex_unlock(&w.lock);
        if (w.finish == LM_FINISH_ERROR)
            rc = lm_fail(err, LM_EINVAL, "%s", w.error);
        else if (ret_finish)
            *ret_finish = w.finish;
    }
    pthread_cond_destroy(&w.done);
    pthread_mutex_destroy(&w.lock);
    return rc;
}
