/* What ranks do together, made of transfers between two of them. */
#include "train/ranks.h"

#include "base/mem.h"
#include "base/sys.h"
#include "tensor/kernels.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_BYTES_MAX = 64, MESSAGE_BYTES_MAX = 1 << 26 };

struct lm_ranks_peer {
    int64_t pid;
    char pid_space[NAME_BYTES_MAX];   // where pid means something: "pid:[4026531836]"
    char host[NAME_BYTES_MAX];
};

struct lm_ranks lm_ranks_alone = { .count = 1 };

/* ---- waiting ---- */

/* The first rank of this host that is no more; -1: none.  The launcher ends the others when one ends, but a
 * rank that waits can say why. */
static int ended_peer(const struct lm_ranks *r)
{
    const struct lm_ranks_peer *own = &r->peers[r->rank];
    for (int i = 0; r->peers && i < r->count; i++)
        if (i != r->rank && strcmp(r->peers[i].host, own->host) == 0 &&
            strcmp(r->peers[i].pid_space, own->pid_space) == 0 && kill((pid_t)r->peers[i].pid, 0) != 0 &&
            errno == ESRCH)
            return i;
    return -1;
}

static enum lm_rc fail_broken(struct lm_ranks *r, int ended, struct lm_err *err)
{
    r->broken = true;
    if (ended < 0)
        return lm_fail(err, LM_EIO,
                       "rank %d: a transfer to another rank failed; the same command goes on from the last "
                       "checkpoint",
                       r->rank);
    return lm_fail(
        err, LM_EIO,
        "rank %d: rank %d (process %lld on %s) has ended; the same command goes on from the last checkpoint",
        r->rank, ended, (long long)r->peers[ended].pid, r->peers[ended].host);
}

enum lm_rc lm_ranks_wait(struct lm_ranks *r, union lm_ranks_request *request, struct lm_err *err)
{
    enum { SPINS = 2000, LOOK_MS = 20 };
    enum lm_ranks_progress progress = LM_RANKS_FAILED;
    uint64_t looked_ns = 0;
    for (uint64_t turn = 0; !r->broken; turn++) {
        progress = r->ops->done(r->state, request);
        if (progress == LM_RANKS_DONE)
            return LM_OK;
        if (progress == LM_RANKS_FAILED)
            break;
        if (turn < SPINS)
            continue;
        sched_yield();   // another rank may want this core
        const uint64_t now_ns = lm_now_ns();
        if (now_ns - looked_ns < LOOK_MS * 1000000ull)
            continue;
        const int ended = looked_ns ? ended_peer(r) : -1;
        looked_ns = now_ns;
        /* What it sent before it ended may still be on its way to us. */
        if (ended >= 0 && r->ops->done(r->state, request) != LM_RANKS_DONE)
            return fail_broken(r, ended, err);
    }
    return fail_broken(r, r->peers ? ended_peer(r) : -1, err);
}

static enum lm_rc transfer(struct lm_ranks *r, int peer, const void *from, void *to, size_t bytes,
                           struct lm_err *err)
{
    for (size_t at = 0; at < bytes; at += MESSAGE_BYTES_MAX) {
        const size_t n = bytes - at < MESSAGE_BYTES_MAX ? bytes - at : MESSAGE_BYTES_MAX;
        union lm_ranks_request request;
        if (from)
            r->ops->send(r->state, peer, (const char *)from + at, n, &request);
        else
            r->ops->receive(r->state, peer, (char *)to + at, n, &request);
        LM_TRY(lm_ranks_wait(r, &request, err));
    }
    return LM_OK;
}

static enum lm_rc send_to(struct lm_ranks *r, int to, const void *data, size_t bytes, struct lm_err *err)
{
    return transfer(r, to, data, NULL, bytes, err);
}

static enum lm_rc receive_from(struct lm_ranks *r, int from, void *data, size_t bytes, struct lm_err *err)
{
    return transfer(r, from, NULL, data, bytes, err);
}

/* ---- through rank 0 ---- */

enum lm_rc lm_ranks_share(struct lm_ranks *r, void *data, size_t bytes, struct lm_err *err)
{
    if (r->rank > 0)
        return receive_from(r, 0, data, bytes, err);
    for (int i = 1; i < r->count; i++)
        LM_TRY(send_to(r, i, data, bytes, err));
    return LM_OK;
}

enum lm_rc lm_ranks_share_text(struct lm_ranks *r, struct lm_buf *text, struct lm_err *err)
{
    size_t len = text->len;
    LM_TRY(lm_ranks_share(r, &len, sizeof len, err));
    if (r->rank == 0)
        return lm_ranks_share(r, text->ptr, len, err);
    LM_FREE char *got = lm_alloc(len + 1);
    LM_TRY(lm_ranks_share(r, got, len, err));
    lm_buf_reset(text);
    lm_buf_add(text, got, len);
    return LM_OK;
}

/* Every rank's `own` at its place in all. */
static enum lm_rc collect(struct lm_ranks *r, const void *own, size_t bytes, void *all, struct lm_err *err)
{
    memcpy((char *)all + (size_t)r->rank * bytes, own, bytes);
    if (r->rank > 0)
        LM_TRY(send_to(r, 0, own, bytes, err));
    for (int i = 1; i < r->count && r->rank == 0; i++)
        LM_TRY(receive_from(r, i, (char *)all + (size_t)i * bytes, bytes, err));
    return lm_ranks_share(r, all, (size_t)r->count * bytes, err);
}

