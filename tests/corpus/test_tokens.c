/* Documents to shards and table: every number counted a second time from the shards. */
#include "check.h"

#include "base/sys.h"
#include "corpus/corpus.h"
#include "corpus/document.h"
#include "corpus/shard.h"
#include "corpus/token_table.h"
#include "store/db.h"
#include "token/tokenizer.h"

enum { DOCUMENTS = 200 };
static const char tokenizer_path[] = LOOM_TEST_DIR "/golden/token/llama3.tokenizer.json";
static const char *const inputs[] = { "docs.jsonl" };

static void document_number(size_t i, struct lm_document *doc, char id[LM_DOCUMENT_ID], char text[128])
{
    lm_document_id(LM_STR("test"), (struct lm_str){ (const char *)&i, sizeof(i) }, id);
    snprintf(text, 128, "%sDocument %zu says <|endoftext|> and caf\xc3\xa9 %zu times.",
             i % 3 ? "" : "# Heading\n\n", i, i % 7);
    *doc = (struct lm_document){ .id = lm_str(id), .content = lm_str(text), .title = LM_STR("A title") };
}

static int write_documents(void **state)
{
    (void)state;
    lm_progress_quiet(true);
    struct lm_buf file = { 0 };
    for (size_t i = 0; i < DOCUMENTS; i++) {
        struct lm_document doc;
        char id[LM_DOCUMENT_ID], text[128];
        document_number(i, &doc, id, text);
        lm_document_write(&doc, &file);
        lm_buf_putc(&file, '\n');
    }
    const enum lm_rc rc = lm_file_write("docs.jsonl", lm_buf_str(&file), NULL);
    lm_buf_release(&file);
    return rc;
}

static void build_into(const char *dir, int threads)
{
    struct lm_err err = { 0 };
    struct lm_buf metrics = { 0 };
    const struct lm_tokens_config config = { .heldout_share = 0.2, .table = true };
    lm_threads_set(threads);
    assert_ok(lm_dir_make(dir, &err));
    if (lm_tokens_build(&config, tokenizer_path, inputs, 1, dir, &metrics, &err) != LM_OK)
        fail_msg("%s", err.text);
    assert_contains(metrics.ptr, "\"documents\":200,");
    lm_buf_release(&metrics);
    lm_threads_set(0);
}

static void the_files_do_not_depend_on_threads(void **state)
{
    (void)state;
    static const char *const names[] = { "train.tokens", "heldout.tokens", "tokens.db" };
    build_into("one", 1);
    build_into("two", 2);
    for (size_t i = 0; i < 3; i++) {
        struct lm_buf a = { 0 }, b = { 0 };
        LM_FREE char *one = lm_path_join("one", names[i]);
        LM_FREE char *two = lm_path_join("two", names[i]);
        assert_ok(lm_file_read(one, 1 << 24, &a, NULL));
        assert_ok(lm_file_read(two, 1 << 24, &b, NULL));
        assert_true(lm_str_eq(lm_buf_str(&a), lm_buf_str(&b)));
        lm_buf_release(&a);
        lm_buf_release(&b);
    }
}

static void documents_decode_from_their_split_with_a_heading(void **state)
{
    (void)state;
    struct lm_tokenizer *t = NULL;
    struct lm_shard shards[2];
    assert_ok(lm_tokenizer_load(tokenizer_path, &t, NULL));
    assert_ok(lm_shard_open(&shards[0], "one/train.tokens", NULL));
    assert_ok(lm_shard_open(&shards[1], "one/heldout.tokens", NULL));
    assert_memory_equal(shards[0].tokenizer_sha256, lm_tokenizer_sha256(t), 32);
    assert_true(shards[1].document_count > DOCUMENTS / 10);
    uint64_t next[2] = { 0, 0 };
    for (size_t i = 0; i < DOCUMENTS; i++) {
        struct lm_document doc;
        char id[LM_DOCUMENT_ID], text[128];
        document_number(i, &doc, id, text);
        const int split = lm_heldout(doc.id, 0.2);
        const struct lm_shard *s = &shards[split];
        const uint64_t d = next[split]++;   // in the order they came
        assert_memory_equal(s->ids + 32 * d, id, 32);
        const uint64_t start = lm_shard_doc_start(s, d), len = s->ends[d] - start;
        LM_FREE uint32_t *ids = lm_alloc(len * sizeof(*ids));
        lm_shard_get(s, start, len, ids);
        assert_int_equal(ids[len - 1], lm_tokenizer_end_of_text(t));
        struct lm_buf got = { 0 }, want = { 0 };
        assert_ok(lm_decode(t, ids, len - 1, false, &got, NULL));
        lm_buf_printf(&want, "%s%s", i % 3 ? "# A title\n\n" : "", text);
        assert_string_equal(got.ptr, want.ptr);
        assert_int_equal(s->doc_bytes[d], want.len);
        for (size_t k = 0; k + 1 < len; k++)
            assert_false(lm_tokenizer_is_special(t, ids[k]));
        lm_buf_release(&got);
        lm_buf_release(&want);
    }
    assert_int_equal(next[0], shards[0].document_count);
    assert_int_equal(next[1], shards[1].document_count);
    lm_shard_close(&shards[0]);
    lm_shard_close(&shards[1]);
    lm_tokenizer_free(t);
}

