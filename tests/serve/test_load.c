/* Many clients: those that hang up, full queues, and the end of the server with answers under way. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "house.h"

#include "base/sys.h"
#include "govern/audit.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static struct house house;

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
        house_chat_body(body, sizeof(body), 4000, streamed ? ",\"stream\":true" : "");
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
    (void)house_chat(c->house, c->max_tokens, c->more, &c->got);
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
    assert_int_equal(house_chat(&house, 50, "", &alone), 200);
    for (size_t i = 0; i < CLIENTS; i++)
        start_client(&clients[i], &house, 50, i % 2 ? ",\"stream\":true" : "");
    for (size_t i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        assert_int_equal(clients[i].got.status, 200);
        if (i % 2) {
            json_t *events = got_events(&clients[i].got, true);
            struct lm_buf text = events_text(events);
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
    const uint64_t start = lm_now_ns();
    start_client(&waiting, &small, 1, ",\"stream\":true");
    for (int i = 0; i < 400 && house_metric(&small, "loom_sequences_waiting{model=\"tiny\"}") != 1; i++)
        usleep(5000);
    assert_int_equal(house_chat(&small, 1, "", &got), 429);
    assert_string_equal(got_text(&got, "error.code"), "queue_full");
    assert_string_equal(got_header(&got, "Retry-After", text), "1");
    assert_string_equal(got_header(&got, "X-Should-Retry", text), "true");
    got_release(&got);
    pthread_join(running.thread, NULL);
    pthread_join(waiting.thread, NULL);
    assert_int_equal(running.got.status, 200);
    if (lm_now_ns() - start > 1500000000)   // a machine may be faster than that
        assert_non_null(strstr(waiting.got.body.ptr, ": ping\n\n"));
    json_decref(got_events(&waiting.got, true));
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

/* Not healthy, and still at work. */
static void check_lame_duck(const struct house *h)
{
    struct got got;
    long status = 200;
    for (int i = 0; i < 100 && status != 503; i++) {
        house_ask(h, &(struct ask){ .method = "GET", .path = "/health" }, &got);
        status = got.status;
        got_release(&got);
        usleep(5000);
    }
    assert_int_equal(status, 503);
    house_ask(h, &(struct ask){ .method = "GET", .path = "/help", .key = h->end_user }, &got);
    assert_int_equal(got.status, 200);
    got_release(&got);
}

static void drain(int64_t lame_duck_seconds, int64_t drain_seconds, int max_tokens, bool whole)
{
    struct house last;
    struct client client;
    pthread_t thread;
    void *failed = NULL;
    house_prepare(&last, "last");
    last.config.drain_seconds = drain_seconds;
    last.config.lame_duck_seconds = lame_duck_seconds;
    house_open(&last, "model");
    assert_int_equal(pthread_create(&thread, NULL, run_server, &last), 0);
    start_client(&client, &last, max_tokens, ",\"stream\":true");
    wait_until_running(&last, 1);

    lm_stop_request(SIGTERM);
    if (lame_duck_seconds)
        check_lame_duck(&last);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    lm_stop_request(0);
    pthread_join(client.thread, NULL);
    assert_int_equal(client.got.status, 200);
    json_t *events = got_events(&client.got, whole);
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
    drain(1, 30, 1500, true);
}

static void an_answer_that_takes_too_long_is_cut_with_an_error(void **state)
{
    (void)state;
    drain(0, 0, 4000, false);
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
        cmocka_unit_test(a_client_that_hangs_up_frees_its_place),
        cmocka_unit_test(twenty_clients_get_the_answer_of_one),
        cmocka_unit_test(a_full_queue_is_said_and_waiting_is_heard),
        cmocka_unit_test(a_running_answer_may_end_when_the_server_stops),
        cmocka_unit_test(an_answer_that_takes_too_long_is_cut_with_an_error),
    };
    return cmocka_run_group_tests(tests, open_house, close_house) != 0;
}
