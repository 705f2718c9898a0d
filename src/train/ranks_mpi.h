#ifndef LM_TRAIN_RANKS_MPI_H
#define LM_TRAIN_RANKS_MPI_H
/* train/ranks_mpi.h - what loom and its MPI module agree on.  The module is a shared object of one file,
 * train/ranks_mpi.c, which calls nothing of loom's. */

#include "train/ranks.h"

#define LM_RANKS_MPI_FILE "loom-mpi.so"
#define LM_RANKS_MPI_SYMBOL "lm_ranks_mpi_start"

/* Starts MPI.  0; or not, with the reason in why. */
typedef int lm_ranks_mpi_open(const struct lm_ranks_ops **ret_ops, void **ret_state, int *ret_rank,
                              int *ret_count, char *why, size_t why_bytes);
lm_ranks_mpi_open lm_ranks_mpi_start;

#endif
