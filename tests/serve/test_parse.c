/* From method, path and body to a request: what is taken, what is refused, and what the refusal says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/parse.h"

#include <jansson.h>
#include <stdlib.h>

static struct lm_arena arena;

static bool parse(enum lm_body_kind kind, const char *body, struct lm_api_request *r, struct lm_fault *fault)
{
    *fault = (struct lm_fault){ 0 };
    return lm_api_parse(kind, lm_str(body), &arena, r, fault);
}

/* ---- what is taken ---- */

#define CHAT "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define PLAIN "{\"model\":\"m\",\"prompt\":\"p\""

static void a_chat_keeps_what_it_says(void **state)
{
    (void)state;
    struct lm_api_request r;
    struct lm_fault fault;
    assert_true(parse(
        LM_BODY_CHAT,
        "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"be brief\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":"
        "\"b\"}]}],\"max_completion_tokens\":7,\"temperature\":0,\"top_p\":0.5,\"stop\":[\"x\",\"yz\"],"
        "\"seed\":-3,\"stream\":true,\"stream_options\":{\"include_usage\":true},\"logprobs\":true,"
        "\"top_logprobs\":2,\"n\":1,\"user\":\"somebody\",\"logit_bias\":{},\"tools\":null}",
        &r, &fault));
    assert_true(lm_str_eq(r.model, LM_STR("m")));
    assert_int_equal(r.message_count, 2);
    assert_true(lm_str_eq(r.messages[0].role, LM_STR("system")));
    assert_true(lm_str_eq(r.messages[1].content, LM_STR("ab")));
    assert_int_equal(r.max_tokens, 7);
    assert_true(r.temperature == 0 && r.top_p == 0.5);
    assert_int_equal(r.stop_count, 2);
    assert_true(lm_str_eq(r.stops[1], LM_STR("yz")));
    assert_true(r.has_seed && r.seed == -3);
    assert_true(r.stream && r.include_usage && r.logprobs);
    assert_int_equal(r.top_logprobs, 2);
}

static void a_format_and_a_bias_are_kept(void **state)
{
    (void)state;
    struct lm_api_request r;
    struct lm_fault fault;
    assert_true(parse(LM_BODY_CHAT,
                      CHAT
                      ",\"logit_bias\":{\"0\":-100,\"17\":2.5},\"response_format\":{\"type\":"
                      "\"json_schema\",\"json_schema\":{\"name\":\"n\",\"strict\":true,\"schema\":{ \"type\":"
                      "\"object\", \"b\":1.0, \"a\":[] }}}}",
                      &r, &fault));
    assert_int_equal(r.bias_count, 2);
    assert_int_equal(r.bias[0].id, 0);
    assert_true(r.bias[0].value == -100);
    assert_int_equal(r.bias[1].id, 17);
    assert_true(r.bias[1].value == 2.5);
    assert_true(r.constrained && r.constraint_kind == LM_CONSTRAINT_JSON_SCHEMA);
    assert_true(lm_str_eq(r.schema, LM_STR("{\"type\":\"object\",\"b\":1.0,\"a\":[]}")));
    assert_true(parse(LM_BODY_CHAT, CHAT ",\"response_format\":{\"type\":\"json_object\"}}", &r, &fault));
    assert_true(r.constrained && r.constraint_kind == LM_CONSTRAINT_JSON && r.schema.len == 0);
    assert_true(parse(LM_BODY_CHAT, CHAT ",\"response_format\":{\"type\":\"text\"}}", &r, &fault));
    assert_false(r.constrained);
}

static void what_is_not_given_has_its_default(void **state)
{
    (void)state;
    struct lm_api_request r;
    struct lm_fault fault;
    assert_true(parse(LM_BODY_COMPLETION, "{\"model\":\"m\",\"prompt\":\"p\",\"seed\":null}", &r, &fault));
    assert_true(r.temperature == 1 && r.top_p == 1 && r.min_p == 0 && r.repetition_penalty == 1);
    assert_true(r.max_tokens == 0 && !r.has_seed && !r.stream && !r.logprobs && r.stop_count == 0);
}

