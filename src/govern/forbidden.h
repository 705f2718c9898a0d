#ifndef LM_GOVERN_FORBIDDEN_H
#define LM_GOVERN_FORBIDDEN_H
/* govern/forbidden.h - strings that may not leave, found in a stream however it is cut.
 *
 * Aho-Corasick over folded text: case, width, ligatures, invisible characters and the amount of white space
 * make no difference.  The state's depth is the longest beginning of a forbidden string that the text so far
 * could still become; exactly that much is held back. */

#include "govern/policy.h"

struct lm_forbidden;   // immutable after building; shared by all streams

/* Strings with their actions, as in the policy.  LM_EINVAL for one of which folding leaves nothing, LM_ELIMIT
 * when together they are too long. */
enum lm_rc lm_forbidden_new(struct lm_pairs strings, struct lm_forbidden **ret, struct lm_err *err);
void lm_forbidden_free(struct lm_forbidden *f);   // NULL is fine

struct lm_forbidden_span {
    size_t start, end;   // in `held`
};

/* One stream.  Zero-initialised but for `words`. */
struct lm_forbidden_scan {
    const struct lm_forbidden *words;
    struct lm_buf held;   // valid UTF-8, not yet released
    uint8_t partial[4];   // a character that has not come whole
    size_t partial_len;
    uint32_t state;
    bool after_blank;
    size_t *starts;   // where in `held` each folded byte came from
    size_t start_count, start_cap;
    struct lm_forbidden_span *spans;   // found and still held, in order, merged
    size_t span_count, span_cap;
};

/* Appends what may go, with masked strings replaced; invalid UTF-8 becomes U+FFFD.  LM_EDENIED at a string
 * that stops: what comes before it has been appended. */
enum lm_rc lm_forbidden_add(struct lm_forbidden_scan *s, struct lm_str chunk, struct lm_buf *ret,
                            struct lm_err *err);
enum lm_rc lm_forbidden_end(struct lm_forbidden_scan *s, struct lm_buf *ret, struct lm_err *err);
void lm_forbidden_release(struct lm_forbidden_scan *s);

#endif
