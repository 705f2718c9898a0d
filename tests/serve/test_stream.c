/* Streams, and many clients: order of events, one filter for both kinds of answer, clients that hang up, full
 * queues, and the end of the server with answers under way. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "house.h"

#include "base/file.h"
#include "base/sys.h"
#include "govern/audit.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

static struct house house;

/* With a seed, so that each request gets the same answer; answers of this model run to their limit. */
static void chat_body(char *ret, size_t size, int max_tokens, const char *more)
{
    snprintf(ret, size,
             "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"tell me of "
             "foxes\"}],\"temperature\":0,"
             "\"max_tokens\":%d%s}",
             max_tokens, more);
}

static long chat(const struct house *h, int max_tokens, const char *more, struct got *ret)
{
    char body[512];
    chat_body(body, sizeof(body), max_tokens, more);
    house_ask(
        h,
        &(struct ask){ .method = "POST", .path = "/v1/chat/completions", .key = h->end_user, .body = body },
        ret);
    return ret->status;
}

/* ---- reading a stream ---- */

/* All events but [DONE], as a list; fails unless [DONE], when wanted, is the last. */
static json_t *events_of(const struct got *got, bool whole)
{
    json_t *events = json_array();
    struct lm_str rest = lm_buf_str(&got->body);
    bool done = false;
    while (rest.len) {
        const ptrdiff_t end = lm_str_find(rest, LM_STR("\n\n"));
        assert_true(end >= 0);
        const struct lm_str event = { rest.ptr, (size_t)end };
        rest.ptr += end + 2, rest.len -= (size_t)end + 2;
        assert_false(done);
        done = lm_str_eq(event, LM_STR("data: [DONE]"));
        if (done || lm_str_starts(event, LM_STR(":")))
            continue;
        assert_true(lm_str_starts(event, LM_STR("data: ")));
        json_t *one = json_loadb(event.ptr + 6, event.len - 6, JSON_ALLOW_NUL, NULL);
        assert_non_null(one);
        json_array_append_new(events, one);
    }
    assert_int_equal(done, whole);
    return events;
}

static struct lm_buf text_of(json_t *events)
{
    struct lm_buf text = { 0 };
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        lm_buf_add_str(&text, json_text(json_at(event, "choices.0.delta.content")));
        lm_buf_add_str(&text, json_text(json_at(event, "choices.0.text")));
    }
    lm_buf_puts(&text, "");
    return text;
}

/* ---- order ---- */

