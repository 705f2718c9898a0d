/* The JSON of answers: against recorded transcripts, and read back by another JSON reader. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/answer.h"

#include "base/file.h"

#include <jansson.h>
#include <stdlib.h>

static const struct lm_token_text tops[] = {
    { .bytes = { "Hi", 2 }, .logprob = -0.25 },
    { .bytes = { "\xe2\x82", 2 }, .logprob = -9999 },
    { .bytes = { "\xe2", 1 }, .logprob = -9999 },   // reads like the one before
};
static const struct lm_token_text tokens[] = {
    { .bytes = { "Hi", 2 }, .logprob = -0.25, .offset = 0, .top = tops, .top_count = 3 },
    { .bytes = { " \"you\"\n", 7 }, .logprob = -1.5, .offset = 2 },
};
static const struct lm_token_texts two = { tokens, 2 }, none = { NULL, 0 };
static const struct lm_str text = { "Hi \"you\"\n", 9 };

static struct lm_answer_head head(enum lm_body_kind kind, bool logprobs, bool usage)
{
    return (struct lm_answer_head){ .id = "x-1",
                                    .kind = kind,
                                    .model = LM_STR("m"),
                                    .created_s = 1700000000,
                                    .logprobs = logprobs,
                                    .include_usage = usage };
}

static void stream(struct lm_buf *ret, const struct lm_answer_head *h)
{
    lm_answer_opening(ret, h);
    lm_answer_ping(ret);
    lm_answer_delta(ret, h, text, h->logprobs ? two : none);
    lm_answer_finish(ret, h, "stop");
    if (h->include_usage)
        lm_answer_usage(ret, h, (struct lm_answer_usage){ 5, 2 });
    lm_answer_done(ret);
}

/* tests/golden/serve/answers.txt, made by this test and read by hand against OpenAI's reference. */
static void answers_are_written_as_recorded(void **state)
{
    (void)state;
    struct lm_buf all = { 0 }, golden = { 0 };
    static const enum lm_body_kind kinds[] = { LM_BODY_CHAT, LM_BODY_COMPLETION, LM_BODY_QUERY };
    for (int with = 0; with < 2; with++)
        for (size_t i = 0; i < 3; i++) {
            const struct lm_answer_head h = head(kinds[i], with, with);
            lm_answer_whole(&all, &h, text, with ? two : none, "length", (struct lm_answer_usage){ 5, 2 });
            lm_buf_puts(&all, "\n\n");
            if (kinds[i] != LM_BODY_QUERY)
                stream(&all, &h);
        }
    struct lm_fault fault;
    (void)lm_fault_set(&fault, LM_FAULT_DENIED, NULL, "The answer was withheld.");
    lm_answer_fault(&all, &fault);
    struct lm_err err = { 0 };
    if (lm_file_read(LOOM_TEST_DIR "/golden/serve/answers.txt", 1 << 20, &golden, &err) != LM_OK ||
        !lm_str_eq(lm_buf_str(&all), lm_buf_str(&golden))) {
        (void)lm_file_write("answers.txt", lm_buf_str(&all), NULL);   // in the test's folder, for a diff
        fail_msg("differs from the golden file; %s", err.text);
    }
    lm_buf_release(&all);
    lm_buf_release(&golden);
}

/* Every event is one line of data and an empty line; the JSON in it has the id and, in a choice, the members
 * that clients cannot do without. */
static void check_event(const char *event, size_t len)
{
    assert_memory_equal(event, "data: ", 6);
    json_t *root = json_loadb(event + 6, len - 6, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "id")), "x-1");
    assert_int_equal(json_integer_value(json_object_get(root, "created")), 1700000000);
    const json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
    if (choice) {
        assert_non_null(json_object_get(choice, "finish_reason"));
        assert_int_equal(json_integer_value(json_object_get(choice, "index")), 0);
        assert_non_null(json_object_get(choice, "logprobs"));
    }
    json_decref(root);
}

static void every_event_is_one_line_and_an_empty_one(void **state)
{
    (void)state;
    for (enum lm_body_kind kind = LM_BODY_CHAT; kind <= LM_BODY_COMPLETION; kind++) {
        const struct lm_answer_head h = head(kind, true, true);
        struct lm_buf all = { 0 };
        stream(&all, &h);
        const char *at = all.ptr, *end = all.ptr + all.len, *stop;
        size_t events = 0;
        for (; (stop = strstr(at, "\n\n")); at = stop + 2) {
            assert_null(memchr(at, '\n', (size_t)(stop - at)));
            if (at[0] != ':' && strncmp(at, "data: [DONE]", 12) != 0)
                check_event(at, (size_t)(stop - at)), events++;
        }
        assert_ptr_equal(at, end);
        assert_int_equal(events, kind == LM_BODY_CHAT ? 4 : 3);
        lm_buf_release(&all);
    }
}

/* Any bytes a model can come up with. */
static void any_bytes_make_json(void **state)
{
    (void)state;
    char bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    const struct lm_token_text odd[] = {
        { .bytes = { bytes, 256 }, .logprob = -1, .top = tops, .top_count = 3 }
    };
    for (enum lm_body_kind kind = LM_BODY_CHAT; kind <= LM_BODY_QUERY; kind++) {
        const struct lm_answer_head h = head(kind, true, false);
        struct lm_buf body = { 0 };
        lm_answer_whole(&body, &h, (struct lm_str){ bytes, 256 }, (struct lm_token_texts){ odd, 1 }, "stop",
                        (struct lm_answer_usage){ 1, 1 });
        json_t *root = json_loadb(body.ptr, body.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(root);
        json_decref(root);
        lm_buf_release(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_written_as_recorded),
        cmocka_unit_test(every_event_is_one_line_and_an_empty_one),
        cmocka_unit_test(any_bytes_make_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
