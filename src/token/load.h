#ifndef LM_TOKEN_LOAD_H
#define LM_TOKEN_LOAD_H
/* token/load.h - between load.c (structure, vocabulary, merges), load_parts.c, load_added.c, load_post.c (the
 * components by name) and load_folder.c (the files beside). */

#include "token/tokenizer_impl.h"

#include <jansson.h>

struct lm_token_load {
    struct lm_tokenizer *t;
    const char *name;   // of the file, for messages
    struct lm_arena arena;
    struct lm_buf bytes;     // of one token
    bool *made;              // [vocab.size] some merge makes the token
    struct lm_str unknown;   // unk_token of the model; "" when it has none
};

/* Options of the BPE model and the values of them that are supported. */
enum { LM_MODEL_OPTION_COUNT = 8 };
struct lm_model_option {
    const char *key;
    const char *allowed;   // JSON texts, separated by blanks; NULL: any
};
extern const struct lm_model_option lm_model_options[LM_MODEL_OPTION_COUNT];

/* A component as a tree; "" is null. */
enum lm_rc lm_load_part(struct lm_token_load *l, const char *part, struct lm_str json, json_t **ret,
                        struct lm_err *err);
const char *lm_load_type(const json_t *component);   // of "type"; never NULL
enum lm_rc lm_load_refuse(struct lm_token_load *l, const char *part, const json_t *component,
                          struct lm_err *err);

void lm_load_tree_free(json_t **value);
#define LM_TREE_FREE __attribute__((cleanup(lm_load_tree_free)))

/* Each gets the JSON text of its part ("" when the file has none). */
enum lm_rc lm_load_options(struct lm_token_load *l, const struct lm_str *values, struct lm_err *err);
enum lm_rc lm_load_normalizer(struct lm_token_load *l, struct lm_str json, struct lm_err *err);
enum lm_rc lm_load_pre_tokenizer(struct lm_token_load *l, struct lm_str json, struct lm_err *err);
enum lm_rc lm_load_decoder(struct lm_token_load *l, struct lm_str json, struct lm_err *err);
enum lm_rc lm_load_added(struct lm_token_load *l, struct lm_str json, struct lm_err *err);
enum lm_rc lm_load_post_processor(struct lm_token_load *l, struct lm_str json, struct lm_err *err);

/* tokenizer_config.json and chat_template.jinja of a folder, where they are: roles and the chat template. */
enum lm_rc lm_load_companions(struct lm_tokenizer *t, const char *dir, struct lm_err *err);

#endif
