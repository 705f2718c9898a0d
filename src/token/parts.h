#ifndef LM_TOKEN_PARTS_H
#define LM_TOKEN_PARTS_H
/* token/parts.h - a tokenizer as plain arrays: how one comes out of a GGUF file, and goes into one.
 *
 * The arrays are GGUF's tokenizer.ggml.* keys (docs/formats/gguf.md); model/ reads and writes them, this
 * module knows what they mean. */

#include "token/tokenizer.h"

enum lm_token_type {   // sentencepiece's codes
    LM_TOKEN_NORMAL = 1,
    LM_TOKEN_UNKNOWN,
    LM_TOKEN_CONTROL,
    LM_TOKEN_USER_DEFINED,
    LM_TOKEN_UNUSED,
    LM_TOKEN_BYTE,
};

/* ids: -1 for none.  flags: 1 yes, 0 no, -1 not said (then the model's usual). */
struct lm_tokenizer_parts {
    struct lm_str model;   // "gpt2" byte-level BPE, "llama" sentencepiece BPE, "bert" WordPiece, "t5" Unigram
    struct lm_str pre;     // "llama-bpe", "smollm", ... ; for "gpt2"
    const struct lm_str *tokens;   // as spelt in the file
    const int32_t *types;          // NULL: all normal
    const float *scores;           // NULL: none
    const struct lm_str *merges;   // "left right"
    size_t token_count, score_count, merge_count;
    int64_t bos_id, eos_id, unk_id, pad_id, sep_id, cls_id, mask_id, eot_id;
    int add_bos, add_eos, add_space_prefix, remove_extra_blanks;
    struct lm_str chat_template;
    struct lm_str charsmap;   // precompiled_charsmap; for "t5" and "llama"
};

/* LM_EFORMAT names the part and its index; strings are copied.  The result has a tokenizer.json too
 * (lm_tokenizer_json), so it can be written into a Hugging Face folder. */
enum lm_rc lm_tokenizer_from_parts(const struct lm_tokenizer_parts *parts, const char *name,
                                   struct lm_tokenizer **ret, struct lm_err *err);

/* The other way; arrays live in the arena, strings in it or in the tokenizer.  LM_EINVAL names what GGUF
 * cannot say (a pre-tokeniser without a name there). */
enum lm_rc lm_tokenizer_to_parts(const struct lm_tokenizer *t, struct lm_arena *arena,
                                 struct lm_tokenizer_parts *ret, struct lm_err *err);

#endif
