#ifndef LM_TOKEN_BPE_WIDE_H
#define LM_TOKEN_BPE_WIDE_H
/* token/bpe_wide.h - the merge list for speed: up to 62 ids are merged in vector registers, longer pieces in
 * overlapping windows.
 *
 * Why windows are exact: tokens t1 .. tn are the merged form of a text exactly if each two neighbours are the
 * merged form of their own text.  (Whatever is merged next in a part of a text is what is merged next when
 * the part is alone, until a merge crosses its edge; the first merge to cross the edge between ti and ti+1
 * would do so, too, if the two were alone.)  So where two windows that overlap have a token at the same
 * place, the tokens of the first up to it and those of the second from it on fit. */

#include "token/bpe.h"

enum { LM_BPE_WINDOW = 62 };   // ids; two more places are the ends

/* A pair is a number of 2 * id_bits bits.  Multiplied by an odd one modulo the power of two it gives another,
 * of which no two pairs have the same: its first bits are the line, the others the tag.  An entry is the tag
 * (from the top), a bit, the score and the id; the earlier in the list, the higher the score; 0 is free.  The
 * bit, in the last entry of a line, says that more entries would belong there: they are in bpe only. */
enum { LM_BPE_ENTRIES = 8 };
struct lm_bpe_line {
    uint64_t entry[LM_BPE_ENTRIES];
};

enum { LM_BPE_FIRSTS = 256 };

struct lm_bpe_wide {
    const struct lm_bpe *bpe;
    struct lm_bpe_line *lines;   // NULL: the plain way has to do
    unsigned id_bits, score_bits, line_bits;
    uint64_t left_factor, right_factor;   // their sum of products has the line and the tag at its top
    uint64_t full;                        // the bit; below it score and id
    uint32_t stranger;                    // stands for all ids that are in no pair, of which it is the first
    uint32_t score_max;                   // rank 0
    uint64_t *firsts;   // [LM_BPE_FIRSTS squared]: values of pairs of the first ids, the bytes mostly
};

/* What is found is a value: score << id_bits | id, or 0. */

struct lm_bpe_place {
    uint64_t line, tag;   // the tag where it is in an entry
};

/* Of ids that are not above the stranger. */
static inline struct lm_bpe_place lm_bpe_place(const struct lm_bpe_wide *w, uint32_t left, uint32_t right)
{
    const uint64_t mixed = left * w->left_factor + right * w->right_factor;
    return (struct lm_bpe_place){ mixed >> (64 - w->line_bits), mixed << w->line_bits };
}

/* False: the list is too long for the entries; the plain way has to do. */
bool lm_bpe_wide_init(struct lm_bpe_wide *w, const struct lm_bpe *bpe);
void lm_bpe_wide_release(struct lm_bpe_wide *w);
uint64_t lm_bpe_wide_find_far(const struct lm_bpe_wide *w, uint32_t left, uint32_t right);

/* As lm_bpe_merge. */
size_t lm_bpe_wide_merge(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s, uint32_t *ids, size_t count);

/* Ids to be merged as if they were all of a text. */
struct lm_bpe_job {
    const uint32_t *ids;
    size_t count;   // 2..LM_BPE_WINDOW
};

/* What became of them: the tokens, and bit i of `starts` where id i started one; the bit of `count` is the
 * end. Behind the tokens there is room to write 16 at once. */
struct lm_bpe_window {
    uint32_t ids[LM_BPE_WINDOW + 16];
    uint32_t tokens;
    uint64_t starts;
};

/* Many at once, which takes a fraction of the time.  `starts` is only there with AVX-512. */
void lm_bpe_wide_merge_jobs(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s,
                            const struct lm_bpe_job *jobs, size_t count, struct lm_bpe_window *ret);
void lm_bpe_windows_avx512(const struct lm_bpe_wide *w, const struct lm_bpe_job *jobs, size_t count,
                           struct lm_bpe_window *ret);

/* As lm_bpe_merge, for more than LM_BPE_WINDOW ids (bpe_long.c). */
size_t lm_bpe_merge_long(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s, uint32_t *ids, size_t count);

/* Merges 2 to LM_BPE_WINDOW ids; returns how many are left, writes them (over the old ones if wished) and of
 * how many old ones each is made. */
size_t lm_bpe_window_avx512(const struct lm_bpe_wide *w, const uint32_t *ids, size_t count, uint32_t *ret_ids,
                            uint32_t *ret_lens);

#endif
