#include "token/pretoken.h"

#include "base/err.h"
#include "base/sys.h"
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

LM_GRAMMAR_SCANNERS

const struct lm_grammar lm_grammars[LM_GRAMMAR_COUNT] = {
    [LM_GRAMMAR_GPT2] = { GPT2, .scan = scan_gpt2 },
    [LM_GRAMMAR_LLAMA3] = { LLAMA3, .scan = scan_llama3 },
    [LM_GRAMMAR_SMOLLM] = { SMOLLM, .scan = scan_smollm },
    [LM_GRAMMAR_QWEN2] = { QWEN2, .scan = scan_qwen2 },
};

const struct lm_grammar lm_known[LM_KNOWN_COUNT] = {
    [LM_KNOWN_O200K] = { O200K, .scan = scan_o200k },
    [LM_KNOWN_TEKKEN] = { TEKKEN, .scan = scan_tekken },
    [LM_KNOWN_DEEPSEEK] = { DEEPSEEK, .scan = scan_deepseek },
};

#define BEFORE "[^\\r\\n\\p{L}\\p{N}]?"
#define CAPITALS "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define SMALL "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define SIGNS_AND_BLANKS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORD(capitals, small, short) BEFORE CAPITALS capitals SMALL small short "|"
#define CASED(short, digits) WORD("*", "+", short) WORD("+", "*", short) digits "|" SIGNS_AND_BLANKS
#define HAN_KANA "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+"
#define APART                                                                                                \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"      \
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

const char *const lm_known_patterns[LM_KNOWN_COUNT][LM_KNOWN_STAGES_MAX + 1] = {
    [LM_KNOWN_O200K] = { CASED("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "\\p{N}{1,3}") },
    [LM_KNOWN_TEKKEN] = { CASED("", "\\p{N}") },
    [LM_KNOWN_DEEPSEEK] = { "\\p{N}{1,3}", HAN_KANA, APART },
};

#ifdef __x86_64__
/* The place of a grammar in the tables of scanners; LM_SCANNERS: it is in none. */
static size_t index_of(const struct lm_grammar *g)
{
    if (g >= lm_grammars && g < lm_grammars + LM_GRAMMAR_COUNT)
        return (size_t)(g - lm_grammars);
    return lm_grammar_is_known(g) ? LM_GRAMMAR_COUNT + (size_t)(g - lm_known) : (size_t)LM_SCANNERS;
}
#endif

/* The fastest scanner that this processor has for a grammar. */
static lm_pretoken_scan_fn *scanner(const struct lm_grammar *g)
{
#ifdef __x86_64__
    const size_t index = index_of(g);
    if (index < LM_SCANNERS && lm_isa_has(LM_ISA_AVX512))
        return lm_pretoken_avx512[index];
    if (index < LM_SCANNERS && lm_isa_has(LM_ISA_AVX2))
        return lm_pretoken_avx2[index];
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
