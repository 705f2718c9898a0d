/* Checkpoints: what is saved comes back, two are kept, a damaged one is passed over, others are left alone.
 */
#include "train/checkpoint.h"

#include "../tensor/values.h"
#include "base/file.h"

#include <string.h>

enum { COUNT = 100 };
static const struct lm_checkpoint_place place = {
    "checkpoints", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "scalar"
};

static void make(struct lm_checkpoint *c, uint64_t step)
{
    *c = (struct lm_checkpoint){ .step = step,
                                 .evaluated = step - 1,
                                 .loss = 1.0 / 3,
                                 .heldout_loss = 2.5,
                                 .heldout_bits_per_byte = 0.1,
                                 .count = COUNT };
    c->params = random_values(step, COUNT, 1);
    c->m = random_values(step + 1000, COUNT, 1);
    c->v = random_values(step + 2000, COUNT, 1);
    lm_buf_printf(&c->log, "{\"step\":%d}\n", (int)step);
}

static void release(struct lm_checkpoint *c)
{
    free(c->params);
    free(c->m);
    free(c->v);
    lm_buf_release(&c->log);
}

static void save(uint64_t step)
{
    struct lm_checkpoint c;
    struct lm_err err = { 0 };
    make(&c, step);
    if (lm_checkpoint_save(&place, &c, &err) != LM_OK)
        fail_msg("%s", err.text);
    release(&c);
}

/* Loads and compares with what make() gives for that step; 0 expects that there is nothing. */
static void check_newest(uint64_t step)
{
    struct lm_checkpoint got, want;
    struct lm_err err = { 0 };
    make(&got, 77777);
    const enum lm_rc rc = lm_checkpoint_load(&place, &got, &err);
    assert_int_equal(rc, step ? LM_OK : LM_ENOTHING);
    if (step) {
        make(&want, step);
        assert_int_equal(got.step, want.step);
        assert_int_equal(got.evaluated, want.evaluated);
        assert_true(got.loss == want.loss && got.heldout_bits_per_byte == want.heldout_bits_per_byte);
        assert_memory_equal(got.params, want.params, COUNT * sizeof(float));
        assert_memory_equal(got.m, want.m, COUNT * sizeof(float));
        assert_memory_equal(got.v, want.v, COUNT * sizeof(float));
        assert_true(lm_str_eq(lm_buf_str(&got.log), lm_buf_str(&want.log)));
        release(&want);
    }
    release(&got);
}

static int start_empty(void **state)
{
    (void)state;
    return lm_path_remove(place.dir, NULL) || lm_dir_make(place.dir, NULL);
}

static char *file_of(uint64_t step, const char *suffix)
{
    char name[80];
    snprintf(name, sizeof name, "%.12s-%010llu.%s", place.recipe, (unsigned long long)step, suffix);
    return lm_path_join(place.dir, name);
}

static void the_newest_comes_back_and_two_are_kept(void **state)
{
    (void)state;
    check_newest(0);
    for (uint64_t step = 9; step <= 12; step++) {
        save(step);
        check_newest(step);
    }
    struct lm_file_list files = { 0 };
    assert_int_equal(lm_file_walk(place.dir, &files, NULL), LM_OK);
    assert_int_equal(files.len, 4);   // two manifests, two data files
    lm_file_list_release(&files);
}

/* Flips one bit of the file, at every 97th byte in turn. */
static void damaged_files_are_passed_over(void **state)
{
    (void)state;
    static const char *const suffixes[] = { "safetensors", "json" };
    save(1);
    for (int s = 0; s < 2; s++) {
        save(2);
        char *path = file_of(2, suffixes[s]);
        struct lm_buf content = { 0 };
        assert_int_equal(lm_file_read(path, 1 << 20, &content, NULL), LM_OK);
        if (s == 0)
            for (size_t at = 0; at < content.len; at += 97) {
                content.ptr[at] ^= 4;
                assert_int_equal(lm_file_write(path, lm_buf_str(&content), NULL), LM_OK);
                check_newest(1);
                content.ptr[at] ^= 4;
            }
        for (size_t len = 0; len + 2 < content.len; len += 61) {   // cut short: all but "}\n" is needed
            assert_int_equal(lm_file_write(path, (struct lm_str){ content.ptr, len }, NULL), LM_OK);
            check_newest(1);
        }
        assert_int_equal(lm_file_write(path, lm_buf_str(&content), NULL), LM_OK);
        check_newest(2);
        assert_int_equal(lm_path_remove(path, NULL), LM_OK);
        check_newest(1);
        lm_buf_release(&content);
        free(path);
    }
}

/* A manifest that says a step beyond the end would keep its run going for ever. */
static void a_step_beyond_the_run_is_passed_over(void **state)
{
    (void)state;
    struct lm_checkpoint_place short_run = place;
    struct lm_checkpoint c;
    save(6);
    save(7);
    make(&c, 3);
    short_run.steps = 7;
    assert_int_equal(lm_checkpoint_load(&short_run, &c, NULL), LM_OK);
    assert_int_equal(c.step, 7);
    short_run.steps = 6;
    assert_int_equal(lm_checkpoint_load(&short_run, &c, NULL), LM_OK);
    assert_int_equal(c.step, 6);
    short_run.steps = 5;
    assert_int_equal(lm_checkpoint_load(&short_run, &c, NULL), LM_ENOTHING);
    release(&c);
}

static void other_recipes_are_left_alone(void **state)
{
    (void)state;
    save(5);
    const struct lm_checkpoint_place other = { place.dir, "fedcba9876543210", "scalar" };
    struct lm_checkpoint c;
    make(&c, 3);
    assert_int_equal(lm_checkpoint_load(&other, &c, NULL), LM_ENOTHING);
    for (uint64_t step = 1; step < 4; step++) {
        c.step = step;
        assert_int_equal(lm_checkpoint_save(&other, &c, NULL), LM_OK);
    }
    release(&c);
    check_newest(5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_newest_comes_back_and_two_are_kept, start_empty),
        cmocka_unit_test_setup(damaged_files_are_passed_over, start_empty),
        cmocka_unit_test_setup(a_step_beyond_the_run_is_passed_over, start_empty),
        cmocka_unit_test_setup(other_recipes_are_left_alone, start_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
