#ifndef LM_INFER_STOP_H
#define LM_INFER_STOP_H
/* infer/stop.h - ends a text before the first stop string, however the text is cut into pieces.
 *
 * Of several stop strings the one that is complete first counts; of two that end together, the longer.  Held
 * back is exactly the longest suffix that begins a stop string. */

#include "base/err.h"
#include "base/str.h"

struct lm_stop_filter {
    struct lm_str *stops;   // owned, with their text
    size_t count;
    struct lm_buf held;
};

/* Copies the strings, each of at least 1 byte.  Pieces of up to piece_bytes_max then need no allocation. */
void lm_stop_filter_init(struct lm_stop_filter *f, const struct lm_str *stops, size_t count,
                         size_t piece_bytes_max);
void lm_stop_filter_release(struct lm_stop_filter *f);

/* Appends what is certain by now to ret.  true: a stop string is complete; nothing more will come. */
bool lm_stop_filter_add(struct lm_stop_filter *f, struct lm_str piece, struct lm_buf *ret);
void lm_stop_filter_end(struct lm_stop_filter *f, struct lm_buf *ret);   // the rest: no stop string came

#endif
