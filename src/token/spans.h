#ifndef LM_TOKEN_SPANS_H
#define LM_TOKEN_SPANS_H
/* token/spans.h - which bytes of a text each of its ids stands for: what encode.c tells while it encodes.
 *
 * Text is normalised part by part, and an id stands for a range of normalised bytes.  So each normalised byte
 * has the character it came from, and an id the range from that of its first byte to that of its last, as in
 * Hugging Face: whole characters, also where an id is a part of one. */

#include "token/tokenizer_impl.h"

struct lm_span_work {
    const struct lm_tokenizer *t;
    struct lm_str text;       // all of it
    size_t part;              // where in it the part at work starts
    struct lm_str normal;     // of the part
    bool same;                // the part was normal already
    struct lm_span *origin;   // [normal.len], when it was not: in text
    size_t origin_cap;
    struct lm_spans *out;
};

/* A part of the text, and what normalising made of it. */
void lm_spans_part(struct lm_span_work *w, struct lm_str part, struct lm_str normal);

/* An id for bytes start to end of the normalised part, and one for bytes of the text. */
void lm_spans_range(struct lm_span_work *w, size_t start, size_t end);
void lm_spans_put(struct lm_span_work *w, size_t start, size_t end);

/* The ids of a piece of the normalised part. */
void lm_spans_piece(struct lm_span_work *w, struct lm_str piece, const uint32_t *ids, size_t count);

#endif
