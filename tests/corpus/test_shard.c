/* Token shards: what goes in comes out, and no changed byte goes unseen or does harm. */
#include "check.h"

#include "base/rng.h"
#include "corpus/shard.h"

enum { DOCUMENTS = 40, TOKENS_MAX = 50 };

static const uint8_t sha[32] = { 1, 2, 3, [31] = 255 };

struct sample {
    uint32_t tokens[DOCUMENTS][TOKENS_MAX];
    size_t lens[DOCUMENTS];
    char ids[DOCUMENTS][33];
};

/* "s2", "s0", "s1" again and again: numbered by first appearance, so 0, 1, 2. */
static struct lm_str source_of(size_t d)
{
    static const char *const names[] = { "s2", "s0", "s1" };
    return lm_str(names[d % 3]);
}

static void make_sample(struct sample *s, uint32_t vocab, const char *path)
{
    struct lm_rng rng = lm_rng_make(1, vocab);
    struct lm_shard_writer *w = NULL;
    assert_ok(lm_shard_create(path, vocab, sha, &w, NULL));
    for (size_t d = 0; d < DOCUMENTS; d++) {
        s->lens[d] = 1 + lm_rng_below(&rng, TOKENS_MAX);
        for (size_t i = 0; i < s->lens[d]; i++)
            s->tokens[d][i] = (uint32_t)lm_rng_below(&rng, vocab);
        snprintf(s->ids[d], sizeof(s->ids[d]), "%032zx", d * 12345);
        const struct lm_shard_document document = { lm_str(s->ids[d]), source_of(d), d * 3, s->tokens[d],
                                                    s->lens[d] };
        assert_ok(lm_shard_add(w, &document, NULL));
    }
    assert_ok(lm_shard_commit(w, NULL));
}

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    static const uint32_t vocabs[] = { 300, 65536, 65537, 200000 };
    for (size_t v = 0; v < 4; v++) {
        struct sample s;
        struct lm_shard shard;
        struct lm_err err = { 0 };
        make_sample(&s, vocabs[v], "a.tokens");
        if (lm_shard_open(&shard, "a.tokens", &err) != LM_OK)
            fail_msg("%s", err.text);
        assert_int_equal(shard.token_bytes, vocabs[v] <= 65536 ? 2 : 4);
        assert_int_equal(shard.vocab_size, vocabs[v]);
        assert_int_equal(shard.document_count, DOCUMENTS);
        assert_memory_equal(shard.tokenizer_sha256, sha, 32);
        uint64_t at = 0;
        for (size_t d = 0; d < DOCUMENTS; d++) {
            uint32_t got[TOKENS_MAX];
            assert_int_equal(lm_shard_doc_start(&shard, d), at);
            lm_shard_get(&shard, at, s.lens[d], got);
            assert_memory_equal(got, s.tokens[d], s.lens[d] * sizeof(*got));
            for (size_t i = 0; i < s.lens[d]; i++)
                assert_int_equal(lm_shard_doc_at(&shard, at + i), d);
            at += s.lens[d];
            assert_int_equal(shard.ends[d], at);
            assert_int_equal(shard.doc_bytes[d], d * 3);
            assert_memory_equal(shard.ids + 32 * d, s.ids[d], 32);
            assert_int_equal(shard.sources[d], d % 3);
        }
        assert_int_equal(shard.source_count, 3);
        assert_memory_equal(shard.names, "s2\0s0\0s1", 9);
        assert_int_equal(shard.token_count, at);
        lm_shard_close(&shard);
    }
}

static void a_shard_may_hold_nothing(void **state)
{
    (void)state;
    struct lm_shard_writer *w = NULL;
    struct lm_shard shard;
    assert_ok(lm_shard_create("empty.tokens", 300, sha, &w, NULL));
    assert_ok(lm_shard_commit(w, NULL));
    assert_ok(lm_shard_open(&shard, "empty.tokens", NULL));
    assert_int_equal(shard.token_count, 0);
    assert_int_equal(shard.document_count, 0);
    lm_shard_get(&shard, 0, 0, NULL);
    lm_shard_close(&shard);
}

