/* Compiled tokenizers: the same ids as what they were made from; damage is refused, or at worst gives other
 * ids, and never reads outside of the file. */
#include "check.h"

#include "token/compiled.h"
#include "token/trie.h"

static const char *const names[] = { "gpt2",      "llama3", "smollm", "qwen2",  "several_ways",
                                     "metaspace", "bert",   "t5",     "albert", "clip" };
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static char *compile(const struct lm_tokenizer *t, size_t *ret_len)
{
    struct lm_buf file = { 0 };
    assert_int_equal(lm_tokenizer_compile(t, &file, NULL), LM_OK);
    char *copy = lm_memdup(file.ptr, file.len);   // exactly as long
    *ret_len = file.len;
    lm_buf_release(&file);
    return copy;
}

static void check_same_ids(const struct lm_tokenizer *a, const struct lm_tokenizer *b, struct lm_rng *rng)
{
    struct lm_encoder *ea = lm_encoder_new(a), *eb = lm_encoder_new(b);
    struct lm_buf text = { 0 };
    for (size_t round = 0; round < 300; round++) {
        struct lm_tokens want = { 0 }, got = { 0 };
        random_text(rng, 30, &text);
        if (round % 3 == 0)
            lm_buf_puts(&text, "<|endoftext|> [SEP]");
        lm_encode_with_specials(ea, lm_buf_str(&text), round % 2, &want);
        lm_encode_with_specials(eb, lm_buf_str(&text), round % 2, &got);
        assert_int_equal(want.len, got.len);
        assert_memory_equal(want.ids, got.ids, want.len * sizeof(*want.ids));
        lm_tokens_release(&want);
        lm_tokens_release(&got);
    }
    lm_buf_release(&text);
    lm_encoder_free(ea);
    lm_encoder_free(eb);
}

static void compiled_is_the_same_tokenizer(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(31, 0);
    for (size_t n = 0; n < NAMES; n++) {
        struct lm_tokenizer *t = golden_tokenizer(names[n]), *again = NULL;
        size_t len = 0;
        LM_FREE char *file = compile(t, &len);
        assert_int_equal(lm_tokenizer_from_compiled((struct lm_str){ file, len }, "x", &again, NULL), LM_OK);
        assert_int_equal(lm_tokenizer_vocab_size(again), lm_tokenizer_vocab_size(t));
        assert_memory_equal(lm_tokenizer_sha256(again), lm_tokenizer_sha256(t), LM_SHA256_BYTES);
        assert_true(lm_str_eq(lm_tokenizer_json(again), lm_tokenizer_json(t)));
        lm_tokenizer_prepare(again);
        assert_int_equal(lm_tokenizer_end_of_text(again), lm_tokenizer_end_of_text(t));
        for (int role = 0; role < LM_ROLE_COUNT; role++)
            assert_int_equal(lm_tokenizer_role(again, role), lm_tokenizer_role(t, role));
        check_same_ids(t, again, &rng);
        size_t second_len = 0;
        LM_FREE char *second = compile(again, &second_len);   // and compiles to the same file
        assert_int_equal(second_len, len);
        assert_memory_equal(second, file, len);
        lm_tokenizer_free(again);
        lm_tokenizer_free(t);
    }
}

/* Sets the digest right again, so that what is behind it is reached. */
static void sign(char *file)
{
    struct lm_compiled_header h;
    memcpy(&h, file, sizeof(h));
    struct lm_hash64_stream *hash = lm_hash64_start();
    h.digest = 0;
    lm_hash64_add(hash, &h, sizeof(h));
    for (size_t i = LM_COMPILED_FRAME; i <= LM_COMPILED_TEMPLATE; i++)
        lm_hash64_add(hash, file + h.sections[i].at, h.sections[i].len);
    h.digest = lm_hash64_value(hash);
    lm_hash64_free(hash);
    memcpy(file, &h, sizeof(h));
}

static void try_damaged(struct lm_str file, bool prepare)
{
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    if (lm_tokenizer_from_compiled(file, "x", &t, &err) != LM_OK) {
        assert_true(err.text[0] != '\0');
        return;
    }
    if (prepare)
        lm_tokenizer_prepare(t);
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_tokens ids = { 0 };
    struct lm_buf back = { 0 };
    lm_encode_with_specials(e, LM_STR("Hello  w\xc3\xb6rld <|endoftext|> 12345 \xe4\xb8\xad"), true, &ids);
    assert_int_equal(lm_decode(t, ids.ids, ids.len, false, &back, NULL), LM_OK);
    lm_buf_release(&back);
    lm_tokens_release(&ids);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
}

