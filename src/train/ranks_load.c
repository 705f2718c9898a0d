/* Which ranks there are: what the launcher left in the environment, and the module that speaks MPI.
 *
 * loom itself is not linked with MPI: a run without a launcher neither needs nor loads it. */
#include "train/ranks.h"
#include "train/ranks_mpi.h"

#include "base/file.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

/* How launchers say how many they started.  Slurm's own word comes last: it starts MPI ranks through the
 * others, and tasks that know nothing of each other without them. */
static const char *const count_names[] = { "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS" };

static int64_t started_count(void)
{
    for (size_t i = 0; i < sizeof count_names / sizeof count_names[0]; i++) {
        const char *text = getenv(count_names[i]);
        int64_t count;
        if (text && lm_str_to_i64(lm_str(text), &count) && count > 0)
            return count;
    }
    return 1;
}

/* Whether the launcher gave this process a place among the others. */
static bool has_place(void)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (getenv(names[i]))
            return true;
    return false;
}

/* Beside the program, as in a build folder; or where `make install` puts it. */
static enum lm_rc open_module(void **ret, struct lm_err *err)
{
    static const char *const places[] = { "%.*s/" LM_RANKS_MPI_FILE,
                                          "%.*s/../" LOOM_LIBDIR "/loom/" LM_RANKS_MPI_FILE };
    char program[4096];
    const ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    program[len > 0 ? len : 0] = '\0';
    const char *slash = strrchr(program, '/');
    const char *why = "there is no such file";
    for (size_t i = 0; slash && i < sizeof places / sizeof places[0]; i++) {
        struct lm_buf path = { 0 };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        lm_buf_printf(&path, places[i], (int)(slash - program), program);   // one string: the table above
#pragma GCC diagnostic pop
        const bool there = lm_path_exists(path.ptr);
        *ret = there ? dlopen(path.ptr, RTLD_NOW | RTLD_GLOBAL) : NULL;
        lm_buf_release(&path);
        if (*ret)
            return LM_OK;
        why = there ? dlerror() : why;
    }
    return lm_fail(err, LM_ENOENT,
                   "several ranks were started, but loom's MPI module %s does not load (%s); install "
                   "openmpi-bin and libopenmpi-dev and build loom again, or start one process",
                   LM_RANKS_MPI_FILE, why);
}

enum lm_rc lm_ranks_open(struct lm_ranks *r, struct lm_err *err)
{
    const int64_t started = started_count();
    *r = lm_ranks_alone;
    if (started == 1)
        return LM_OK;
    if (!has_place())   // MPI would end the program, or each task would be a run of its own
        return lm_fail(
            err, LM_EINVAL,
            "%lld tasks were started, but they do not know of each other: start them by mpirun, or by "
            "srun with --mpi=pmix",
            (long long)started);
    void *module;
    LM_TRY(open_module(&module, err));   // stays loaded: MPI cannot be unloaded
    union {
        void *symbol;
        lm_ranks_mpi_open *open;
    } found = { dlsym(module, LM_RANKS_MPI_SYMBOL) };
    const struct lm_ranks_ops *ops = NULL;
    void *state = NULL;
    int rank = 0, count = 0;
    char why[256] = "it has no " LM_RANKS_MPI_SYMBOL;
    if (!found.symbol || found.open(&ops, &state, &rank, &count, why, sizeof why) != 0)
        return lm_fail(err, LM_EIO, "MPI does not start: %s", why);
    if (ops->ops_bytes != sizeof *ops)
        return lm_fail(err, LM_EIO, "%s belongs to another version of loom; install both together",
                       LM_RANKS_MPI_FILE);
    if (count != started)
        return lm_fail(err, LM_EINVAL,
                       "%lld tasks were started, but MPI knows of %d: start them by mpirun, or by srun with "
                       "--mpi=pmix",
                       (long long)started, count);
    return lm_ranks_init(r, ops, state, rank, count, err);
}
