#ifndef LM_TOKEN_LOAD_OTHER_H
#define LM_TOKEN_LOAD_OTHER_H
/* token/load_other.h - files that are not tokenizer.json, written as one. */

#include "token/load.h"
#include "token/parts_impl.h"

/* BASE64 RANK lines of tiktoken.  encoding: cl100k_base, o200k_base, ...: the file says nothing of its
 * pattern and its special tokens, and they are not guessed; NULL or unknown ones are refused with a list. */
enum lm_rc lm_load_tiktoken(struct lm_str file, const char *encoding, const char *name, struct lm_buf *ret,
                            struct lm_err *err);
/* The same with settings beside it (write_files.h), the arguments of tiktoken.Encoding. */
enum lm_rc lm_load_ranks(struct lm_str file, struct lm_str settings, const char *name, struct lm_buf *ret,
                         struct lm_err *err);
bool lm_load_looks_like_tiktoken(struct lm_str file);

/* Mistral's tekken.json, which says all of itself. */
enum lm_rc lm_load_tekken(struct lm_str file, const char *name, struct lm_buf *ret, struct lm_err *err);
bool lm_load_looks_like_tekken(struct lm_str file);

/* A sentencepiece model (protobuf) as GGUF's arrays; strings are borrowed from the file. */
enum lm_rc lm_load_spm(struct lm_str file, const char *name, struct lm_arena *arena,
                       struct lm_tokenizer_parts *ret, struct lm_err *err);
bool lm_load_looks_like_spm(struct lm_str file);

/* vocab.json and merges.txt; tokenizer_config.json of the folder says which special tokens are added. */
enum lm_rc lm_load_merges_txt(const char *dir, struct lm_buf *ret, struct lm_err *err);
/* The same from texts; config: of tokenizer_config.json, NULL: none.  dir is for errors. */
enum lm_rc lm_load_vocab_and_merges(struct lm_str vocab, struct lm_str merges, const json_t *config,
                                    const char *dir, struct lm_buf *ret, struct lm_err *err);

/* As lm_tokenizer_parse, but takes over the buffer, and empties it, when all is well.  ranks: all merges that
 * make one token have its rank, its id: tiktoken's rule. */
enum lm_rc lm_tokenizer_take(struct lm_buf *json, const char *name, bool ranks, struct lm_tokenizer **ret,
                             struct lm_err *err);
/* As lm_tokenizer_parse, but never as a chain: for what others than Hugging Face's files mean. */
enum lm_rc lm_tokenizer_parse_usual(struct lm_str json, const char *name, struct lm_tokenizer **ret,
                                    struct lm_err *err);

#endif
