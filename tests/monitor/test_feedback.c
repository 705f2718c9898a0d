#include "base/file.h"
#include "monitor/feedback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct lm_db *open_db(void)
{
    struct lm_db *db = NULL;
    struct lm_err err = { 0 };
    if (lm_db_open(":memory:", &db, &err) != LM_OK || lm_feedback_schema(db, &err) != LM_OK)
        fail_msg("%s", err.text);
    return db;
}

static void store(struct lm_db *db, const char *id, const char *user, const char *prompt, const char *text)
{
    const struct lm_answer answer = { .id = id,
                                      .user = user,
                                      .model = "m",
                                      .artifact = "abc123",
                                      .prompt = lm_str(prompt),
                                      .text = lm_str(text) };
    assert_int_equal(lm_answer_store(db, &answer, NULL), LM_OK);
}

static enum lm_rc say(struct lm_db *db, const char *id, const char *user, int rating, const char *correction)
{
    const struct lm_feedback f = {
        .answer = id, .user = user, .rating = rating, .correction = lm_str(correction)
    };
    return lm_feedback_add(db, &f, 1, NULL);
}

static void feedback_belongs_to_an_answer_and_its_user(void **state)
{
    (void)state;
    struct lm_db *db = open_db();
    store(db, "a-1", "maria", "q", "a");
    assert_int_equal(say(db, "a-1", "maria", 1, ""), LM_OK);
    assert_int_equal(say(db, "a-2", "maria", 1, ""), LM_ENOENT);
    assert_int_equal(say(db, "a-1", "henrik", 1, ""), LM_EDENIED);
    assert_int_equal(say(db, "a-1", "maria", 2, ""), LM_EINVAL);
    lm_db_close(db);
}

static void export_check(struct lm_db *db, size_t want_count, const char *want)
{
    size_t count = 99;
    struct lm_buf text = { 0 };
    assert_int_equal(lm_feedback_export(db, "s", "pairs.jsonl", &count, NULL), LM_OK);
    assert_int_equal(count, want_count);
    assert_int_equal(lm_file_read("pairs.jsonl", 1 << 20, &text, NULL), LM_OK);
    assert_string_equal(text.ptr ? text.ptr : "", want);
    lm_buf_release(&text);
}

static void export_takes_corrections_and_praised_answers_in_order_of_id(void **state)
{
    (void)state;
    struct lm_db *db = open_db();
    export_check(db, 0, "");
    store(db, "c", "maria", "third?", "bad");
    store(db, "a", "maria", "first \"q\"?", "good\n");
    store(db, "b", "maria", "second?", "wrong");
    store(db, "d", "maria", "fourth?", "unrated");
    assert_int_equal(say(db, "c", "maria", -1, "better"), LM_OK);
    assert_int_equal(say(db, "b", "maria", -1, ""), LM_OK);
    assert_int_equal(say(db, "a", "maria", -1, "first thought"), LM_OK);
    assert_int_equal(say(db, "a", "maria", 1, ""), LM_OK);   // said again: replaces
    export_check(db, 2,
                 "{\"id\":\"a\",\"snapshot\":\"s\",\"question\":\"first \\\"q\\\"?\",\"answer\":\"good\\n\","
                 "\"document\":\"abc123\",\"split\":\"train\"}\n"
                 "{\"id\":\"c\",\"snapshot\":\"s\",\"question\":\"third?\",\"answer\":\"better\","
                 "\"document\":\"abc123\",\"split\":\"train\"}\n");
    lm_db_close(db);
}

static void about_a_tenth_of_the_questions_is_held_out(void **state)
{
    (void)state;
    struct lm_db *db = open_db();
    for (int i = 0; i < 400; i++) {
        char id[16], question[16];
        snprintf(id, sizeof(id), "a-%d", i);
        snprintf(question, sizeof(question), "q-%d", i / 2);   // each is asked twice
        store(db, id, "maria", question, "a");
        assert_int_equal(say(db, id, "maria", 1, ""), LM_OK);
    }
    size_t count, heldout = 0;
    struct lm_buf text = { 0 };
    assert_int_equal(lm_feedback_export(db, "s", "many.jsonl", &count, NULL), LM_OK);
    assert_int_equal(lm_file_read("many.jsonl", 1 << 20, &text, NULL), LM_OK);
    for (const char *at = text.ptr; (at = strstr(at, "\"heldout\"")); at++)
        heldout++;
    assert_in_range(heldout, 20, 60);
    assert_int_equal(heldout % 2, 0);   // both askings fall on the same side
    lm_buf_release(&text);
    lm_db_close(db);
}

static void erasure_removes_answers_and_what_was_said_of_them(void **state)
{
    (void)state;
    struct lm_db *db = open_db();
    store(db, "a", "maria", "q", "t");
    store(db, "b", "henrik", "q", "t");
    assert_int_equal(say(db, "a", "maria", 1, ""), LM_OK);
    assert_int_equal(say(db, "b", "henrik", 1, ""), LM_OK);
    size_t count = 0;
    int64_t left = 0;
    assert_int_equal(lm_answers_erase(db, "maria", &count, NULL), LM_OK);
    assert_int_equal(count, 1);
    assert_int_equal(lm_answers_erase(db, "maria", &count, NULL), LM_ENOENT);
    assert_int_equal(lm_db_get_int(db, &left, NULL, "SELECT COUNT(*) FROM feedback", ""), LM_OK);
    assert_int_equal(left, 1);
    lm_db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feedback_belongs_to_an_answer_and_its_user),
        cmocka_unit_test(export_takes_corrections_and_praised_answers_in_order_of_id),
        cmocka_unit_test(about_a_tenth_of_the_questions_is_held_out),
        cmocka_unit_test(erasure_removes_answers_and_what_was_said_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
