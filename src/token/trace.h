#ifndef LM_TOKEN_TRACE_H
#define LM_TOKEN_TRACE_H
/* token/trace.h - where the bytes of a normalised text come from.
 *
 * Each step of normalising says of its new characters one after the other how many old ones each is for: one
 * that was put in is for none and comes from where the one before it does, one for which several became one
 * comes from the first of these.  So do the offsets of Hugging Face. */

#include "token/normal.h"
#include "token/tokenizer.h"

struct lm_trace {
    struct lm_span *from, *other;   // [len], by bytes of the text: the character that each is of
    size_t len, from_cap, other_cap;
    size_t start;     // of all: where what is put before everything comes from
    size_t skipped;   // old characters before the first new one
    struct lm_trace_move {
        uint32_t len,
            olds;   // bytes of a new character; old ones that it is for, and that fell out behind it
        enum {
            LM_TRACE_OWN,      // it comes from the first of them,
            LM_TRACE_ALL,      // from all of them,
            LM_TRACE_SAME,     // from where the new character before it does,
            LM_TRACE_BEFORE,   // from the last old character before
        } of;
    } * moves;
    size_t move_count, move_cap;
};
void lm_trace_release(struct lm_trace *t);

/* A text as it comes; it starts at `start` of the whole. */
void lm_trace_start(struct lm_trace *t, struct lm_str text, size_t start);

/* What a step made: character by character, then all of it.  A part: its first character is for `olds`. */
void lm_trace_put(struct lm_trace *t, size_t len, size_t olds);
void lm_trace_drop(struct lm_trace *t, size_t olds);   // they fall out
void lm_trace_part(struct lm_trace *t, struct lm_str made, size_t olds);
void lm_trace_kept(struct lm_trace *t, struct lm_str text);   // each character is for itself
void lm_trace_step(struct lm_trace *t, struct lm_str old);

/* The moves of a normal form, for the step. */
void lm_trace_form(struct lm_trace *t, enum lm_normal_form form, struct lm_str text);

/* All that BertNormalizer does: chain_trace.c. */
struct lm_word_rules;
void lm_trace_words(struct lm_trace *t, const struct lm_word_rules *rules, struct lm_str text);

#endif