static int64_t one_number(struct lm_db *db, const char *sql)
{
    int64_t value = -1;
    assert_ok(lm_db_get_int(db, &value, NULL, sql, ""));
    return value;
}

static void the_table_counts_what_the_shards_hold(void **state)
{
    (void)state;
    enum { VOCAB_MAX = 1000 };
    struct lm_db *db = NULL;
    assert_ok(lm_db_open_finished("one/tokens.db", &db, NULL));
    int64_t counts[VOCAB_MAX] = { 0 };
    int64_t pairs = 0;
    static const char *const files[] = { "one/train.tokens", "one/heldout.tokens" };
    for (size_t f = 0; f < 2; f++) {
        struct lm_shard s;
        assert_ok(lm_shard_open(&s, files[f], NULL));
        for (uint64_t d = 0; d < s.document_count; d++) {
            bool seen[VOCAB_MAX] = { false };
            for (uint64_t i = lm_shard_doc_start(&s, d); i < s.ends[d]; i++) {
                uint32_t id;
                lm_shard_get(&s, i, 1, &id);
                assert_true(id < VOCAB_MAX);
                counts[id]++;
                pairs += !seen[id];
                seen[id] = true;
            }
        }
        lm_shard_close(&s);
    }
    assert_int_equal(one_number(db, "SELECT count(*) FROM token_document"), pairs);
    assert_int_equal(one_number(db, "SELECT count(*) FROM document"), DOCUMENTS);
    assert_int_equal(one_number(db, "SELECT sum(tokens) FROM document"),
                     one_number(db, "SELECT sum(frequency) FROM token_document"));
    struct lm_db_rows *rows = NULL;
    assert_ok(lm_db_query(db, &rows, NULL,
                          "SELECT t.token_id, t.frequency, length(t.document_ids),"
                          " (SELECT count(*) FROM token_document td WHERE td.token_id = t.token_id),"
                          " (SELECT sum(frequency) FROM token_document td WHERE td.token_id = t.token_id)"
                          " FROM token_table t ORDER BY 1",
                          ""));
    size_t tokens = 0;
    for (; lm_db_next(rows, NULL) == LM_OK; tokens++) {
        assert_int_equal(lm_db_int(rows, 0), tokens);
        assert_int_equal(lm_db_int(rows, 1), counts[tokens]);
        assert_int_equal(lm_db_int(rows, 4), counts[tokens]);
        const int64_t documents = lm_db_int(rows, 3);
        assert_int_equal(lm_db_int(rows, 2),
                         documents ? documents * 33 - 1 : 0);   // ids with a blank between
    }
    lm_db_end(rows);
    assert_int_equal(tokens, 420);
    lm_db_close(db);
}

static void documents_of_a_token_are_found_by_index(void **state)
{
    (void)state;
    struct lm_db *db = NULL;
    struct lm_db_rows *rows = NULL;
    assert_ok(lm_db_open_finished("one/tokens.db", &db, NULL));
    assert_ok(
        lm_db_query(db, &rows, NULL,
                    "EXPLAIN QUERY PLAN SELECT d.id FROM token t JOIN token_document td ON td.token_id = t.id"
                    " JOIN document d ON d.no = td.document_no WHERE t.token = ?",
                    "s", " says"));
    size_t searches = 0;
    while (lm_db_next(rows, NULL) == LM_OK) {
        const struct lm_str step = lm_db_text(rows, 3);
        searches += lm_str_starts(step, LM_STR("SEARCH"));
        /* What is scanned is the decoding of a block; SCAN of a table would read all of it. */
        static const char *const tables[] = { "SCAN p", "SCAN t", "SCAN d" };
        for (size_t i = 0; i < 3; i++)
            assert_false(lm_str_starts(step, lm_str(tables[i])));
    }
    assert_int_equal(searches, 3);
    lm_db_end(rows);
    lm_db_close(db);
}