static void a_prompt_comes_in_four_forms(void **state)
{
    (void)state;
    struct lm_api_request r;
    struct lm_fault fault;
    assert_true(parse(LM_BODY_COMPLETION, "{\"model\":\"m\",\"prompt\":[\"one\"]}", &r, &fault));
    assert_true(lm_str_eq(r.text, LM_STR("one")) && r.id_count == 0);
    assert_true(parse(LM_BODY_COMPLETION, "{\"model\":\"m\",\"prompt\":[5,6,7]}", &r, &fault));
    assert_true(r.id_count == 3 && r.ids[2] == 7);
    assert_true(parse(LM_BODY_COMPLETION, "{\"model\":\"m\",\"prompt\":[[8,9]]}", &r, &fault));
    assert_true(r.id_count == 2 && r.ids[0] == 8);
}

static void the_last_question_comes_first_in_the_text_to_decide_on(void **state)
{
    (void)state;
    struct lm_api_request r;
    struct lm_fault fault;
    assert_true(parse(
        LM_BODY_CHAT,
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"assistant\","
        "\"content\":\"two\"},{\"role\":\"user\",\"content\":\"three\"},{\"role\":\"system\",\"content\":"
        "\"four\"}]}",
        &r, &fault));
    assert_true(lm_str_eq(lm_api_text(&r, &arena), LM_STR("three\none\ntwo\nfour")));
    assert_true(lm_str_eq(lm_api_question(&r), LM_STR("three")));
}

static void ratings_are_numbers_or_words(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rating;
    } cases[] = { { "-1", -1 }, { "0", 0 }, { "1", 1 }, { "\"up\"", 1 }, { "\"down\"", -1 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[64];
        struct lm_api_request r;
        struct lm_fault fault;
        snprintf(body, sizeof(body), "{\"response_id\":\"a-1\",\"rating\":%s}", cases[i].text);
        assert_true(parse(LM_BODY_FEEDBACK, body, &r, &fault));
        assert_int_equal(r.rating, cases[i].rating);
        assert_true(lm_str_eq(r.answer, LM_STR("a-1")));
    }
}

static void lists_of_an_administrator_become_words(void **state)
{
    (void)state;
    struct lm_api_request r;
    struct lm_fault fault;
    assert_true(parse(LM_BODY_ACCESS,
                      "{\"action\":\"add_user\",\"partitions\":[\"a\",\"b\"],\"accounts\":\"1,2\"}", &r,
                      &fault));
    assert_true(lm_str_eq(r.partitions, LM_STR("a,b")) && lm_str_eq(r.accounts, LM_STR("1,2")));
}

/* ---- what is refused ---- */

