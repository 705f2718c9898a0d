#ifndef LM_TOKEN_BPE_WIDE_H
#define LM_TOKEN_BPE_WIDE_H
/* token/bpe_wide.h - the merge list for speed: up to 62 ids are merged in vector registers, longer pieces in
 * overlapping windows.
 *
 * Why windows are exact: tokens t1 .. tn are the merged form of a text exactly if each two neighbours are the
 * merged form of their own text.  (Whatever is merged next in a part of a text is what is merged next when
 * the part is alone, until a merge crosses its edge; the first merge to cross the edge between ti and ti+1
 * would do so, too, if the two were alone.)  So when a window's result starts with the token tj that the
 * window before it had at that place, and was followed there by another one, then t1 .. tj-1 and the new
 * result fit. */

#include "token/bpe.h"

enum { LM_BPE_WINDOW = 62 };   // ids; two more places are the ends

/* Four entries in a cache line; a free one has value 0. */
struct lm_bpe_line {
    struct {
        uint64_t pair;    // left << 32 | right
        uint64_t value;   // score << 32 | id; the earlier the line of the list, the higher the score
    } entry[4];
};

enum { LM_BPE_FIRSTS = 256 };

struct lm_bpe_wide {
    const struct lm_bpe *bpe;
    struct lm_bpe_line *lines;
    unsigned shift;       // 64 - log2(number of lines)
    uint32_t score_max;   // rank 0
    uint64_t *firsts;     // [LM_BPE_FIRSTS squared]: values of pairs of the first ids, the bytes mostly
};

/* In the id of the last entry of a line: more entries would belong there; they are in bpe only. */
#define LM_BPE_LINE_FULL ((uint64_t)1 << 31)

/* False: the list is too long for the scores; the plain way has to do. */
bool lm_bpe_wide_init(struct lm_bpe_wide *w, const struct lm_bpe *bpe);
void lm_bpe_wide_release(struct lm_bpe_wide *w);
uint64_t lm_bpe_wide_find_far(const struct lm_bpe_wide *w, uint64_t pair);

/* As lm_bpe_merge. */
size_t lm_bpe_wide_merge(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s, uint32_t *ids, size_t count);

/* Parts of a text that nothing merges across, each merged in place: ids holds them one behind the other,
 * lens[i] is how many ids part i has.  On return lens[i] of them are left, at the same start. */
void lm_bpe_wide_merge_parts(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s, uint32_t *ids,
                             uint32_t *lens, size_t count);

enum { LM_BPE_LANES = 30 };               // ids of a part for the next one
#define LM_BPE_DONE ((uint32_t)1 << 31)   // in a length: not to be looked at
/* The same for parts of 2 to LM_BPE_LANES ids; other parts stay as they are. */
void lm_bpe_parts_avx512(const struct lm_bpe_wide *w, uint32_t *ids, const uint32_t *starts, uint32_t *lens,
                         size_t count);

/* Merges 2 to LM_BPE_WINDOW ids; returns how many are left, writes them (over the old ones if wished) and of
 * how many old ones each is made. */
size_t lm_bpe_window_avx512(const struct lm_bpe_wide *w, const uint32_t *ids, size_t count, uint32_t *ret_ids,
                            uint32_t *ret_lens);

#endif
