/* The token table in a real PostgreSQL server: row by row what SQLite has, whatever happens on the way.
 *
 * Starts a server of its own, on a socket in a temporary folder, as a user who is not root.  Without the
 * server's programs nothing is tested. */
#include "check.h"

#include "base/sys.h"
#include "corpus/corpus.h"
#include "corpus/document.h"
#include "corpus/postings.h"
#include "corpus/token_pg.h"
#include "store/pg.h"

#include <glob.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DOCUMENTS = 800, NOBODY = 65534, STEP = 4000 };
static const char tokenizer_path[] = LOOM_TEST_DIR "/golden/token/llama3.tokenizer.json";

static char programs[256];   // the folder of initdb and postgres; "" when there is none
static char home[64];        // of the server
static char where[128];
static pid_t server;

/* ---- the server ---- */

static pid_t run_program(const char *name, char *const *args)
{
    struct lm_buf path = { 0 };
    lm_buf_printf(&path, "%s/%s", programs, name);
    const pid_t child = fork();
    if (child == 0) {
        if (getuid() == 0 && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
            _exit(126);
        if (chdir(home) != 0 || !freopen("log", "a", stdout) || !freopen("log", "a", stderr))
            _exit(126);
        execv(path.ptr, args);
        _exit(127);
    }
    lm_buf_release(&path);
    return child;
}

static void pause_ms(long ms)
{
    const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&time, NULL);
}

static void start_server(void)
{
    char data[80];
    snprintf(data, sizeof(data), "%s/data", home);
    char *args[] = { "postgres", "-D", data, "-k", home, "-c", "listen_addresses=", NULL };
    for (int attempt = 0; attempt < 600; attempt++) {
        if (server == 0)
            server = run_program("postgres", args);
        struct lm_pg *pg = NULL;
        if (lm_pg_open(where, &pg, NULL) == LM_OK) {
            lm_pg_close(pg);
            return;
        }
        if (waitpid(server, NULL, WNOHANG) == server)
            server = 0;   // what the killed one left is still there
        pause_ms(50);
    }
    fail_msg("the server does not start: see %s/log", home);
}

static void kill_server(int signal)
{
    if (server > 0) {
        kill(server, signal);
        waitpid(server, NULL, 0);
    }
    server = 0;
}

static int set_up(void **state)
{
    (void)state;
    lm_progress_quiet(true);
    glob_t found;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0)
        snprintf(programs, sizeof(programs), "%.*s", (int)(strlen(found.gl_pathv[0]) - strlen("/initdb")),
                 found.gl_pathv[0]);
    globfree(&found);
    if (!programs[0]) {
        print_message("PostgreSQL's server is not installed: nothing to test against\n");
        return 0;
    }
    snprintf(home, sizeof(home), "/tmp/loom-pg-XXXXXX");
    assert_non_null(mkdtemp(home));
    if (getuid() == 0)
        assert_int_equal(chown(home, NOBODY, NOBODY), 0);
    snprintf(where, sizeof(where), "host=%s user=loom dbname=postgres", home);
    char data[80];
    snprintf(data, sizeof(data), "%s/data", home);
    char *args[] = {
        "initdb", "-D", data, "-U", "loom", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", NULL
    };
    int status = -1;
    waitpid(run_program("initdb", args), &status, 0);
    assert_int_equal(status, 0);
    start_server();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kill_server(SIGQUIT);
    if (home[0])
        lm_path_remove(home, NULL);
    return 0;
}

static void empty_database(void)
{
    struct lm_pg *pg = NULL;
    struct lm_err err = { 0 };
    if (lm_pg_open(where, &pg, &err) != LM_OK ||
        lm_pg_run(pg, "DROP SCHEMA IF EXISTS loom CASCADE", &err) != LM_OK)
        fail_msg("%s", err.text);
    lm_pg_close(pg);
}

/* ---- tables to load ---- */