static void a_stream_keeps_the_order_clients_expect(void **state)
{
    (void)state;
    struct got got;
    char text[256];
    assert_int_equal(chat(&house, 40, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}", &got),
                     200);
    assert_string_equal(got_header(&got, "Content-Type", text), "text/event-stream");
    assert_string_equal(got_header(&got, "Cache-Control", text), "no-cache");
    assert_string_equal(got_header(&got, "X-Accel-Buffering", text), "no");
    json_t *events = events_of(&got, true);
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
        json_t *events = events_of(&stream, true);
        struct lm_buf text = text_of(events);
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
    assert_int_equal(chat(&house, 60, ",\"stream\":true,\"logprobs\":true,\"top_logprobs\":2", &got), 200);
    json_t *events = events_of(&got, true);
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

    assert_int_equal(chat(&house, 60, ",\"logprobs\":true,\"top_logprobs\":2", &got), 200);
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
    const long status = chat(h, 200, ",\"logprobs\":true", &whole);
    assert_int_equal(chat(h, 200, ",\"stream\":true,\"logprobs\":true", &stream), 200);
    json_t *events = events_of(&stream, !stops);
    struct lm_buf text = text_of(events);
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
    assert_int_equal(chat(&house, 200, "", &got), 200);
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

/* ---- clients that hang up ---- */

static void wait_until_running(const struct house *h, double count)
{
    for (int i = 0; i < 400; i++) {
        if (house_metric(h, "loom_sequences_running{model=\"tiny\"}") == count)
            return;
        usleep(10000);
    }
    fail_msg("never %g sequences running", count);
}

static size_t count_cancelled(const struct house *h)
{
    json_t *records = house_audit(h), *record;
    size_t i, count = 0;
    json_array_foreach(records, i, record)
    {
        const char *finish = json_string_value(json_object_get(record, "finish"));
        count += finish && strcmp(finish, "cancelled") == 0;
    }
    json_decref(records);
    return count;
}

static void a_client_that_hangs_up_frees_its_place(void **state)
{
    (void)state;
    char body[512];
    for (int streamed = 0; streamed < 2; streamed++) {
        struct got got;
        const size_t before = count_cancelled(&house);
        chat_body(body, sizeof(body), 4000, streamed ? ",\"stream\":true" : "");
        const uint64_t start = lm_now_ns();
        house_ask(&house,
                  &(struct ask){ .method = "POST",
                                 .path = "/v1/chat/completions",
                                 .key = house.end_user,
                                 .body = body,
                                 .hang_up_after = streamed ? 400 : 0,
                                 .timeout_ms = streamed ? 0 : 150 },
                  &got);
        got_release(&got);
        wait_until_running(&house, 0);
        assert_true(lm_now_ns() - start < 2000000000ULL);   // 4000 tokens would take longer
        for (int i = 0; i < 200 && count_cancelled(&house) == before; i++)
            usleep(10000);
        assert_int_equal(count_cancelled(&house), before + 1);
    }
}

/* ---- many clients ---- */

struct client {
    pthread_t thread;
    const struct house *house;
    int max_tokens;
    const char *more;
    struct got got;
};

static void *run_client(void *user)
{
    struct client *c = user;
    (void)chat(c->house, c->max_tokens, c->more, &c->got);
    return NULL;
}

static void start_client(struct client *c, const struct house *h, int max_tokens, const char *more)
{
    *c = (struct client){ .house = h, .max_tokens = max_tokens, .more = more };
    assert_int_equal(pthread_create(&c->thread, NULL, run_client, c), 0);
}

static void twenty_clients_get_the_answer_of_one(void **state)
{
    (void)state;
    enum { CLIENTS = 20 };
    struct client clients[CLIENTS];
    struct got alone;
    assert_int_equal(chat(&house, 50, "", &alone), 200);
    for (size_t i = 0; i < CLIENTS; i++)
        start_client(&clients[i], &house, 50, i % 2 ? ",\"stream\":true" : "");
    for (size_t i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        assert_int_equal(clients[i].got.status, 200);
        if (i % 2) {
            json_t *events = events_of(&clients[i].got, true);
            struct lm_buf text = text_of(events);
            assert_true(
                lm_str_eq(lm_buf_str(&text), json_text(json_at(alone.json, "choices.0.message.content"))));
            lm_buf_release(&text);
            json_decref(events);
        } else {
            assert_true(lm_str_eq(json_text(json_at(clients[i].got.json, "choices.0.message.content")),
                                  json_text(json_at(alone.json, "choices.0.message.content"))));
        }
        got_release(&clients[i].got);
    }
    got_release(&alone);
}

/* One place, one seat in the queue: the third is told to come again, the second hears that it is not
 * forgotten. */
static void a_full_queue_is_said_and_waiting_is_heard(void **state)
{
    (void)state;
    struct house small;
    house_prepare(&small, "small");
    small.config.sequences_max = 1;
    small.config.queue_max = 1;
    small.config.ping_seconds = 1;
    small.config.idle_seconds = 1;   // of the client: our own silence does not count
    house_open(&small, "model");
    struct client running, waiting;
    struct got got;
    char text[256];
    start_client(&running, &small, 4000, "");
    wait_until_running(&small, 1);
    start_client(&waiting, &small, 1, ",\"stream\":true");
    for (int i = 0; i < 400 && house_metric(&small, "loom_sequences_waiting{model=\"tiny\"}") != 1; i++)
        usleep(5000);
    assert_int_equal(chat(&small, 1, "", &got), 429);
    assert_string_equal(got_text(&got, "error.code"), "queue_full");
    assert_string_equal(got_header(&got, "Retry-After", text), "1");
    assert_string_equal(got_header(&got, "X-Should-Retry", text), "true");
    got_release(&got);
    pthread_join(running.thread, NULL);
    pthread_join(waiting.thread, NULL);
    assert_int_equal(running.got.status, 200);
    assert_non_null(strstr(waiting.got.body.ptr, ": ping\n\n"));
    json_decref(events_of(&waiting.got, true));
    got_release(&running.got);
    got_release(&waiting.got);
    house_close(&small);
}

/* ---- the end ---- */

static void *run_server(void *user)
{
    const struct house *h = user;
    struct lm_err err = { 0 };
    return lm_server_run(h->server, &err) == LM_ESTOP ? NULL : user;
}

static void drain(int64_t drain_seconds, int max_tokens, bool whole)
{
    struct house last;
    struct client client;
    struct got got;
    pthread_t thread;
    void *failed = NULL;
    house_prepare(&last, "last");
    last.config.drain_seconds = drain_seconds;
    last.config.lame_duck_seconds = 1;
    house_open(&last, "model");
    assert_int_equal(pthread_create(&thread, NULL, run_server, &last), 0);
    start_client(&client, &last, max_tokens, ",\"stream\":true");
    wait_until_running(&last, 1);

    lm_stop_request(SIGTERM);
    for (int i = 0; i < 100; i++) {   // the lame duck: not healthy, and still at work
        house_ask(&last, &(struct ask){ .method = "GET", .path = "/health" }, &got);
        const long status = got.status;
        got_release(&got);
        if (status == 503)
            break;
        usleep(10000);
    }
    house_ask(&last, &(struct ask){ .method = "GET", .path = "/help", .key = last.end_user }, &got);
    assert_int_equal(got.status, 200);
    got_release(&got);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    lm_stop_request(0);
    pthread_join(client.thread, NULL);
    assert_int_equal(client.got.status, 200);
    json_t *events = events_of(&client.got, whole);
    json_t *end = json_array_get(events, json_array_size(events) - 1);
    const char *finish = json_string_value(json_at(end, "choices.0.finish_reason"));
    const char *code = json_string_value(json_at(end, "error.code"));
    assert_string_equal(whole ? finish : code, whole ? "length" : "draining");
    json_decref(events);
    got_release(&client.got);
    house_close(&last);
}

static void a_running_answer_may_end_when_the_server_stops(void **state)
{
    (void)state;
    drain(30, 3000, true);
}

static void an_answer_that_takes_too_long_is_cut_with_an_error(void **state)
{
    (void)state;
    drain(0, 4000, false);
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
        cmocka_unit_test(a_client_that_hangs_up_frees_its_place),
        cmocka_unit_test(twenty_clients_get_the_answer_of_one),
        cmocka_unit_test(a_full_queue_is_said_and_waiting_is_heard),
        cmocka_unit_test(a_running_answer_may_end_when_the_server_stops),
        cmocka_unit_test(an_answer_that_takes_too_long_is_cut_with_an_error),
    };
    return cmocka_run_group_tests(tests, open_house, close_house) != 0;
}
