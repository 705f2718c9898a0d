#ifndef LM_MODEL_EXPORT_H
#define LM_MODEL_EXPORT_H
/* model/export.h - an open model written as a Hugging Face folder or as a GGUF file.
 *
 * Any architecture, from either source.  A tensor whose type stays keeps its bytes; other types are decoded
 * and encoded (docs/formats/gguf.md).  Rows of Q and K are brought into the order of the target, GPT-2's
 * matrices are transposed for folders, the three of Q, K and V joined where the target joins them.
 *
 * The result is whole or absent: files are synced and renamed, a folder is built beside its place. */

#include "model/model.h"

struct lm_export_options {
    enum lm_type type;   // of matrices; LM_TYPE_COUNT: as stored
    bool fall_back;      // a matrix whose rows are not whole blocks becomes F16; else it is an error
};

/* What became of each tensor. */
struct lm_exported {
    char name[96];
    enum lm_type stored, type;
    size_t rows, cols;   // (out, in); rows 0: a vector
    uint64_t bytes;
    bool fell_back;
};
struct lm_export_report {
    struct lm_exported *tensors;
    size_t count;
    uint64_t bytes;   // of all tensors
};
void lm_export_report_release(struct lm_export_report *report);

/* tokenizer: NULL writes none, but files of a source of the same form are copied as they are in any case.
 *
 * Folder: config.json, generation_config.json, model.safetensors, the tokenizer, README.md with the licence.
 * type must be F32, F16 or BF16; as stored refuses blocks.  LM_EEXIST if dir exists and is not empty;
 * LM_EINVAL for what config.json cannot say (rotation factors that are no llama3 scaling). */
enum lm_rc lm_export_folder(const struct lm_model *m, const struct lm_tokenizer *tokenizer,
                            const struct lm_export_options *options, const char *dir,
                            struct lm_export_report *ret, struct lm_err *err);

/* Vectors and learned positions are F32.  In a file of Q4_0 or Q4_1 the head (and the embedding that is one)
 * is Q8_0.  An old file is replaced. */
enum lm_rc lm_export_gguf(const struct lm_model *m, const struct lm_tokenizer *tokenizer,
                          const struct lm_export_options *options, const char *path,
                          struct lm_export_report *ret, struct lm_err *err);

#endif
