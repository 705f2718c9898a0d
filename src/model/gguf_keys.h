#ifndef LM_MODEL_GGUF_KEYS_H
#define LM_MODEL_GGUF_KEYS_H
/* model/gguf_keys.h - the keys of GGUF files, one set of tables to read and to write by.  Private to this
 * module.
 *
 * Keys of an architecture are written without its name: "block_count" is "llama.block_count" in the file. */

#include "model/model.h"
#include "token/parts.h"

/* When a whole number is written. */
enum lm_gguf_when {
    LM_GGUF_ALWAYS,
    LM_GGUF_NOT_0,
    LM_GGUF_ODD_HEAD,   // the head width is not width / heads
};

struct lm_gguf_integer_key {
    const char *key;
    size_t offset;   // of an int64_t in struct lm_model_config
    bool required;
    enum lm_gguf_when written;
};
extern const struct lm_gguf_integer_key lm_gguf_integer_keys[];
extern const size_t lm_gguf_integer_key_count;

enum { LM_GGUF_RMS = 1, LM_GGUF_LAYER_NORM = 2, LM_GGUF_ROPE = 4 };   // what an architecture has
unsigned lm_gguf_traits(enum lm_arch arch);

struct lm_gguf_real_key {
    const char *key;
    size_t offset;                 // of a double
    unsigned needed_by, used_by;   // LM_GGUF_RMS, ...
    unsigned written_by_rope;      // bits 1 << LM_ROPE_...; ~0: always; 0: another spelling, only read
};
extern const struct lm_gguf_real_key lm_gguf_real_keys[];
extern const size_t lm_gguf_real_key_count;

/* Of the end tokens, in the order of lm_model_config.eos_ids. */
enum { LM_GGUF_END_KEYS = 3 };
extern const char *const lm_gguf_end_keys[LM_GGUF_END_KEYS];

/* Fields of struct lm_tokenizer_parts: int64_t, int and struct lm_str. */
struct lm_gguf_token_key {
    const char *key;
    size_t offset;
};
extern const struct lm_gguf_token_key lm_gguf_token_ids[], lm_gguf_token_flags[], lm_gguf_token_texts[];
extern const size_t lm_gguf_token_id_count, lm_gguf_token_flag_count, lm_gguf_token_text_count;

/* "llama.block_count" */
enum { LM_GGUF_KEY_MAX = 128 };
void lm_gguf_key(enum lm_arch arch, const char *key, char ret[LM_GGUF_KEY_MAX]);

#endif