/* One row is one rule of the wire. */
static const struct {
    enum lm_body_kind kind;
    const char *body;
    enum lm_fault_kind fault;
    const char *param, *says;
} refusals[] = {
    { LM_BODY_CHAT, "{\"model\":\"m\",]", LM_FAULT_JSON, "", "at byte 14" },
    { LM_BODY_CHAT, "", LM_FAULT_JSON, "", "not JSON" },
    { LM_BODY_CHAT, "[1]", LM_FAULT_JSON, "", "object" },
    { LM_BODY_CHAT, "{\"model\":\"a\",\"model\":\"b\"}", LM_FAULT_JSON, "", "duplicate" },
    { LM_BODY_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", LM_FAULT_MISSING, "model",
      "missing" },
    { LM_BODY_CHAT, "{\"model\":null,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", LM_FAULT_MISSING,
      "model", "missing" },
    { LM_BODY_CHAT, "{\"model\":\"m\"}", LM_FAULT_MISSING, "messages", "missing" },
    { LM_BODY_CHAT, "{\"model\":\"m\",\"messages\":[]}", LM_FAULT_VALUE, "messages", "1 to 1024" },
    { LM_BODY_CHAT, "{\"model\":\"m\",\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}", LM_FAULT_VALUE,
      "messages[0].role", "system" },
    { LM_BODY_CHAT, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]}", LM_FAULT_VALUE,
      "messages[0].content", "string" },
    { LM_BODY_CHAT,
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{"
      "}}]}]}",
      LM_FAULT_UNSUPPORTED, "messages[0].content", "text" },
    { LM_BODY_CHAT,
      "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":1}]}]"
      "}",
      LM_FAULT_UNSUPPORTED, "messages[0].tool_calls", "tool" },
    { LM_BODY_CHAT, CHAT ",\"n\":2}", LM_FAULT_VALUE, "n", "1..1" },
    { LM_BODY_CHAT, CHAT ",\"n\":1000000}", LM_FAULT_VALUE, "n", "1..1" },
    { LM_BODY_CHAT, CHAT ",\"logit_bias\":{\"5\":101}}", LM_FAULT_VALUE, "logit_bias", "id 5 must be" },
    { LM_BODY_CHAT, CHAT ",\"logit_bias\":{\"5\":\"1\"}}", LM_FAULT_VALUE, "logit_bias", "number" },
    { LM_BODY_CHAT, CHAT ",\"logit_bias\":{\"05\":1}}", LM_FAULT_VALUE, "logit_bias", "token ids" },
    { LM_BODY_CHAT, CHAT ",\"logit_bias\":{\"-5\":1}}", LM_FAULT_VALUE, "logit_bias", "token ids" },
    { LM_BODY_CHAT, CHAT ",\"logit_bias\":{\"\":1}}", LM_FAULT_VALUE, "logit_bias", "token ids" },
    { LM_BODY_CHAT, CHAT ",\"logit_bias\":{\"5000000000\":1}}", LM_FAULT_VALUE, "logit_bias", "token ids" },
    { LM_BODY_CHAT, CHAT ",\"logit_bias\":[5]}", LM_FAULT_VALUE, "logit_bias", "object" },
    { LM_BODY_CHAT, CHAT ",\"tools\":[{}]}", LM_FAULT_UNSUPPORTED, "tools", "not supported" },
    { LM_BODY_CHAT, CHAT ",\"response_format\":{\"type\":\"xml\"}}", LM_FAULT_UNSUPPORTED, "response_format",
      "text" },
    { LM_BODY_CHAT, CHAT ",\"response_format\":\"json_object\"}", LM_FAULT_UNSUPPORTED, "response_format",
      "json_object" },
    { LM_BODY_CHAT, CHAT ",\"response_format\":{\"type\":\"json_object\",\"schema\":{}}}", LM_FAULT_UNKNOWN,
      "response_format", "no 'schema'" },
    { LM_BODY_CHAT, CHAT ",\"response_format\":{\"type\":\"json_schema\"}}", LM_FAULT_VALUE,
      "response_format.json_schema", "with a schema" },
    { LM_BODY_CHAT, CHAT ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":[]}}}",
      LM_FAULT_VALUE, "response_format.json_schema.schema", "a JSON schema" },
    { LM_BODY_CHAT,
      CHAT ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{},\"x\":1}}}",
      LM_FAULT_UNKNOWN, "response_format", "no 'x'" },
    { LM_BODY_CHAT, CHAT ",\"temperature\":2.5}", LM_FAULT_VALUE, "temperature", "0..2" },
    { LM_BODY_CHAT, CHAT ",\"temperature\":\"hot\"}", LM_FAULT_VALUE, "temperature", "number" },
    { LM_BODY_CHAT, CHAT ",\"top_p\":-0.1}", LM_FAULT_VALUE, "top_p", "0..1" },
    { LM_BODY_CHAT, CHAT ",\"max_tokens\":0}", LM_FAULT_VALUE, "max_tokens", "1.." },
    { LM_BODY_CHAT, CHAT ",\"max_tokens\":1.5}", LM_FAULT_VALUE, "max_tokens", "integer" },
    { LM_BODY_CHAT, CHAT ",\"max_completion_tokens\":-5}", LM_FAULT_VALUE, "max_completion_tokens", "1.." },
    { LM_BODY_CHAT, CHAT ",\"top_logprobs\":3}", LM_FAULT_VALUE, "top_logprobs", "logprobs" },
    { LM_BODY_CHAT, CHAT ",\"logprobs\":true,\"top_logprobs\":21}", LM_FAULT_VALUE, "top_logprobs", "0..20" },
    { LM_BODY_CHAT, CHAT ",\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}", LM_FAULT_VALUE, "stop", "at most 4" },
    { LM_BODY_CHAT, CHAT ",\"stop\":[\"\"]}", LM_FAULT_VALUE, "stop", "1 to 256" },
    { LM_BODY_CHAT, CHAT ",\"stream\":\"yes\"}", LM_FAULT_VALUE, "stream", "true or false" },
    { LM_BODY_CHAT, CHAT ",\"stream_options\":{\"include_usage\":true}}", LM_FAULT_VALUE, "stream_options",
      "stream" },
    { LM_BODY_CHAT, CHAT ",\"frequency_penalty\":3}", LM_FAULT_VALUE, "frequency_penalty", "-2..2" },
    { LM_BODY_CHAT, CHAT ",\"temprature\":1}", LM_FAULT_UNKNOWN, "temprature", "did you mean 'temperature'" },
    { LM_BODY_CHAT, CHAT ",\"prompt\":\"x\"}", LM_FAULT_UNKNOWN, "prompt", "no parameter" },
    { LM_BODY_COMPLETION, PLAIN ",\"echo\":true}", LM_FAULT_UNSUPPORTED, "echo", "not supported" },
    { LM_BODY_COMPLETION, PLAIN ",\"best_of\":3}", LM_FAULT_VALUE, "best_of", "1..1" },
    { LM_BODY_COMPLETION, "{\"model\":\"m\",\"prompt\":[\"a\",\"b\"]}", LM_FAULT_UNSUPPORTED, "prompt",
      "one prompt" },
    { LM_BODY_COMPLETION, "{\"model\":\"m\",\"prompt\":[1,\"b\"]}", LM_FAULT_VALUE, "prompt", "ids" },
    { LM_BODY_COMPLETION, "{\"model\":\"m\",\"prompt\":[-1]}", LM_FAULT_VALUE, "prompt", "ids" },
    { LM_BODY_COMPLETION, "{\"model\":\"m\",\"prompt\":[]}", LM_FAULT_VALUE, "prompt", "string" },
    { LM_BODY_COMPLETION, PLAIN ",\"logprobs\":50}", LM_FAULT_VALUE, "logprobs", "0..20" },
    { LM_BODY_QUERY, "{}", LM_FAULT_MISSING, "query", "missing" },
    { LM_BODY_QUERY, "{\"query\":\"q\",\"temperature\":1}", LM_FAULT_UNKNOWN, "temperature", "no parameter" },
    { LM_BODY_FEEDBACK, "{\"rating\":1}", LM_FAULT_MISSING, "answer", "missing" },
    { LM_BODY_FEEDBACK, "{\"answer\":\"a\"}", LM_FAULT_MISSING, "rating", "missing" },
    { LM_BODY_FEEDBACK, "{\"answer\":\"a\",\"rating\":2}", LM_FAULT_VALUE, "rating", "-1..1" },
    { LM_BODY_FEEDBACK, "{\"answer\":\"a\",\"rating\":\"good\"}", LM_FAULT_VALUE, "rating", "up" },
    { LM_BODY_ACCESS, "{}", LM_FAULT_MISSING, "action", "missing" },
    { LM_BODY_ACCESS, "{\"action\":\"x\",\"accounts\":[\"1,2\"]}", LM_FAULT_VALUE, "accounts", "commas" },
};

