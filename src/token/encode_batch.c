/* token/encode_batch.c - many texts, or large ones, with several threads.
 *
 * Each thread has an encoder and one array of ids; a job is a text, or a part of a large one that breaks.h
 * has broken.  Jobs are handed out in order, and put together in order: nothing depends on the threads. */
#include "base/sys.h"
#include "token/plan.h"

#include <omp.h>

enum { JOB_BYTES = 1 << 20, JOB_MIN = JOB_BYTES / 4 };

struct job {
    size_t text, start, end;       // bytes of the text
    size_t thread, first, count;   // where its ids are
};

struct batch {
    const struct lm_tokenizer *t;
    const struct lm_str *texts;
    struct job *jobs;
    size_t count, cap;
};

static void add_jobs(struct batch *b, size_t index)
{
    const struct lm_str text = b->texts[index];
    for (size_t start = 0, end; start < text.len || start == 0; start = end) {
        end = text.len;
        if (text.len - start > JOB_BYTES + JOB_MIN)
            end = lm_breaks_next(&lm_token_plan(b->t)->breaks, text, start + JOB_BYTES);
        lm_grow(&b->jobs, &b->cap, b->count + 1, sizeof(*b->jobs));
        b->jobs[b->count++] = (struct job){ .text = index, .start = start, .end = end };
        if (end == text.len)
            break;
    }
}

static void put_together(const struct batch *b, const struct lm_tokens *parts, struct lm_tokens *ret,
                         size_t *ret_ends)
{
    size_t total = ret->len;
    LM_FREE size_t *places = lm_alloc((b->count + 1) * sizeof(*places));
    for (size_t i = 0; i < b->count; i++) {
        places[i] = total;
        total += b->jobs[i].count;
        if (ret_ends)
            ret_ends[b->jobs[i].text] = total;
    }
    lm_tokens_room(ret, total);
#pragma omp parallel for schedule(dynamic, 1) num_threads(lm_threads())
    for (size_t i = 0; i < b->count; i++)
        if (b->jobs[i].count > 0)
            memcpy(ret->ids + places[i], parts[b->jobs[i].thread].ids + b->jobs[i].first,
                   b->jobs[i].count * sizeof(*ret->ids));
    ret->len = total;
}

static void encode_alone(const struct batch *b, size_t count, bool allow_special, struct lm_tokens *ret,
                         size_t *ret_ends)
{
    struct lm_encoder *e = lm_encoder_new(b->t);
    for (size_t i = 0; i < count; i++) {
        lm_encode(e, b->texts[i], allow_special, ret);
        if (ret_ends)
            ret_ends[i] = ret->len;
    }
    lm_encoder_free(e);
}

void lm_encode_batch(const struct lm_tokenizer *t, const struct lm_str *texts, size_t count,
                     bool allow_special, struct lm_tokens *ret, size_t *ret_ends)
{
    struct batch b = { .t = t, .texts = texts };
    const size_t threads = (size_t)lm_threads();
    if (threads == 1) {
        encode_alone(&b, count, allow_special, ret, ret_ends);
        return;
    }
    for (size_t i = 0; i < count; i++)
        add_jobs(&b, i);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += texts[i].len;
    LM_FREE struct lm_tokens *parts = lm_zalloc(threads, sizeof(*parts));
#pragma omp parallel num_threads(lm_threads())
    {
        const size_t me = (size_t)omp_get_thread_num();
        struct lm_encoder *e = lm_encoder_new(t);
        lm_tokens_room(&parts[me], bytes / threads / 2);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < b.count; i++) {
            struct job *job = &b.jobs[i];
            const struct lm_str text = texts[job->text];
            job->thread = me;
            job->first = parts[me].len;
            lm_encode_part(e, text, job->start, job->end, allow_special, &parts[me]);
            job->count = parts[me].len - job->first;
        }
        lm_encoder_free(e);
    }
    put_together(&b, parts, ret, ret_ends);
    for (size_t i = 0; i < threads; i++)
        lm_tokens_release(&parts[i]);
    free(b.jobs);
}
