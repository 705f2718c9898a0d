#ifndef LM_TOKEN_NGRAM_H
#define LM_TOKEN_NGRAM_H
/* token/ngram.h - interpolated modified Kneser-Ney n-gram model over token ids: the baseline every neural
 * model has to beat, and a judge of how usual a text is.  Chen & Goodman 1998, section 3.
 *
 * Deterministic: model and file depend on the documents and their order alone.  Memory is linear in the
 * distinct n-grams.  A trained model is immutable and shared by all threads. */

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { LM_NGRAM_ORDER_MAX = 5 };

struct lm_ngram;

/* Order 1..5.  Documents are added one by one, tokens[0] being what stands before the first token (the end of
 * text): a context, never predicted; LM_EINVAL beyond 2^32 tokens in all.  Then `end`; before it nothing can
 * be asked. */
enum lm_rc lm_ngram_new(int order, uint32_t vocab_size, struct lm_ngram **ret, struct lm_err *err);
enum lm_rc lm_ngram_add(struct lm_ngram *m, const uint32_t *tokens, size_t count, struct lm_err *err);
void lm_ngram_end(struct lm_ngram *m);
void lm_ngram_free(struct lm_ngram *m);   // NULL is fine

/* Natural log probability of `token` after the last min(count, order - 1) tokens of context.  Never
 * -infinity. */
double lm_ngram_logprob(const struct lm_ngram *m, const uint32_t *context, size_t count, uint32_t token);

/* Sum over tokens[1..count) of a document. */
double lm_ngram_score(const struct lm_ngram *m, const uint32_t *tokens, size_t count);

uint32_t lm_ngram_vocab_size(const struct lm_ngram *m);
int lm_ngram_order(const struct lm_ngram *m);

/* ---- token/ngram_file.c: the tables as they are, mapped when opened ----
 * Little endian: magic "LOOMNGR2"; order, vocabulary size (u32); SHA-256 of the tokenizer.json whose ids it
 * knows; XXH3 of all behind the magic but itself; discounts[order][3] (f64); then for each order n-grams and
 * contexts, each as slots and used slots (u64), keys[slots] (u64) and values[slots][1 or 4] (u32), filled up
 * with 0 to whole 8 bytes.  About 16 bytes an n-gram and 32 a context.  Everything is checked when it is
 * opened: a search always ends, no probability is 0 or no number. */
enum lm_rc lm_ngram_save(const struct lm_ngram *m, const uint8_t tokenizer_sha256[32], const char *path,
                         struct lm_err *err);
enum lm_rc lm_ngram_open(const char *path, uint8_t ret_tokenizer_sha256[32], struct lm_ngram **ret,
                         struct lm_err *err);

#endif
