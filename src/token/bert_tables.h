#ifndef LM_TOKEN_BERT_TABLES_H
#define LM_TOKEN_BERT_TABLES_H
/* token/bert_tables.h - what BERT's normaliser and pre-tokeniser do to each character.
 *
 * All tables ascend.  gen_bert.py asks them from Hugging Face's tokenizers, which mix Unicode versions. */

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

#endif
