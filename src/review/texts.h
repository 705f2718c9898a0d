#ifndef LM_REVIEW_TEXTS_H
#define LM_REVIEW_TEXTS_H
/* review/texts.h - words and n-grams as small numbers.  Internal to the module.
 *
 * A word's number is its place in the order of first sight.  An n-gram is the pair of its first n-1 words'
 * number and its last word, and gets a number in turn: equal numbers are equal n-grams, exactly, and eight
 * bytes are all that is ever compared.  Text 0 is the hypothesis, those after it are references. */

#include "review/words.h"

struct lm_text_range {
    size_t start, end;   // in words[]
};

/* Zero-initialised is empty; lm_texts_reset comes before the first text. */
struct lm_texts {
    uint32_t *words;   // of all texts, one after the other
    uint32_t *grams;   // n-gram that starts at this word; valid while n words are left in its text
    size_t len, words_cap, grams_cap;
    struct lm_text_range *ranges;
    size_t count, ranges_cap;
    size_t order;        // n of grams
    size_t gram_count;   // distinct numbers in grams

    struct lm_words_scratch scratch;
    struct lm_buf marked;
    struct lm_word_slot *word_slots;
    struct lm_gram_slot *gram_slots;
    size_t word_slots_cap, gram_slots_cap;   // powers of two
    uint32_t word_count, word_stamp, gram_stamp;
    struct lm_buf bytes;   // of the distinct words
    struct lm_gram_counts *counts;
    size_t counts_cap;
    uint64_t *bits;   // scratch of review/rouge.c
    uint32_t *cells;
    size_t bits_cap, cells_cap;
};

void lm_texts_reset(struct lm_texts *t);   // keeps the memory
void lm_texts_release(struct lm_texts *t);

/* One more text; order goes back to 1. */
void lm_texts_add(struct lm_texts *t, enum lm_words how, bool lowercase, struct lm_str text);
void lm_texts_add_word(struct lm_texts *t, struct lm_str word);   // to the text last begun
void lm_texts_begin(struct lm_texts *t);                          // an empty text

size_t lm_texts_words(const struct lm_texts *t, size_t text);
size_t lm_texts_grams(const struct lm_texts *t, size_t text);   // n-grams of the present order
void lm_texts_longer(struct lm_texts *t);                       // from n-grams to (n+1)-grams

/* Sum over n-grams of min(count in text 0, largest count in one of the texts first .. end-1). */
size_t lm_texts_overlap(struct lm_texts *t, size_t first, size_t end);

#endif
