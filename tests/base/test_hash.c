#include "check.h"

#include "base/file.h"
#include "base/hash.h"

/* FIPS 180-4 examples (NIST CSRC "SHA256.pdf", "SHA256_Additional.pdf"). */
static void sha256_agrees_with_the_published_vectors(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    char hex[LM_SHA256_HEX];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lm_sha256_hex(lm_str(cases[i][0]), hex);
        assert_string_equal(hex, cases[i][1]);
    }
    struct lm_sha256 h;
    lm_sha256_init(&h);
    for (int i = 0; i < 1000000; i++)
        lm_sha256_add(&h, "a", 1);
    lm_sha256_end_hex(&h, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void a_file_hashes_as_its_bytes(void **state)
{
    (void)state;
    struct lm_buf buf = { 0 };
    while (buf.len < 200000)   // several reads, and not a multiple of the chunk
        lm_buf_printf(&buf, "%zu ", buf.len);
    assert_ok(lm_file_write("hashed.bin", lm_buf_str(&buf), NULL));
    char of_file[LM_SHA256_HEX], of_bytes[LM_SHA256_HEX];
    assert_ok(lm_sha256_file("hashed.bin", of_file, NULL));
    lm_sha256_hex(lm_buf_str(&buf), of_bytes);
    assert_string_equal(of_file, of_bytes);
    lm_buf_release(&buf);
    struct lm_err err = { 0 };
    assert_int_equal(lm_sha256_file("absent.bin", of_file, &err), LM_ENOENT);
    assert_contains(err.text, "absent.bin");
    assert_int_equal(lm_sha256_file(".", of_file, &err), LM_EIO);
}

static void hash_fields(const char *a, const char *b, char ret[LM_SHA256_HEX])
{
    struct lm_sha256 h;
    lm_sha256_init(&h);
    lm_sha256_add_field(&h, lm_str(a));
    lm_sha256_add_field(&h, lm_str(b));
    lm_sha256_end_hex(&h, ret);
}

static void fields_do_not_run_together(void **state)
{
    (void)state;
    char one[LM_SHA256_HEX], other[LM_SHA256_HEX];
    hash_fields("ab", "c", one);
    hash_fields("a", "bc", other);
    assert_string_not_equal(one, other);
    /* The format is part of every artifact hash: eight bytes of length, little-endian, then the text. */
    lm_sha256_hex(LM_STR("\x02\0\0\0\0\0\0\0ab\x01\0\0\0\0\0\0\0c"), other);
    assert_string_equal(one, other);
}

/* Stored in files, so it may never change: XXH3-64 with seed 0, https://github.com/Cyan4973/xxHash. */
static void hash64_is_xxh3(void **state)
{
    (void)state;
    assert_true(lm_hash64("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(lm_hash64("abc", 3) == UINT64_C(0x78af5f94892f3950));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_agrees_with_the_published_vectors),
        cmocka_unit_test(a_file_hashes_as_its_bytes),
        cmocka_unit_test(fields_do_not_run_together),
        cmocka_unit_test(hash64_is_xxh3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
