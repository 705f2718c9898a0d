/* cli/cmd_stages.c - the stages of preparation as commands of their own: collect, prepare, pairs, tokens.
 * All have the same shape: inputs from the arguments, one config, one output folder. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "corpus/corpus.h"
#include "corpus/document.h"
#include "corpus/token_table.h"
#include "store/db.h"
#include "token/tokenizer.h"

#include <stdlib.h>

/* Ends a stage command: keeps the result only if it is whole. */
static enum lm_rc end_stage(struct lm_cli *cli, const struct lm_cli_out *out, enum lm_rc rc,
                            struct lm_buf *metrics, struct lm_err *err)
{
    if (rc == LM_OK)
        rc = lm_cli_out_commit(out, err);
    if (rc == LM_OK)
        lm_say("made %s: %s", out->final_dir, metrics->len ? metrics->ptr : "{}");
    lm_buf_add_str(&cli->result, lm_buf_str(metrics));
    lm_buf_release(metrics);
    return rc;
}

enum lm_rc lm_cmd_collect(struct lm_cli *cli, struct lm_err *err)
{
    const struct lm_source *options = cli->config[0];
    const struct lm_cli_out_config *o = cli->config[1];
    struct lm_source *sources = lm_arena_alloc(&cli->arena, cli->arg_count * sizeof(*sources));
    for (size_t i = 0; i < cli->arg_count; i++) {
        sources[i] = *options;
        sources[i].path = cli->args[i];
        sources[i].name = options->name ? options->name : lm_path_base(cli->args[i]);
    }
    struct lm_cli_out out;
    struct lm_buf metrics = { 0 };
    LM_TRY(lm_cli_out_begin(cli, o->out, &out, err));
    return end_stage(cli, &out, lm_collect(sources, cli->arg_count, out.out_dir, &metrics, err), &metrics,
                     err);
}

enum lm_rc lm_cmd_prepare(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_cli_out out;
    struct lm_buf metrics = { 0 };
    LM_TRY(lm_cli_out_begin(cli, ((const struct lm_cli_out_config *)cli->config[1])->out, &out, err));
    const enum lm_rc rc = lm_prepare(cli->config[0], cli->args, cli->arg_count, out.out_dir, &metrics, err);
    return end_stage(cli, &out, rc, &metrics, err);
}

enum lm_rc lm_cmd_pairs(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_cli_out out;
    struct lm_buf metrics = { 0 };
    LM_TRY(lm_cli_out_begin(cli, ((const struct lm_cli_out_config *)cli->config[1])->out, &out, err));
    const enum lm_rc rc =
        lm_pairs_build(cli->config[0], cli->args, cli->arg_count, out.out_dir, &metrics, err);
    return end_stage(cli, &out, rc, &metrics, err);
}

/* ---- tokens ---- */

struct tokens_paths {
    const char *tokenizer, *out, *db;
};
static const struct lm_opt tokens_rows[] = {
    { "tokenizer", LM_OPT_STRING, LM_OPT_AT(struct tokens_paths, tokenizer), NULL,
      .help = "tokenizer.json, its folder or a GGUF file" },
    { "out", LM_OPT_STRING, LM_OPT_AT(struct tokens_paths, out), NULL, .help = "folder to make (build)" },
    { "db", LM_OPT_STRING, LM_OPT_AT(struct tokens_paths, db), NULL,
      .help = "tokens.db to ask, beside its shards (find, phrase)" },
};
const struct lm_opt_table lm_tokens_path_options = LM_OPT_TABLE("paths", struct tokens_paths, tokens_rows);

static enum lm_rc tokens_build(struct lm_cli *cli, struct lm_err *err)
{
    const struct tokens_paths *paths = cli->config[1];
    if (!paths->tokenizer)
        return lm_fail(err, LM_EINVAL, "--tokenizer is missing: the tokenizer.json that makes the ids");
    struct lm_cli_out out;
    struct lm_buf metrics = { 0 };
    struct lm_tokenizer *t = NULL;
    LM_TRY(lm_cli_tokenizer(paths->tokenizer, &t, err));
    enum lm_rc rc = lm_cli_out_begin(cli, paths->out, &out, err);
    if (rc == LM_OK)
        rc = lm_tokens_build_with(cli->config[0], t, cli->args, cli->arg_count, out.out_dir, &metrics, err);
    lm_tokenizer_free(t);
    return end_stage(cli, &out, rc, &metrics, err);
}

/* Prints the documents that contain a token, most frequent first; asks the table, reads no text. */
static enum lm_rc tokens_find(struct lm_cli *cli, struct lm_err *err)
{
    const struct tokens_paths *paths = cli->config[1];
    if (!paths->db)
        return lm_fail(err, LM_EINVAL, "--db is missing: the tokens.db that 'loom tokens build' wrote");
    struct lm_db *db = NULL;
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_open_finished(paths->db, &db, err));
    enum lm_rc rc =
        lm_db_query(db, &rows, err,
                    "SELECT d.id, td.frequency FROM token t JOIN token_document td ON td.token_id = t.id"
                    " JOIN document d ON d.no = td.document_no WHERE t.token = ?"
                    " ORDER BY td.frequency DESC, d.no",
                    "s", cli->args[0]);
    size_t count = 0;
    lm_buf_puts(&cli->result, "{\"documents\":[");
    while (rc == LM_OK && (rc = lm_db_next(rows, err)) == LM_OK) {
        const struct lm_str id = lm_db_text(rows, 0);
        if (!cli->globals.json)
            printf("%s %lld\n", id.ptr, (long long)lm_db_int(rows, 1));
        lm_json_sep(&cli->result);
        lm_json_str(&cli->result, id);
        count++;
    }
    lm_buf_puts(&cli->result, "]}");
    lm_db_end(rows);
    lm_db_close(db);
    if (rc == LM_ENOTHING && count == 0)
        return lm_fail(err, LM_ENOENT,
                       "no document contains the token '%s' (a leading space is written as in the table)",
                       cli->args[0]);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

