#ifndef LM_TEST_THREAD_RANKS_H
#define LM_TEST_THREAD_RANKS_H
/* tests/train/thread_ranks.h - ranks that are threads of the test: a transport without MPI.
 *
 * A message is copied when it is sent.  Its receiver gets it only after some more questions: so transfers end
 * in an order that is not theirs, as on a network. */

#include "train/ranks.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREAD_RANKS_MAX = 8 };

struct thread_message {
    struct thread_message *next;
    size_t number, bytes;
    char data[];
};

struct thread_world {
    pthread_mutex_t lock;
    struct thread_message *messages[THREAD_RANKS_MAX][THREAD_RANKS_MAX];   // [to][from]
    size_t sent[THREAD_RANKS_MAX][THREAD_RANKS_MAX];
};

struct thread_receive {
    struct thread_receive *next;
    void *data;
    size_t bytes, number;
    int from;
    unsigned patience;
    bool done, failed;
};

struct thread_rank {
    struct thread_world *world;
    int rank;
    size_t asked[THREAD_RANKS_MAX];   // receives, by sender
    struct thread_receive *receives;
    unsigned turn;
};

static inline void thread_send(void *state, int to, const void *data, size_t bytes,
                               union lm_ranks_request *ret)
{
    struct thread_rank *r = state;
    struct thread_message *m = lm_alloc(sizeof *m + bytes);
    memcpy(m->data, data, bytes);
    m->bytes = bytes;
    pthread_mutex_lock(&r->world->lock);
    m->number = r->world->sent[to][r->rank]++;
    m->next = r->world->messages[to][r->rank];
    r->world->messages[to][r->rank] = m;
    pthread_mutex_unlock(&r->world->lock);
    ret->ptr = NULL;
}

static inline void thread_receive(void *state, int from, void *data, size_t bytes,
                                  union lm_ranks_request *ret)
{
    struct thread_rank *r = state;
    struct thread_receive *q = lm_alloc(sizeof *q);
    *q = (struct thread_receive){ .next = r->receives, .data = data, .bytes = bytes, .from = from };
    q->number = r->asked[from]++;
    q->patience = r->turn++ * 7 % 5;
    r->receives = q;
    ret->ptr = q;
}

static inline enum lm_ranks_progress thread_done(void *state, union lm_ranks_request *request)
{
    struct thread_rank *r = state;
    struct thread_receive *q = request->ptr;
    if (!q || q->done)
        return q && q->failed ? LM_RANKS_FAILED : LM_RANKS_DONE;
    if (q->patience > 0) {
        q->patience--;
        return LM_RANKS_PENDING;
    }
    pthread_mutex_lock(&r->world->lock);
    struct thread_message **at = &r->world->messages[r->rank][q->from];
    while (*at && (*at)->number != q->number)
        at = &(*at)->next;
    struct thread_message *m = *at;
    if (m)
        *at = m->next;
    pthread_mutex_unlock(&r->world->lock);
    if (!m)
        return LM_RANKS_PENDING;
    q->done = true;
    q->failed = m->bytes != q->bytes;
    if (!q->failed)
        memcpy(q->data, m->data, m->bytes);
    free(m);
    return q->failed ? LM_RANKS_FAILED : LM_RANKS_DONE;
}

static inline void thread_close(void *state, bool together)
{
    struct thread_rank *r = state;
    (void)together;
    while (r->receives) {
        struct thread_receive *q = r->receives;
        r->receives = q->next;
        free(q);
    }
}

static const struct lm_ranks_ops thread_ops = { sizeof thread_ops, thread_send, thread_receive, thread_done,
                                                thread_close };

/* What a rank does; its result and the error of all end in the job. */
struct thread_job {
    void (*run)(struct thread_job *job);
    struct lm_ranks ranks;
    void *given;
    enum lm_rc rc;
    struct lm_err err;
    /* private */
    struct thread_rank state;
    int rank, count;
};

static inline void *thread_main(void *p)
{
    struct thread_job *job = p;
    job->rc = lm_ranks_init(&job->ranks, &thread_ops, &job->state, job->rank, job->count, &job->err);
    if (job->rc == LM_OK)
        job->run(job);
    job->rc = lm_ranks_close(&job->ranks, job->rc, &job->err);
    return NULL;
}

/* Runs `count` ranks to their end.  Nothing may be left unread. */
static inline bool run_ranks(int count, void (*run)(struct thread_job *), void *given,
                             struct thread_job jobs[THREAD_RANKS_MAX])
{
    struct thread_world world = { .lock = PTHREAD_MUTEX_INITIALIZER };
    pthread_t threads[THREAD_RANKS_MAX];
    bool clean = true;
    for (int i = 0; i < count; i++) {
        jobs[i] = (struct thread_job){ .run = run,
                                       .given = given,
                                       .state = { &world, i, { 0 }, NULL, (unsigned)i },
                                       .rank = i,
                                       .count = count };
        if (pthread_create(&threads[i], NULL, thread_main, &jobs[i]) != 0)
            abort();
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    for (int to = 0; to < count; to++)
        for (int from = 0; from < count; from++)
            for (struct thread_message *m = world.messages[to][from], *next; m; m = next) {
                next = m->next;
                clean = false;
                free(m);
            }
    return clean;
}

#endif
