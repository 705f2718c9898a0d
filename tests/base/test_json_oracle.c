/* The JSON reader and writer against jansson: random trees, and the same texts damaged at random. */

#include "check.h"

#include "base/json.h"
#include "base/rng.h"

#include <jansson.h>

enum { DEPTH = 6 };

/* ---- random texts, made by the writer under test ---- */

static void random_string(struct lm_rng *rng, struct lm_buf *ret)
{
    static const char *const pieces[] = { "a",        "key",          "\"",
                                          "\\",       "\n",           "\x01",
                                          "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                          "/",        "\x7f",         "plain text of some length " };
    struct lm_buf text = { 0 };
    for (uint64_t left = lm_rng_below(rng, 6); left > 0; left--)
        lm_buf_puts(&text, pieces[lm_rng_below(rng, sizeof(pieces) / sizeof(pieces[0]))]);
    lm_json_str(ret, lm_buf_str(&text));
    lm_buf_release(&text);
}

static void random_value(struct lm_rng *rng, int depth, struct lm_buf *ret)
{
    const uint64_t kind = lm_rng_below(rng, depth ? 8 : 6);
    const uint64_t len = lm_rng_below(rng, 5);
    switch (kind) {
    case 0:
        lm_buf_puts(ret, lm_rng_below(rng, 2) ? "true" : "false");
        break;
    case 1:
        lm_buf_puts(ret, "null");
        break;
    case 2:
        lm_json_int(ret, (int64_t)lm_rng_next(rng));
        break;
    case 3:
        lm_json_num(ret, lm_rng_normal(rng) * 1e-7);
        break;
    case 4:
    case 5:
        random_string(rng, ret);
        break;
    case 6:
        lm_buf_putc(ret, '[');
        for (uint64_t i = 0; i < len; i++) {
            lm_json_sep(ret);
            random_value(rng, depth - 1, ret);
        }
        lm_buf_putc(ret, ']');
        break;
    default:
        lm_buf_putc(ret, '{');
        for (uint64_t i = 0; i < len; i++) {
            char key[16];
            snprintf(key, sizeof(key), "k%d", (int)i);
            lm_json_key(ret, key);
            random_value(rng, depth - 1, ret);
        }
        lm_buf_putc(ret, '}');
    }
}

/* ---- the reader under test, as a builder of jansson trees ---- */

static json_t *build(struct lm_json_reader *r, enum lm_json_kind kind)
{
    json_t *node;
    int64_t whole;
    double real;
    switch (kind) {
    case LM_JSON_TRUE:
        return json_true();
    case LM_JSON_FALSE:
        return json_false();
    case LM_JSON_NULL:
        return json_null();
    case LM_JSON_STRING:
        return json_stringn(r->text.ptr, r->text.len);
    case LM_JSON_NUMBER:
        if (lm_str_to_i64(r->text, &whole) && !lm_str_eq(r->text, LM_STR("-0")))
            return json_integer(whole);
        return lm_str_to_f64(r->text, &real) ? json_real(real) : json_integer(0);
    case LM_JSON_ARRAY:
        node = json_array();
        while (lm_json_next(r, &kind, NULL) == LM_OK && kind != LM_JSON_ARRAY_END)
            json_array_append_new(node, build(r, kind));
        return node;
    case LM_JSON_OBJECT:
        node = json_object();
        while (lm_json_next(r, &kind, NULL) == LM_OK && kind != LM_JSON_OBJECT_END) {
            char key[32];
            snprintf(key, sizeof(key), "%.*s", (int)r->text.len, r->text.ptr);
            if (lm_json_next(r, &kind, NULL) != LM_OK)
                break;
            json_object_set_new(node, key, build(r, kind));
        }
        return node;
    default:
        fail_msg("event %d cannot start a value", kind);
        return NULL;
    }
}

static void random_trees_are_read_as_jansson_reads_them(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(2026, 1);
    for (int round = 0; round < 1500; round++) {
        struct lm_buf text = { 0 };
        random_value(&rng, DEPTH, &text);
        json_t *expected = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (!expected)
            fail_msg("jansson refuses %s", text.ptr);
        struct lm_arena arena = { 0 };
        struct lm_json_reader r;
        enum lm_json_kind kind;
        lm_json_open(&r, lm_buf_str(&text), "random", &arena);
        assert_ok(lm_json_next(&r, &kind, NULL));
        json_t *got = build(&r, kind);
        assert_ok(lm_json_want(&r, LM_JSON_END, NULL));
        if (!json_equal(got, expected))
            fail_msg("read otherwise: %s", text.ptr);
        json_decref(got);
        json_decref(expected);
        lm_arena_release(&arena);
        lm_buf_release(&text);
    }
}

static bool accepted(struct lm_str text)
{
    struct lm_arena arena = { 0 };
    struct lm_json_reader r;
    enum lm_json_kind kind = LM_JSON_NULL;
    lm_json_open(&r, text, "damaged", &arena);
    enum lm_rc rc = LM_OK;
    while (rc == LM_OK && kind != LM_JSON_END)
        rc = lm_json_next(&r, &kind, NULL);
    lm_arena_release(&arena);
    return rc == LM_OK;
}

static void damaged_texts_are_refused_exactly_when_jansson_refuses_them(void **state)
{
    (void)state;
    /* No NUL and no digit or e: jansson also refuses numbers out of range and NUL in keys, by choice. */
    static const char bytes[] = "{}[]:,\"\\tfn \n-.x\x80\xc3\xed\x01u/";
    struct lm_rng rng = lm_rng_make(2026, 2);
    int kept = 0, broken = 0;
    for (int round = 0; round < 20000; round++) {
        struct lm_buf text = { 0 };
        random_value(&rng, 3, &text);
        const size_t at = lm_rng_below(&rng, text.len);
        if (lm_rng_below(&rng, 4) == 0) {
            memmove(text.ptr + at, text.ptr + at + 1, text.len - at);
            text.len--;
        } else {
            text.ptr[at] = bytes[lm_rng_below(&rng, sizeof(bytes) - 1)];
        }
        json_error_t problem;
        json_t *tree = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &problem);
        /* Two integers run together by a lost comma leave the range. */
        const bool out_of_range = !tree && json_error_code(&problem) == json_error_numeric_overflow;
        if (!out_of_range && accepted(lm_buf_str(&text)) != (tree != NULL))
            fail_msg("%s, but loom does not agree: %s", tree ? "fine" : problem.text, text.ptr);
        kept += tree != NULL;
        broken += tree == NULL;
        json_decref(tree);
        lm_buf_release(&text);
    }
    assert_true(kept > 1000 && broken > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_trees_are_read_as_jansson_reads_them),
        cmocka_unit_test(damaged_texts_are_refused_exactly_when_jansson_refuses_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
