/* cli/cmd_model_export.c - write a model in the other form, or in another type. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/model.h"
#include "model/export.h"
#include "model/gguf.h"

enum { TO_GGUF, TO_FOLDER };

/* Rows of --type: 0 is "as-stored". */
static const enum lm_type types[] = { LM_TYPE_COUNT, LM_TYPE_F32,  LM_TYPE_F16,  LM_TYPE_BF16, LM_TYPE_Q8_0,
                                      LM_TYPE_Q4_0,  LM_TYPE_Q4_1, LM_TYPE_Q5_0, LM_TYPE_Q5_1 };

enum lm_type lm_model_type_option(int type)
{
    return types[type];
}

/* NULL when none is wanted or the model has none: a folder without tokenizer.json, a file without tokens. */
static enum lm_rc load_tokenizer(const struct lm_cli *cli, struct lm_tokenizer **ret, struct lm_err *err)
{
    const struct lm_model_cli_config *o = cli->config[0];
    const char *path = cli->args[0];
    *ret = NULL;
    if (!o->tokenizer)
        return LM_OK;
    bool has_one;
    if (lm_path_is_dir(path)) {
        LM_FREE char *file = lm_path_join(path, "tokenizer.json");
        has_one = lm_path_exists(file);
    } else {
        struct lm_gguf g;
        LM_TRY(lm_gguf_open(&g, path, err));
        has_one = lm_gguf_find(&g, "tokenizer.ggml.tokens") != NULL;
        lm_gguf_close(&g);
    }
    if (!has_one) {
        lm_say("%s has no tokenizer: none is written", path);
        return LM_OK;
    }
    return lm_model_tokenizer(path, ret, err);
}

/* Files of the same form are copied with the tokenizer as it is: then it need not be understood. */
static bool needs_tokenizer(const struct lm_cli *cli, int to)
{
    return lm_path_is_dir(cli->args[0]) == (to == TO_GGUF);
}

static void tell(struct lm_cli *cli, const struct lm_export_report *report, const char *out)
{
    lm_buf_putc(&cli->result, '{');
    lm_json_key_str(&cli->result, "out", lm_str(out));
    lm_json_key_int(&cli->result, "weight_bytes", (int64_t)report->bytes);
    lm_json_key(&cli->result, "tensors");
    lm_buf_putc(&cli->result, '[');
    for (size_t i = 0; i < report->count; i++) {
        const struct lm_exported *t = &report->tensors[i];
        lm_json_sep(&cli->result);
        lm_buf_putc(&cli->result, '{');
        lm_json_key_str(&cli->result, "name", lm_str(t->name));
        lm_json_key_str(&cli->result, "stored", lm_str(lm_types[t->stored].name));
        lm_json_key_str(&cli->result, "type", lm_str(lm_types[t->type].name));
        lm_json_key_int(&cli->result, "bytes", (int64_t)t->bytes);
        if (t->fell_back)
            lm_json_key_bool(&cli->result, "fell_back", true);
        lm_buf_putc(&cli->result, '}');
        if (!cli->globals.json)
            printf("%-44s %-5s -> %-5s %12llu bytes%s\n", t->name, lm_types[t->stored].name,
                   lm_types[t->type].name, (unsigned long long)t->bytes,
                   t->fell_back ? "  (fell back: rows are not whole blocks)" : "");
    }
    lm_buf_puts(&cli->result, "]}");
    lm_say("made %s: %zu tensors, %llu bytes of weights", out, report->count,
           (unsigned long long)report->bytes);
}

static enum lm_rc write_model(struct lm_cli *cli, const struct lm_model *m, int to, struct lm_err *err)
{
    const struct lm_model_cli_config *o = cli->config[0];
    const struct lm_export_options options = { .type = types[o->type], .fall_back = o->fall_back };
    struct lm_tokenizer *tokenizer = NULL;
    struct lm_export_report report = { 0 };
    LM_TRY(lm_model_check_finite(m, err));
    if (needs_tokenizer(cli, to))
        LM_TRY(load_tokenizer(cli, &tokenizer, err));
    const enum lm_rc rc = to == TO_GGUF ? lm_export_gguf(m, tokenizer, &options, o->out, &report, err)
                                        : lm_export_folder(m, tokenizer, &options, o->out, &report, err);
    if (rc == LM_OK)
        tell(cli, &report, o->out);
    lm_export_report_release(&report);
    lm_tokenizer_free(tokenizer);
    return rc;
}

static enum lm_rc open_and_write(struct lm_cli *cli, int to, struct lm_err *err)
{
    const struct lm_model_cli_config *o = cli->config[0];
    struct lm_model m = { 0 };
    if (!o->out)
        return lm_fail(err, LM_EINVAL, "--out is missing: it names the %s to make",
                       to == TO_GGUF ? "file" : "folder");
    if (to == TO_GGUF && lm_path_exists(o->out))
        return lm_fail(err, LM_EEXIST, "'%s' exists; give another --out or remove it", o->out);
    LM_TRY(lm_model_open(cli->args[0], &m, err));
    const enum lm_rc rc = write_model(cli, &m, to, err);
    lm_model_close(&m);
    return rc;
}

enum lm_rc lm_model_export(struct lm_cli *cli, struct lm_err *err)
{
    const struct lm_model_cli_config *o = cli->config[0];
    return open_and_write(cli, o->to, err);
}

enum lm_rc lm_model_quantize(struct lm_cli *cli, struct lm_err *err)
{
    const struct lm_model_cli_config *o = cli->config[0];
    if (types[o->type] == LM_TYPE_COUNT)
        return lm_fail(err, LM_EINVAL, "--type is missing: q8_0, q4_0, ... ('loom model --help' lists them)");
    return open_and_write(cli, TO_GGUF, err);
}
