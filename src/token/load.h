#ifndef LM_TOKEN_LOAD_H
#define LM_TOKEN_LOAD_H
/* token/load.h - between load.c (structure, vocabulary, merges) and load_parts.c (the components by name). */

#include "token/tokenizer_impl.h"

struct lm_token_load {
    struct lm_tokenizer *t;
    const char *name;   // of the file, for messages
    struct lm_arena arena;
    struct lm_buf bytes;   // of one token
    bool *made;            // [vocab.size] some merge makes the token
};

/* Options of the BPE model and the values of them that are supported. */
enum { LM_MODEL_OPTION_COUNT = 8 };
struct lm_model_option {
    const char *key;
    const char *allowed;   // JSON texts, separated by blanks; NULL: any
};
extern const struct lm_model_option lm_model_options[LM_MODEL_OPTION_COUNT];

/* Each gets the JSON text of its part ("" when the file has none). */
enum lm_rc lm_load_options(struct lm_token_load *l, const struct lm_str *values, struct lm_err *err);
enum lm_rc lm_load_normalizer(struct lm_token_load *l, struct lm_str json, struct lm_err *err);
enum lm_rc lm_load_pre_tokenizer(struct lm_token_load *l, struct lm_str json, struct lm_err *err);
enum lm_rc lm_load_decoder(struct lm_token_load *l, struct lm_str json, struct lm_err *err);
enum lm_rc lm_load_added(struct lm_token_load *l, struct lm_str json, struct lm_err *err);

#endif
