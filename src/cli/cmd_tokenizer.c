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
    bool special, lines, files;
};
static const struct lm_opt path_rows[] = {
    { "tokenizer", LM_OPT_STRING, LM_OPT_AT(struct paths, tokenizer), NULL,
      .help = "tokenizer.json, its folder or a GGUF file (all but train)" },
    { "out", LM_OPT_STRING, LM_OPT_AT(struct paths, out), NULL,
      .help = "folder to make (train, grow, convert)" },
    { "allow-special", LM_OPT_BOOL, LM_OPT_AT(struct paths, special), "false",
      .help = "text that spells a special token becomes it (encode)" },
    { "lines", LM_OPT_BOOL, LM_OPT_AT(struct paths, lines), "false",
      .help = "stdin line by line, each text a JSON string (encode, decode)" },
    { "files", LM_OPT_BOOL, LM_OPT_AT(struct paths, files), "false",
      .help = "arguments are files of any size, each a text and a line of ids (encode)" },
};
const struct lm_opt_table lm_tokenizer_path_options = LM_OPT_TABLE("paths", struct paths, path_rows);

enum { INPUT_BYTES_MAX = 1 << 30, MESSAGES_MAX = 1024 };

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
                       "--tokenizer is missing: a tokenizer.json, the folder that holds it, or a GGUF file");
    return lm_cli_tokenizer(paths->tokenizer, ret, err);
}

/* ---- grow ---- */

/* Where companions of the tokenizer lie: its folder; NULL for a GGUF file, which has none. */
static char *folder_of(const char *path)
{
    if (lm_path_is_dir(path))
        return lm_strdup(path);
    if (lm_str_ends(lm_str(path), LM_STR(".gguf")))
        return NULL;
    char *dir = lm_path_join(".", path);
    dir[lm_path_base(dir) - dir] = 0;
    return dir;
}

static enum lm_rc grow(struct lm_cli *cli, struct lm_err *err)
{
    const struct paths *paths = cli->config[1];
    struct lm_cli_out out;
    struct lm_tokenizer *tokenizer = NULL;
    LM_TRY(lm_cli_out_begin(cli, paths->out, &out, err));
    LM_TRY(load(cli, &tokenizer, err));
    LM_FREE char *from = folder_of(paths->tokenizer);
    enum lm_rc rc = lm_vocabulary_grow(tokenizer, cli->config[2], cli->args, cli->arg_count, from,
                                       out.out_dir, &cli->result, err);
    if (rc == LM_OK)
        rc = lm_cli_out_commit(&out, err);
    if (rc == LM_OK)
        lm_say("made %s: %s", out.final_dir, cli->result.ptr);
    lm_tokenizer_free(tokenizer);
    return rc;
}

/* ---- encode, decode, chat: one text, or line by line ---- */

struct work {
    const struct lm_tokenizer *tokenizer;
    struct lm_encoder *encoder;
    struct lm_tokens tokens;   // of the text at hand
    struct lm_arena arena;     // what its JSON decodes to
};

static enum lm_rc by_line(struct lm_cli *cli, lm_cli_line *make, void *const *users, size_t user_count,
                          struct lm_err *err)
{
    uint64_t lines = 0;
    LM_TRY(lm_cli_lines(make, users, user_count, &lines, err));
    lm_buf_putc(&cli->result, '{');
    lm_json_key_int(&cli->result, "lines", (int64_t)lines);
    lm_buf_putc(&cli->result, '}');
    return LM_OK;
}

/* Each thread with work of its own. */
static enum lm_rc work_by_line(struct lm_cli *cli, lm_cli_line *make, struct lm_err *err)
{
    struct lm_tokenizer *t = NULL;
    LM_TRY(load(cli, &t, err));
    const size_t threads = (size_t)lm_threads();
    LM_FREE struct work *works = lm_zalloc(threads, sizeof(*works));
    LM_FREE void **users = lm_zalloc(threads, sizeof(*users));
    for (size_t i = 0; i < threads; i++) {
        works[i] = (struct work){ .tokenizer = t, .encoder = lm_encoder_new(t) };
        users[i] = &works[i];
    }
    const enum lm_rc rc = by_line(cli, make, users, threads, err);
    for (size_t i = 0; i < threads; i++) {
        lm_arena_release(&works[i].arena);
        lm_tokens_release(&works[i].tokens);
        lm_encoder_free(works[i].encoder);
    }
    lm_tokenizer_free(t);
    return rc;
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

static enum lm_rc encode_input(struct lm_cli *cli, struct lm_cli_encoding *encoding, struct lm_err *err)
{
    struct lm_buf text = { 0 };
    const enum lm_rc rc = read_input(cli, &text, err);
    if (rc == LM_OK)
        lm_cli_encode_text(cli, encoding, lm_buf_str(&text));
    lm_buf_release(&text);
    return rc;
}

static enum lm_rc encode_lines(struct lm_cli *cli, const struct lm_tokenizer *t, struct lm_err *err)
{
    const struct paths *paths = cli->config[1];
    const size_t threads = (size_t)lm_threads();
    LM_FREE void **encodings = lm_zalloc(threads, sizeof(*encodings));
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; rc == LM_OK && i < threads; i++)
        rc = lm_cli_encoding_new(cli->config[3], t, paths->special, (struct lm_cli_encoding **)&encodings[i],
                                 err);
    if (rc == LM_OK)
        rc = by_line(cli, lm_cli_encode_line, encodings, threads, err);
    for (size_t i = 0; i < threads; i++)
        lm_cli_encoding_free(encodings[i]);
    return rc;
}

