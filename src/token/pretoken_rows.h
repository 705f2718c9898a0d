#ifndef LM_TOKEN_PRETOKEN_ROWS_H
#define LM_TOKEN_PRETOKEN_ROWS_H
/* token/pretoken_rows.h - the grammars as rows, from which each file that knows how to scan makes its
 * scanners. */

#include "token/pretoken_kinds.h"

INLINE size_t piece_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len)
{
    return g.cuts == LM_CUTS_CASED   ? cased_end(g, s, at, len)
           : g.cuts == LM_CUTS_APART ? apart_end(g, s, at, len)
                                     : words_end(g, s, at, len);
}

enum { LM_SCANNERS = LM_GRAMMAR_COUNT + LM_KNOWN_COUNT };   // of lm_grammars, then of lm_known

/* ---- the rows: to add a member of the family, a row, a scanner and a line in lm_grammars or lm_known ----
 */

#define CL100K(digits)                                                                                       \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                                     \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define GPT2 .name = "gpt2"
#define SMOLLM .name = "smollm", .digits_apart = true
#define LLAMA3                                                                                               \
    .name = "llama3", .pattern = CL100K("\\p{N}{1,3}"), .contractions = LM_CONTRACT_ANY_CASE,                \
    .prefix = LM_PREFIX_ANY, .number_max = 3, .newlines = true
#define QWEN2                                                                                                \
    .name = "qwen2", .pattern = CL100K("\\p{N}"), .nfc = true, .contractions = LM_CONTRACT_ANY_CASE,         \
    .prefix = LM_PREFIX_ANY, .number_max = 1, .newlines = true

#define O200K .name = "o200k", .cuts = LM_CUTS_CASED, .number_max = 3, .newlines = true, .short_behind = true
#define TEKKEN .name = "tekken", .cuts = LM_CUTS_CASED, .number_max = 1, .newlines = true
#define DEEPSEEK .name = "deepseek", .cuts = LM_CUTS_APART, .number_max = 3, .newlines = true

/* One scanner a row, in any file with an inline function `scan`: the row is a constant there, so that each
 * becomes its own code. */
#define LM_GRAMMAR_SCANNER(name, row)                                                                        \
    static size_t scan_##name(struct lm_str text, size_t *at, uint32_t *ret_ends, size_t ends_max)           \
    {                                                                                                        \
        return scan((struct lm_grammar){ row }, text, at, ret_ends, ends_max);                               \
    }
#define LM_GRAMMAR_SCANNERS                                                                                  \
    LM_GRAMMAR_SCANNER(gpt2, GPT2)                                                                           \
    LM_GRAMMAR_SCANNER(llama3, LLAMA3)                                                                       \
    LM_GRAMMAR_SCANNER(smollm, SMOLLM)                                                                       \
    LM_GRAMMAR_SCANNER(qwen2, QWEN2)                                                                         \
    LM_GRAMMAR_SCANNER(o200k, O200K)                                                                         \
    LM_GRAMMAR_SCANNER(tekken, TEKKEN)                                                                       \
    LM_GRAMMAR_SCANNER(deepseek, DEEPSEEK)
#define LM_GRAMMAR_SCANNER_TABLE                                                                             \
    [LM_GRAMMAR_GPT2] = scan_gpt2, [LM_GRAMMAR_LLAMA3] = scan_llama3, [LM_GRAMMAR_SMOLLM] = scan_smollm,     \
    [LM_GRAMMAR_QWEN2] = scan_qwen2, [LM_GRAMMAR_COUNT + LM_KNOWN_O200K] = scan_o200k,                       \
    [LM_GRAMMAR_COUNT + LM_KNOWN_TEKKEN] = scan_tekken,                                                      \
    [LM_GRAMMAR_COUNT + LM_KNOWN_DEEPSEEK] = scan_deepseek

#endif
