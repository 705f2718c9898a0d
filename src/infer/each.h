#ifndef LM_INFER_EACH_H
#define LM_INFER_EACH_H
/* infer/each.h - short loops over the registers of a tile.
 *
 * They are unrolled, so that arrays become registers.  Not so under the sanitizers, whose checks multiply
 * with the unrolled code until a file takes minutes to compile: they check the same accesses in a loop. */

#define INLINE static inline __attribute__((always_inline))

#ifdef __SANITIZE_ADDRESS__
#define EACH(i, count) for (size_t i = 0; i < (count); i++)
#else
#define EACH(i, count) _Pragma("GCC unroll 24") for (size_t i = 0; i < (count); i++)
#endif

#endif
