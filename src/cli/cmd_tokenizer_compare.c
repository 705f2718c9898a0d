/* cli/cmd_tokenizer_compare.c - two tokenizers side by side, and one as another kind of file. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "text/text.h"
#include "token/convert.h"
#include "token/vocab.h"

#include <stdlib.h>

struct options {
    const char *text, *to;
};
static const struct lm_opt rows[] = {
    { "text", LM_OPT_STRING, LM_OPT_AT(struct options, text), NULL,
      .help = "file whose lines are encoded by both (compare)" },
    { "to", LM_OPT_STRING, LM_OPT_AT(struct options, to), "tokenizer.json",
      .help = "tokenizer.json | vocab+merges | vocab.txt | tiktoken | sentencepiece (convert)" },
};
const struct lm_opt_table lm_tokenizer_compare_options = LM_OPT_TABLE("compare", struct options, rows);

/* The place of these options behind the others of the command. */
enum { CONFIG = 4, TEXT_BYTES_MAX = 1 << 30, SHOWN = 3 };

static const struct options *options_of(const struct lm_cli *cli)
{
    return cli->config[CONFIG];
}

/* ---- compare ---- */

struct comparison {
    struct lm_tokenizer *t[2];
    struct lm_encoder *e[2];
    size_t size[2], shared, same_id;
    size_t lines, different, bytes, tokens[2];
    size_t first[SHOWN];   // numbers of lines that differ
};

/* Tokens of the first whose text the second has, at the same id or another. */
static void compare_vocabularies(struct comparison *c)
{
    struct lm_vocab v = { 0 };
    struct lm_token_map map = { 0 };
    for (size_t i = 0; i < 2; i++)
        for (uint32_t id = 0; id < lm_tokenizer_vocab_size(c->t[i]); id++)
            c->size[i] += lm_tokenizer_bytes(c->t[i], id).len > 0;
    for (uint32_t id = 0; id < lm_tokenizer_vocab_size(c->t[1]); id++) {
        const struct lm_str text = lm_tokenizer_bytes(c->t[1], id);
        lm_vocab_set(&v, id, text, text.len > 0 ? LM_TOKEN_MODEL : LM_TOKEN_HOLE);
        if (text.len > 0)
            lm_token_map_put(&map, &v, id);
    }
    for (uint32_t id = 0; id < lm_tokenizer_vocab_size(c->t[0]); id++) {
        const struct lm_str text = lm_tokenizer_bytes(c->t[0], id);
        if (text.len == 0)
            continue;
        c->shared += lm_token_map_find(&map, &v, text) != LM_TOKEN_NONE;
        c->same_id += id < v.size && lm_str_eq(lm_vocab_bytes(&v, id), text);
    }
    lm_token_map_release(&map);
    lm_vocab_release(&v);
}

static void compare_line(struct comparison *c, struct lm_str line)
{
    struct lm_tokens ids[2] = { { 0 }, { 0 } };
    for (size_t i = 0; i < 2; i++) {
        lm_encode(c->e[i], line, false, &ids[i]);
        c->tokens[i] += ids[i].len;
    }
    const bool same =
        ids[0].len == ids[1].len &&
        (ids[0].len == 0 || memcmp(ids[0].ids, ids[1].ids, ids[0].len * sizeof(*ids[0].ids)) == 0);
    c->lines++;
    c->bytes += line.len;
    if (!same && c->different < SHOWN)
        c->first[c->different] = c->lines;
    c->different += !same;
    lm_tokens_release(&ids[0]);
    lm_tokens_release(&ids[1]);
}

static enum lm_rc compare_texts(struct comparison *c, const char *path, struct lm_err *err)
{
    struct lm_buf file = { 0 };
    if (!path)
        return LM_OK;
    const enum lm_rc rc = lm_file_read(path, TEXT_BYTES_MAX, &file, err);
    struct lm_str rest = lm_buf_str(&file), line;
    while (rc == LM_OK && rest.len > 0 && lm_str_split(&rest, '\n', &line))
        compare_line(c, line);
    lm_buf_release(&file);
    return rc;
}

static double per(size_t bytes, size_t tokens)
{
    return tokens ? (double)bytes / (double)tokens : 0;
}

static void tell(const struct comparison *c, struct lm_cli *cli)
{
    struct lm_buf *json = &cli->result;
    lm_buf_putc(json, '{');
    lm_json_key_int(json, "tokens_a", (int64_t)c->size[0]);
    lm_json_key_int(json, "tokens_b", (int64_t)c->size[1]);
    lm_json_key_int(json, "shared", (int64_t)c->shared);
    lm_json_key_int(json, "same_id", (int64_t)c->same_id);
    lm_json_key_int(json, "lines", (int64_t)c->lines);
    lm_json_key_int(json, "lines_different", (int64_t)c->different);
    lm_json_key_int(json, "ids_a", (int64_t)c->tokens[0]);
    lm_json_key_int(json, "ids_b", (int64_t)c->tokens[1]);
    lm_buf_putc(json, '}');
    if (cli->globals.json)
        return;
    printf("tokens           %zu, %zu\nshared           %zu, %zu of them with the same id\n", c->size[0],
           c->size[1], c->shared, c->same_id);
    if (c->lines)
        printf("lines            %zu, %zu with other ids\nbytes per token  %.3f, %.3f\n", c->lines,
               c->different, per(c->bytes, c->tokens[0]), per(c->bytes, c->tokens[1]));
    for (size_t i = 0; i < c->different && i < SHOWN; i++)
        printf("differs          line %zu\n", c->first[i]);
}

enum lm_rc lm_tokenizer_compare_run(struct lm_cli *cli, struct lm_err *err)
{
    struct comparison c = { .lines = 0 };
    enum lm_rc rc = lm_cli_tokenizer(cli->args[0], &c.t[0], err);
    if (rc == LM_OK)
        rc = lm_cli_tokenizer(cli->args[1], &c.t[1], err);
    for (size_t i = 0; rc == LM_OK && i < 2; i++)
        c.e[i] = lm_encoder_new(c.t[i]);
    if (rc == LM_OK)
        rc = compare_texts(&c, options_of(cli)->text, err);
    if (rc == LM_OK) {
        compare_vocabularies(&c);
        tell(&c, cli);
        const bool same = c.same_id == c.size[0] && c.size[0] == c.size[1] && c.different == 0;
        if (!same)
            rc = lm_fail(err, LM_EINVAL,
                         "the tokenizers differ: %zu of %zu tokens have the same id, %zu of %zu "
                         "lines other ids",
                         c.same_id, c.size[0], c.different, c.lines);
    }
    for (size_t i = 0; i < 2; i++) {
        lm_encoder_free(c.e[i]);
        lm_tokenizer_free(c.t[i]);
    }
    return rc;
}

/* ---- convert ---- */

enum lm_rc lm_tokenizer_convert_run(struct lm_cli *cli, const char *dir, struct lm_err *err)
{
    struct lm_tokenizer *t = NULL;
    struct lm_cli_out out;
    LM_TRY(lm_cli_tokenizer(cli->args[0], &t, err));
    enum lm_rc rc = lm_cli_out_begin(cli, dir, &out, err);
    if (rc == LM_OK)
        rc = lm_tokenizer_convert(t, options_of(cli)->to, out.out_dir, err);
    if (rc == LM_OK)
        rc = lm_cli_out_commit(&out, err);
    if (rc == LM_OK)
        lm_say("made %s", out.final_dir);
    lm_tokenizer_free(t);
    return rc;
}
