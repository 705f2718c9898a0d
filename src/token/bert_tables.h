#ifndef LM_TOKEN_BERT_TABLES_H
#define LM_TOKEN_BERT_TABLES_H
/* token/bert_tables.h - what BERT's normaliser and pre-tokeniser do to each character.
 *
 * All tables ascend.  gen_bert.py asks them from Hugging Face's tokenizers, which mix Unicode versions. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lm_bert_range {
    uint32_t first, last;
};

struct lm_bert_lower {
    uint32_t first, last, step;
    int32_t distance;   // every step-th character of the range moves by it
};

struct lm_bert_bare {
    uint32_t from, to[3];   // decomposed, without its marks; 0: nothing more
};

extern const struct lm_bert_range lm_bert_removed[], lm_bert_han[], lm_bert_marks[], lm_bert_punctuation[];
extern const struct lm_bert_lower lm_bert_lower[];
extern const struct lm_bert_bare lm_bert_bare[];
extern const size_t lm_bert_removed_count, lm_bert_han_count, lm_bert_marks_count, lm_bert_punctuation_count,
    lm_bert_lower_count, lm_bert_bare_count;

static inline bool lm_bert_in(const struct lm_bert_range *ranges, size_t count, uint32_t cp)
{
    size_t low = 0, high = count;   // the first range that does not end before cp
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (ranges[mid].last < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && ranges[low].first <= cp;
}

/* What BERT cuts apart: of ASCII all that is no letter and no digit. */
static inline bool lm_bert_is_punctuation(uint32_t cp)
{
    if (cp < 0x80)
        return cp > ' ' && cp < 0x7f && (cp | 0x20) - 'a' >= 26 && cp - '0' >= 10;
    return lm_bert_in(lm_bert_punctuation, lm_bert_punctuation_count, cp);
}

#endif