static void build(const char *dir, size_t from, size_t count)
{
    struct lm_buf file = { 0 }, metrics = { 0 };
    struct lm_err err = { 0 };
    for (size_t i = from; i < from + count; i++) {
        char id[LM_DOCUMENT_ID], text[160];
        lm_document_id(LM_STR("test"), (struct lm_str){ (const char *)&i, sizeof(i) }, id);
        snprintf(text, sizeof(text),
                 "# Document %zu\n\nIt says \t\"caf\xc3\xa9\" \\ %zu times, and of the %zu.", i, i % 7,
                 i * i % 1013);
        const struct lm_document doc = { .id = lm_str(id),
                                         .content = lm_str(text),
                                         .source = LM_STR("test") };
        lm_document_write(&doc, &file);
        lm_buf_putc(&file, '\n');
    }
    const char *const inputs[] = { "docs.jsonl" };
    const struct lm_tokens_config config = { .heldout_share = 0.2, .table = true };
    assert_ok(lm_file_write("docs.jsonl", lm_buf_str(&file), NULL));
    assert_ok(lm_path_remove(dir, NULL));
    assert_ok(lm_dir_make(dir, NULL));
    if (lm_tokens_build(&config, tokenizer_path, inputs, 1, dir, &metrics, &err) != LM_OK)
        fail_msg("%s", err.text);
    lm_buf_release(&file);
    lm_buf_release(&metrics);
}

/* ---- row by row ---- */

static int64_t pg_number(struct lm_pg *pg, const char *sql)
{
    struct lm_pg_rows *rows = NULL;
    struct lm_err err = { 0 };
    if (lm_pg_query(pg, sql, NULL, 0, &rows, &err) != LM_OK)
        fail_msg("%s", err.text);
    const int64_t value = lm_pg_int(rows, 0, 0);
    lm_pg_rows_free(rows);
    return value;
}

static void same_rows(struct lm_db *db, const char *sqlite, struct lm_pg *pg, const char *postgres,
                      int columns)
{
    struct lm_db_rows *a = NULL;
    struct lm_pg_rows *b = NULL;
    struct lm_err err = { 0 };
    assert_ok(lm_db_query(db, &a, &err, sqlite, ""));
    if (lm_pg_query(pg, postgres, NULL, 0, &b, &err) != LM_OK)
        fail_msg("%s", err.text);
    size_t row = 0;
    for (; lm_db_next(a, NULL) == LM_OK; row++) {
        assert_true(row < lm_pg_row_count(b));
        for (int c = 0; c < columns; c++) {
            const struct lm_str x = lm_db_text(a, c), y = lm_pg_text(b, row, c);
            assert_int_equal(x.len, y.len);
            assert_memory_equal(x.ptr, y.ptr, x.len);
        }
    }
    assert_int_equal(row, lm_pg_row_count(b));
    assert_true(row > 0);
    lm_db_end(a);
    lm_pg_rows_free(b);
}

static void assert_equal_to_sqlite(const char *db_path)
{
    struct lm_db *db = NULL;
    struct lm_pg *pg = NULL;
    assert_ok(lm_db_open_finished(db_path, &db, NULL));
    assert_ok(lm_pg_open(where, &pg, NULL));
    same_rows(db, "SELECT id, token, lower(hex(bytes)), frequency FROM token ORDER BY id", pg,
              "SELECT id, token, encode(bytes, 'hex'), frequency FROM loom.token ORDER BY id", 4);
    same_rows(db, "SELECT no, id, split, tokens FROM document ORDER BY no", pg,
              "SELECT no, id, split, cardinality(token_ids) FROM loom.document ORDER BY no", 4);
    same_rows(db, "SELECT token_id, document_no, frequency FROM token_document ORDER BY 1, 2", pg,
              "SELECT token_id, document_no, frequency FROM loom.token_document ORDER BY 1, 2", 3);
    same_rows(db, "SELECT token_id, token, frequency, coalesce(document_ids, '') FROM token_table ORDER BY 1",
              pg,
              "SELECT token_id, token, frequency, array_to_string(document_ids, ' ') FROM loom.token_table"
              " ORDER BY 1",
              4);
    /* What stands in the documents, counted again by the server. */
    assert_int_equal(pg_number(pg, "SELECT count(*) FROM (SELECT t, no, count(*)::int FROM loom.document,"
                                   " unnest(token_ids) t GROUP BY t, no EXCEPT"
                                   " SELECT token_id, document_no, frequency FROM loom.token_document) x"),
                     0);
    lm_db_close(db);
    lm_pg_close(pg);
}

