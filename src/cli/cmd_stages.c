/* cli/cmd_stages.c - the stages of preparation as commands of their own: collect, prepare, pairs, tokens.
 * All have the same shape: inputs from the arguments, one config, one output folder. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "corpus/corpus.h"
#include "corpus/document.h"
#include "corpus/token_pg.h"
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
    const char *tokenizer, *out, *db, *postgres;
};
static const struct lm_opt tokens_rows[] = {
    { "tokenizer", LM_OPT_STRING, LM_OPT_AT(struct tokens_paths, tokenizer), NULL,
      .help = "tokenizer.json, its folder or a GGUF file" },
    { "out", LM_OPT_STRING, LM_OPT_AT(struct tokens_paths, out), NULL, .help = "folder to make (build)" },
    { "db", LM_OPT_STRING, LM_OPT_AT(struct tokens_paths, db), NULL,
      .help = "tokens.db to ask, beside its shards (find, phrase); to copy (cql, load)" },
    { "postgres", LM_OPT_STRING, LM_OPT_AT(struct tokens_paths, postgres), NULL,
      .help = "postgresql:// address or connection string to load into, or to ask instead of --db" },
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

static int by_count(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    if (x[1] != y[1])
        return x[1] > y[1] ? -1 : 1;
    return (x[0] > y[0]) - (x[0] < y[0]);
}

/* Most frequent first, then in the order of documents. */
static void sort_hits(struct lm_phrase_hits *h)
{
    uint64_t(*pairs)[2] = lm_alloc((h->len + 1) * sizeof(*pairs));
    for (size_t i = 0; i < h->len; i++) {
        pairs[i][0] = h->documents[i];
        pairs[i][1] = h->counts[i];
    }
    qsort(pairs, h->len, sizeof(*pairs), by_count);
    for (size_t i = 0; i < h->len; i++) {
        h->documents[i] = pairs[i][0];
        h->counts[i] = pairs[i][1];
    }
    free(pairs);
}

static void print_pg_hits(struct lm_cli *cli, const struct lm_pg_hits *hits)
{
    const char *id = hits->ids.ptr;
    lm_buf_puts(&cli->result, "{\"documents\":[");
    for (size_t i = 0; i < hits->hits.len; i++, id += strlen(id) + 1) {
        if (!cli->globals.json)
            printf("%s %llu\n", id, (unsigned long long)hits->hits.counts[i]);
        lm_json_sep(&cli->result);
        lm_json_str(&cli->result, lm_str(id));
    }
    lm_buf_puts(&cli->result, "]}");
}

/* Prints the documents that contain a token, most frequent first; asks the table, reads no text. */
static enum lm_rc tokens_find(struct lm_cli *cli, struct lm_err *err)
{
    const struct tokens_paths *paths = cli->config[1];
    struct lm_pg_hits hits = { 0 };
    if (!paths->db && !paths->postgres)
        return lm_fail(err, LM_EINVAL,
                       "--db is missing: the tokens.db that 'loom tokens build' wrote; or --postgres");
    enum lm_rc rc = paths->postgres ? lm_token_pg_find(paths->postgres, cli->args[0], &hits, err)
                                    : lm_token_find(paths->db, cli->args[0], &hits.hits, err);
    if (rc == LM_OK && hits.hits.len == 0)
        rc = lm_fail(err, LM_ENOENT,
                     "no document contains the token '%s' (a leading space is written as in the table)",
                     cli->args[0]);
    if (rc == LM_OK && paths->postgres) {
        print_pg_hits(cli, &hits);
    } else if (rc == LM_OK) {
        sort_hits(&hits.hits);
        rc = print_hits(cli, paths->db, &hits.hits, err);
    }
    lm_pg_hits_release(&hits);
    return rc;
}

/* ---- phrases ---- */

/* A phrase is found at the start of a text and behind a blank: the tokens differ.  Fills ret[2], which
 * borrows from tokens; their number. */
