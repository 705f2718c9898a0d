#ifndef LM_TOKEN_TRAIN_H
#define LM_TOKEN_TRAIN_H
/* token/train.h - between train.c (the stage), train_report.c (what it says about its result) and
 * train_write.c (what was learned, as a tokenizer). */

#include "token/bpe_train.h"
#include "token/tokenizer_impl.h"
#include "token/words.h"

/* Words of sentencepiece: a blank with what follows it; more blanks before that are a word of their own, and
 * so is every line end and other control character. */
extern const struct lm_grammar lm_grammar_train_pieces;

/* LM_LEARN_PIECES or LM_LEARN_WORDS as a tokenizer. */
enum lm_rc lm_write_learned(const struct lm_learned *l, enum lm_learn_kind kind, bool lowercase,
                            const char *name, struct lm_tokenizer **ret, struct lm_err *err);

/* Samples of every language and source; the same for any order of the texts. */
struct lm_train_report;
struct lm_train_report *lm_train_report_new(void);
void lm_train_report_add(struct lm_train_report *r, const struct lm_train_text *text);
void lm_train_report_free(struct lm_train_report *r);   // NULL is fine

/* report.json: fertility by language and by source, coverage, longest and rare tokens.  unit: what counts of
 * the learned tokens are multiples of. */
void lm_train_report_write(const struct lm_train_report *r, const struct lm_tokenizer *t,
                           const struct lm_learned *learned, uint64_t unit, struct lm_buf *ret);

#endif