static void every_refusal_names_parameter_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct lm_api_request r;
        struct lm_fault fault;
        if (parse(refusals[i].kind, refusals[i].body, &r, &fault))
            fail_msg("accepted: %s", refusals[i].body);
        if (fault.kind != refusals[i].fault || strcmp(fault.param, refusals[i].param) != 0 ||
            !strstr(fault.message, refusals[i].says))
            fail_msg("%s: kind %d, param '%s': %s", refusals[i].body, fault.kind, fault.param, fault.message);
        assert_int_equal(lm_fault_table[fault.kind].status, 400);
    }
}

static void depth_without_end_is_refused(void **state)
{
    (void)state;
    struct lm_buf body = { 0 };
    for (int i = 0; i < 100000; i++)
        lm_buf_putc(&body, '[');
    struct lm_api_request r;
    struct lm_fault fault;
    assert_false(lm_api_parse(LM_BODY_CHAT, lm_buf_str(&body), &arena, &r, &fault));
    assert_int_equal(fault.kind, LM_FAULT_JSON);
    lm_buf_release(&body);
}

/* ---- routes ---- */

static const struct lm_route *find(const char *method, const char *path, struct lm_fault *fault)
{
    struct lm_str id;
    *fault = (struct lm_fault){ 0 };
    return lm_route_find(lm_str(method), lm_str(path), &id, fault);
}

static void every_row_is_found_and_every_other_method_is_refused(void **state)
{
    (void)state;
    static const char *const methods[] = { "GET",   "HEAD",    "POST",  "PUT", "DELETE",
                                           "PATCH", "OPTIONS", "TRACE", "get" };
    for (size_t i = 0; i < lm_route_count; i++)
        for (size_t k = 0; k < sizeof(methods) / sizeof(methods[0]); k++) {
            const char *path = strstr(lm_routes[i].path, "{id}") ? "/v1/models/some/name" : lm_routes[i].path;
            struct lm_fault fault;
            const struct lm_route *route = find(methods[k], path, &fault);
            if (route) {
                const char *meant = strcmp(methods[k], "HEAD") == 0 ? "GET" : methods[k];
                assert_string_equal(route->method, meant);
                assert_string_equal(route->path, lm_routes[i].path);
            } else {
                assert_int_equal(fault.kind, LM_FAULT_METHOD);
                assert_non_null(strstr(fault.allow, lm_routes[i].method));
            }
        }
}

