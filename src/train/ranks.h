#ifndef LM_TRAIN_RANKS_H
#define LM_TRAIN_RANKS_H
/* train/ranks.h - the processes that share one training run.
 *
 * A rank is one of `count` equal processes that were started together and do the same steps.  Below is a
 * transport, which only moves bytes between two ranks (table lm_ranks_ops: MPI in train/ranks_mpi.c, threads
 * in the tests); everything that sums is here and in train/slices.h, in an order that does not depend on who
 * was faster.
 *
 * Every function with `ranks` in its name that takes a struct lm_err is called by all ranks, in the same
 * order, from one thread each.  What one rank does alone (reading, writing) is followed by lm_ranks_agree, so
 * that a failure of one is the failure of all.  With one rank they all return at once. */

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* A transfer under way.  What is in it is the transport's. */
union lm_ranks_request {
    uint64_t bits;
    void *ptr;
};

enum lm_ranks_progress { LM_RANKS_FAILED = -1, LM_RANKS_PENDING, LM_RANKS_DONE };

/* A transport.  Messages from one rank to another arrive in the order in which they were sent; the receiver
 * knows their sizes.  The memory is the transfer's until `done` says that it is over; `done` may be asked
 * again. */
struct lm_ranks_ops {
    size_t ops_bytes;   // of this struct: a module of another version is refused
    void (*send)(void *state, int to, const void *data, size_t bytes, union lm_ranks_request *ret);
    void (*receive)(void *state, int from, void *data, size_t bytes, union lm_ranks_request *ret);
    enum lm_ranks_progress (*done)(void *state, union lm_ranks_request *request);   // moves all transfers on
    void (*close)(void *state, bool together);   // together: every rank calls it now; frees the state
};

struct lm_ranks_peer;

struct lm_ranks {
    int rank, count;   // 0..count - 1
    const struct lm_ranks_ops *ops;
    void *state;
    struct lm_ranks_peer *peers;   // who they are, for messages and to notice that one has ended
    bool broken;                   // a transfer failed: nothing more can be exchanged
    bool agreed;                   // all ranks know that the run has failed
    int speaker;                   // whose error it is
};

/* One rank: what a run is without a launcher. */
extern struct lm_ranks lm_ranks_alone;

/* As the launcher's environment says: alone, or with MPI, which is loaded only then (train/ranks_load.c). */
enum lm_rc lm_ranks_open(struct lm_ranks *r, struct lm_err *err);

/* Over any transport.  Ranks tell each other who they are. */
enum lm_rc lm_ranks_init(struct lm_ranks *r, const struct lm_ranks_ops *ops, void *state, int rank, int count,
                         struct lm_err *err);

/* The end, with the outcome of this rank.  Tells the others of a failure they do not know of, returns the
 * outcome of all; err keeps its text on one rank only, so that one message is printed. */
enum lm_rc lm_ranks_close(struct lm_ranks *r, enum lm_rc rc, struct lm_err *err);

/* Waits for one transfer.  LM_EIO when it failed or a rank has ended; the run cannot go on then. */
enum lm_rc lm_ranks_wait(struct lm_ranks *r, union lm_ranks_request *request, struct lm_err *err);

/* LM_OK if all bring LM_OK; else the rc of the first rank that failed, and its text, which begins with its
 * number unless all say the same. */
enum lm_rc lm_ranks_agree(struct lm_ranks *r, enum lm_rc rc, struct lm_err *err);

/* The outcome of a part of the work that may fail, and the work go on: as lm_ranks_agree, also after a
 * failure that was agreed on. */
enum lm_rc lm_ranks_settle(struct lm_ranks *r, enum lm_rc rc, struct lm_err *err);

/* Rank 0's bytes to all; its text in place of the others'. */
enum lm_rc lm_ranks_share(struct lm_ranks *r, void *data, size_t bytes, struct lm_err *err);
enum lm_rc lm_ranks_share_text(struct lm_ranks *r, struct lm_buf *text, struct lm_err *err);

/* values[i] of all ranks added in the order of ranks, to all. */
enum lm_rc lm_ranks_sum(struct lm_ranks *r, double *values, size_t count, struct lm_err *err);

/* LM_EINVAL, naming the first rank whose text is not rank 0's; `what` is "the recipe of the run". */
enum lm_rc lm_ranks_same(struct lm_ranks *r, const char *what, const char *text, struct lm_err *err);

/* x[0] + x[1] + ... of `count` operands of n floats: neighbours are added while their number is even, what is
 * left from first to last.  So ranks that each hold the sum of as many neighbouring parts, a power of two,
 * add them as one rank would add the parts.  The result is in what x[into] points to; all others, and x
 * itself, are scratch. */
void lm_ranks_add(float **x, int count, int into, size_t n);

#endif
