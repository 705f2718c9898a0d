#ifndef LM_CLI_MODEL_H
#define LM_CLI_MODEL_H
/* cli/model.h - the actions of `loom model` share one table of options.  Private to this module. */

#include "cli/cli.h"
#include "infer/kv.h"
#include "model/model.h"

struct lm_model_cli_config {
    int64_t context;
    int kv;   // enum lm_kv_type
    const char *out;
    int to, type;
    bool fall_back, tokenizer;
    const char *hub, *token_file;
    int64_t download_max;
    const char *text;
    int64_t max_bytes, passage_bytes, runs;
    const char *grown;
};

enum lm_type lm_model_type_option(int type);   // LM_TYPE_COUNT: as stored

/* ---- cmd_model_inspect.c: facts about a model ---- */

/* Weights by type; values of a tied head are counted once. */
struct lm_model_types {
    struct {
        uint64_t tensors, values, bytes;
    } of[LM_TYPE_COUNT];
    uint64_t bytes;   // of all
};
struct lm_model_types lm_model_count_types(const struct lm_model *m);
const char *lm_model_quantization(const struct lm_model_types *types);   // of most values; "none" for floats
/* Bytes of the cache for one position; an encoder has none. */
enum lm_rc lm_model_kv_bytes_per_token(const struct lm_model_config *c, enum lm_kv_type type, int64_t *ret,
                                       struct lm_err *err);

enum lm_rc lm_model_inspect(struct lm_cli *cli, struct lm_err *err);
enum lm_rc lm_model_compare(struct lm_cli *cli, struct lm_err *err);
enum lm_rc lm_model_import(struct lm_cli *cli, struct lm_err *err);
enum lm_rc lm_model_export(struct lm_cli *cli, struct lm_err *err);
enum lm_rc lm_model_merge(struct lm_cli *cli, struct lm_err *err);
enum lm_rc lm_model_grow_command(struct lm_cli *cli, struct lm_err *err);
enum lm_rc lm_model_quantize(struct lm_cli *cli, struct lm_err *err);

#endif