static void an_aborted_shard_leaves_nothing(void **state)
{
    (void)state;
    struct lm_shard_writer *w = NULL;
    const uint32_t token = 1;
    struct lm_err err = { 0 };
    assert_ok(lm_shard_create("aborted.tokens", 300, sha, &w, NULL));
    struct lm_shard_document d = { LM_STR("0123"), LM_STR("s"), 1, &token, 1 };
    assert_int_equal(lm_shard_add(w, &d, &err), LM_EINVAL);
    assert_contains(err.text, "'0123' is not 32 hex digits");
    d.id = LM_STR("0123456789ABCDEF0123456789ABCDEF");
    assert_int_equal(lm_shard_add(w, &d, &err), LM_EINVAL);
    d = (struct lm_shard_document){ LM_STR("0123456789abcdef0123456789abcdef"), LM_STR(""), 1, &token, 1 };
    assert_int_equal(lm_shard_add(w, &d, &err), LM_EINVAL);
    assert_contains(err.text, "without a usable name");
    lm_shard_abort(w);
    assert_false(lm_path_exists("aborted.tokens"));
}

static void write_file(const char *path, const char *bytes, size_t len)
{
    assert_ok(lm_file_write(path, (struct lm_str){ bytes, len }, NULL));
}

static void damage_is_named(void **state)
{
    (void)state;
    struct sample s;
    make_sample(&s, 300, "b.tokens");
    struct lm_buf file = { 0 };
    assert_ok(lm_file_read("b.tokens", 1 << 20, &file, NULL));
    uint64_t tokens;
    memcpy(&tokens, file.ptr + 16, 8);
    const size_t ends = (88 + tokens * 2 + 7) / 8 * 8, doc_bytes = ends + 8 * DOCUMENTS,
                 ids = doc_bytes + 8 * DOCUMENTS, sources = ids + 32 * DOCUMENTS,
                 names = sources + 4 * DOCUMENTS;
    const struct {
        size_t at;
        char byte;
        const char *message;
    } cases[] = {
        { 0, 'X', "not a token shard" },
        { 8, 4, "width 4 does not fit a vocabulary of 300" },
        { 15, 1, "width 2 does not fit" },
        { 17, 127, "the header announces" },
        { 23, 127, "cut short" },
        { 31, 127, "cut short" },
        { 72, 4, "names of its 4 sources" },
        { 76, 1, "the header announces" },
        { 80, 1, "not those that were written" },
        { 81, 'x', "not those that were written" },
        { 89, 127, "token id" },
        { 88, 1, "not those that were written" },
        { 12, 1, "outside the vocabulary of" },
        { ends + 9, 127, "document 1 ends at token" },
        { doc_bytes + 8, 1, "do not add up" },
        { doc_bytes + 15, 127, "exceed the sum" },
        { ids + 33, 'G', "id of document 1 is not hexadecimal" },
        { sources + 4, 2, "document 1 is of source 2, after 1 of 3" },
        { sources, 3, "document 0 is of source 3" },
        { names, 0, "names of its 3 sources" },
        { names + 1, 'x', "not those that were written" },
        { names + 4, '2', "names of its 3 sources" },
        { names + 8, 'x', "does not end" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_shard shard;
        struct lm_err err = { 0 };
        const char before = file.ptr[cases[i].at];
        file.ptr[cases[i].at] = cases[i].byte;
        write_file("c.tokens", file.ptr, file.len);
        assert_int_equal(lm_shard_open(&shard, "c.tokens", &err), LM_EFORMAT);
        assert_contains(err.text, "c.tokens");
        assert_contains(err.text, cases[i].message);
        file.ptr[cases[i].at] = before;
    }
    for (size_t len = 0; len < file.len; len += 37) {   // and every cut
        struct lm_shard shard;
        write_file("c.tokens", file.ptr, len);
        assert_int_equal(lm_shard_open(&shard, "c.tokens", NULL), LM_EFORMAT);
    }
    lm_buf_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(a_shard_may_hold_nothing),
        cmocka_unit_test(an_aborted_shard_leaves_nothing),
        cmocka_unit_test(damage_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
