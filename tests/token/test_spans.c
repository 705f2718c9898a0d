/* Ranges of ids against tokenizers' offsets (tests/golden/token/offsets.json), truncation against the plain
 * rule, and counting. */
#include "check.h"

#include "token/tokenizer.h"

#include <jansson.h>

static void ranges_are_those_of_hugging_face(void **state)
{
    (void)state;
    json_error_t problem;
    json_t *cases = json_load_file(GOLDEN "offsets.json", JSON_ALLOW_NUL, &problem), *one;
    size_t i;
    assert_non_null(cases);
    assert_true(json_array_size(cases) > 100);
    json_array_foreach(cases, i, one)
    {
        struct lm_tokenizer *t = golden_tokenizer(json_string_value(json_object_get(one, "tokenizer")));
        const json_t *text = json_object_get(one, "text"), *offsets = json_object_get(one, "offsets");
        const struct lm_str str = { json_string_value(text), json_string_length(text) };
        struct lm_encoder *e = lm_encoder_new(t);
        struct lm_tokens ids = { 0 };
        struct lm_spans spans = { 0 };
        lm_encode_spans(e, str, true, &ids, &spans);
        assert_int_equal(spans.len, json_array_size(offsets));
        assert_int_equal(lm_encode_count(e, str, true), ids.len);
        for (size_t k = 0; k < spans.len; k++) {
            const json_t *want = json_array_get(offsets, k);
            assert_int_equal(spans.items[k].start, json_integer_value(json_array_get(want, 0)));
            assert_int_equal(spans.items[k].end, json_integer_value(json_array_get(want, 1)));
        }
        lm_tokens_release(&ids);
        lm_spans_release(&spans);
        lm_encoder_free(e);
        lm_tokenizer_free(t);
    }
    json_decref(cases);
}

/* From the start: a part each step, until one reaches the end; from the end the mirror image. */
static void parts_cover_all_ids(void **state)
{
    (void)state;
    for (size_t max = 1; max < 9; max++)
        for (size_t stride = 0; stride < max; stride++)
            for (size_t len = 0; len < 40; len++) {
                struct lm_fit fit = { max, stride, false }, mirror = { max, stride, true };
                assert_int_equal(lm_fit_check(fit, NULL), LM_OK);
                size_t count = 0;
                for (size_t start = 0;; start += max - stride) {
                    const size_t end = start + max < len ? start + max : len;
                    assert_true(count < lm_fit_count(fit, len));
                    const struct lm_span part = lm_fit_part(fit, len, count);
                    const struct lm_span other = lm_fit_part(mirror, len, count++);
                    assert_int_equal(part.start, start);
                    assert_int_equal(part.end, end);
                    assert_int_equal(other.start, len - end);
                    assert_int_equal(other.end, len - start);
                    if (end == len)
                        break;
                }
                assert_int_equal(count, lm_fit_count(fit, len));
            }
    assert_int_equal(lm_fit_check((struct lm_fit){ 0, 0, false }, NULL), LM_EINVAL);
    assert_int_equal(lm_fit_check((struct lm_fit){ 4, 4, false }, NULL), LM_EINVAL);
}

static void padding_reaches_length_and_multiple(void **state)
{
    (void)state;
    assert_int_equal(lm_pad_length(5, 0, 0), 5);
    assert_int_equal(lm_pad_length(5, 8, 0), 8);
    assert_int_equal(lm_pad_length(9, 8, 0), 9);
    assert_int_equal(lm_pad_length(9, 8, 4), 12);
    assert_int_equal(lm_pad_length(0, 0, 4), 0);
    assert_int_equal(lm_pad_length(8, 8, 8), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_those_of_hugging_face),
        cmocka_unit_test(parts_cover_all_ids),
        cmocka_unit_test(padding_reaches_length_and_multiple),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
