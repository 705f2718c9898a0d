/* Transfers between ranks by MPI.  The only file that knows MPI, and a shared object of its own. */
#include "train/ranks_mpi.h"

#include <mpi.h>
#include <stdio.h>

_Static_assert(sizeof(MPI_Request) <= sizeof(union lm_ranks_request), "a request fits");

/* A communicator of our own: nothing else is sent in it, so that one tag is enough. */
struct state {
    MPI_Comm comm;
};
static struct state the_state;   // a process is in one MPI world

enum { TAG = 1 };

/* The bits of a request that MPI refused. */
static const uint64_t refused = UINT64_MAX;

static MPI_Request *request_of(union lm_ranks_request *r)
{
    return (MPI_Request *)(void *)r;
}

static void mpi_send(void *state, int to, const void *data, size_t bytes, union lm_ranks_request *ret)
{
    const struct state *s = state;
    if (MPI_Isend(data, (int)bytes, MPI_BYTE, to, TAG, s->comm, request_of(ret)) != MPI_SUCCESS)
        ret->bits = refused;
}

static void mpi_receive(void *state, int from, void *data, size_t bytes, union lm_ranks_request *ret)
{
    const struct state *s = state;
    if (MPI_Irecv(data, (int)bytes, MPI_BYTE, from, TAG, s->comm, request_of(ret)) != MPI_SUCCESS)
        ret->bits = refused;
}

static enum lm_ranks_progress mpi_done(void *state, union lm_ranks_request *request)
{
    int done = 0;
    (void)state;
    if (request->bits == refused || MPI_Test(request_of(request), &done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
        return LM_RANKS_FAILED;
    return done ? LM_RANKS_DONE : LM_RANKS_PENDING;
}

/* Without the others MPI_Finalize would wait for ever: the launcher cleans up. */
static void mpi_close(void *state, bool together)
{
    struct state *s = state;
    if (!together)
        return;
    MPI_Comm_free(&s->comm);
    MPI_Finalize();
}

static const struct lm_ranks_ops ops = {
    .ops_bytes = sizeof ops,
    .send = mpi_send,
    .receive = mpi_receive,
    .done = mpi_done,
    .close = mpi_close,
};

/* OpenMP's threads compute, but only the first one calls MPI. */
int lm_ranks_mpi_start(const struct lm_ranks_ops **ret_ops, void **ret_state, int *ret_rank, int *ret_count,
                       char *why, size_t why_bytes)
{
    int given = MPI_THREAD_SINGLE;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given) != MPI_SUCCESS) {
        snprintf(why, why_bytes, "MPI_Init_thread failed");
        return -1;
    }
    if (given < MPI_THREAD_FUNNELED) {
        snprintf(why, why_bytes, "this MPI does not go with threads");
        return -1;
    }
    if (MPI_Comm_dup(MPI_COMM_WORLD, &the_state.comm) != MPI_SUCCESS) {
        snprintf(why, why_bytes, "MPI_Comm_dup failed");
        return -1;
    }
    MPI_Comm_set_errhandler(the_state.comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(the_state.comm, ret_rank);
    MPI_Comm_size(the_state.comm, ret_count);
    *ret_ops = &ops;
    *ret_state = &the_state;
    return 0;
}
