#include "token/pretoken.h"

#include "base/err.h"
#include "base/sys.h"
#include "token/pretoken_impl.h"
#include "token/pretoken_wide.h"
#include "token/split.h"

INLINE size_t scan(const struct lm_grammar g, struct lm_str text, size_t *at, uint32_t *ret_ends,
                   size_t ends_max)
{
    const uint8_t *s = (const uint8_t *)text.ptr;
    size_t pos = *at, count = 0;
    while (count < ends_max && pos < text.len) {
        pos = piece_end(g, s, pos, text.len);
        ret_ends[count++] = (uint32_t)pos;
    }
    *at = pos;
    return count;
}

/* ---- the rows: to add a member of the family, a row, a scanner and a line in lm_grammars ---- */

LM_GRAMMAR_SCANNERS

const struct lm_grammar lm_grammars[LM_GRAMMAR_COUNT] = {
    [LM_GRAMMAR_GPT2] = { GPT2, .scan = scan_gpt2 },
    [LM_GRAMMAR_LLAMA3] = { LLAMA3, .scan = scan_llama3 },
    [LM_GRAMMAR_SMOLLM] = { SMOLLM, .scan = scan_smollm },
    [LM_GRAMMAR_QWEN2] = { QWEN2, .scan = scan_qwen2 },
};

/* The fastest scanner that this processor has for a grammar. */
static lm_pretoken_scan_fn *scanner(const struct lm_grammar *g)
{
#ifdef __x86_64__
    const bool is_row = g >= lm_grammars && g < lm_grammars + LM_GRAMMAR_COUNT;
    if (is_row && lm_isa_has(LM_ISA_AVX512))
        return lm_pretoken_avx512[g - lm_grammars];
    if (is_row && lm_isa_has(LM_ISA_AVX2))
        return lm_pretoken_avx2[g - lm_grammars];
#endif
    return g->scan;
}

size_t lm_pretoken_scan(const struct lm_grammar *g, struct lm_str text, size_t *at, uint32_t *ret_ends,
                        size_t ends_max)
{
    LM_ASSERT(*at <= text.len && text.len <= LM_TOKEN_TEXT_MAX);
    LM_ASSERT(ends_max > 0);
    if (g->split)
        return lm_split_scan(g->split, text, at, ret_ends, ends_max);
    const size_t count = scanner(g)(text, at, ret_ends, ends_max);
    LM_ASSERT(*at <= text.len);
    return count;
}
