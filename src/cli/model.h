#ifndef LM_CLI_MODEL_H
#define LM_CLI_MODEL_H
/* cli/model.h - the actions of `loom model` share one table of options.  Private to this module. */

#include "cli/cli.h"

struct lm_model_cli_config {
    int64_t context;
    int kv;   // enum lm_kv_type
    const char *out;
    int to, type;
    bool fall_back, tokenizer;
    const char *hub, *token_file;
    int64_t download_max;
};

enum lm_rc lm_model_inspect(struct lm_cli *cli, struct lm_err *err);
enum lm_rc lm_model_import(struct lm_cli *cli, struct lm_err *err);
enum lm_rc lm_model_export(struct lm_cli *cli, struct lm_err *err);
enum lm_rc lm_model_quantize(struct lm_cli *cli, struct lm_err *err);

#endif
