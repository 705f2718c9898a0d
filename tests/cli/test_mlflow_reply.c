/* What is taken from the answers of an MLflow server, and what is not. */
#include "cli/mlflow.h"

#include "../lib/check.h"

static void names_are_plain_words(void **state)
{
    (void)state;
    char id[LM_MLFLOW_ID_MAX] = "before";
    assert_true(
        lm_mlflow_reply_id(LM_STR("{\"run\":{\"info\":{\"run_id\":\"0a-F_9\"}}}"), "run.info.run_id", id));
    assert_string_equal(id, "0a-F_9");
    assert_true(
        lm_mlflow_reply_id(LM_STR("{\"runs\":[{\"info\":{\"run_id\":\"b\"}}]}"), "runs.0.info.run_id", id));
    assert_string_equal(id, "b");
    static const char *const bad[] = { "{\"experiment_id\":\"a/../b\"}",
                                       "{\"experiment_id\":\"\"}",
                                       "{\"experiment_id\":7}",
                                       "{\"experiment_id\":\"a'b\"}",
                                       "[\"experiment_id\"]",
                                       "{\"experiment_id\":\"1\"",
                                       "",
                                       "<html>" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (lm_mlflow_reply_id(lm_str(bad[i]), "experiment_id", id))
            fail_msg("%s gave %s", bad[i], id);
        assert_string_equal(id, "b");   // untouched
    }
    struct lm_buf long_one = { 0 };
    lm_buf_printf(&long_one, "{\"experiment_id\":\"%0100d\"}", 1);
    assert_false(lm_mlflow_reply_id(lm_buf_str(&long_one), "experiment_id", id));
    lm_buf_release(&long_one);
}

static void names_and_points_are_counted(void **state)
{
    (void)state;
    struct lm_track_marks m = { 0 };
    char token[LM_MLFLOW_TOKEN_MAX];
    size_t points = 9;
    assert_true(lm_mlflow_reply_names(
        LM_STR(
            "{\"run\":{\"info\":{},\"data\":{\"metrics\":[{\"key\":\"loss\",\"step\":\"7\"},{\"key\":\"lr\"},"
            "{\"key\":4}]}}}"),
        &m));
    assert_int_equal(m.count, 2);
    assert_string_equal(m.marks[0].name, "loss");
    assert_string_equal(m.marks[1].name, "lr");
    assert_true(lm_mlflow_reply_names(LM_STR("{\"run\":{\"info\":{},\"data\":{}}}"), &m));   // nothing yet
    assert_false(lm_mlflow_reply_names(LM_STR("{\"run\":7}"), &m));
    assert_false(lm_mlflow_reply_names(LM_STR("not found"), &m));

    assert_true(
        lm_mlflow_reply_history(LM_STR("{\"metrics\":[{},{}],\"next_page_token\":\"a/b\"}"), &points, token));
    assert_int_equal(points, 2);
    assert_string_equal(token, "a/b");
    assert_true(lm_mlflow_reply_history(LM_STR("{}"), &points, token));
    assert_int_equal(points, 0);
    assert_string_equal(token, "");
    assert_false(lm_mlflow_reply_history(LM_STR("[]"), &points, token));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_plain_words),
        cmocka_unit_test(names_and_points_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
