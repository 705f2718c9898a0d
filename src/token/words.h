#ifndef LM_TOKEN_WORDS_H
#define LM_TOKEN_WORDS_H
/* token/words.h - WordPiece, BERT's way: normalise, cut at blanks and punctuation, then take the longest
 * pieces from the left; all but the first of a word are written with ## in front. */

#include "token/tokenizer_impl.h"

#define LM_WORDS_INSIDE "##"
enum { LM_WORDS_CHARS_MAX = 100 };   // of a word, when nothing else is said

/* Text as BertNormalizer leaves it: itself or what is written into buf. */
struct lm_str lm_words_normal(const struct lm_word_rules *r, struct lm_str text, struct lm_buf *buf);

/* Whether cleaning leaves a character out. */
bool lm_words_removes(const struct lm_word_rules *r, uint32_t cp);

/* Blanks with the word or the punctuation character behind them; at the end perhaps only blanks. */
extern const struct lm_grammar lm_grammar_bert;

size_t lm_words_start(struct lm_str piece);   // behind its blanks

/* The ids of one piece of that grammar; ids has room for one a byte. */
size_t lm_words_ids(const struct lm_tokenizer *t, struct lm_str piece, struct lm_buf *scratch, uint32_t *ids);

/* What a token adds to decoded text; *blank: a blank goes before it. */
struct lm_str lm_words_text(const struct lm_tokenizer *t, uint32_t id, bool inside, bool *blank);

#endif
