/* cli/cmd_model_grow.c - a model for a vocabulary that has grown. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/model.h"
#include "model/export.h"
#include "model/grow.h"

/* What names tokens.  Of these the model's own are wrong afterwards: replaced, or removed where the grown
 * tokenizer has none. */
static const char *const token_files[] = { "tokenizer.json", "vocab.json",       "vocab.txt",
                                           "vocab.bin",      "merges.txt",       "tokenizer.model",
                                           "grown.json",     "added_tokens.json" };
/* Of these the model's own stay where the grown tokenizer has none. */
static const char *const other_files[] = { "tokenizer_config.json", "special_tokens_map.json",
                                           "chat_template.jinja" };

static enum lm_rc copy_files(const char *from_dir, const char *to_dir, const char *const *names, size_t count,
                             bool replace, struct lm_err *err)
{
    for (size_t i = 0; i < count; i++) {
        LM_FREE char *from = lm_path_join(from_dir, names[i]);
        LM_FREE char *to = lm_path_join(to_dir, names[i]);
        if (lm_path_exists(from))
            LM_TRY(lm_file_copy(from, to, err));
        else if (replace)
            LM_TRY(lm_path_remove(to, err));
    }
    return LM_OK;
}

/* The old tokens of the grown tokenizer must be those that the model knows; a model without tokenizer has to
 * be believed. */
static enum lm_rc check_tokenizer(const char *model, const char *grown_dir, const struct lm_grown *grown,
                                  struct lm_err *err)
{
    struct lm_tokenizer *old = NULL, *new = NULL;
    LM_FREE char *json = lm_path_join(model, "tokenizer.json");
    if (lm_path_is_dir(model) && !lm_path_exists(json))
        return LM_OK;
    LM_TRY(lm_model_tokenizer(model, &old, err));
    enum lm_rc rc = lm_tokenizer_load(grown_dir, &new, err);
    const uint32_t old_size = rc == LM_OK ? lm_tokenizer_vocab_size(old) : 0;
    if (rc == LM_OK && (old_size != grown->old_size || lm_tokenizer_vocab_size(new) != grown->new_size))
        rc = lm_fail(
            err, LM_EINVAL,
            "%s grew from a vocabulary of %u tokens to one of %u, but the model has %u and the folder "
            "%u",
            grown_dir, grown->old_size, grown->new_size, old_size, lm_tokenizer_vocab_size(new));
    for (uint32_t id = 0; rc == LM_OK && id < old_size; id++)
        if (!lm_str_eq(lm_tokenizer_bytes(old, id), lm_tokenizer_bytes(new, id)))
            rc = lm_fail(err, LM_EINVAL, "%s grew from another vocabulary than the model's: token %u differs",
                         grown_dir, id);
    lm_tokenizer_free(old);
    lm_tokenizer_free(new);
    return rc;
}

static enum lm_rc write_model(struct lm_cli *cli, const struct lm_model *m, const struct lm_grown *grown,
                              const char *out_dir, struct lm_err *err)
{
    const struct lm_model_cli_config *o = cli->config[0];
    const struct lm_export_options options = { .type = lm_model_type_option(o->type) };
    struct lm_model_growth growth = { 0 };
    struct lm_export_report report = { 0 };
    LM_TRY(lm_model_check_finite(m, err));
    LM_TRY(lm_model_grow(m, grown, &growth, err));
    enum lm_rc rc = lm_export_folder(&growth.model, NULL, &options, out_dir, &report, err);
    if (rc == LM_OK)
        rc = copy_files(o->grown, out_dir, token_files, sizeof(token_files) / sizeof(token_files[0]), true,
                        err);
    if (rc == LM_OK)
        rc = copy_files(o->grown, out_dir, other_files, sizeof(other_files) / sizeof(other_files[0]), false,
                        err);
    if (rc == LM_OK) {
        lm_buf_putc(&cli->result, '{');
        lm_json_key_int(&cli->result, "vocab_size_before", m->config.vocab_size);
        lm_json_key_int(&cli->result, "vocab_size", growth.model.config.vocab_size);
        lm_json_key_int(&cli->result, "new_tokens", (int64_t)grown->count);
        lm_json_key_bool(&cli->result, "tied", m->config.tied);
        lm_json_key_int(&cli->result, "weight_bytes", (int64_t)report.bytes);
        lm_buf_putc(&cli->result, '}');
    }
    lm_export_report_release(&report);
    lm_model_growth_release(&growth);
    return rc;
}

static enum lm_rc open_and_write(struct lm_cli *cli, const struct lm_grown *grown, const char *out_dir,
                                 struct lm_err *err)
{
    const struct lm_model_cli_config *o = cli->config[0];
    struct lm_model m = { 0 };
    LM_TRY(check_tokenizer(cli->args[0], o->grown, grown, err));
    LM_TRY(lm_model_open(cli->args[0], &m, err));
    const enum lm_rc rc = write_model(cli, &m, grown, out_dir, err);
    lm_model_close(&m);
    return rc;
}

enum lm_rc lm_model_grow_command(struct lm_cli *cli, struct lm_err *err)
{
    const struct lm_model_cli_config *o = cli->config[0];
    struct lm_cli_out out;
    struct lm_grown grown = { 0 };
    const enum lm_type type = lm_model_type_option(o->type);
    if (!o->grown)
        return lm_fail(err, LM_EINVAL,
                       "--tokenizer is missing: the folder that 'loom tokenizer grow' has made");
    if (type > LM_TYPE_BF16 && type != LM_TYPE_COUNT)
        return lm_fail(
            err, LM_EINVAL,
            "a grown model is written as a folder, of --type=f32, f16 or bf16; 'loom model export' "
            "makes a GGUF file of it");
    LM_FREE char *path = lm_path_join(o->grown, "grown.json");
    LM_TRY(lm_grown_load(path, &grown, err));
    enum lm_rc rc = lm_cli_out_begin(cli, o->out, &out, err);
    if (rc == LM_OK)
        rc = open_and_write(cli, &grown, out.out_dir, err);
    if (rc == LM_OK)
        rc = lm_cli_out_commit(&out, err);
    if (rc == LM_OK)
        lm_say("made %s: %u tokens, %zu of them new", out.final_dir, grown.new_size, grown.count);
    lm_grown_release(&grown);
    return rc;
}