static enum lm_rc encode_one(struct lm_cli *cli, const struct lm_tokenizer *t, struct lm_err *err)
{
    const struct paths *paths = cli->config[1];
    struct lm_cli_encoding *encoding = NULL;
    enum lm_rc rc = lm_cli_encoding_new(cli->config[3], t, paths->special, &encoding, err);
    if (rc == LM_OK)
        rc = paths->files ? lm_cli_encode_files(cli, encoding, err) : encode_input(cli, encoding, err);
    lm_cli_encoding_free(encoding);
    return rc;
}

static enum lm_rc encode(struct lm_cli *cli, struct lm_err *err)
{
    const struct paths *paths = cli->config[1];
    struct lm_tokenizer *t = NULL;
    if (paths->files ? paths->lines || cli->arg_count == 0 : cli->arg_count > 1)
        return lm_fail(err, LM_EINVAL,
                       paths->files ? "--files needs the names of files, and goes without --lines"
                                    : "a text is one argument: quote it, or say --files if these are files");
    LM_TRY(load(cli, &t, err));
    const enum lm_rc rc = paths->lines ? encode_lines(cli, t, err) : encode_one(cli, t, err);
    lm_tokenizer_free(t);
    return rc;
}

static enum lm_rc decode_ids(struct work *w, struct lm_str ids, struct lm_buf *ret, struct lm_err *err)
{
    w->tokens.len = 0;
    LM_TRY(lm_cli_ids_read(ids, &w->tokens, err));
    return lm_decode(w->tokenizer, w->tokens.ids, w->tokens.len, false, ret, err);
}

static enum lm_rc decode_text(struct lm_cli *cli, struct lm_err *err)
{
    struct work w = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_buf input = { 0 }, text = { 0 };
    LM_TRY(load(cli, &t, err));
    w.tokenizer = t;
    enum lm_rc rc = read_input(cli, &input, err);
    if (rc == LM_OK)
        rc = decode_ids(&w, lm_buf_str(&input), &text, err);
    if (rc == LM_OK) {
        lm_buf_putc(&cli->result, '{');
        lm_json_key_str(&cli->result, "text", lm_buf_str(&text));
        lm_buf_putc(&cli->result, '}');
        lm_buf_putc(&text, '\n');
        if (!cli->globals.json && fwrite(text.ptr, 1, text.len, stdout) != text.len)   // it may hold NULs
            rc = lm_fail_errno(err, LM_EIO, "cannot write to standard output");
    }
    lm_tokens_release(&w.tokens);
    lm_buf_release(&input);
    lm_buf_release(&text);
    lm_tokenizer_free(t);
    return rc;
}

static enum lm_rc decode_line(void *user, struct lm_str line, struct lm_buf *ret, struct lm_err *err)
{
    struct lm_buf text = { 0 };
    const enum lm_rc rc = decode_ids(user, line, &text, err);
    if (rc == LM_OK)
        lm_json_str(ret, lm_buf_str(&text));
    lm_buf_release(&text);
    return rc;
}

static enum lm_rc decode(struct lm_cli *cli, struct lm_err *err)
{
    const struct paths *paths = cli->config[1];
    return paths->lines ? work_by_line(cli, decode_line, err) : decode_text(cli, err);
}

/* The rest of {"role":"user","content":"..."}, after its brace. */
static enum lm_rc read_message(struct lm_json_reader *json, struct lm_chat_message *ret, struct lm_err *err)
{
    struct lm_chat_message message = { 0 };
    enum lm_json_kind kind;
    LM_TRY(lm_json_next(json, &kind, err));
    while (kind == LM_JSON_KEY) {
        const bool role = lm_str_eq(json->text, LM_STR("role"));
        if (!role && !lm_str_eq(json->text, LM_STR("content")))
            return lm_fail(err, LM_EFORMAT, "a message has a role and a content, but no '%.*s'",
                           json->text.len < 40 ? (int)json->text.len : 40, json->text.ptr);
        LM_TRY(lm_json_want(json, LM_JSON_STRING, err));
        *(role ? &message.role : &message.content) = json->text;
        LM_TRY(lm_json_next(json, &kind, err));
    }
    if (!message.role.ptr || !message.content.ptr)
        return lm_fail(err, LM_EFORMAT, "a message lacks its %s", message.role.ptr ? "content" : "role");
    *ret = message;
    return LM_OK;
}

