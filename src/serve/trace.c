#include "serve/trace.h"

#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>

struct sample {
    uint64_t user;
    enum lm_rule rule;
    double seconds;
};

struct lm_trace_ring {
    pthread_mutex_t lock;
    struct sample samples[LM_TRACES_MAX];
    size_t count;   // ever added
};

struct lm_trace_ring *lm_trace_ring_new(void)
{
    struct lm_trace_ring *ring = lm_zalloc(1, sizeof(*ring));
    pthread_mutex_init(&ring->lock, NULL);
    return ring;
}

void lm_trace_ring_free(struct lm_trace_ring *ring)
{
    if (!ring)
        return;
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}

void lm_trace_ring_add(struct lm_trace_ring *ring, const char *user, enum lm_rule rule, double seconds)
{
    LM_ASSERT(rule < LM_RULE_COUNT);
    pthread_mutex_lock(&ring->lock);
    ring->samples[ring->count++ % LM_TRACES_MAX] =
        (struct sample){ .user = lm_hash64(user, strlen(user)), .rule = rule, .seconds = seconds };
    pthread_mutex_unlock(&ring->lock);
}

static int by_seconds(const void *a, const void *b)
{
    const double x = ((const struct sample *)a)->seconds, y = ((const struct sample *)b)->seconds;
    return (x > y) - (x < y);
}

static int by_user(const void *a, const void *b)
{
    const uint64_t x = ((const struct sample *)a)->user, y = ((const struct sample *)b)->user;
    return (x > y) - (x < y);
}

struct lm_trace_group lm_trace_ring_group(struct lm_trace_ring *ring, enum lm_rule rule)
{
    struct sample *chosen = lm_zalloc(LM_TRACES_MAX, sizeof(*chosen));
    struct lm_trace_group group = { 0 };
    pthread_mutex_lock(&ring->lock);
    const size_t held = ring->count < LM_TRACES_MAX ? ring->count : LM_TRACES_MAX;
    for (size_t i = 0; i < held; i++)
        if (rule == LM_RULE_COUNT || ring->samples[i].rule == rule)
            chosen[group.requests++] = ring->samples[i];
    pthread_mutex_unlock(&ring->lock);

    qsort(chosen, group.requests, sizeof(*chosen), by_user);
    for (size_t i = 0; i < group.requests; i++)
        group.persons += i == 0 || chosen[i].user != chosen[i - 1].user;
    qsort(chosen, group.requests, sizeof(*chosen), by_seconds);
    if (group.requests) {
        group.p50_s = chosen[(group.requests - 1) / 2].seconds;
        group.p95_s = chosen[(group.requests - 1) * 95 / 100].seconds;
        group.max_s = chosen[group.requests - 1].seconds;
    }
    free(chosen);
    return group;
}