/* Every pair of neighbours of a shard is a phrase that is in its document. */
static void phrases_are_found_where_their_tokens_stand_together(void **state)
{
    (void)state;
    struct lm_shard s;
    struct lm_err err = { 0 };
    assert_ok(lm_shard_open(&s, "one/train.tokens", NULL));
    for (uint64_t d = 0; d < s.document_count; d += 7) {
        uint32_t ids[3];
        const uint64_t start = lm_shard_doc_start(&s, d);
        if (s.ends[d] - start < 4)
            continue;
        lm_shard_get(&s, start + 1, 3, ids);
        uint64_t expected = 0, documents = 0;
        for (uint64_t k = 0; k < s.document_count; k++) {
            uint64_t here = 0;
            for (uint64_t i = lm_shard_doc_start(&s, k); i + 3 <= s.ends[k]; i++) {
                uint32_t at[3];
                lm_shard_get(&s, i, 3, at);
                here += memcmp(at, ids, sizeof(at)) == 0;
            }
            expected += here;
            documents += here > 0;
        }
        struct lm_phrase_hits hits = { 0 };
        assert_int_equal(lm_token_phrase("one/tokens.db", ids, 3, &hits, &err), LM_OK);
        uint64_t found = 0;
        for (size_t i = 0; i < hits.len; i++)
            found += hits.counts[i];
        assert_true(hits.len >= documents && found >= expected && expected > 0);   // held-out ones as well
        lm_phrase_hits_release(&hits);
    }
    const uint32_t never[] = { 0, 0 };   // the end of a text twice
    struct lm_phrase_hits none = { 0 };
    assert_int_equal(lm_token_phrase("one/tokens.db", never, 2, &none, &err), LM_OK);
    assert_int_equal(none.len, 0);
    assert_int_equal(lm_token_phrase("one/tokens.db", never, 0, &none, &err), LM_EINVAL);
    lm_shard_close(&s);
}

static size_t lines_of(const char *path)
{
    struct lm_buf file = { 0 };
    size_t lines = 0;
    assert_ok(lm_file_read(path, 1 << 24, &file, NULL));
    for (size_t i = 0; i < file.len; i++)
        lines += file.ptr[i] == '\n';
    lm_buf_release(&file);
    return lines;
}

static void the_table_is_exported_row_by_row(void **state)
{
    (void)state;
    struct lm_db *db = NULL;
    struct lm_buf token = { 0 };
    assert_ok(lm_dir_make("cql", NULL));
    assert_ok(lm_token_cql("one/tokens.db", "cql", NULL));
    assert_ok(lm_db_open_finished("one/tokens.db", &db, NULL));
    assert_int_equal(lines_of("cql/token_document.csv"),
                     one_number(db, "SELECT count(*) FROM token_document") + 1);
    assert_int_equal(lines_of("cql/document.csv"), DOCUMENTS + 1);
    assert_ok(lm_file_read("cql/vocabulary.csv", 1 << 24, &token, NULL));
    assert_true(lm_str_find(lm_buf_str(&token), LM_STR(",\"\\\"\",0x22,")) > 0);   // the token of a quote
    assert_true(lm_path_exists("cql/schema.cql"));
    lm_buf_release(&token);
    lm_db_close(db);
}

static void without_documents_there_is_an_error_and_no_file(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    const struct lm_tokens_config config = { .heldout_share = 0.2, .table = true };
    static const char *const empty[] = { "empty.jsonl" };
    assert_ok(lm_file_write("empty.jsonl", LM_STR(""), NULL));
    assert_ok(lm_dir_make("none", NULL));
    assert_int_equal(lm_tokens_build(&config, tokenizer_path, empty, 1, "none", NULL, &err), LM_ENOENT);
    assert_contains(err.text, "no documents");
    assert_false(lm_path_exists("none/train.tokens"));
    assert_false(lm_path_exists("none/tokens.db"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_files_do_not_depend_on_threads),
        cmocka_unit_test(documents_decode_from_their_split_with_a_heading),
        cmocka_unit_test(the_table_counts_what_the_shards_hold),
        cmocka_unit_test(documents_of_a_token_are_found_by_index),
        cmocka_unit_test(the_table_is_exported_row_by_row),
        cmocka_unit_test(phrases_are_found_where_their_tokens_stand_together),
        cmocka_unit_test(without_documents_there_is_an_error_and_no_file),
    };
    return cmocka_run_group_tests(tests, write_documents, NULL) != 0;
}
