#ifndef LM_SERVE_TRACE_H
#define LM_SERVE_TRACE_H
/* serve/trace.h - the newest requests in memory, to be shown in aggregate only.
 *
 * Holds rule, seconds and a hash of the user; no text.  Any thread. */

#include "govern/govern.h"

enum { LM_TRACES_MAX = 1024 };

struct lm_trace_ring;
struct lm_trace_ring *lm_trace_ring_new(void);
void lm_trace_ring_free(struct lm_trace_ring *ring);
void lm_trace_ring_add(struct lm_trace_ring *ring, const char *user, enum lm_rule rule, double seconds);

struct lm_trace_group {
    size_t requests, persons;   // persons: different users behind them
    double p50_s, p95_s, max_s;
};

/* Over all requests in the ring with this rule; LM_RULE_COUNT: over all. */
struct lm_trace_group lm_trace_ring_group(struct lm_trace_ring *ring, enum lm_rule rule);

#endif