static void damage_is_refused_or_harmless(void **state)
{
    (void)state;
    enum { ROUNDS = 150 };
    struct lm_rng rng = lm_rng_make(32, 0);
    for (size_t n = 0; n < NAMES; n++) {
        struct lm_tokenizer *t = golden_tokenizer(names[n]);
        size_t len = 0;
        LM_FREE char *good = compile(t, &len);
        struct lm_compiled_header h;
        memcpy(&h, good, sizeof(h));
        for (size_t round = 0; round < ROUNDS; round++) {
            LM_FREE char *file = lm_memdup(good, len);
            const size_t section = lm_rng_below(&rng, LM_COMPILED_JSON);
            for (size_t i = 0; i < 1 + round % 3; i++) {
                size_t at = round % 2 ? lm_rng_below(&rng, sizeof(h)) : h.sections[section].at;
                if (round % 2 == 0 && h.sections[section].len > 0)
                    at += lm_rng_below(&rng, h.sections[section].len);
                file[at] = (char)(lm_rng_below(&rng, 2) ? 0xff : lm_rng_below(&rng, 256));
            }
            if (round % 2 == 0)   // sections are where they were
                sign(file);
            try_damaged((struct lm_str){ file, len }, round % 4 < 2);
            const size_t cut_len = round < 20 ? round * 64 : lm_rng_below(&rng, len);
            LM_FREE char *cut = lm_memdup(good, cut_len);
            try_damaged((struct lm_str){ cut, cut_len }, false);
        }
        lm_tokenizer_free(t);
    }
}

struct wrong {
    size_t at;
    uint32_t value;
};

static void check_refused(char *file, size_t len, const struct wrong *wrong, size_t count)
{
    struct lm_tokenizer *t = NULL;
    for (size_t i = 0; i < count; i++) {
        uint32_t old;
        memcpy(&old, file + wrong[i].at, sizeof(old));
        memcpy(file + wrong[i].at, &wrong[i].value, sizeof(old));
        sign(file);
        struct lm_err err = { 0 };
        assert_int_equal(lm_tokenizer_from_compiled((struct lm_str){ file, len }, "x", &t, &err), LM_EFORMAT);
        assert_true(err.text[0] != '\0');
        memcpy(file + wrong[i].at, &old, sizeof(old));
    }
    sign(file);
    assert_int_equal(lm_tokenizer_from_compiled((struct lm_str){ file, len }, "x", &t, NULL), LM_OK);
    lm_tokenizer_free(t);
}

static void impossible_numbers_are_refused(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("gpt2");
    size_t len = 0;
    LM_FREE char *file = compile(t, &len);
    struct lm_compiled_header h;
    memcpy(&h, file, sizeof(h));
    size_t merge = h.sections[LM_COMPILED_MERGES].at;   // the first that is not free
    while (memcmp(file + merge, "\xff\xff\xff\xff\xff\xff\xff\xff", 8) == 0)
        merge += sizeof(struct lm_merge);
    const struct wrong wrong[] = {
        { offsetof(struct lm_compiled_header, version), 99 },
        { offsetof(struct lm_compiled_header, order), 0x04030201 },
        { offsetof(struct lm_compiled_header, chain), 2 },
        { h.sections[LM_COMPILED_ITEMS].at, UINT32_MAX },   // place of its bytes
        { h.sections[LM_COMPILED_ITEMS].at + 8, 9 },        // kind
        { h.sections[LM_COMPILED_ITEMS].at + 12, 2 },       // a bool
        { h.sections[LM_COMPILED_MAP].at, h.vocab_size },   // an id
        { merge + 12, h.vocab_size },                       // what a merge makes
        { merge + 12, 0 },                                  // a special token
    };
    check_refused(file, len, wrong, sizeof(wrong) / sizeof(wrong[0]));
    lm_tokenizer_free(t);
}

static void impossible_pieces_are_refused(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("t5");
    size_t len = 0;
    LM_FREE char *file = compile(t, &len);
    struct lm_compiled_header h;
    memcpy(&h, file, sizeof(h));
    const size_t root = h.sections[LM_COMPILED_TRIE].at;
    const struct wrong wrong[] = {
        { root, (uint32_t)(h.sections[LM_COMPILED_TRIE].len / sizeof(struct lm_trie_node)) },   // children
        { root + 4, 0 },              // its own parent
        { root + 8, h.vocab_size },   // a piece
        { root + 8, 0 },              // a special token
        { offsetof(struct lm_compiled_header, chain), 0 },
    };
    check_refused(file, len, wrong, sizeof(wrong) / sizeof(wrong[0]));
    lm_tokenizer_free(t);
}

/* A map that ends in the middle of what is looked at together. */
static void a_map_of_one_place_is_refused(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("gpt2"), *again = NULL;
    size_t len = 0;
    LM_FREE char *file = compile(t, &len);
    struct lm_compiled_header h;
    memcpy(&h, file, sizeof(h));
    memset(file + h.sections[LM_COMPILED_MAP].at, 0xff, sizeof(uint64_t));   // free
    h.sections[LM_COMPILED_MAP].len = sizeof(uint64_t);
    h.map_len = 0;
    memcpy(file, &h, sizeof(h));
    sign(file);
    struct lm_err err = { 0 };
    assert_int_equal(lm_tokenizer_from_compiled((struct lm_str){ file, len }, "x", &again, &err), LM_EFORMAT);
    assert_contains(err.text, "another size");
    lm_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compiled_is_the_same_tokenizer), cmocka_unit_test(damage_is_refused_or_harmless),
        cmocka_unit_test(impossible_numbers_are_refused), cmocka_unit_test(a_map_of_one_place_is_refused),
        cmocka_unit_test(impossible_pieces_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
