/* Blocks of postings: read back, searched, and decoded by plain SQL, all as a plain list says. */
#include "check.h"

#include "base/rng.h"
#include "corpus/postings.h"
#include "corpus/token_table.h"

enum { DOCUMENTS = 5000, TOKENS = 6 };
static const char tokenizer_path[] = LOOM_TEST_DIR "/golden/token/gpt2.tokenizer.json";

/* How often each of the first tokens is in each document: every one has its own density. */
static uint32_t expected[DOCUMENTS][TOKENS];

static int build_table(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_token_table *table = NULL;
    struct lm_rng rng = lm_rng_make(3, 0);
    static const unsigned rarity[TOKENS] = { 1, 2, 5, 40, 900, 4000 };
    uint32_t *tokens = lm_alloc(600 * TOKENS * sizeof(*tokens));
    assert_ok(lm_tokenizer_load(tokenizer_path, &t, &err));
    assert_ok(lm_token_table_new(t, "tokens.db", &table, &err));
    for (size_t d = 0; d < DOCUMENTS; d++) {
        char id[33];
        size_t count = 0;
        snprintf(id, sizeof(id), "%032zx", d);
        for (uint32_t token = 0; token < TOKENS; token++) {
            if (lm_rng_below(&rng, rarity[token]) == 0)
                expected[d][token] = 1 + (lm_rng_below(&rng, 3) == 0) * (uint32_t)lm_rng_below(&rng, 500);
            for (uint32_t i = 0; i < expected[d][token]; i++)
                tokens[count++] = token;
        }
        assert_ok(lm_token_table_add(table, lm_str(id), "train", d, tokens, count, &err));
    }
    assert_ok(lm_token_table_commit(table, &err));
    lm_token_table_free(table);
    lm_tokenizer_free(t);
    free(tokens);
    return 0;
}

static void all_of_them_come_back(void **state)
{
    (void)state;
    struct lm_db *db = NULL;
    struct lm_posting_scan *scan = NULL;
    struct lm_posting p;
    uint32_t token;
    assert_ok(lm_db_open_finished("tokens.db", &db, NULL));
    assert_ok(lm_posting_scan_new(db, &scan, NULL));
    for (uint32_t want = 0; want < TOKENS; want++)
        for (size_t d = 0; d < DOCUMENTS; d++) {
            if (expected[d][want] == 0)
                continue;
            assert_ok(lm_posting_scan_next(scan, &token, &p, NULL));
            assert_int_equal(token, want);
            assert_int_equal(p.document, d);
            assert_int_equal(p.count, expected[d][want]);
        }
    assert_int_equal(lm_posting_scan_next(scan, &token, &p, NULL), LM_ENOTHING);
    lm_posting_scan_free(scan);
    lm_db_close(db);
}

static void a_document_is_found_in_any_step(void **state)
{
    (void)state;
    struct lm_db *db = NULL;
    struct lm_rng rng = lm_rng_make(4, 0);
    assert_ok(lm_db_open_finished("tokens.db", &db, NULL));
    for (uint32_t token = 0; token < TOKENS; token++)
        for (uint64_t step = 1; step < DOCUMENTS; step *= 3) {
            struct lm_posting_list *list = NULL;
            assert_ok(lm_posting_list_new(db, token, &list, NULL));
            for (size_t d = 0; d < DOCUMENTS; d += 1 + lm_rng_below(&rng, step)) {
                const enum lm_rc rc = lm_posting_list_find(list, d, NULL);
                assert_int_equal(rc, expected[d][token] ? LM_OK : LM_ENOTHING);
            }
            lm_posting_list_free(list);
        }
    lm_db_close(db);
}

static void plain_sql_reads_the_same(void **state)
{
    (void)state;
    struct lm_db *db = NULL;
    struct lm_db_rows *rows = NULL;
    assert_ok(lm_db_open_finished("tokens.db", &db, NULL));
    for (uint32_t token = 3; token < TOKENS; token++) {
        assert_ok(lm_db_query(db, &rows, NULL,
                              "SELECT document_no, frequency FROM token_document WHERE token_id = ?"
                              " ORDER BY document_no",
                              "i", (int64_t)token));
        for (size_t d = 0; d < DOCUMENTS; d++) {
            if (expected[d][token] == 0)
                continue;
            assert_ok(lm_db_next(rows, NULL));
            assert_int_equal(lm_db_int(rows, 0), d);
            assert_int_equal(lm_db_int(rows, 1), expected[d][token]);
        }
        assert_int_equal(lm_db_next(rows, NULL), LM_ENOTHING);
        lm_db_end(rows);
    }
    lm_db_close(db);
}

static void a_cut_block_is_damaged(void **state)
{
    (void)state;
    struct lm_buf block = { 0 };
    struct lm_posting p;
    lm_posting_put(&block, 0, 1);
    lm_posting_put(&block, 300, 70000);
    lm_posting_put(&block, UINT32_MAX, 2);
    for (size_t len = 0; len <= block.len; len++) {
        struct lm_block b = lm_block_open((struct lm_str){ block.ptr, len }, 5);
        size_t count = 0;
        uint64_t last = 0;
        while (lm_block_next(&b, &p)) {
            count++;
            last = p.document;
        }
        const bool whole = len == 0 || len == 1 || len == 6 || len == block.len;
        assert_int_equal(b.damaged, !whole);
        if (len == block.len) {
            assert_int_equal(count, 3);
            assert_int_equal(last, 305 + (uint64_t)UINT32_MAX);
        }
    }
    lm_buf_release(&block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_them_come_back),
        cmocka_unit_test(a_document_is_found_in_any_step),
        cmocka_unit_test(plain_sql_reads_the_same),
        cmocka_unit_test(a_cut_block_is_damaged),
    };
    return cmocka_run_group_tests(tests, build_table, NULL);
}
