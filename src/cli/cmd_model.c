/* cli/cmd_model.c - the actions of `loom model`, and the shortest of them. */

#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "cli/model.h"
#include "infer/engine.h"
#include "infer/kv.h"
#include "token/tokenizer.h"

#include <stdlib.h>

#define ROW(f) LM_OPT_AT(struct lm_model_cli_config, f)
static const char *const forms[] = { "gguf", "hf", NULL };
static const char *const types[] = { "as-stored", "f32",  "f16",  "bf16", "q8_0",
                                     "q4_0",      "q4_1", "q5_0", "q5_1", NULL };
static const struct lm_opt rows[] = {
    { "context", LM_OPT_INT, ROW(context), "0", 0, 1 << 24, "tokens",
      "memory is told for as many; 0 = what the model was made for (inspect)" },
    { "kv-type", LM_OPT_CHOICE, ROW(kv), "f32", .help = "of the cache that memory is told for (inspect)",
      .choices = lm_kv_type_names },
    { "out", LM_OPT_STRING, ROW(out), NULL,
      .help = "folder or file to make (import, export, quantize, merge-adapter, grow)" },
    { "to", LM_OPT_CHOICE, ROW(to), "gguf", .help = "form to write (export)", .choices = forms },
    { "type", LM_OPT_CHOICE, ROW(type), "as-stored", .help = "type of the matrices (export, quantize, grow)",
      .choices = types },
    { "fall-back", LM_OPT_BOOL, ROW(fall_back), "false",
      .help = "a matrix whose rows are not whole blocks becomes f16; otherwise it is an error (export, "
              "quantize)" },
    { "with-tokenizer", LM_OPT_BOOL, ROW(tokenizer), "true",
      .help = "write the tokenizer too (export, quantize)" },
    { "tokenizer", LM_OPT_STRING, ROW(grown), NULL,
      .help = "folder that 'loom tokenizer grow' has made (grow)" },
    { "hub", LM_OPT_STRING, ROW(hub), "https://huggingface.co", .help = "where hf:// names live (import)" },
    { "token-file", LM_OPT_STRING, ROW(token_file), NULL,
      .help = "file with the access token of the hub (import)" },
    { "download-max", LM_OPT_INT, ROW(download_max), "100000", 1, 1e9, "MB",
      "largest file to download (import)" },
    { "text", LM_OPT_STRING, ROW(text), NULL,
      .help = "file of text, or documents, that none of the models was made from (compare)" },
    { "max-bytes", LM_OPT_INT, ROW(max_bytes), "100000", 16, 1e9, "bytes", "used of the text (compare)" },
    { "passage-bytes", LM_OPT_INT, ROW(passage_bytes), "2048", 16, 1 << 20, "bytes",
      "longest passage, scored on its own (compare)" },
    { "runs", LM_OPT_INT, ROW(runs), "3", 0, 100, "",
      "median of as many; 0 = speed is not measured (compare)" },
};
const struct lm_opt_table lm_model_cli_options = LM_OPT_TABLE("model", struct lm_model_cli_config, rows);

/* ---- score ---- */

struct scoring {
    struct lm_scorer *scorer;
    struct lm_tokens tokens;
    double *logprobs;
    size_t logprob_cap;
    double sum;
    uint64_t predicted;
};

/* ids -> ln P of each, given those before it in the line; 0 for the first. */
static enum lm_rc score_line(void *user, struct lm_str line, struct lm_buf *ret, struct lm_err *err)
{
    struct scoring *s = user;
    s->tokens.len = 0;
    LM_TRY(lm_cli_ids_read(line, &s->tokens, err));
    const size_t count = s->tokens.len;
    lm_grow(&s->logprobs, &s->logprob_cap, count, sizeof(*s->logprobs));
    LM_TRY(lm_scorer_run(s->scorer, s->tokens.ids, count, s->logprobs, err));
    for (size_t i = 0; i < count; i++) {
        lm_buf_printf(ret, "%s%.9g", i ? " " : "", s->logprobs[i]);
        s->sum += s->logprobs[i];
    }
    s->predicted += count ? count - 1 : 0;
    return LM_OK;
}

static enum lm_rc score(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_model model = { 0 };
    struct scoring s = { 0 };
    uint64_t lines = 0;
    LM_TRY(lm_model_open(cli->args[0], &model, err));
    enum lm_rc rc = lm_scorer_new(&model, &s.scorer, err);
    if (rc == LM_OK)
        rc = lm_cli_lines(score_line, (void *[]){ &s }, 1, &lines, err);
    if (rc == LM_OK) {
        const double loss = s.predicted ? -s.sum / (double)s.predicted : 0;
        lm_buf_putc(&cli->result, '{');
        lm_json_key_int(&cli->result, "lines", (int64_t)lines);
        lm_json_key_int(&cli->result, "predicted", (int64_t)s.predicted);
        lm_json_key_num(&cli->result, "loss", loss);
        lm_buf_putc(&cli->result, '}');
        lm_say("%llu tokens predicted, loss %.4f nats a token", (unsigned long long)s.predicted, loss);
    }
    free(s.logprobs);
    lm_tokens_release(&s.tokens);
    lm_scorer_free(s.scorer);
    lm_model_close(&model);
    return rc;
}

const struct lm_cli_action lm_model_actions[] = {
    { "inspect", "MODEL", "architecture, parameters, types, memory, licence", 1, 1, lm_model_inspect },
    { "score", "MODEL", "lines of ids (stdin) to ln P of each id, given those before it", 1, 1, score },
    { "compare", "MODEL... --text=FILE", "several models on one text: bits per byte, speed, size", 1,
      LM_CLI_ARGS_MAX, lm_model_compare },
    { "import", "SOURCE --out=DIR", "a file, a folder, an https:// address or hf://owner/name into a folder",
      1, 1, lm_model_import },
    { "export", "MODEL --to=hf|gguf --out=PATH", "write a model in the other form, or in another type", 1, 1,
      lm_model_export },
    { "merge-adapter", "MODEL ADAPTER... --out=DIR", "put adapters of PEFT into a model's weights", 2, 16,
      lm_model_merge },
    { "grow", "MODEL --tokenizer=DIR --out=DIR", "rows for the new tokens of a grown tokenizer", 1, 1,
      lm_model_grow_command },
    { "quantize", "MODEL --type=TYPE --out=FILE", "write a GGUF file of a smaller type", 1, 1,
      lm_model_quantize },
    { 0 },
};
