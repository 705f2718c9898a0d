#ifndef LM_INFER_TEAM_H
#define LM_INFER_TEAM_H
/* infer/team.h - a few threads that share the chunks of one job after another.
 *
 * A decoding step has some 30 jobs of 10 to 100 us each, too short for sleeping threads: between jobs a
 * worker spins for a moment, then sleeps.  Chunks are taken one by one, so a thread that lost its processor
 * to another program delays one chunk, not its whole share.  Which thread computes a chunk never changes what
 * is computed.
 *
 * A thread begins with its own part of the chunks, in order, so that it reads a matrix from front to back. */

#include <stdbool.h>
#include <stddef.h>

struct lm_team;

/* worker: 0 .. size - 1, no two chunks run at the same time with the same one. */
typedef void lm_team_job(void *context, size_t chunk, size_t worker);

struct lm_team *lm_team_new(size_t size);   // the caller is one of them: size - 1 threads are started
void lm_team_free(struct lm_team *t);       // NULL is fine
size_t lm_team_size(const struct lm_team *t);

/* Runs job(context, 0 .. chunk_count - 1, .) and returns when all are done.  Only one thread at a time may
 * call it; no allocation.  chunk_count below 2^31. */
void lm_team_run(struct lm_team *t, size_t chunk_count, lm_team_job *job, void *context);

#endif