enum lm_rc lm_ranks_sum(struct lm_ranks *r, double *values, size_t count, struct lm_err *err)
{
    if (r->count == 1)
        return LM_OK;
    if (r->rank > 0)
        LM_TRY(send_to(r, 0, values, count * sizeof *values, err));
    LM_FREE double *other = lm_alloc(count * sizeof *other);
    for (int i = 1; i < r->count && r->rank == 0; i++) {
        LM_TRY(receive_from(r, i, other, count * sizeof *other, err));
        for (size_t k = 0; k < count; k++)
            values[k] += other[k];
    }
    return lm_ranks_share(r, values, count * sizeof *values, err);
}

static bool all_say_the_same(const struct lm_err *all, int count)
{
    for (int i = 1; i < count; i++)
        if (all[i].rc != all[0].rc || strcmp(all[i].text, all[0].text) != 0)
            return false;
    return true;
}

enum lm_rc lm_ranks_agree(struct lm_ranks *r, enum lm_rc rc, struct lm_err *err)
{
    if (r->count == 1)
        return rc;
    struct lm_err own = { .rc = rc };
    if (rc != LM_OK && err)
        memcpy(own.text, err->text, sizeof own.text);
    LM_FREE struct lm_err *all = lm_zalloc((size_t)r->count, sizeof *all);
    LM_TRY(collect(r, &own, sizeof own, all, err));
    for (int i = 0; i < r->count; i++)
        if (all[i].rc != LM_OK) {
            r->agreed = true;
            r->speaker = i;
            if (err)
                *err = all[i];
            if (err && !all_say_the_same(all, r->count))
                snprintf(err->text, sizeof err->text, "rank %d: %.*s", i, LM_ERR_TEXT_MAX - 32, all[i].text);
            return all[i].rc;
        }
    return LM_OK;
}

enum lm_rc lm_ranks_settle(struct lm_ranks *r, enum lm_rc rc, struct lm_err *err)
{
    if (r->count > 1 && !r->broken && !r->agreed)
        rc = lm_ranks_agree(r, rc, err);
    r->agreed = false;
    return rc;
}

enum lm_rc lm_ranks_same(struct lm_ranks *r, const char *what, const char *text, struct lm_err *err)
{
    enum { TEXT_MAX = 96 };
    char first[TEXT_MAX] = "";
    LM_ASSERT(strlen(text) < TEXT_MAX);
    if (r->count == 1)
        return LM_OK;
    snprintf(first, sizeof first, "%s", text);
    LM_TRY(lm_ranks_share(r, first, sizeof first, err));
    enum lm_rc rc = LM_OK;
    if (strcmp(first, text) != 0)
        rc = lm_fail(err, LM_EINVAL,
                     "%s is not that of rank 0: give all ranks the same options, files and program (on %s)",
                     what, r->peers[r->rank].host);
    return lm_ranks_agree(r, rc, err);
}

/* ---- beginning and end ---- */

enum lm_rc lm_ranks_init(struct lm_ranks *r, const struct lm_ranks_ops *ops, void *state, int rank, int count,
                         struct lm_err *err)
{
    LM_ASSERT(rank >= 0 && rank < count);

    struct lm_ranks_peer own = { .pid = getpid() };
    *r = (struct lm_ranks){ .rank = rank, .count = count, .ops = ops, .state = state };
    if (gethostname(own.host, sizeof own.host - 1) != 0)
        snprintf(own.host, sizeof own.host, "an unnamed machine");
    if (readlink("/proc/self/ns/pid", own.pid_space, sizeof own.pid_space - 1) < 0)
        snprintf(own.pid_space, sizeof own.pid_space, "of rank %d", rank);   // then nobody looks
    struct lm_ranks_peer *all = lm_zalloc((size_t)count, sizeof *all);
    const enum lm_rc rc = count > 1 ? collect(r, &own, sizeof own, all, err) : LM_OK;
    all[rank] = own;
    r->peers = all;
    return rc;
}

enum lm_rc lm_ranks_close(struct lm_ranks *r, enum lm_rc rc, struct lm_err *err)
{
    if (r->count > 1 && !r->broken && !r->agreed)
        rc = lm_ranks_agree(r, rc, err);
    if (r->agreed && r->rank != r->speaker && err)
        err->text[0] = '\0';
    if (r->ops)
        r->ops->close(r->state, !r->broken);
    free(r->peers);
    *r = lm_ranks_alone;
    return rc;
}

/* ---- the order of sums ---- */

static void add(float *y, const float *x, size_t n)
{
    enum { UNIT = 1 << 14 };
    const struct lm_kernels *kernels = lm_kernels();
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < n; i += UNIT)
        kernels->add(y + i, x + i, n - i < UNIT ? n - i : UNIT);
}

void lm_ranks_add(float **x, int count, int into, size_t n)
{
    int step = 1;
    /* a + b is b + a: a sum lies where it is wanted in the end. */
    for (; count / step % 2 == 0; step *= 2)
        for (int i = 0; i < count; i += 2 * step) {
            float *left = x[i], *right = x[i + step];
            const bool to_right = into / step * step == i + step;
            add(to_right ? right : left, to_right ? left : right, n);
            x[i] = to_right ? right : left;
        }
    float *sum = x[0];
    for (int i = step; i < count; i += step) {
        const bool here = into / step * step == i;
        add(here ? x[i] : sum, here ? sum : x[i], n);
        sum = here ? x[i] : sum;
    }
}
