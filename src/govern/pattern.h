#ifndef LM_GOVERN_PATTERN_H
#define LM_GOVERN_PATTERN_H
/* govern/pattern.h - regular expressions of a policy: Perl syntax (PCRE2), UTF-8, with a limit on the work.
 *
 * A pattern that runs into its limit has found nothing out: callers take LM_MATCH_LIMIT for the answer that
 * denies.  Immutable after compiling; any thread may match. */

#include "base/err.h"
#include "base/str.h"

struct lm_pattern {
    struct pcre2_real_code_8 *code;   // NULL: no pattern, matches nothing
    struct lm_str source;             // borrowed
};

enum { LM_MATCH_STEPS_MAX = 200000 };

enum lm_match { LM_MATCH_NONE, LM_MATCH_FOUND, LM_MATCH_LIMIT };

/* `where` names file and line for the message. */
enum lm_rc lm_pattern_compile(struct lm_pattern *ret, struct lm_str source, bool ignore_case,
                              const char *where, struct lm_err *err);
void lm_pattern_release(struct lm_pattern *p);

/* Where a pattern matched; an empty match is none. */
struct lm_match_span {
    size_t start, end;    // of the whole match
    struct lm_str word;   // the first group that took part, or the whole match
};

/* The first match at or after `from`.  `text` must be valid UTF-8. */
enum lm_match lm_pattern_find(const struct lm_pattern *p, struct lm_str text, size_t from,
                              struct lm_match_span *ret);
enum lm_match lm_pattern_test(const struct lm_pattern *p, struct lm_str text);

#endif
