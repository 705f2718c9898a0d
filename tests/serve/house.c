#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "house.h"

#include "base/file.h"
#include "base/sys.h"
#include "govern/audit.h"
#include "model/llama.h"
#include "monitor/feedback.h"
#include "token/tokenizer.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

/* ---- model and project ---- */

static void must(enum lm_rc rc, const struct lm_err *err)
{
    if (rc != LM_OK)
        fail_msg("%s: %s", lm_rc_name(rc), err->text);
}

/* Sharp choices among all tokens but the three control tokens, which so never come: answers run to their
 * limit, and are any bytes. */
static void speak_for_ever(struct lm_llama *model)
{
    enum { CONTROL_TOKENS = 3, SHARPER = 60 };
    const size_t dim = (size_t)model->config.dim, all = (size_t)model->config.vocab_size * dim;
    float *head = lm_llama_at(model, LM_LLAMA_HEAD, 0);
    for (size_t i = 0; i < all; i++)
        head[i] = i < CONTROL_TOKENS * dim ? 0 : SHARPER * head[i];
}

void house_make_model(const char *model_dir)
{
    static const char *const words[] = { "the quick brown fox jumps over the lazy dog. ",
                                         "a model answers questions about its documents. ",
                                         "who asks is known, and what is said is recorded. " };
    struct lm_err err = { 0 };
    struct lm_str texts[3];
    for (size_t i = 0; i < 3; i++)
        texts[i] = lm_str(words[i]);
    struct lm_tokenizer_config config;
    lm_opt_defaults(&lm_tokenizer_options, &config);
    config.vocab_size = 360;
    config.frequency_min = 1;
    struct lm_buf metrics = { 0 };
    must(lm_path_remove(model_dir, &err), &err);
    must(lm_dir_make(model_dir, &err), &err);
    must(lm_tokenizer_train(&config, texts, 3, model_dir, &metrics, &err), &err);
    lm_buf_release(&metrics);

    const struct lm_llama_config shape = {
        .vocab_size = 384,
        .dim = 32,
        .layers = 1,
        .heads = 4,
        .kv_heads = 2,
        .ffn_dim = 64,
        .context = HOUSE_CONTEXT,
        .rope_theta = 10000,
        .norm_eps = 1e-5,
        .tied = false,
        .bos_id = -1,
        .eos_id = -1,
    };
    struct lm_llama model = { 0 };
    lm_llama_init(&model, &shape);
    lm_llama_random(&model, 7);
    speak_for_ever(&model);
    must(lm_llama_save(&model, model_dir, &err), &err);
    lm_llama_release(&model);
}

static void add_user(struct house *h, const char *name, const char *role, const char *partitions,
                     char *ret_key)
{
    struct lm_err err = { 0 };
    must(lm_user_add(h->db, name, role, partitions, "", &err), &err);
    must(lm_key_create(h->db, name, NULL, 0, ret_key, &err), &err);
}

void house_prepare(struct house *h, const char *state_dir)
{
    struct lm_err err = { 0 };
    *h = (struct house){ .state_dir = state_dir, .artifact = "00112233445566778899aabbccddeeff" };
    lm_opt_defaults(&lm_serve_options, &h->config);
    h->config.listen = "127.0.0.1:0";
    must(lm_path_remove(state_dir, &err), &err);
    must(lm_dir_make(state_dir, &err), &err);
    LM_FREE char *path = lm_path_join(state_dir, "loom.db");
    must(lm_db_open(path, &h->db, &err), &err);
    must(lm_users_schema(h->db, &err), &err);
    must(lm_feedback_schema(h->db, &err), &err);
    add_user(h, "ines", "administrator", "", h->administrator);
    add_user(h, "kofi", "developer", "", h->developer);
    add_user(h, "priya", "analyst", "vault", h->analyst);
    add_user(h, "maria", "end-user", "", h->end_user);
    add_user(h, "henrik", "end-user", "", h->other);
}

void house_open(struct house *h, const char *model_dir)
{
    const struct lm_serve_model models[] = {
        { .name = "tiny", .dir = model_dir, .artifact = h->artifact },
        { .name = "secret", .dir = model_dir, .artifact = "", .partition = "vault" },
    };
    struct lm_err err = { 0 };
    lm_progress_quiet(true);
    must(lm_server_start(&h->config, models, 2, h->state_dir, &h->server, &err), &err);
}

void house_close(struct house *h)
{
    lm_server_free(h->server);
    lm_db_close(h->db);
    h->server = NULL;
    h->db = NULL;
}

/* ---- client ---- */

struct transfer {
    const struct ask *ask;
    struct got *got;
};

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    struct transfer *t = user;
    lm_buf_add(&t->got->body, data, size * count);
    return t->ask->hang_up_after && t->got->body.len >= t->ask->hang_up_after ? 0 : size * count;
}

static size_t take_header(char *data, size_t size, size_t count, void *user)
{
    struct transfer *t = user;
    lm_buf_add(&t->got->headers, data, size * count);
    return size * count;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
    char line[256];
    snprintf(line, sizeof(line), "%s: %s", name, value);
    return curl_slist_append(list, line);
}

static size_t give_body(char *data, size_t size, size_t count, void *user)
{
    struct lm_str *rest = user;
    const size_t len = rest->len < size * count ? rest->len : size * count;
    memcpy(data, rest->ptr, len);
    rest->ptr += len, rest->len -= len;
    return len;
}

