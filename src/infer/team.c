#include "infer/team.h"

#include "base/err.h"
#include "base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#ifdef __x86_64__
#include <immintrin.h>
#define relax() _mm_pause()
#else
#define relax() ((void)0)
#endif

enum { SPINS = 2000 };   // about 20 to 40 us on current processors

/* Each worker has a range of neighbouring chunks, so that it reads a matrix in one go; who is done with his
 * own takes from the others.  A claim holds the range's end in its upper half and the next free chunk in its
 * lower half.  Whoever raises the lower half by compare-and-swap owns that chunk of the job that is current
 * at that moment; a thread that was away for any time can do no harm, because its swap fails or wins a chunk
 * that is really free.  job and context change only while all chunks are done.
 *
 * Between two processors a cache line travels for 100 to 200 ns, and a job is 5 to 50 us: so a worker finds
 * all it needs in one line, and counts what it has done in another that only it writes. */
struct claim {
    _Alignas(64) _Atomic uint64_t range;
    lm_team_job *job;
    void *context;
};

struct tally {
    _Alignas(64) _Atomic size_t done;   // chunks this worker has run since the team was made
};

struct lm_team {
    struct claim *claims;    // one for each worker
    struct tally *tallies;   // the same
    size_t given;            // chunks of all jobs so far
    size_t size;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic size_t sleepers;
    _Atomic int stop;
    pthread_t *threads;
    struct seat *seats;
};

struct seat {
    struct lm_team *team;
    size_t worker;
};

static bool has_chunk(uint64_t claim)
{
    return (uint32_t)claim < claim >> 32;
}

/* Takes and runs one chunk of a range; false if there is none. */
static bool run_from(struct lm_team *t, struct claim *c, size_t worker)
{
    uint64_t claim = atomic_load_explicit(&c->range, memory_order_acquire);
    while (has_chunk(claim))
        if (atomic_compare_exchange_weak_explicit(&c->range, &claim, claim + 1, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            c->job(c->context, (uint32_t)claim, worker);
            _Atomic size_t *done = &t->tallies[worker].done;
            atomic_store_explicit(done, atomic_load_explicit(done, memory_order_relaxed) + 1,
                                  memory_order_release);
            return true;
        }
    return false;
}

static bool run_one(struct lm_team *t, size_t worker)
{
    for (size_t i = 0; i < t->size; i++)
        if (run_from(t, &t->claims[(worker + i) % t->size], worker))
            return true;
    return false;
}

static bool all_done(const struct lm_team *t)
{
    size_t done = 0;
    for (size_t i = 0; i < t->size; i++)
        done += atomic_load_explicit(&t->tallies[i].done, memory_order_acquire);
    return done == t->given;
}

static bool has_any(struct lm_team *t)
{
    for (size_t i = 0; i < t->size; i++)
        if (has_chunk(atomic_load(&t->claims[i].range)))
            return true;
    return false;
}

static size_t first_chunk(const struct lm_team *t, size_t chunk_count, size_t worker)
{
    return chunk_count * worker / t->size;
}

/* ---- waiting ---- */

/* Sequentially consistent on both sides: either the sleeper sees a new claim, or lm_team_run sees the
 * sleeper.
 */
static void sleep_until_work(struct lm_team *t)
{
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->sleepers, 1);
    while (!has_any(t) && !atomic_load(&t->stop))
        pthread_cond_wait(&t->wake, &t->lock);
    atomic_fetch_sub(&t->sleepers, 1);
    pthread_mutex_unlock(&t->lock);
}

static void *worker_main(void *arg)
{
    struct seat *seat = arg;
    struct lm_team *t = seat->team;
    size_t idle = 0;
    pthread_mutex_lock(&t->lock);   // until the team's size is known
    pthread_mutex_unlock(&t->lock);
    while (!atomic_load_explicit(&t->stop, memory_order_relaxed)) {
        if (run_one(t, seat->worker)) {
            idle = 0;
        } else if (++idle < SPINS) {
            relax();
        } else {
            sleep_until_work(t);
            idle = 0;
        }
    }
    return NULL;
}

struct lm_team *lm_team_new(size_t size)
{
    LM_ASSERT(size >= 1);

    struct lm_team *t = lm_zalloc(1, sizeof *t);
    t->claims = lm_slab_alloc(size * sizeof *t->claims);
    t->tallies = lm_slab_alloc(size * sizeof *t->tallies);
    t->threads = lm_zalloc(size, sizeof *t->threads);
    t->seats = lm_zalloc(size, sizeof *t->seats);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    pthread_mutex_lock(&t->lock);
    for (t->size = 1; t->size < size; t->size++) {
        t->seats[t->size] = (struct seat){ t, t->size };
        if (pthread_create(&t->threads[t->size], NULL, worker_main, &t->seats[t->size]) != 0)
            break;   // fewer hands, same result
    }
    pthread_mutex_unlock(&t->lock);
    return t;
}

void lm_team_free(struct lm_team *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    atomic_store(&t->stop, 1);
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 1; i < t->size; i++)
        pthread_join(t->threads[i], NULL);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    free(t->claims);
    free(t->tallies);
    free(t->threads);
    free(t->seats);
    free(t);
}

size_t lm_team_size(const struct lm_team *t)
{
    return t->size;
}

void lm_team_run(struct lm_team *t, size_t chunk_count, lm_team_job *job, void *context)
{
    LM_DASSERT(chunk_count < (size_t)1 << 31);

    if (t->size == 1 || chunk_count <= 1) {
        for (size_t i = 0; i < chunk_count; i++)
            job(context, i, 0);
        return;
    }
    t->given += chunk_count;
    for (size_t i = t->size; i-- > 0;) {   // our own last
        struct claim *c = &t->claims[i];
        c->job = job;
        c->context = context;
        atomic_store(&c->range,
                     (uint64_t)first_chunk(t, chunk_count, i + 1) << 32 | first_chunk(t, chunk_count, i));
    }
    if (atomic_load(&t->sleepers) > 0) {
        pthread_mutex_lock(&t->lock);
        pthread_cond_broadcast(&t->wake);
        pthread_mutex_unlock(&t->lock);
    }
    while (run_one(t, 0))
        ;
    for (size_t spins = 0; !all_done(t); spins++) {
        if (spins < SPINS)
            relax();
        else
            sched_yield();   // somebody else has the processor that our last chunk waits for
    }
}
