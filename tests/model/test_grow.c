/* Models that get tokens: old rows keep their bytes, new rows are means, and what is written opens again. */
#include "check.h"
#include "model/export.h"
#include "model/grow.h"

#include <math.h>

#define GOLDEN LOOM_TEST_DIR "/golden/models/"

static void open_golden(const char *name, struct lm_model *ret)
{
    struct lm_err err = { 0 };
    LM_FREE char *path = lm_path_join(GOLDEN, name);
    if (lm_model_open(path, ret, &err) != LM_OK)
        fail_msg("%s", err.text);
}

/* Two tokens behind the first `old_size` ids. */
static const uint32_t one[] = { 3 }, three[] = { 1, 7, 7 };
static struct lm_grown_token new_tokens[2] = {
    { .piece_count = 1, .pieces = one },
    { .piece_count = 3, .pieces = three },
};

static struct lm_grown growth_from(uint32_t old_size)
{
    new_tokens[0].id = old_size;
    new_tokens[1].id = old_size + 1;
    return (
        struct lm_grown){ .old_size = old_size, .new_size = old_size + 2, .tokens = new_tokens, .count = 2 };
}

static void check_rows(const struct lm_weight *old, const struct lm_weight *new, uint32_t old_size)
{
    const size_t bytes = lm_type_bytes(old->type, old->cols);
    assert_int_equal(new->cols, old->cols);
    for (size_t r = 0; r < old_size; r++)
        assert_memory_equal(lm_weight_row(new, r), lm_weight_row(old, r), bytes);
    float *a = lm_alloc(4 * old->cols * sizeof(*a)), *b = a + old->cols, *x = b + old->cols,
          *y = x + old->cols;
    lm_weight_row_f32(old, 1, a);
    lm_weight_row_f32(old, 7, b);
    lm_weight_row_f32(new, old_size + 1, y);
    assert_memory_equal(lm_weight_row(new, old_size), lm_weight_row(old, 3), bytes);
    for (size_t i = 0; i < old->cols; i++) {
        x[i] = (float)(((double)a[i] + 2 * (double)b[i]) / 3);
        assert_true(fabsf(x[i] - y[i]) <= 0.01f * fabsf(x[i]) + 1e-6f);
    }
    free(a);
}

static void rows_are_kept_and_made(void **state)
{
    (void)state;
    static const char *const names[] = { "llama", "gpt2", "qwen2", "mistral", "bert", "llama.gguf" };
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        struct lm_model m = { 0 }, again = { 0 };
        struct lm_model_growth g;
        struct lm_export_report report;
        struct lm_err err = { 0 };
        open_golden(names[n], &m);
        const struct lm_grown grown = growth_from((uint32_t)m.config.vocab_size);
        if (lm_model_grow(&m, &grown, &g, &err) != LM_OK)
            fail_msg("%s: %s", names[n], err.text);
        assert_int_equal(g.model.config.vocab_size, grown.new_size);
        assert_ok(lm_path_remove("grown", NULL));
        const struct lm_export_options options = { .type = LM_TYPE_COUNT };
        if (lm_export_folder(&g.model, NULL, &options, "grown", &report, &err) != LM_OK)
            fail_msg("%s: %s", names[n], err.text);
        lm_export_report_release(&report);
        if (lm_model_open("grown", &again, &err) != LM_OK)
            fail_msg("%s: %s", names[n], err.text);
        assert_int_equal(again.config.vocab_size, grown.new_size);
        assert_int_equal(again.config.tied, m.config.tied);
        check_rows(lm_model_at(&m, LM_T_EMBED, 0), lm_model_at(&again, LM_T_EMBED, 0), grown.old_size);
        if (lm_model_at(&m, LM_T_HEAD, 0)->data)
            check_rows(lm_model_at(&m, LM_T_HEAD, 0), lm_model_at(&again, LM_T_HEAD, 0), grown.old_size);
        lm_model_close(&again);
        lm_model_growth_release(&g);
        lm_model_close(&m);
    }
}

static void spare_rows_are_used_first(void **state)
{
    (void)state;
    struct lm_model m = { 0 };
    struct lm_model_growth g;
    struct lm_err err = { 0 };
    open_golden("llama", &m);
    const struct lm_grown grown = growth_from((uint32_t)m.config.vocab_size - 2);
    if (lm_model_grow(&m, &grown, &g, &err) != LM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(g.model.config.vocab_size, m.config.vocab_size);
    check_rows(lm_model_at(&m, LM_T_EMBED, 0), lm_model_at(&g.model, LM_T_EMBED, 0), grown.old_size);
    lm_model_growth_release(&g);
    lm_model_close(&m);
}

static void another_vocabulary_is_refused(void **state)
{
    (void)state;
    struct lm_model m = { 0 };
    struct lm_model_growth g;
    struct lm_err err = { 0 };
    open_golden("llama", &m);
    const struct lm_grown grown = growth_from((uint32_t)m.config.vocab_size + 1);
    assert_int_equal(lm_model_grow(&m, &grown, &g, &err), LM_EINVAL);
    assert_contains(err.text, "fewer than");
    lm_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_kept_and_made),
        cmocka_unit_test(spare_rows_are_used_first),
        cmocka_unit_test(another_vocabulary_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