static void set_body(CURL *curl, const struct ask *ask, struct lm_str *rest)
{
    if (!ask->body)
        return;
    *rest = lm_str(ask->body);
    if (ask->chunked) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(curl, CURLOPT_READDATA, rest);
    } else {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rest->len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, ask->body);
    }
}

void house_ask(const struct house *h, const struct ask *ask, struct got *ret)
{
    *ret = (struct got){ 0 };
    struct transfer transfer = { ask, ret };
    struct lm_str rest = { 0 };
    char url[512], bearer[128], ca[512];
    snprintf(url, sizeof(url), "http%s://127.0.0.1:%d%s", h->config.http ? "" : "s",
             lm_server_port(h->server), ask->path);
    snprintf(bearer, sizeof(bearer), "Bearer %s", ask->key ? ask->key : "");
    snprintf(ca, sizeof(ca), "%s/tls/cert.pem", h->state_dir);
    struct curl_slist *headers =
        add_header(NULL, "Content-Type", ask->media ? ask->media : "application/json");
    if (ask->key)
        headers = add_header(headers, "Authorization", bearer);
    if (ask->header)
        headers = curl_slist_append(headers, ask->header);
    headers = curl_slist_append(headers, "Expect:");
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ask->timeout_ms ? ask->timeout_ms : 60000L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
    set_body(curl, ask, &rest);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, ask->method);
    if (strcmp(ask->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    (void)curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    ret->json = json_loadb(lm_buf_str(&ret->body).ptr, ret->body.len, JSON_ALLOW_NUL, NULL);
}

void got_release(struct got *got)
{
    lm_buf_release(&got->headers);
    lm_buf_release(&got->body);
    json_decref(got->json);
    *got = (struct got){ 0 };
}

const char *got_header(const struct got *got, const char *name, char ret[256])
{
    struct lm_str rest = lm_buf_str(&got->headers), line;
    ret[0] = '\0';
    while (lm_str_split(&rest, '\n', &line))
        if (line.len > strlen(name) && line.ptr[strlen(name)] == ':' &&
            strncasecmp(line.ptr, name, strlen(name)) == 0) {
            line = lm_str_trim((struct lm_str){ line.ptr + strlen(name) + 1, line.len - strlen(name) - 1 });
            snprintf(ret, 256, "%.*s", (int)line.len, line.ptr);
        }
    return ret;
}

struct lm_str json_text(const json_t *value)
{
    return (struct lm_str){ json_is_string(value) ? json_string_value(value) : "",
                            json_string_length(value) };
}

json_t *json_at(json_t *root, const char *path)
{
    struct lm_str rest = lm_str(path), word;
    while (root && lm_str_split(&rest, '.', &word)) {
        char key[64];
        snprintf(key, sizeof(key), "%.*s", (int)word.len, word.ptr);
        root =
            json_is_array(root) ? json_array_get(root, strtoul(key, NULL, 10)) : json_object_get(root, key);
    }
    return root;
}

const char *got_text(const struct got *got, const char *path)
{
    const char *text = json_string_value(json_at(got->json, path));
    return text ? text : "";
}

double house_metric(const struct house *h, const char *line)
{
    struct got got;
    house_ask(h, &(struct ask){ .method = "GET", .path = "/metrics" }, &got);
    struct lm_str rest = lm_buf_str(&got.body), one;
    double value = -1;
    while (lm_str_split(&rest, '\n', &one))
        if (lm_str_starts(one, lm_str(line))) {
            const struct lm_str text = { one.ptr + strlen(line), one.len - strlen(line) };
            (void)lm_str_to_f64(lm_str_trim(text), &value);
        }
    got_release(&got);
    return value;
}

static enum lm_rc keep_record(void *user, struct lm_str line, struct lm_err *err)
{
    (void)err;
    json_array_append_new(user, json_loadb(line.ptr, line.len, 0, NULL));
    return LM_OK;
}

json_t *house_audit(const struct house *h)
{
    struct lm_err err = { 0 };
    json_t *records = json_array();
    LM_FREE char *dir = lm_path_join(h->state_dir, "audit");
    must(lm_audit_scan(dir, keep_record, records, &err), &err);
    return records;
}

void got_check_refusal(const struct got *got, long status, const char *code)
{
    char text[256];
    if (got->status != status || strcmp(got_text(got, "error.code"), code) != 0)
        fail_msg("wanted %ld %s, got %ld %s", status, code, got->status, lm_buf_str(&got->body).ptr);
    assert_int_equal(json_object_size(json_at(got->json, "error")), 4);
    assert_true(strlen(got_text(got, "error.message")) > 0);
    assert_non_null(json_at(got->json, "error.param"));
    assert_string_equal(got_header(got, "Content-Type", text), "application/json");
    assert_memory_equal(got_header(got, "X-Request-Id", text), "req-", 4);
}

/* ---- chats and streams ---- */

void house_chat_body(char *ret, size_t size, int max_tokens, const char *more)
{
    snprintf(ret, size,
             "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"tell me of "
             "foxes\"}],\"temperature\":0,"
             "\"max_tokens\":%d%s}",
             max_tokens, more);
}

long house_chat(const struct house *h, int max_tokens, const char *more, struct got *ret)
{
    char body[512];
    house_chat_body(body, sizeof(body), max_tokens, more);
    house_ask(
        h,
        &(struct ask){ .method = "POST", .path = "/v1/chat/completions", .key = h->end_user, .body = body },
        ret);
    return ret->status;
}

json_t *got_events(const struct got *got, bool whole)
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

struct lm_buf events_text(json_t *events)
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
