/* A server that is killed in the middle of answers: every answer of which a client has seen a byte has its
 * record. */

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
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS = 8, ROUNDS = 3 };

/* What the parent needs to talk to the server in the child. */
struct address {
    int port;
    char key[LM_API_KEY_TEXT];
};

/* In a process of its own: what trains has threads, and who has threads must not fork. */
static void make_model(void)
{
    const pid_t child = fork();
    if (child == 0) {
        house_make_model("model");
        _exit(0);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static _Noreturn void serve_until_killed(int to_parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);   // also when the test is stopped
    struct house house;
    house_prepare(&house, "killed");
    house.config.http = true;   // fewer bytes on the way: more answers under way
    house_open(&house, "model");
    struct address address = { .port = lm_server_port(house.server) };
    memcpy(address.key, house.end_user, sizeof(address.key));
    (void)!write(to_parent, &address, sizeof(address));
    for (;;)
        pause();
}

struct client {
    pthread_t thread;
    const struct address *address;
    _Atomic size_t *pieces;   // of all clients
    struct lm_buf seen;
};

static size_t take(char *data, size_t size, size_t count, void *user)
{
    struct client *c = user;
    lm_buf_add(&c->seen, data, size * count);
    atomic_fetch_add(c->pieces, 1);
    return size * count;
}

static void *run_client(void *user)
{
    static const char body[] =
        "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],\"stream\":true,"
        "\"max_tokens\":3000}";
    struct client *c = user;
    char url[64], bearer[128];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1/chat/completions", c->address->port);
    snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", c->address->key);
    struct curl_slist *headers = curl_slist_append(NULL, bearer);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
    (void)curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return NULL;
}

struct search {
    const char *id;
    bool found;
};

static enum lm_rc match(void *user, struct lm_str line, struct lm_err *err)
{
    (void)err;
    struct search *s = user;
    s->found |=
        lm_str_find(line, LM_STR("\"type\":\"decision\"")) >= 0 && lm_str_find(line, lm_str(s->id)) >= 0;
    return LM_OK;
}

/* Opening the log again cuts off a half-written record and nothing else. */
static void check_records(struct client clients[CLIENTS])
{
    struct lm_audit *audit = NULL;
    struct lm_audit_report report;
    struct lm_err err = { 0 };
    assert_int_equal(lm_audit_open("killed/audit", &audit, &err), LM_OK);
    lm_audit_close(audit);
    assert_int_equal(lm_audit_verify("killed/audit", NULL, &report, &err), LM_OK);
    size_t answers = 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct lm_str seen = lm_buf_str(&clients[i].seen);
        const ptrdiff_t at = lm_str_find(seen, LM_STR("chatcmpl-"));
        lm_buf_putc(&clients[i].seen, '\0');
        if (at >= 0) {
            char id[34];
            snprintf(id, sizeof(id), "%s", clients[i].seen.ptr + at);
            struct search search = { .id = id };
            assert_int_equal(lm_audit_scan("killed/audit", match, &search, &err), LM_OK);
            assert_true(search.found);
            answers++;
        }
        lm_buf_release(&clients[i].seen);
    }
    assert_true(answers > 0);
}

static void no_byte_of_an_answer_is_without_a_record(void **state)
{
    (void)state;
    for (size_t round = 0; round < ROUNDS; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();   // no thread of ours is running
        assert_true(child >= 0);
        if (child == 0)
            serve_until_killed(ends[1]);
        struct address address;
        assert_int_equal(read(ends[0], &address, sizeof(address)), sizeof(address));
        struct client clients[CLIENTS] = { 0 };
        _Atomic size_t pieces = 0;
        for (size_t i = 0; i < CLIENTS; i++) {
            clients[i].address = &address;
            clients[i].pieces = &pieces;
            assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
        }
        while (atomic_load(&pieces) < 1 + 7 * round)   // the first byte, and later ones
            usleep(500);
        assert_int_equal(kill(child, SIGKILL), 0);
        for (size_t i = 0; i < CLIENTS; i++)
            pthread_join(clients[i].thread, NULL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        close(ends[0]), close(ends[1]);
        check_records(clients);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_byte_of_an_answer_is_without_a_record),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    lm_progress_quiet(true);
    make_model();
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
