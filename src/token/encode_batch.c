/* token/encode_batch.c - many texts, or large ones, with several threads.
 *
 * Each thread has an encoder, and all of them know what one has learned; a job is a text, or a part of a
 * large one that breaks.h has broken.  Jobs are handed out in order, and put together in order: nothing
 * depends on the threads.
 *
 * The ids of a job are copied behind those of the jobs before it as soon as these are done, by the thread
 * that makes it so, and their memory serves the next job: it is still in the caches, and touched once. */
#include "base/sys.h"
#include "token/encode_impl.h"

#include <omp.h>
#include <pthread.h>
#ifdef __x86_64__
#include <emmintrin.h>
#endif

enum { JOB_BYTES = 1 << 18, JOB_MIN = JOB_BYTES / 4 };

struct job {
    size_t text, start, end;   // bytes of the text
    struct lm_tokens ids;      // from when it is done until they are copied
    size_t place, count;       // of its ids among all
    bool done;
};

struct batch {
    const struct lm_tokenizer *t;
    const struct lm_str *texts;
    size_t bytes;   // of all texts
    struct job *jobs;
    size_t count, cap;
    /* What follows belongs to who holds the lock. */
    pthread_mutex_t lock;
    size_t settled, place;    // jobs that are done and have all been before; their ids
    bool roomy;               // ret has room
    struct lm_tokens *free;   // memory of copied jobs
    size_t free_count, free_cap;
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

static struct lm_tokens memory_of_another(struct batch *b)
{
    struct lm_tokens ids = { 0 };
    pthread_mutex_lock(&b->lock);
    if (b->free_count > 0)
        ids = b->free[--b->free_count];
    pthread_mutex_unlock(&b->lock);
    ids.len = 0;
    return ids;
}

/* Past the caches, which then keep what encoding needs: nobody reads these ids soon. */
static void copy_ids(const struct job *job, struct lm_tokens *ret)
{
    const uint32_t *from = job->ids.ids;
    uint32_t *to = ret->ids + job->place;
    size_t count = job->count;
#ifdef __x86_64__
    enum { AT_ONCE = sizeof(__m128i) / sizeof(*from) };
    for (; count > 0 && (uintptr_t)to % sizeof(__m128i); count--)
        *to++ = *from++;
    for (; count >= AT_ONCE; count -= AT_ONCE, to += AT_ONCE, from += AT_ONCE)
        _mm_stream_si128((__m128i *)to, _mm_loadu_si128((const __m128i *)from));
    _mm_sfence();
#endif
    if (count > 0)
        memcpy(to, from, count * sizeof(*to));
}

/* Room for all ids, if all text is like that of the first job done, and somewhat more. */
static void make_room(struct batch *b, const struct job *job, struct lm_tokens *ret)
{
    const size_t bytes = job->end - job->start + 1;
    const double share = (double)job->count / (double)bytes * 1.125;
    lm_tokens_room(ret, ret->len + (size_t)((double)b->bytes * share));
    b->roomy = true;
}

/* Gives places to all jobs that now have none undone before them, and copies those that ret has room for. */
static void settle(struct batch *b, struct job *job, struct lm_tokens *ret)
{
    pthread_mutex_lock(&b->lock);
    const size_t from = b->settled;
    if (!b->roomy && job->count > 0)
        make_room(b, job, ret);
    job->done = true;
    for (; b->settled < b->count && b->jobs[b->settled].done; b->settled++) {
        b->jobs[b->settled].place = b->place;
        b->place += b->jobs[b->settled].count;
    }
    const size_t to = b->settled, room = ret->cap;
    pthread_mutex_unlock(&b->lock);
    for (size_t i = from; i < to && b->jobs[i].place + b->jobs[i].count <= room; i++) {
        copy_ids(&b->jobs[i], ret);
        pthread_mutex_lock(&b->lock);
        lm_grow(&b->free, &b->free_cap, b->free_count + 1, sizeof(*b->free));
        b->free[b->free_count++] = b->jobs[i].ids;
        pthread_mutex_unlock(&b->lock);
        b->jobs[i].ids = (struct lm_tokens){ 0 };
    }
}

/* What ret had no room for, and the end of each text. */
static void put_together(struct batch *b, struct lm_tokens *ret, size_t *ret_ends)
{
    size_t left = 0;
    for (; left < b->count && b->jobs[left].place + b->jobs[left].count <= ret->cap; left++)
        ret->len = b->jobs[left].place + b->jobs[left].count;   // which stays when ret grows
    lm_tokens_room(ret, b->place);
    for (size_t i = 0; i < b->count; i++) {
        if (i >= left)
            copy_ids(&b->jobs[i], ret);
        lm_tokens_release(&b->jobs[i].ids);
        if (ret_ends)
            ret_ends[b->jobs[i].text] = b->jobs[i].place + b->jobs[i].count;
    }
    ret->len = b->place;
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
    for (size_t i = 0; i < count; i++) {
        add_jobs(&b, i);
        b.bytes += texts[i].len;
    }
    b.place = ret->len;
    pthread_mutex_init(&b.lock, NULL);
    struct lm_encoder *first = lm_encoder_new(t);
    lm_cache_expect(&first->cache, b.bytes);
#pragma omp parallel num_threads(lm_threads())
    {
        struct lm_encoder *e = omp_get_thread_num() == 0 ? first : lm_encoder_beside(first);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < b.count; i++) {
            struct job *job = &b.jobs[i];
            struct lm_tokens ids = memory_of_another(&b);
            lm_encode_part(e, texts[job->text], job->start, job->end, allow_special, &ids);
            job->ids = ids;
            job->count = ids.len;
            settle(&b, job, ret);
        }
        if (e != first)
            lm_encoder_free(e);
    }
    lm_encoder_free(first);
    put_together(&b, ret, ret_ends);
    for (size_t i = 0; i < b.free_count; i++)
        lm_tokens_release(&b.free[i]);
    pthread_mutex_destroy(&b.lock);
    free(b.free);
    free(b.jobs);
}
