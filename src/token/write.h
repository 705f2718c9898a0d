#ifndef LM_TOKEN_WRITE_H
#define LM_TOKEN_WRITE_H
/* token/write.h - the files of a tokenizer. */

#include "token/bpe_train.h"
#include "token/tokenizer_impl.h"

/* tokenizer.json as Hugging Face lays it out, without blanks. */
void lm_write_tokenizer_json(const struct lm_learned *l, const struct lm_grammar *g, struct lm_buf *ret);

/* Components of it. */
void lm_write_added_token(uint32_t id, struct lm_str content, bool special, struct lm_buf *ret);
void lm_write_byte_level(bool use_regex, struct lm_buf *ret);
void lm_write_pre_tokenizer(const struct lm_grammar *g, struct lm_buf *ret);

/* tokenizer_config.json; chat_template "" leaves the key out. */
void lm_write_tokenizer_config(const struct lm_tokenizer *t, struct lm_str chat_template, struct lm_buf *ret);

/* vocab.json: {"token text":id,...} in the order of ids; vocab.txt: a token a line, holes as [unusedID]. */
void lm_write_vocab_json(const struct lm_tokenizer *t, struct lm_buf *ret);
void lm_write_vocab_txt(const struct lm_tokenizer *t, struct lm_buf *ret);

/* A token as files of its family spell it: in the tokenizer or in scratch. */
struct lm_str lm_token_spelling(const struct lm_tokenizer *t, uint32_t id, struct lm_buf *scratch);

/* vocab.bin: docs/formats/vocab.md. */
void lm_write_vocab_bin(const struct lm_tokenizer *t, struct lm_buf *ret);

#endif
