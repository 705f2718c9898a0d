#ifndef LM_TOKEN_LOAD_CHAIN_H
#define LM_TOKEN_LOAD_CHAIN_H
/* token/load_chain.h - reading a tokenizer.json as a chain (token/chain.h): load_chain.c has the models,
 * load_chain_normal.c, load_chain_cut.c and load_chain_decode.c the other components, load_unigram.c the
 * scores. */

#include "token/chain.h"
#include "token/load.h"

/* An option of ours in a Unigram model that was made of a sentencepiece file, and in BPE with a map of
 * characters: sums, normalising and unused pieces are as there, not as in Hugging Face's imitation, which
 * reads the file too and ignores it.
 *
 *     {"add_dummy_prefix":true,"remove_extra_whitespaces":true,"unused":[ids]} */
#define LM_CHAIN_SENTENCEPIECE "sentencepiece"

enum { LM_CHAIN_MODELS = 4 };
extern const struct lm_load_family lm_load_chains[LM_CHAIN_MODELS];

enum lm_rc lm_load_chain_normalizer(struct lm_token_load *l, const json_t *n, struct lm_err *err);
enum lm_rc lm_load_chain_pre_tokenizer(struct lm_token_load *l, const json_t *p, struct lm_err *err);
enum lm_rc lm_load_chain_decoder(struct lm_token_load *l, const json_t *d, struct lm_err *err);

/* sentencepiece's normaliser instead of the steps of the file, as that option says. */
void lm_load_sentencepiece(struct lm_token_load *l);

/* The vocabulary and l->scores as a Unigram model. */
enum lm_rc lm_load_unigram(struct lm_token_load *l, struct lm_err *err);

#endif