static enum lm_rc chat_line(void *user, struct lm_str line, struct lm_buf *ret, struct lm_err *err)
{
    struct work *w = user;
    struct lm_chat_message messages[MESSAGES_MAX];
    struct lm_json_reader json;
    size_t count = 0;
    enum lm_json_kind kind;
    w->tokens.len = 0;
    lm_arena_reset(&w->arena);
    lm_json_open(&json, line, "a conversation", &w->arena);
    LM_TRY(lm_json_want(&json, LM_JSON_ARRAY, err));
    LM_TRY(lm_json_next(&json, &kind, err));
    while (kind == LM_JSON_OBJECT) {
        if (count == MESSAGES_MAX)
            return lm_fail(err, LM_ELIMIT, "a conversation has more than %d messages", MESSAGES_MAX);
        LM_TRY(read_message(&json, &messages[count++], err));
        LM_TRY(lm_json_next(&json, &kind, err));
    }
    if (kind != LM_JSON_ARRAY_END)
        return lm_fail(err, LM_EFORMAT, "a conversation is an array of messages and of nothing else");
    LM_TRY(lm_json_want(&json, LM_JSON_END, err));
    LM_TRY(lm_chat_encode(w->encoder, messages, count, true, &w->tokens, NULL, err));
    lm_cli_ids_write(&w->tokens, ' ', ret);
    return LM_OK;
}

static enum lm_rc chat(struct lm_cli *cli, struct lm_err *err)
{
    return work_by_line(cli, chat_line, err);
}

/* ---- compile ---- */

/* Explicit, not a cache beside the source: it never goes stale unseen, and folders may be read-only. */
static enum lm_rc compile(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_tokenizer *t = NULL;
    struct lm_buf file = { 0 };
    struct lm_writer w = { 0 };
    LM_TRY(lm_cli_tokenizer(cli->args[0], &t, err));
    enum lm_rc rc = lm_tokenizer_compile(t, &file, err);
    if (rc == LM_OK)
        rc = lm_writer_open(&w, cli->args[1], err);
    if (rc == LM_OK) {
        (void)fwrite(file.ptr, 1, file.len, w.stream);   // errors are reported by commit
        rc = lm_writer_commit(&w, err);
    }
    lm_writer_abort(&w);
    lm_buf_putc(&cli->result, '{');
    lm_json_key_int(&cli->result, "bytes", (int64_t)file.len);
    lm_buf_putc(&cli->result, '}');
    lm_buf_release(&file);
    lm_tokenizer_free(t);
    return rc;
}

/* ---- inspect ---- */

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
    const bool has_template = lm_tokenizer_chat_template(tokenizer).len > 0;
    lm_json_key_bool(&cli->result, "chat_template", has_template);
    lm_json_key_int(&cli->result, "starts", (int64_t)lm_tokenizer_starts(tokenizer));
    lm_buf_putc(&cli->result, '}');
    if (!cli->globals.json)
        printf("vocabulary  %u\nspecial     %zu\nlongest     %u, %zu bytes: %.*s\nsha256      %s\n",
               vocab_size, special, longest_id, longest, (int)text.len, text.ptr, sha);
    if (!cli->globals.json)
        printf("template    %s\n", has_template ? "a chat template came with it" : "none");
    lm_tokenizer_free(tokenizer);
    return LM_OK;
}

static enum lm_rc convert(struct lm_cli *cli, struct lm_err *err)
{
    return lm_tokenizer_convert_run(cli, ((const struct paths *)cli->config[1])->out, err);
}

const struct lm_cli_action lm_tokenizer_actions[] = {
    { "train", "IN... --out=DIR", "a vocabulary from document files", 1, LM_CLI_ARGS_MAX, train },
    { "grow", "IN... --tokenizer=T --out=DIR", "new tokens for words of new data; old ids and merges stay", 1,
      LM_CLI_ARGS_MAX, grow },
    { "encode", "[TEXT] --tokenizer=T", "text (or stdin), or --files, to ids", 0, LM_CLI_ARGS_MAX, encode },
    { "decode", "[IDS] --tokenizer=T", "ids (or stdin) to text", 0, 1, decode },
    { "chat", "--tokenizer=T", "lines of [{\"role\":...,\"content\":...},...] to ids of the prompt", 0, 0,
      chat },
    { "compile", "TOKENIZER FILE.lmtok", "the file that is opened fastest", 2, 2, compile },
    { "inspect", "--tokenizer=T", "size, special tokens, longest token", 0, 0, inspect },
    { "convert", "IN --out=DIR --to=FORMAT", "another kind of file, refused where ids would differ", 1, 1,
      convert },
    { "compare", "A B [--text=FILE]", "vocabularies, and ids of lines; fails when they differ", 2, 2,
      lm_tokenizer_compare_run },
    { 0 },
};