static void what_has_no_row_is_not_there(void **state)
{
    (void)state;
    static const char *const paths[] = { "/",     "",       "/v1",    "/v1/models/",   "/help/",
                                         "/HELP", "/slots", "//help", "/v1/embeddings" };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct lm_fault fault;
        assert_null(find("GET", paths[i], &fault));
        assert_int_equal(fault.kind, LM_FAULT_PATH);
    }
}

static void a_body_is_json_and_not_too_large(void **state)
{
    (void)state;
    struct lm_fault fault;
    const struct lm_route *chat = find("POST", "/v1/chat/completions", &fault),
                          *help = find("GET", "/help", &fault);
    assert_true(lm_route_check_body(chat, "application/json", 100, 100, &fault));
    assert_true(lm_route_check_body(chat, "Application/JSON; charset=utf-8", 0, 100, &fault));
    assert_true(lm_route_check_body(help, NULL, 0, 100, &fault));
    static const char *const others[] = { NULL, "", "text/plain", "application/jsonl",
                                          "application/x-www-form-urlencoded" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(lm_route_check_body(chat, others[i], 10, 100, &fault));
        assert_int_equal(fault.kind, LM_FAULT_MEDIA);
    }
    assert_false(lm_route_check_body(chat, "application/json", 101, 100, &fault));
    assert_int_equal(fault.kind, LM_FAULT_TOO_LARGE);
}

/* ---- faults ---- */

static void every_fault_is_a_well_formed_body(void **state)
{
    (void)state;
    for (enum lm_fault_kind kind = LM_FAULT_NONE + 1; kind < LM_FAULT_COUNT; kind++) {
        struct lm_fault fault;
        struct lm_buf body = { 0 };
        assert_false(lm_fault_set(&fault, kind, kind % 2 ? "p\"\xff" : NULL, "says \"%s\"", "\n\x01\xc3"));
        lm_fault_body(&fault, &body);
        json_t *root = json_loadb(body.ptr, body.len, 0, NULL);
        assert_non_null(root);
        const json_t *error = json_object_get(root, "error");
        assert_int_equal(json_object_size(error), 4);
        assert_true(json_is_string(json_object_get(error, "message")));
        assert_true(json_string_length(json_object_get(error, "type")) > 0);
        assert_true(json_string_length(json_object_get(error, "code")) > 0);
        const json_t *param = json_object_get(error, "param");
        assert_true(kind % 2 ? json_is_string(param) : json_is_null(param));
        json_decref(root);
        lm_buf_release(&body);
        assert_true(lm_fault_table[kind].status >= 400 && lm_fault_table[kind].status != 422);
        assert_true(lm_fault_table[kind].retry_after_s <= 60);   // clients ignore more
        if (lm_fault_table[kind].status >= 500 || lm_fault_table[kind].status == 429)
            assert_non_null(lm_fault_table[kind].should_retry);   // or they would try all of them again
    }
}

static int release_arena(void **state)
{
    (void)state;
    lm_arena_release(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_keeps_what_it_says),
        cmocka_unit_test(a_format_and_a_bias_are_kept),
        cmocka_unit_test(what_is_not_given_has_its_default),
        cmocka_unit_test(a_prompt_comes_in_four_forms),
        cmocka_unit_test(the_last_question_comes_first_in_the_text_to_decide_on),
        cmocka_unit_test(ratings_are_numbers_or_words),
        cmocka_unit_test(lists_of_an_administrator_become_words),
        cmocka_unit_test(every_refusal_names_parameter_and_reason),
        cmocka_unit_test(depth_without_end_is_refused),
        cmocka_unit_test(every_row_is_found_and_every_other_method_is_refused),
        cmocka_unit_test(what_has_no_row_is_not_there),
        cmocka_unit_test(a_body_is_json_and_not_too_large),
        cmocka_unit_test(every_fault_is_a_well_formed_body),
    };
    return cmocka_run_group_tests(tests, NULL, release_arena) != 0;
}