/* ---- phrases ---- */

/* A phrase is found at the start of a text and behind a blank: the tokens differ. */
static enum lm_rc find_phrase(const char *db, const struct lm_tokenizer *t, const char *phrase,
                              struct lm_phrase_hits *ret, struct lm_err *err)
{
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_tokens tokens = { 0 };
    struct lm_buf text = { 0 };
    enum lm_rc rc = LM_OK;
    lm_buf_putc(&text, ' ');
    lm_buf_puts(&text, phrase);
    for (size_t blank = 0; rc == LM_OK && blank < 2; blank++) {
        const size_t before = tokens.len;
        lm_encode(e, (struct lm_str){ text.ptr + 1 - blank, text.len - 1 + blank }, false, &tokens);
        const size_t len = tokens.len - before;
        if (blank == 1 && len == before &&
            memcmp(tokens.ids, tokens.ids + before, len * sizeof(*tokens.ids)) == 0)
            break;
        rc = lm_token_phrase(db, tokens.ids + before, len, ret, err);
    }
    lm_buf_release(&text);
    lm_tokens_release(&tokens);
    lm_encoder_free(e);
    return rc;
}

static enum lm_rc print_hits(struct lm_cli *cli, const char *path, const struct lm_phrase_hits *hits,
                             struct lm_err *err)
{
    struct lm_db *db = NULL;
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_open_finished(path, &db, err));
    enum lm_rc rc = lm_db_query(db, &rows, err, "SELECT id FROM document WHERE no = ?", "i", (int64_t)-1);
    lm_buf_puts(&cli->result, "{\"documents\":[");
    for (size_t i = 0; rc == LM_OK && i < hits->len; i++) {
        rc = lm_db_rebind(rows, err, "i", (int64_t)hits->documents[i]);
        if (rc == LM_OK)
            rc = lm_db_next(rows, err);
        if (rc != LM_OK)
            break;
        if (!cli->globals.json)
            printf("%s %llu\n", lm_db_text(rows, 0).ptr, (unsigned long long)hits->counts[i]);
        lm_json_sep(&cli->result);
        lm_json_str(&cli->result, lm_db_text(rows, 0));
    }
    lm_buf_puts(&cli->result, "]}");
    lm_db_end(rows);
    lm_db_close(db);
    return rc;
}

/* Documents where the tokens of a phrase stand together. */
static enum lm_rc tokens_phrase(struct lm_cli *cli, struct lm_err *err)
{
    const struct tokens_paths *paths = cli->config[1];
    struct lm_tokenizer *t = NULL;
    struct lm_phrase_hits hits = { 0 };
    if (!paths->db || !paths->tokenizer)
        return lm_fail(err, LM_EINVAL,
                       "--%s is missing: a phrase needs the tokens.db and the tokenizer that made it",
                       paths->db ? "tokenizer" : "db");
    LM_TRY(lm_cli_tokenizer(paths->tokenizer, &t, err));
    const uint64_t start = lm_now_ns();
    enum lm_rc rc = find_phrase(paths->db, t, cli->args[0], &hits, err);
    if (rc == LM_OK)
        lm_say("%zu documents, %.1f ms", hits.len, (double)(lm_now_ns() - start) / 1e6);
    if (rc == LM_OK && hits.len == 0)
        rc = lm_fail(err, LM_ENOENT, "no document contains the phrase '%s'", cli->args[0]);
    if (rc == LM_OK)
        rc = print_hits(cli, paths->db, &hits, err);
    lm_phrase_hits_release(&hits);
    lm_tokenizer_free(t);
    return rc;
}

/* The table as files for cqlsh. */
static enum lm_rc tokens_cql(struct lm_cli *cli, struct lm_err *err)
{
    const struct tokens_paths *paths = cli->config[1];
    struct lm_cli_out out;
    if (!paths->db)
        return lm_fail(err, LM_EINVAL, "--db is missing: the tokens.db that 'loom tokens build' wrote");
    LM_TRY(lm_cli_out_begin(cli, paths->out, &out, err));
    enum lm_rc rc = lm_token_cql(paths->db, out.out_dir, err);
    if (rc == LM_OK)
        rc = lm_cli_out_commit(&out, err);
    return rc;
}

const struct lm_cli_action lm_tokens_actions[] = {
    { "build", "IN... --tokenizer=T --out=DIR", "documents to token shards and a token table", 1,
      LM_CLI_ARGS_MAX, tokens_build },
    { "find", "TOKEN --db=FILE", "which documents contain the token", 1, 1, tokens_find },
    { "phrase", "TEXT --db=FILE --tokenizer=T", "which documents contain the phrase", 1, 1, tokens_phrase },
    { "cql", "--db=FILE --out=DIR", "the token table as schema and CSV for cqlsh COPY", 0, 0, tokens_cql },
    { 0 },
};