static enum lm_rc load(const char *db_path, struct lm_pg_load *ret, struct lm_err *err)
{
    return lm_token_pg_load(db_path, where, STEP, ret, err);
}

static void load_ok(const char *db_path, struct lm_pg_load *ret)
{
    struct lm_err err = { 0 };
    if (load(db_path, ret, &err) != LM_OK)
        fail_msg("%s", err.text);
}

static void the_table_is_that_of_sqlite(void **state)
{
    (void)state;
    struct lm_pg_load report;
    struct lm_err err = { 0 };
    if (!programs[0])
        skip();
    empty_database();
    build("one", 0, DOCUMENTS);
    load_ok("one/tokens.db", &report);
    assert_int_equal(report.documents, DOCUMENTS);
    assert_false(report.resumed);
    assert_equal_to_sqlite("one/tokens.db");
    assert_int_equal(load("one/tokens.db", &report, &err), LM_EEXIST);
    assert_contains(err.text, "already");
    assert_equal_to_sqlite("one/tokens.db");
}

static void further_documents_are_added(void **state)
{
    (void)state;
    struct lm_pg_load report;
    struct lm_err err = { 0 };
    struct lm_db *db = NULL;
    struct lm_pg *pg = NULL;
    if (!programs[0])
        skip();
    empty_database();
    build("all", 0, 600);
    build("first", 0, 400);
    build("second", 400, 200);
    build("overlap", 399, 100);
    load_ok("first/tokens.db", &report);
    assert_int_equal(load("overlap/tokens.db", &report, &err), LM_EEXIST);
    assert_contains(err.text, "another load");
    assert_equal_to_sqlite("first/tokens.db");
    load_ok("second/tokens.db", &report);
    assert_equal_to_sqlite("all/tokens.db");
    assert_ok(lm_db_open_finished("all/tokens.db", &db, NULL));
    assert_ok(lm_pg_open(where, &pg, NULL));
    assert_int_equal(pg_number(pg, "SELECT count(*) FROM loom.load WHERE done"), 2);
    lm_db_close(db);
    lm_pg_close(pg);
}

/* ---- a server that goes away ---- */

/* Loads in a process of its own, so that this one can watch and kill. */
static pid_t load_beside(const char *db_path)
{
    const pid_t child = fork();
    if (child == 0) {
        struct lm_pg_load report;
        struct lm_err err = { 0 };
        const enum lm_rc rc = load(db_path, &report, &err);
        lm_file_write("load.err", lm_str(err.text), NULL);
        _exit(rc == LM_OK ? 0 : rc == LM_EIO ? 1 : 2);
    }
    return child;
}

static bool has_come_to(const char *condition)
{
    struct lm_pg *pg = NULL;
    struct lm_pg_rows *rows = NULL;
    struct lm_buf sql = { 0 };
    lm_buf_printf(&sql, "SELECT count(*) FROM loom.load WHERE %s", condition);
    bool there =
        lm_pg_open(where, &pg, NULL) == LM_OK && lm_pg_query(pg, sql.ptr, NULL, 0, &rows, NULL) == LM_OK;
    there = there && lm_pg_int(rows, 0, 0) > 0;
    lm_pg_rows_free(rows);
    lm_pg_close(pg);
    lm_buf_release(&sql);
    return there;
}

