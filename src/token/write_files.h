#ifndef LM_TOKEN_WRITE_FILES_H
#define LM_TOKEN_WRITE_FILES_H
/* token/write_files.h - tokenizers as files of others: what convert.c chooses from. */

#include "token/parts_impl.h"
#include "token/tokenizer_impl.h"

/* sentencepiece's .model: BPE of pieces, and Unigram that came from such a file.  LM_EINVAL: what it cannot
 * say. */
enum lm_rc lm_write_spm(const struct lm_tokenizer *t, struct lm_buf *ret, struct lm_err *err);

/* tiktoken's ranks, and what they do not say as JSON, the arguments of tiktoken.Encoding:
 *
 *     {"pat_str":"..","special_tokens":{"<|endoftext|>":50256}}
 *
 * LM_EINVAL where ranks would mean other ids than the merges. */
enum lm_rc lm_write_ranks(const struct lm_tokenizer *t, struct lm_buf *ret_ranks, struct lm_buf *ret_settings,
                          struct lm_err *err);

#define LM_TIKTOKEN_RANKS "tokenizer.tiktoken"
#define LM_TIKTOKEN_SETTINGS "tiktoken.json"

/* The bytes of an escape that a pattern starts with, \p{L} and the like in full; 0: it starts with none. */
size_t lm_pattern_escape(struct lm_str rest);

#endif
