#ifndef LM_TOKEN_PRETOKEN_H
#define LM_TOKEN_PRETOKEN_H
/* token/pretoken.h - cuts text into the pieces that BPE merges inside.
 *
 * A grammar is a regular expression of a small family; a row says which member, and the scanners are
 * hand-written code made from the row.  Every byte belongs to exactly one piece, in order; a byte that is not
 * UTF-8 counts as a character that is neither letter, number nor blank. */

#include "base/str.h"

enum lm_contractions { LM_CONTRACT_LOWER, LM_CONTRACT_ANY_CASE };

/* What may stand before the letters of a word. */
enum lm_word_prefix { LM_PREFIX_SPACE, LM_PREFIX_ANY };   // U+0020; any but \r, \n, letter and number

/* Which alternatives a grammar has; the other fields say more. */
enum lm_cuts_kind {
    LM_CUTS_WORDS,   // GPT-2's and cl100k's
    LM_CUTS_CASED,   // o200k's: words begin with capitals and go on with small letters
    LM_CUTS_APART,   // DeepSeek's: numbers, and Chinese with Japanese, are cut out first
};

enum { LM_NUMBER_UNLIMITED = 0 };
#define LM_TOKEN_TEXT_MAX ((size_t)UINT32_MAX - 64)   // bytes of one text

struct lm_grammar {
    const char *name;      // as in the option --pretokenizer
    const char *pattern;   // of the Split in tokenizer.json; NULL: ByteLevel's own (use_regex)
    bool digits_apart;     // a Digits(individual_digits) runs first: each number character is cut out
    bool nfc;              // the family normalises to NFC first: written by training, not done here
    enum lm_contractions contractions;
    enum lm_word_prefix prefix;
    int number_max;   // characters of a number; LM_NUMBER_UNLIMITED: all, after an optional space
    bool newlines;    // [\r\n]* after punctuation, and \s*[\r\n]+ before other blanks
    enum lm_cuts_kind cuts;
    bool short_behind;   // of LM_CUTS_CASED: contractions end words
    size_t (*scan)(struct lm_str text, size_t *at, uint32_t *ret_ends, size_t ends_max);
    const struct lm_split *split;   // NULL, or what cuts instead of scan
};

enum lm_grammar_id {
    LM_GRAMMAR_GPT2,
    LM_GRAMMAR_LLAMA3,
    LM_GRAMMAR_SMOLLM,
    LM_GRAMMAR_QWEN2,
    LM_GRAMMAR_COUNT
};

extern const struct lm_grammar lm_grammars[LM_GRAMMAR_COUNT];

/* Other grammars with scanners of their own, which are admitted for exactly the patterns of
 * lm_known_patterns: Splits one after the other, NULL behind the last. */
enum lm_known_id { LM_KNOWN_O200K, LM_KNOWN_TEKKEN, LM_KNOWN_DEEPSEEK, LM_KNOWN_COUNT };
enum { LM_KNOWN_STAGES_MAX = 3 };
extern const struct lm_grammar lm_known[LM_KNOWN_COUNT];
static inline bool lm_grammar_is_known(const struct lm_grammar *g)
{
    return g >= lm_known && g < lm_known + LM_KNOWN_COUNT;
}
extern const char *const lm_known_patterns[LM_KNOWN_COUNT][LM_KNOWN_STAGES_MAX + 1];

/* Pieces from *at on: writes at most ends_max ends (offsets in text), moves *at behind the last one, returns
 * their number; 0 only at the end of the text, which may have LM_TOKEN_TEXT_MAX bytes. */
size_t lm_pretoken_scan(const struct lm_grammar *g, struct lm_str text, size_t *at, uint32_t *ret_ends,
                        size_t ends_max);

#endif
