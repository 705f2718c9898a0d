#ifndef LM_BASE_EACH_H
#define LM_BASE_EACH_H
/* base/each.h - short loops over the registers of a tile.
 *
 * They are unrolled, so that arrays become registers.  Not so under the sanitizers, whose checks multiply
 * with the unrolled code until a file takes minutes to compile: they check the same accesses in a loop. */

#if defined(__has_feature)
#define LM_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LM_SANITIZED 1
#else
#define LM_SANITIZED 0
#endif

#if LM_SANITIZED
#define INLINE static inline
#define EACH(i, count) for (size_t i = 0; i < (count); i++)
#else
#define INLINE static inline __attribute__((always_inline))
#define EACH(i, count) _Pragma("GCC unroll 32") for (size_t i = 0; i < (count); i++)
#endif

#endif
