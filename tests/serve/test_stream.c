/* Streams: the order of their events, and that what streams is what a whole answer says, through one filter.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "house.h"

#include "base/file.h"
#include "govern/audit.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

static struct house house;

/* ---- order ---- */

static void a_stream_keeps_the_order_clients_expect(void **state)
{
    (void)state;
    struct got got;
    char text[256];
    assert_int_equal(
        house_chat(&house, 40, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}", &got), 200);
    assert_string_equal(got_header(&got, "Content-Type", text), "text/event-stream");
    assert_string_equal(got_header(&got, "Cache-Control", text), "no-cache");
    assert_string_equal(got_header(&got, "X-Accel-Buffering", text), "no");
    json_t *events = got_events(&got, true);
    const size_t count = json_array_size(events);
    assert_true(count >= 4);
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        const json_t *finish = json_at(event, "choices.0.finish_reason");
        assert_string_equal(json_string_value(json_at(event, "id")),
                            json_string_value(json_at(json_array_get(events, 0), "id")));
        assert_string_equal(json_string_value(json_at(event, "object")), "chat.completion.chunk");
        assert_non_null(json_at(event, "usage"));
        if (i + 2 < count)
            assert_true(json_is_null(finish));   // there, and null
    }
    json_t *first = json_array_get(events, 0), *end = json_array_get(events, count - 2),
           *usage = json_array_get(events, count - 1);
    assert_string_equal(json_string_value(json_at(first, "choices.0.delta.role")), "assistant");
    assert_string_equal(json_string_value(json_at(first, "choices.0.delta.content")), "");
    assert_string_equal(json_string_value(json_at(end, "choices.0.finish_reason")), "length");
    assert_int_equal(json_object_size(json_at(end, "choices.0.delta")), 0);
    assert_int_equal(json_array_size(json_at(usage, "choices")), 0);
    assert_int_equal(json_integer_value(json_at(usage, "usage.completion_tokens")), 40);
    json_decref(events);
    got_release(&got);
}

static void complete(const char *more, struct got *ret)
{
    char body[512];
    snprintf(body, sizeof(body), "{\"model\":\"tiny\",\"prompt\":\"the lazy\",\"max_tokens\":120%s}", more);
    house_ask(
        &house,
        &(struct ask){ .method = "POST", .path = "/v1/completions", .key = house.end_user, .body = body },
        ret);
    assert_int_equal(ret->status, 200);
}

static void a_stream_says_what_the_whole_answer_says(void **state)
{
    (void)state;
    static const char *const variants[] = {
        ",\"temperature\":0", ",\"temperature\":0,\"stop\":\"e\"",
        ",\"temperature\":1.3,\"seed\":5,\"top_k\":50",
        ",\"temperature\":0,\"frequency_penalty\":1,\"presence_penalty\":0.5"
    };
    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        char more[256];
        struct got whole, stream;
        complete(variants[i], &whole);
        snprintf(more, sizeof(more), "%s,\"stream\":true", variants[i]);
        complete(more, &stream);
        json_t *events = got_events(&stream, true);
        struct lm_buf text = events_text(events);
        assert_true(lm_str_eq(lm_buf_str(&text), json_text(json_at(whole.json, "choices.0.text"))));
        if (strstr(variants[i], "stop"))
            assert_null(memchr(text.ptr, 'e', text.len));
        lm_buf_release(&text);
        json_decref(events);
        got_release(&whole);
        got_release(&stream);
    }
}

/* Bytes of the tokens of a chat's logprobs, joined. */
static size_t add_token_bytes(json_t *content, struct lm_buf *ret)
{
    size_t i, k;
    json_t *token, *byte;
    json_array_foreach(content, i, token)
    {
        assert_true(json_number_value(json_object_get(token, "logprob")) <= 0);
        assert_int_equal(json_array_size(json_object_get(token, "top_logprobs")), 2);
        json_array_foreach(json_object_get(token, "bytes"), k, byte)
        {
            lm_buf_putc(ret, (char)json_integer_value(byte));
        }
    }
    return json_array_size(content);
}

static void probabilities_belong_to_the_text_before_them(void **state)
{
    (void)state;
    struct got got;
    assert_int_equal(house_chat(&house, 60, ",\"stream\":true,\"logprobs\":true,\"top_logprobs\":2", &got),
                     200);
    json_t *events = got_events(&got, true);
    struct lm_buf text = { 0 }, bytes = { 0 };
    size_t i, tokens = 0;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        lm_buf_add_str(&text, json_text(json_at(event, "choices.0.delta.content")));
        tokens += add_token_bytes(json_at(event, "choices.0.logprobs.content"), &bytes);
        /* What is shown of tokens never runs ahead of the text by more than a cut character. */
        assert_true(bytes.len <= text.len + 3);
    }
    assert_int_equal(tokens, 60);
    json_decref(events);
    got_release(&got);

    assert_int_equal(house_chat(&house, 60, ",\"logprobs\":true,\"top_logprobs\":2", &got), 200);
    struct lm_buf again = { 0 };
    assert_int_equal(add_token_bytes(json_at(got.json, "choices.0.logprobs.content"), &again), 60);
    assert_true(lm_str_eq(lm_buf_str(&again), lm_buf_str(&bytes)));
    got_release(&got);
    lm_buf_release(&text);
    lm_buf_release(&bytes);
    lm_buf_release(&again);
}

