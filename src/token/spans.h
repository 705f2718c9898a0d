#ifndef LM_TOKEN_SPANS_H
#define LM_TOKEN_SPANS_H
/* token/spans.h - which bytes of a text each of its ids stands for: what encode.c tells while it encodes.
 *
 * Text is normalised part by part, and an id stands for a range of normalised bytes.  So each normalised byte
 * has the character it came from, and an id the range from that of its first byte to that of its last, as in
 * Hugging Face: whole characters, also where an id is a part of one. */

#include "token/tokenizer_impl.h"
#include "token/trace.h"

struct lm_span_work {
    const struct lm_tokenizer *t;
    struct lm_str text;      // all of it
    size_t part;             // where in it the part at work starts
    struct lm_str normal;    // of the part
    bool same;               // the part was normal already
    struct lm_trace trace;   // of its bytes, when it was not
    struct lm_spans *out;
    size_t before;   // ranges that were in there
};

/* For the normalisers of a chain, which say themselves what they make of a part. */
struct lm_trace *lm_spans_trace(struct lm_span_work *w, struct lm_str part);

/* A part of the text, and what normalising made of it. */
void lm_spans_part(struct lm_span_work *w, struct lm_str part, struct lm_str normal);

/* An added token for bytes start to end of the normalised part, and one for bytes of the text. */
void lm_spans_range(struct lm_span_work *w, size_t start, size_t end);
void lm_spans_put(struct lm_span_work *w, size_t start, size_t end);

/* An id whose bytes, at least one, come from `from`; token: as Hugging Face spells it. */
void lm_spans_from(struct lm_span_work *w, const struct lm_span *from, size_t len, struct lm_str token);

/* The ids of a piece of the normalised part. */
void lm_spans_piece(struct lm_span_work *w, struct lm_str piece, const uint32_t *ids, size_t count);

/* The ids of a normalised part of a chain, and their ranges: chain_trace.c. */
struct lm_chain_scratch;
void lm_spans_chain(struct lm_span_work *w, struct lm_chain_scratch *s, struct lm_str text, bool starts,
                    struct lm_tokens *ret);

#endif