static void a_killed_server_loses_and_doubles_nothing(void **state)
{
    (void)state;
    static const char *const moments[] = { "documents_done > 100", "documents_done > 500", "token_id > 5",
                                           "token_id > 150" };
    struct lm_pg_load report;
    if (!programs[0])
        skip();
    empty_database();
    build("one", 0, DOCUMENTS);
    size_t interrupted = 0;
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        int status = 0;
        const pid_t child = load_beside("one/tokens.db");
        pid_t ended = 0;
        while (ended == 0 && !has_come_to(moments[i])) {
            pause_ms(2);
            ended = waitpid(child, &status, WNOHANG);
        }
        kill_server(SIGKILL);
        if (ended == 0)
            waitpid(child, &status, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        if (WEXITSTATUS(status) == 1) {
            struct lm_buf text = { 0 };
            assert_ok(lm_file_read("load.err", 4096, &text, NULL));
            assert_contains(text.ptr, "one/tokens.db was interrupted, run it again");
            assert_contains(text.ptr, "went away");
            assert_null(strchr(text.ptr, '\n'));   // one sentence
            lm_buf_release(&text);
            interrupted++;
        }
        start_server();
    }
    assert_true(interrupted > 0);
    struct lm_err err = { 0 };
    const enum lm_rc rc = load("one/tokens.db", &report, &err);
    assert_true(rc == LM_EEXIST || (rc == LM_OK && report.resumed && report.documents < DOCUMENTS));
    assert_equal_to_sqlite("one/tokens.db");
}

/* ---- asking ---- */

static void tokens_and_phrases_are_found_as_in_sqlite(void **state)
{
    (void)state;
    struct lm_pg_load report;
    struct lm_err err = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_tokens tokens = { 0 };
    static const char *const texts[] = { " of the", " says", " times, and", "never in here", " 5 times" };
    if (!programs[0])
        skip();
    empty_database();
    build("one", 0, 300);
    load_ok("one/tokens.db", &report);
    assert_ok(lm_tokenizer_load(tokenizer_path, &t, NULL));
    struct lm_encoder *e = lm_encoder_new(t);
    size_t found = 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct lm_pg_hits a = { 0 };
        struct lm_phrase_hits b = { 0 };
        tokens.len = 0;
        lm_encode(e, lm_str(texts[i]), false, &tokens);
        const struct lm_phrase phrases[] = { { tokens.ids, tokens.len }, { tokens.ids, 1 } };
        for (size_t count = 1; count <= 2; count++) {
            a.hits.len = b.len = 0;
            if (lm_token_pg_phrases(where, phrases, count, &a, &err) != LM_OK)
                fail_msg("%s", err.text);
            assert_ok(lm_token_phrases("one/tokens.db", phrases, count, &b, &err));
            assert_int_equal(a.hits.len, b.len);
            for (size_t k = 0; k < b.len; k++) {
                assert_int_equal(a.hits.documents[k], b.documents[k]);
                assert_int_equal(a.hits.counts[k], b.counts[k]);
            }
            found += b.len;
        }
        lm_pg_hits_release(&a);
        lm_phrase_hits_release(&b);
    }
    assert_true(found > 600);
    struct lm_pg_hits a = { 0 };
    struct lm_phrase_hits b = { 0 };
    assert_ok(lm_token_pg_find(where, " and", &a, &err));
    assert_ok(lm_token_find("one/tokens.db", " and", &b, &err));
    assert_int_equal(a.hits.len, b.len);
    lm_pg_hits_release(&a);
    lm_phrase_hits_release(&b);
    lm_tokens_release(&tokens);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
}

static void a_server_that_is_not_there_is_named(void **state)
{
    (void)state;
    struct lm_pg *pg = NULL;
    struct lm_err err = { 0 };
    if (!programs[0])
        skip();
    assert_int_equal(lm_pg_open("host=/nowhere dbname=x", &pg, &err), LM_EIO);
    assert_contains(err.text, "cannot connect to PostgreSQL");
    assert_contains(err.text, "/nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_that_of_sqlite),
        cmocka_unit_test(further_documents_are_added),
        cmocka_unit_test(tokens_and_phrases_are_found_as_in_sqlite),
        cmocka_unit_test(a_killed_server_loses_and_doubles_nothing),
        cmocka_unit_test(a_server_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
