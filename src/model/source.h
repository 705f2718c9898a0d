#ifndef LM_MODEL_SOURCE_H
#define LM_MODEL_SOURCE_H
/* model/source.h - where the weights of an open model come from.  Private to this module.
 *
 * Both containers, GGUF and safetensors, become one sorted list of stored tensors; lm_source_place finds each
 * weight of the architecture in it by name, proves type and shape, and refuses what is left over. */

#include "model/gguf.h"
#include "model/hf_shards.h"
#include "model/names.h"

/* shape as Hugging Face counts: the length of a row last. */
struct lm_stored {
    const char *name;
    const char *type_name;
    enum lm_type type;   // LM_TYPE_COUNT: none that weights may have
    size_t dims;
    uint64_t shape[LM_TENSOR_DIMS_MAX];
    const void *data;
    bool used;
};

struct lm_note {
    const char *key;
    struct lm_str value;
};

struct lm_model_source {
    const char *name;   // of the file, for messages
    enum lm_naming naming;
    struct lm_gguf gguf;   // one of the two is open
    struct lm_hf_shards shards;
    struct lm_stored *stored;   // sorted by name
    size_t stored_count;
    void **copies;   // what could not stay in the mapping
    size_t copy_count, copy_cap;
    struct lm_note *notes;
    size_t note_count, note_cap;
    struct lm_arena arena;
};

/* After the list is filled. */
void lm_source_sort(struct lm_model_source *s);
struct lm_stored *lm_source_find(const struct lm_model_source *s, const char *name);   // NULL: none
void *lm_source_copy(struct lm_model_source *s, size_t bytes);                         // owned by s
void lm_source_note(struct lm_model_source *s, struct lm_str key, struct lm_str value);

/* Fills ret->weights for ret->config, which has passed its check; required and optional are bits of tensors.
 */
enum lm_rc lm_source_place(struct lm_model_source *s, struct lm_model *ret, uint32_t required,
                           uint32_t optional, struct lm_err *err);

/* model/open_gguf.c, model/open_hf.c: fill s, then the config, then the weights. */
enum lm_rc lm_source_open_gguf(struct lm_model_source *s, struct lm_model *ret, struct lm_err *err);
enum lm_rc lm_source_open_hf(struct lm_model_source *s, const char *dir, struct lm_model *ret,
                             struct lm_err *err);

#endif