static size_t encode_phrase(const struct lm_tokenizer *t, const char *phrase, struct lm_tokens *tokens,
                            struct lm_phrase ret[2])
{
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_buf text = { 0 };
    size_t lens[2] = { 0 };
    lm_buf_putc(&text, ' ');
    lm_buf_puts(&text, phrase);
    for (size_t blank = 0; blank < 2; blank++) {
        const size_t before = tokens->len;
        lm_encode(e, (struct lm_str){ text.ptr + 1 - blank, text.len - 1 + blank }, false, tokens);
        lens[blank] = tokens->len - before;
    }
    lm_buf_release(&text);
    lm_encoder_free(e);
    for (size_t i = 0; i < 2; i++)
        ret[i] = (struct lm_phrase){ tokens->ids + (i ? lens[0] : 0), lens[i] };
    return lens[0] == lens[1] && memcmp(ret[0].ids, ret[1].ids, lens[0] * sizeof(*ret[0].ids)) == 0 ? 1 : 2;
}

/* Documents where the tokens of a phrase stand together. */
static enum lm_rc tokens_phrase(struct lm_cli *cli, struct lm_err *err)
{
    const struct tokens_paths *paths = cli->config[1];
    struct lm_tokenizer *t = NULL;
    struct lm_pg_hits hits = { 0 };
    struct lm_tokens tokens = { 0 };
    struct lm_phrase phrases[2];
    if ((!paths->db && !paths->postgres) || !paths->tokenizer)
        return lm_fail(err, LM_EINVAL,
                       "--%s is missing: a phrase needs the tokens.db (or --postgres) and the tokenizer that "
                       "made it",
                       paths->tokenizer ? "db" : "tokenizer");
    LM_TRY(lm_cli_tokenizer(paths->tokenizer, &t, err));
    const size_t count = encode_phrase(t, cli->args[0], &tokens, phrases);
    const uint64_t start = lm_now_ns();
    enum lm_rc rc = paths->postgres ? lm_token_pg_phrases(paths->postgres, phrases, count, &hits, err)
                                    : lm_token_phrases(paths->db, phrases, count, &hits.hits, err);
    if (rc == LM_OK)
        lm_say("%zu documents, %.1f ms", hits.hits.len, (double)(lm_now_ns() - start) / 1e6);
    if (rc == LM_OK && hits.hits.len == 0)
        rc = lm_fail(err, LM_ENOENT, "no document contains the phrase '%s'", cli->args[0]);
    if (rc == LM_OK && paths->postgres)
        print_pg_hits(cli, &hits);
    else if (rc == LM_OK)
        rc = print_hits(cli, paths->db, &hits.hits, err);
    lm_pg_hits_release(&hits);
    lm_tokens_release(&tokens);
    lm_tokenizer_free(t);
    return rc;
}

/* The table into PostgreSQL. */
static enum lm_rc tokens_load(struct lm_cli *cli, struct lm_err *err)
{
    const struct tokens_paths *paths = cli->config[1];
    struct lm_pg_load load;
    if (!paths->db || !paths->postgres)
        return lm_fail(err, LM_EINVAL,
                       "--%s is missing: 'loom tokens load' copies a tokens.db into PostgreSQL",
                       paths->db ? "postgres" : "db");
    LM_TRY(lm_token_pg_load(paths->db, paths->postgres, LM_PG_STEP_BYTES, &load, err));
    lm_say("%llu documents, %llu postings%s", (unsigned long long)load.documents,
           (unsigned long long)load.postings, load.resumed ? ", the rest of an earlier load" : "");
    lm_buf_putc(&cli->result, '{');
    lm_json_key_int(&cli->result, "documents", (int64_t)load.documents);
    lm_json_key_int(&cli->result, "postings", (int64_t)load.postings);
    lm_json_key_bool(&cli->result, "resumed", load.resumed);
    lm_buf_putc(&cli->result, '}');
    return LM_OK;
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
    { "load", "--db=FILE --postgres=WHERE",
      "the token table into PostgreSQL; again: the rest, or further documents", 0, 0, tokens_load },
    { "find", "TOKEN --db=FILE", "which documents contain the token", 1, 1, tokens_find },
    { "phrase", "TEXT --db=FILE --tokenizer=T", "which documents contain the phrase", 1, 1, tokens_phrase },
    { "cql", "--db=FILE --out=DIR", "the token table as schema and CSV for cqlsh COPY", 0, 0, tokens_cql },
    { 0 },
};
