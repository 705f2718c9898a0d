#ifndef LM_TRAIN_WINDOW_H
#define LM_TRAIN_WINDOW_H
/* train/window.h - cut one document's tokens into overlapping training windows.
 *
 * Window k starts at k * stride and holds at most `size` tokens.  The first window to reach the end of
 * the document is the last: one more would add no new token.  So no token is lost, and only the last
 * window can be short; it holds all tokens from its start to the end.
 *
 *     28 tokens, size 10, stride 5:  start  0  5 10 15 20   (25 would add nothing)
 *                                    len   10 10 10 10  8
 *                                    fresh  0  5  5  5  5
 *
 * A window predicts len - 1 tokens.  With stride < size every token but the first is predicted by some
 * window; with stride == size the first of each window is not, and a last window of one predicts none. */

#include "base/err.h"

#include <stdint.h>

struct lm_window_spec {
    size_t size;     // most tokens in one window; >= 1
    size_t stride;   // tokens between starts; 1..size, size = no overlap
};

/* Borrows from the token array: valid as long as that array. */
struct lm_window {
    const uint32_t *tokens;
    size_t len;     // 1..size
    size_t fresh;   // tokens[fresh..len) are in no earlier window: score only these; fresh < len
};

/* LM_EINVAL for size 0 or a stride that would skip tokens. */
enum lm_rc lm_window_spec_check(struct lm_window_spec spec, struct lm_err *err);

/* Windows in token_count tokens; 0 only for 0 tokens.  The spec must have passed the check. */
size_t lm_window_count(struct lm_window_spec spec, size_t token_count);

/* Window number `index`; must be below lm_window_count(spec, token_count).  O(1), no copy. */
struct lm_window lm_window_get(struct lm_window_spec spec, const uint32_t *tokens, size_t token_count,
                               size_t index);

#endif
