#ifndef LM_CORPUS_TEXT_MODEL_H
#define LM_CORPUS_TEXT_MODEL_H
/* corpus/text_model.h - how usual a text is: its bits per byte under an n-gram model (token/ngram.h) of texts
 * one trusts.  `prepare` filters by it (Wenzek et al. 2020, CCNet, did so first), `loom ngram drift` watches
 * with it.
 *
 * A folder: model.ngram and the tokenizer.json whose ids it knows. */

#include "base/mem.h"
#include "token/ngram.h"
#include "token/tokenizer.h"

struct lm_text_model;

/* From document records, content only.  tokenizer_path: a tokenizer.json or its folder. */
enum lm_rc lm_text_model_build(int order, const char *tokenizer_path, const char *const *inputs,
                               size_t input_count, const char *out_dir, struct lm_buf *metrics,
                               struct lm_err *err);

/* LM_EINVAL when the two files do not belong together. */
enum lm_rc lm_text_model_open(const char *dir, struct lm_text_model **ret, struct lm_err *err);
void lm_text_model_free(struct lm_text_model *m);   // NULL is fine

/* One for each thread that asks. */
struct lm_text_judge;
struct lm_text_judge *lm_text_judge_new(const struct lm_text_model *m);
void lm_text_judge_free(struct lm_text_judge *j);

/* Bits per byte of a document, its end included; 0 for an empty text. */
double lm_text_judge_bits(struct lm_text_judge *j, struct lm_str text);

#endif
