/* cli/cmd_tokenizer.c - train a tokenizer, use it, look into it. */

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "corpus/corpus.h"
#include "token/tokenizer.h"

#include <stdlib.h>

struct paths {
    const char *tokenizer, *out;
    bool special;
};
static const struct lm_opt path_rows[] = {
    { "tokenizer", LM_OPT_STRING, LM_OPT_AT(struct paths, tokenizer), NULL,
      .help = "tokenizer.json or its folder (encode, decode, inspect)" },
    { "out", LM_OPT_STRING, LM_OPT_AT(struct paths, out), NULL, .help = "folder to make (train)" },
    { "allow-special", LM_OPT_BOOL, LM_OPT_AT(struct paths, special), "false",
      .help = "text that spells a special token becomes it (encode)" },
};
const struct lm_opt_table lm_tokenizer_path_options = LM_OPT_TABLE("paths", struct paths, path_rows);

enum { INPUT_BYTES_MAX = 1 << 30 };

static enum lm_rc train(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_cli_out out;
    struct lm_buf metrics = { 0 };
    LM_TRY(lm_cli_out_begin(cli, ((const struct paths *)cli->config[1])->out, &out, err));
    enum lm_rc rc =
        lm_vocabulary_build(cli->config[0], 0, cli->args, cli->arg_count, out.out_dir, &metrics, err);
    if (rc == LM_OK)
        rc = lm_cli_out_commit(&out, err);
    if (rc == LM_OK)
        lm_say("made %s: %s", out.final_dir, metrics.ptr);
    lm_buf_add_str(&cli->result, lm_buf_str(&metrics));
    lm_buf_release(&metrics);
    return rc;
}

static enum lm_rc load(struct lm_cli *cli, struct lm_tokenizer **ret, struct lm_err *err)
{
    const struct paths *paths = cli->config[1];
    if (!paths->tokenizer)
        return lm_fail(err, LM_EINVAL,
                       "--tokenizer is missing: a tokenizer.json or the folder that holds it");
    return lm_tokenizer_load(paths->tokenizer, ret, err);
}

/* The argument, or standard input when there is none. */
static enum lm_rc read_input(struct lm_cli *cli, struct lm_buf *ret, struct lm_err *err)
{
    if (cli->arg_count) {
        lm_buf_puts(ret, cli->args[0]);
        return LM_OK;
    }
    return lm_file_read("/dev/stdin", INPUT_BYTES_MAX, ret, err);
}

static enum lm_rc encode(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_tokenizer *tokenizer = NULL;
    struct lm_buf text = { 0 };
    struct lm_tokens tokens = { 0 };
    LM_TRY(load(cli, &tokenizer, err));
    const enum lm_rc rc = read_input(cli, &text, err);
    if (rc == LM_OK) {
        struct lm_encoder *encoder = lm_encoder_new(tokenizer);
        lm_encode(encoder, lm_buf_str(&text), ((const struct paths *)cli->config[1])->special, &tokens);
        lm_encoder_free(encoder);
        lm_buf_puts(&cli->result, "{\"ids\":[");
        for (size_t i = 0; i < tokens.len; i++)
            lm_buf_printf(&cli->result, "%s%u", i ? "," : "", tokens.ids[i]);
        lm_buf_puts(&cli->result, "]}");
        for (size_t i = 0; !cli->globals.json && i < tokens.len; i++)
            printf("%u%c", tokens.ids[i], i + 1 < tokens.len ? ' ' : '\n');
    }
    lm_tokens_release(&tokens);
    lm_buf_release(&text);
    lm_tokenizer_free(tokenizer);
    return rc;
}

/* Decimal ids, separated by anything that is no digit. */
static enum lm_rc parse_ids(struct lm_str text, struct lm_tokens *ret, struct lm_err *err)
{
    for (size_t i = 0; i < text.len;) {
        size_t end = i;
        while (end < text.len && text.ptr[end] >= '0' && text.ptr[end] <= '9')
            end++;
        int64_t id = 0;
        if (end == i) {
            i++;
            continue;
        }
        if (!lm_str_to_i64((struct lm_str){ text.ptr + i, end - i }, &id) || id > UINT32_MAX)
            return lm_fail(err, LM_EINVAL, "'%.*s' is no token id", (int)(end - i), text.ptr + i);
        lm_grow(&ret->ids, &ret->cap, ret->len + 1, sizeof(*ret->ids));
        ret->ids[ret->len++] = (uint32_t)id;
        i = end;
    }
    return LM_OK;
}

static enum lm_rc decode(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_tokenizer *tokenizer = NULL;
    struct lm_buf input = { 0 }, text = { 0 };
    struct lm_tokens tokens = { 0 };
    LM_TRY(load(cli, &tokenizer, err));
    enum lm_rc rc = read_input(cli, &input, err);
    if (rc == LM_OK)
        rc = parse_ids(lm_buf_str(&input), &tokens, err);
    if (rc == LM_OK)
        rc = lm_decode(tokenizer, tokens.ids, tokens.len, false, &text, err);
    if (rc == LM_OK) {
        lm_buf_putc(&cli->result, '{');
        lm_json_key_str(&cli->result, "text", lm_buf_str(&text));
        lm_buf_putc(&cli->result, '}');
        if (!cli->globals.json)
            printf("%s\n", text.ptr ? text.ptr : "");
    }
    lm_tokens_release(&tokens);
    lm_buf_release(&input);
    lm_buf_release(&text);
    lm_tokenizer_free(tokenizer);
    return rc;
}

static enum lm_rc inspect(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_tokenizer *tokenizer = NULL;
    LM_TRY(load(cli, &tokenizer, err));
    const uint32_t vocab_size = lm_tokenizer_vocab_size(tokenizer);
    size_t special = 0, longest = 0;
    uint32_t longest_id = 0;
    for (uint32_t id = 0; id < vocab_size; id++) {
        special += lm_tokenizer_is_special(tokenizer, id);
        if (!lm_tokenizer_is_special(tokenizer, id) && lm_tokenizer_bytes(tokenizer, id).len > longest) {
            longest = lm_tokenizer_bytes(tokenizer, id).len;
            longest_id = id;
        }
    }
    char sha[LM_SHA256_HEX];
    lm_hex(lm_tokenizer_sha256(tokenizer), LM_SHA256_BYTES, sha);
    const struct lm_str text = lm_tokenizer_bytes(tokenizer, longest_id);
    lm_buf_putc(&cli->result, '{');
    lm_json_key_int(&cli->result, "vocab_size", vocab_size);
    lm_json_key_int(&cli->result, "special", (int64_t)special);
    lm_json_key_str(&cli->result, "longest", text);
    lm_json_key_str(&cli->result, "sha256", lm_str(sha));
    lm_buf_putc(&cli->result, '}');
    if (!cli->globals.json)
        printf("vocabulary  %u\nspecial     %zu\nlongest     %u, %zu bytes: %.*s\nsha256      %s\n",
               vocab_size, special, longest_id, longest, (int)text.len, text.ptr, sha);
    lm_tokenizer_free(tokenizer);
    return LM_OK;
}

const struct lm_cli_action lm_tokenizer_actions[] = {
    { "train", "IN... --out=DIR", "byte-level BPE from document files", 1, LM_CLI_ARGS_MAX, train },
    { "encode", "[TEXT] --tokenizer=T", "text (or stdin) to ids", 0, 1, encode },
    { "decode", "[IDS] --tokenizer=T", "ids (or stdin) to text", 0, 1, decode },
    { "inspect", "--tokenizer=T", "size, special tokens, longest token", 0, 0, inspect },
    { 0 },
};
