/* loom.yaml: what it gives, and what it refuses with the line named. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/stage.h"

#include "base/file.h"

#include <stdlib.h>

static char dir[] = "/tmp/loom-project-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    lm_path_remove(dir, NULL);
    return 0;
}

static enum lm_rc load(const char *yaml, struct lm_arena *arena, struct lm_project *ret, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(dir, "loom.yaml");
    assert_int_equal(lm_file_write(path, lm_str(yaml), err), LM_OK);
    return lm_project_load(dir, arena, ret, err);
}

#define SOURCES "collect:\n  sources:\n    - name: a\n      path: pages\n"

static void a_snapshot_starts_from_the_common_section(void **state)
{
    (void)state;
    struct lm_arena arena = { 0 };
    struct lm_project p;
    struct lm_err err = { 0 };
    assert_int_equal(load(SOURCES "finetune:\n  epochs: 7\n  snapshots:\n    - name: mail\n"
                                  "    - {name: chat, epochs: 2, snapshot: mail}\n",
                          &arena, &p, &err),
                     LM_OK);
    assert_int_equal(p.snapshot_count, 2);
    assert_int_equal(p.snapshots[0].config.epochs, 7);
    assert_string_equal(p.snapshots[0].config.snapshot, "mail");
    assert_int_equal(p.snapshots[1].config.epochs, 2);
    assert_string_equal(p.snapshots[1].config.snapshot, "mail");
    assert_true(lm_str_ends(lm_str(p.sources[0].path), LM_STR("/pages")));   // relative to the file
    lm_arena_release(&arena);
}

static void mistakes_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *words;
    } cases[] = {
        { "name: x\n", "no source" },
        { SOURCES "pretrian: {}\n", ":5: unknown section 'pretrian'; did you mean 'pretrain'" },
        { SOURCES "pretrain:\n  layers: 0\n", ":6" },
        { SOURCES "finetune:\n  snapshots:\n    - epochs: 2\n", ":7: a snapshot needs a name" },
        { SOURCES "finetune:\n  snapshots:\n    - name: A b\n", ":7" },
        { SOURCES "finetune:\n  snapshots:\n    - name: a\n    - name: a\n",
          ":8: snapshot 'a' is there twice" },
        { SOURCES "finetune:\n  snapshots: mail\n", ":6: 'snapshots' must be a list" },
        { "collect:\n  sorces: []\n", ":2: unknown key 'sorces'" },
        { "- a\n", "must be a map" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_arena arena = { 0 };
        struct lm_project p;
        struct lm_err err = { 0 };
        assert_int_equal(load(cases[i].yaml, &arena, &p, &err), LM_EINVAL);
        if (!strstr(err.text, cases[i].words))
            fail_msg("'%s' is not in '%s'", cases[i].words, err.text);
        lm_arena_release(&arena);
    }
}

static void a_plan_lists_stages_after_what_they_need(void **state)
{
    (void)state;
    struct lm_arena arena = { 0 };
    struct lm_project p;
    struct lm_plan plan;
    struct lm_err err = { 0 };
    LM_FREE char *page = lm_path_join(dir, "page.txt");
    assert_int_equal(lm_file_write(page, LM_STR("text"), &err), LM_OK);
    assert_int_equal(load("collect:\n  sources:\n    - {name: a, path: page.txt}\n"
                          "finetune:\n  snapshots: [{name: b}, {name: c}]\n",
                          &arena, &p, &err),
                     LM_OK);
    assert_int_equal(lm_plan_make(&p, &arena, &plan, &err), LM_OK);
    assert_int_equal(plan.count, 9);
    for (size_t i = 0; i < plan.count; i++)
        for (size_t k = 0; k < plan.stages[i].input_count; k++)
            assert_true(plan.stages[i].inputs[k].stage < i);
    const struct lm_stage *review = &plan.stages[plan.count - 1];
    assert_string_equal(review->name, "review");
    assert_string_equal(plan.stages[review->inputs[review->input_count - 1].stage].name, "finetune.c");

    /* A changed source is another recipe; so nothing is asked of clocks. */
    const char *before = plan.stages[0].source_hash;
    assert_int_equal(lm_file_write(page, LM_STR("test"), &err), LM_OK);
    assert_int_equal(lm_plan_make(&p, &arena, &plan, &err), LM_OK);
    assert_string_not_equal(before, plan.stages[0].source_hash);
    lm_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_starts_from_the_common_section),
        cmocka_unit_test(mistakes_are_refused_with_their_line),
        cmocka_unit_test(a_plan_lists_stages_after_what_they_need),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir) != 0;
}
