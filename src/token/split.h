#ifndef LM_TOKEN_SPLIT_H
#define LM_TOKEN_SPLIT_H
/* token/split.h - pre-tokenisers that no hand-written scanner knows: any sequence of Split stages.
 *
 * A stage is a regular expression made into a finite automaton at load, so cutting is linear in the text
 * whatever the pattern; a pattern for which that cannot be had (it would have to read ahead without bound) is
 * refused by name.  Of several ways to match, that of a backtracking engine is taken: alternatives in order,
 * repetitions as greedy as written.
 *
 * Patterns mean what Oniguruma, Hugging Face's engine, makes of them.  What is understood: | ( ) (?: ) (?<x>
 * )
 * (?i: ) (?i) (?m: ) and their reverse, * + ? {m,n} and their lazy forms, [ ] with ranges, ^, sets inside, &&
 * and [:digit:], \p{..} of general categories and scripts, \s \S \d \D \w \W \h, literals and escapes, . and
 * $ (the end of a line), \z and \Z, ^ and \A, \b and \B; (?!x) and (?=x) of bounded length; (?<=x) and (?<!x)
 * of up to 8 characters; possessive *+ ++ ?+ of one character, those of groups and (?> ) at the end of a
 * pattern. */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- one pattern: split_regex.c ---- */

struct lm_split_dfa {
    uint16_t *next;     // [state][symbol]: 2 * state + (a match ends before this symbol); state 0 is the end
    uint32_t symbols;   // classes of characters, and the last: the end of the text
    uint32_t states;    // with the end; a match starts in state 1
    uint8_t ascii[128];
    uint8_t byte[256];   // of the printable form of a byte, for stages behind ByteLevel
    uint16_t *page;      // [0x110000 / 256]
    uint8_t (*pages)[256];
    bool total;                   // something matches at every place
    struct lm_split_asks *asks;   // of look-behind, \b, ^ and the like; NULL: there are none
};

/* LM_EINVAL: one sentence about what is not supported. */
enum lm_rc lm_split_compile(struct lm_str pattern, struct lm_split_dfa *ret, struct lm_err *err);
void lm_split_release(struct lm_split_dfa *d);

/* What matching has found out about a text: in this state, at any of these places, nothing matches any more.
 * Some patterns read on through a run of characters (\s*[\r\n] through blanks) and then fall back; that they
 * do so once, not again for every match inside the run, makes cutting linear. */
enum { LM_SPLIT_FACTS = 8 };
struct lm_split_facts {
    struct {
        const struct lm_split_dfa *dfa;
        const uint8_t *text;
        size_t state, from, to, end;
    } items[LM_SPLIT_FACTS];
    size_t next;
};

/* The end of the match that starts at `at`, or `at` when none does; the text starts at s.  bytes: each byte
 * is a character. */
size_t lm_split_match(const struct lm_split_dfa *d, const uint8_t *s, size_t at, size_t end, bool bytes,
                      struct lm_split_facts *facts);

/* ---- sequences: split.c ---- */

enum lm_split_behavior {
    LM_SPLIT_ISOLATED,
    LM_SPLIT_MERGED_WITH_PREVIOUS,
    LM_SPLIT_MERGED_WITH_NEXT,
    LM_SPLIT_CONTIGUOUS,
};

enum { LM_SPLIT_STAGES_MAX = 8 };

struct lm_split_stage {
    struct lm_split_dfa dfa;
    enum lm_split_behavior behavior;
    bool bytes;   // it comes behind ByteLevel
};

/* Immutable once made. */
struct lm_split {
    struct lm_split_stage stages[LM_SPLIT_STAGES_MAX];
    size_t count;
};

void lm_split_free(struct lm_split *s);   // NULL is fine

/* As lm_pretoken_scan.  A scan of a text starts with *at = 0 and goes on where it stopped, on one thread, not
 * interleaved with another. */
size_t lm_split_scan(const struct lm_split *s, struct lm_str text, size_t *at, uint32_t *ret_ends,
                     size_t ends_max);

#endif
