#ifndef LM_TEXT_PII_FIND_H
#define LM_TEXT_PII_FIND_H
/* text/pii_find.h - between the scan (pii.c), the checks (pii_checks.c, pii_number.c, pii_person.c) and the
 * list of names (pii_names.c).
 *
 * Hyperscan proposes places; a check looks at the text around the place, decides, and adds spans.  A check
 * looks at a bounded stretch, or at each byte once: `done` says how far an earlier proposal has led. */

#include "text/text.h"

enum { LM_PII_CHECK_COUNT = 16, LM_PII_CONTEXT_TOKENS = 5 };

/* One scan of one text. */
struct lm_pii_scan {
    struct lm_str text;
    const struct lm_pii_given *given_names;
    struct lm_pii_spans *found;
    size_t done[LM_PII_CHECK_COUNT];   // by pattern row
    size_t row;                        // of the proposal being checked
    size_t fence_at;                   // fences up to here are counted; see lm_pii_in_code
    bool fence_open;
};

/* start, end: what the pattern matched. */
typedef void lm_pii_check(struct lm_pii_scan *scan, size_t start, size_t end);

lm_pii_check lm_pii_check_email, lm_pii_check_number, lm_pii_check_iban, lm_pii_check_ipv4, lm_pii_check_ipv6;
lm_pii_check lm_pii_check_date, lm_pii_check_date_numeric, lm_pii_check_title, lm_pii_check_name;

void lm_pii_add(struct lm_pii_scan *scan, enum lm_pii_type type, size_t start, size_t end, double score);

/* base, or more if one of the words (lower case, blanks around each) is among the five tokens before. */
double lm_pii_with_context(const struct lm_pii_scan *scan, size_t start, double base, const char *words);
bool lm_pii_has_context(const struct lm_pii_scan *scan, size_t start, const char *words);

/* Within a fenced block.  Places must be asked for in ascending order. */
bool lm_pii_in_code(struct lm_pii_scan *scan, size_t at);

/* The character before and after; NUL at the ends. */
char lm_pii_before(const struct lm_pii_scan *scan, size_t at);
char lm_pii_at(const struct lm_pii_scan *scan, size_t at);

bool lm_pii_luhn(const char *digits, size_t len);
bool lm_pii_iban_ok(const char *chars, size_t len);   // upper case, no separators

/* ---- given names ---- */

struct lm_pii_given;
struct lm_pii_given *lm_pii_given_new(void);
void lm_pii_given_free(struct lm_pii_given *names);

enum lm_pii_name_kind {
    LM_PII_NAME_NONE,
    LM_PII_NAME_CLEAR,
    LM_PII_NAME_WORD,   // also an ordinary word or a place: Mark, Grant, Paris
};

enum lm_pii_name_kind lm_pii_name_kind(const struct lm_pii_given *names, struct lm_str word);

#endif