/* ---- the filter ---- */

/* The built-in policy with one forbidden string. */
static void write_policy(const char *path, const char *word, const char *action)
{
    const struct lm_str text = lm_policy_default_text(), mark = LM_STR("forbidden: {}");
    const ptrdiff_t at = lm_str_find(text, mark);
    assert_true(at > 0);
    struct lm_buf out = { 0 };
    struct lm_err err = { 0 };
    lm_buf_add(&out, text.ptr, (size_t)at);
    lm_buf_printf(&out, "forbidden: { \"%s\": %s }", word, action);
    lm_buf_add(&out, text.ptr + (size_t)at + mark.len, text.len - (size_t)at - mark.len);
    assert_int_equal(lm_file_write(path, lm_buf_str(&out), &err), LM_OK);
    lm_buf_release(&out);
}

enum { WORD_LEN = 4 };

static bool is_letter(char c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

/* Some letters in a row somewhere behind the middle of an answer. */
static void choose_word(struct lm_str text, char ret[WORD_LEN + 1])
{
    for (size_t i = text.len / 2; i + WORD_LEN <= text.len; i++) {
        size_t n = 0;
        while (n < WORD_LEN && is_letter(text.ptr[i + n]))
            n++;
        if (n == WORD_LEN) {
            memcpy(ret, text.ptr + i, WORD_LEN);
            ret[WORD_LEN] = '\0';
            return;
        }
    }
    fail_msg("no %d letters in a row in '%s'", WORD_LEN, text.ptr);
}

/* In any case. */
static bool has_word(struct lm_str text, const char *word)
{
    for (size_t i = 0; i + WORD_LEN <= text.len; i++)
        if (strncasecmp(text.ptr + i, word, WORD_LEN) == 0)
            return true;
    return false;
}

static void check_filtered(const struct house *h, const char *word, const char *action)
{
    const bool stops = strcmp(action, "stop") == 0;
    struct got whole, stream;
    const long status = house_chat(h, 200, ",\"logprobs\":true", &whole);
    assert_int_equal(house_chat(h, 200, ",\"stream\":true,\"logprobs\":true", &stream), 200);
    json_t *events = got_events(&stream, !stops);
    struct lm_buf text = events_text(events);
    assert_false(has_word(lm_buf_str(&text), word));
    assert_int_equal(status, stops ? 403 : 200);
    if (stops) {
        json_t *last = json_array_get(events, json_array_size(events) - 1);
        assert_string_equal(json_string_value(json_at(last, "error.message")), "The answer was withheld.");
        assert_string_equal(got_text(&whole, "error.message"), "The answer was withheld.");
    } else {
        assert_true(
            lm_str_eq(lm_buf_str(&text), json_text(json_at(whole.json, "choices.0.message.content"))));
    }
    struct lm_buf tokens = { 0 };   // the other way out
    size_t i, k;
    json_t *event, *token;
    json_array_foreach(events, i, event)
    {
        json_array_foreach(json_at(event, "choices.0.logprobs.content"), k, token)
        {
            lm_buf_add_str(&tokens, json_text(json_object_get(token, "token")));
        }
    }
    assert_false(has_word(lm_buf_str(&tokens), word));
    lm_buf_release(&tokens);
    lm_buf_release(&text);
    json_decref(events);
    got_release(&whole);
    got_release(&stream);
}

static void what_is_forbidden_leaves_in_no_way(void **state)
{
    (void)state;
    struct got got;
    char word[WORD_LEN + 1] = "";
    assert_int_equal(house_chat(&house, 200, "", &got), 200);
    choose_word(json_text(json_at(got.json, "choices.0.message.content")), word);
    got_release(&got);
    static const char *const actions[] = { "stop", "mask" };
    for (size_t i = 0; i < 2; i++) {
        struct house strict;
        write_policy("strict.yaml", word, actions[i]);
        house_prepare(&strict, "strict");
        strict.config.policy = "strict.yaml";
        house_open(&strict, "model");
        check_filtered(&strict, word, actions[i]);
        house_close(&strict);
    }
}

static int open_house(void **state)
{
    (void)state;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    house_make_model("model");
    house_prepare(&house, "house");
    house_open(&house, "model");
    return 0;
}

static int close_house(void **state)
{
    (void)state;
    house_close(&house);
    struct lm_audit_report report;
    struct lm_err err = { 0 };
    const enum lm_rc rc = lm_audit_verify("house/audit", NULL, &report, &err);
    curl_global_cleanup();
    return rc == LM_OK ? 0 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_keeps_the_order_clients_expect),
        cmocka_unit_test(a_stream_says_what_the_whole_answer_says),
        cmocka_unit_test(probabilities_belong_to_the_text_before_them),
        cmocka_unit_test(what_is_forbidden_leaves_in_no_way),
    };
    return cmocka_run_group_tests(tests, open_house, close_house) != 0;
}
