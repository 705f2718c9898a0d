#include "serve/parse.h"

#include "monitor/feedback.h"

#include <inttypes.h>
#include <jansson.h>

/* ---- reading one value ---- */

struct reading {
    struct lm_arena *arena;
    struct lm_api_request *request;
    struct lm_fault *fault;
};

struct param {
    const char *name;
    unsigned kinds;   // bodies that have it: bits of enum lm_body_kind
    unsigned required;
    bool (*read)(const struct param *p, const json_t *value, struct reading *r);
    size_t offset;
    double min, max;   // of a number; bytes of a text
};

#define BIT(kind) (1U << (kind))
#define CHAT BIT(LM_BODY_CHAT)
#define COMPLETION BIT(LM_BODY_COMPLETION)
#define QUERY BIT(LM_BODY_QUERY)
#define FEEDBACK BIT(LM_BODY_FEEDBACK)
#define ACCESS BIT(LM_BODY_ACCESS)
#define OPENAI (CHAT | COMPLETION)
#define AT(field) offsetof(struct lm_api_request, field)

static bool wrong_type(struct reading *r, const char *name, const char *wanted)
{
    return lm_fault_set(r->fault, LM_FAULT_VALUE, name, "'%s' must be %s", name, wanted);
}

static void *field(struct reading *r, const struct param *p)
{
    return (char *)r->request + p->offset;
}

static struct lm_str copy(struct reading *r, const json_t *text)
{
    const size_t len = json_string_length(text);
    return (struct lm_str){ lm_arena_strndup(r->arena, json_string_value(text), len), len };
}

static bool read_int(const struct param *p, const json_t *value, struct reading *r)
{
    if (!json_is_integer(value))
        return wrong_type(r, p->name, "an integer");
    const json_int_t number = json_integer_value(value);
    if ((double)number < p->min || (double)number > p->max)
        return lm_fault_set(r->fault, LM_FAULT_VALUE, p->name,
                            "'%s' is %" JSON_INTEGER_FORMAT ", outside %.0f..%.0f", p->name, number, p->min,
                            p->max);
    *(int64_t *)field(r, p) = number;
    return true;
}

static bool read_seed(const struct param *p, const json_t *value, struct reading *r)
{
    if (!json_is_integer(value))
        return wrong_type(r, p->name, "an integer");
    *(int64_t *)field(r, p) = json_integer_value(value);
    r->request->has_seed = true;
    return true;
}

static bool read_real(const struct param *p, const json_t *value, struct reading *r)
{
    if (!json_is_number(value))
        return wrong_type(r, p->name, "a number");
    const double number = json_number_value(value) + 0.0;   // -0 is 0
    if (!(number >= p->min && number <= p->max))
        return lm_fault_set(r->fault, LM_FAULT_VALUE, p->name, "'%s' is %g, outside %g..%g", p->name, number,
                            p->min, p->max);
    *(double *)field(r, p) = number;
    return true;
}

static bool read_bool(const struct param *p, const json_t *value, struct reading *r)
{
    if (!json_is_boolean(value))
        return wrong_type(r, p->name, "true or false");
    *(bool *)field(r, p) = json_is_true(value);
    return true;
}

static bool read_text(const struct param *p, const json_t *value, struct reading *r)
{
    if (!json_is_string(value))
        return wrong_type(r, p->name, "a string");
    const size_t len = json_string_length(value);
    if ((double)len < p->min || (double)len > p->max)
        return lm_fault_set(r->fault, LM_FAULT_VALUE, p->name, "'%s' has %zu bytes, outside %.0f..%.0f",
                            p->name, len, p->min, p->max);
    *(struct lm_str *)field(r, p) = copy(r, value);
    return true;
}

/* A string or a list of strings, kept as words joined by commas. */
static bool read_words(const struct param *p, const json_t *value, struct reading *r)
{
    if (json_is_string(value))
        return read_text(p, value, r);
    if (!json_is_array(value) || json_array_size(value) > LM_LIST_MAX)
        return wrong_type(r, p->name, "a list of at most 256 strings");
    struct lm_buf words = { 0 };
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *word = json_string_value(json_array_get(value, i));
        if (!word || strchr(word, ',')) {
            lm_buf_release(&words);
            return wrong_type(r, p->name, "a list of strings without commas");
        }
        lm_buf_printf(&words, "%s%s", i ? "," : "", word);
    }
    *(struct lm_str *)field(r, p) =
        (struct lm_str){ lm_arena_strndup(r->arena, lm_buf_str(&words).ptr, words.len), words.len };
    lm_buf_release(&words);
    return true;
}

static bool add_stop(const struct param *p, const json_t *value, struct reading *r)
{
    const size_t len = json_string_length(value);
    if (!json_is_string(value) || len == 0 || len > LM_API_STOP_BYTES_MAX)
        return wrong_type(r, p->name, "strings of 1 to 256 bytes");
    r->request->stops[r->request->stop_count++] = copy(r, value);
    return true;
}

static bool read_stop(const struct param *p, const json_t *value, struct reading *r)
{
    if (json_is_string(value))
        return add_stop(p, value, r);
    if (!json_is_array(value) || json_array_size(value) > LM_API_STOPS_MAX)
        return wrong_type(r, p->name, "a string or a list of at most 4");
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!add_stop(p, json_array_get(value, i), r))
            return false;
    return true;
}

static bool read_stream_options(const struct param *p, const json_t *value, struct reading *r)
{
    if (!json_is_object(value))
        return wrong_type(r, p->name, "an object");
    const char *key;
    json_t *option;
    json_object_foreach((json_t *)value, key, option)
    {
        if (strcmp(key, "include_usage") != 0)
            return lm_fault_set(r->fault, LM_FAULT_UNKNOWN, p->name, "stream_options has only include_usage");
        if (!json_is_boolean(option))
            return wrong_type(r, "stream_options.include_usage", "true or false");
        r->request->include_usage = json_is_true(option);
    }
    r->request->has_stream_options = true;
    return true;
}

/* In completions a number of alternatives, and with it the wish for any. */
static bool read_logprob_count(const struct param *p, const json_t *value, struct reading *r)
{
    r->request->logprobs = true;
    return read_int(p, value, r);
}

static bool read_rating(const struct param *p, const json_t *value, struct reading *r)
{
    const char *word = json_string_value(value);
    if (!word)
        return read_int(p, value, r);
    if (strcmp(word, "up") != 0 && strcmp(word, "down") != 0)
        return wrong_type(r, p->name, "-1, 0, 1, \"up\" or \"down\"");
    r->request->rating = strcmp(word, "up") == 0 ? 1 : -1;
    return true;
}

/* Says nothing about the answer: who asks, how it is billed, what else could be stored. */
static bool ignore(const struct param *p, const json_t *value, struct reading *r)
{
    (void)p, (void)value, (void)r;
    return true;
}

/* Known to the API and not done here: only a value that asks for nothing is let through. */
static bool refuse(const struct param *p, const json_t *value, struct reading *r)
{
    const bool nothing = json_is_false(value) || (json_is_array(value) && json_array_size(value) == 0) ||
                         (json_is_object(value) && json_object_size(value) == 0) ||
                         (json_is_string(value) && json_string_length(value) == 0);
    return nothing || lm_fault_set(r->fault, LM_FAULT_UNSUPPORTED, p->name, "'%s' is not supported", p->name);
}

/* Keys are ids in decimal, as JSON has no other keys. */
static bool read_bias(const struct param *p, const json_t *value, struct reading *r)
{
    struct lm_api_request *q = r->request;
    if (!json_is_object(value) || json_object_size(value) > LM_LOGIT_BIAS_MAX)
        return wrong_type(r, p->name, "an object of at most 1024 token ids");
    q->bias = lm_arena_alloc(r->arena, json_object_size(value) * sizeof(*q->bias));
    const char *key;
    json_t *number;
    json_object_foreach((json_t *)value, key, number)
    {
        uint32_t id = 0;
        const size_t len = strlen(key);
        const bool decimal =
            len > 0 && len < 10 && strspn(key, "0123456789") == len && (*key != '0' || len == 1);
        for (size_t i = 0; decimal && i < len; i++)
            id = 10 * id + (uint32_t)(key[i] - '0');
        if (!decimal)
            return wrong_type(r, p->name, "an object whose keys are token ids");
        const double bias = json_number_value(number);
        if (!json_is_number(number) || !(bias >= p->min && bias <= p->max))
            return lm_fault_set(r->fault, LM_FAULT_VALUE, p->name,
                                "'%s' of id %u must be a number from %.0f to %.0f", p->name, id, p->min,
                                p->max);
        q->bias[q->bias_count++] = (struct lm_logit_bias){ id, bias };
    }
    return true;
}

/* The order of keys is kept: it is the order in which the answer will have them. */
static bool read_schema(const json_t *schema, struct reading *r)
{
    const char *place = "response_format.json_schema.schema";
    if (!json_is_object(schema) && !json_is_boolean(schema))
        return wrong_type(r, place, "a JSON schema");
    LM_FREE char *text = json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
    const size_t len = text ? strlen(text) : SIZE_MAX;
    if (len > LM_API_SCHEMA_BYTES_MAX)
        return wrong_type(r, place, "at most 256 KiB long");
    r->request->schema = (struct lm_str){ lm_arena_strndup(r->arena, text, len), len };
    return true;
}

/* name and description say nothing to us, and strict is what we always are. */
static bool read_json_schema(const struct param *p, const json_t *value, struct reading *r)
{
    if (!json_is_object(value) || !json_object_get(value, "schema"))
        return wrong_type(r, "response_format.json_schema", "an object with a schema");
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        const bool known = strcmp(key, "name") == 0 || strcmp(key, "description") == 0 ||
                           strcmp(key, "strict") == 0 || strcmp(key, "schema") == 0;
        if (!known)
            return lm_fault_set(r->fault, LM_FAULT_UNKNOWN, p->name, "json_schema has no '%.60s'", key);
    }
    return read_schema(json_object_get(value, "schema"), r);
}

static bool read_response_format(const struct param *p, const json_t *value, struct reading *r)
{
    struct lm_api_request *q = r->request;
    const char *type = json_string_value(json_object_get(value, "type"));
    const bool schema = type && strcmp(type, "json_schema") == 0;
    if (!schema && (!type || (strcmp(type, "text") != 0 && strcmp(type, "json_object") != 0)))
        return lm_fault_set(
            r->fault, LM_FAULT_UNSUPPORTED, p->name,
            "only the response formats \"text\", \"json_object\" and \"json_schema\" are supported");
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        if (strcmp(key, "type") != 0 && !(schema && strcmp(key, "json_schema") == 0))
            return lm_fault_set(r->fault, LM_FAULT_UNKNOWN, p->name,
                                "the response format \"%s\" has no '%.60s'", type, key);
    }
    q->constrained = strcmp(type, "text") != 0;
    q->constraint_kind = schema ? LM_CONSTRAINT_JSON_SCHEMA : LM_CONSTRAINT_JSON;
    return !schema || read_json_schema(p, json_object_get(value, "json_schema"), r);
}

/* ---- messages and prompts ---- */

/* A string, or parts of type text, which are joined. */
static bool read_content(const json_t *value, const char *place, struct reading *r, struct lm_str *ret)
{
    if (json_is_string(value)) {
        *ret = copy(r, value);
        return true;
    }
    if (!json_is_array(value))
        return wrong_type(r, place, "a string or a list of text parts");
    struct lm_buf joined = { 0 };
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *part = json_array_get(value, i), *text = json_object_get(part, "text");
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!type || strcmp(type, "text") != 0 || !json_is_string(text)) {
            lm_buf_release(&joined);
            return lm_fault_set(r->fault, LM_FAULT_UNSUPPORTED, place,
                                "only parts of type \"text\" are supported");
        }
        lm_buf_add(&joined, json_string_value(text), json_string_length(text));
    }
    *ret = (struct lm_str){ lm_arena_strndup(r->arena, lm_buf_str(&joined).ptr, joined.len), joined.len };
    lm_buf_release(&joined);
    return true;
}

/* Roles as clients name them, and as chat templates know them. */
static const struct {
    const char *name, *role;
} roles[] = {
    { "system", "system" },
    { "developer", "system" },
    { "user", "user" },
    { "assistant", "assistant" },
};

static bool read_message(const json_t *value, size_t index, struct reading *r)
{
    char place[LM_FAULT_PARAM_MAX];
    snprintf(place, sizeof(place), "messages[%zu]", index);
    if (!json_is_object(value))
        return wrong_type(r, place, "an object");
    struct lm_chat_message *message = &r->request->messages[index];
    const char *name = json_string_value(json_object_get(value, "role"));
    for (size_t i = 0; name && i < sizeof(roles) / sizeof(roles[0]); i++)
        if (strcmp(name, roles[i].name) == 0)
            message->role = lm_str(roles[i].role);
    snprintf(place, sizeof(place), "messages[%zu].role", index);
    if (message->role.len == 0)
        return wrong_type(r, place, "system, developer, user or assistant");
    const json_t *calls = json_object_get(value, "tool_calls");
    snprintf(place, sizeof(place), "messages[%zu].tool_calls", index);
    if (json_array_size(calls) > 0 || json_is_object(json_object_get(value, "function_call")))
        return lm_fault_set(r->fault, LM_FAULT_UNSUPPORTED, place, "tool calls are not supported");
    snprintf(place, sizeof(place), "messages[%zu].content", index);
    return read_content(json_object_get(value, "content"), place, r, &message->content);
}

static bool read_messages(const struct param *p, const json_t *value, struct reading *r)
{
    const size_t count = json_array_size(value);
    if (count == 0 || count > LM_MESSAGES_MAX)
        return wrong_type(r, p->name, "a list of 1 to 1024 messages");
    r->request->messages = lm_arena_alloc(r->arena, count * sizeof(*r->request->messages));
    r->request->message_count = count;
    for (size_t i = 0; i < count; i++)
        if (!read_message(json_array_get(value, i), i, r))
            return false;
    return true;
}

static bool read_query(const struct param *p, const json_t *value, struct reading *r)
{
    if (!read_text(p, value, r))
        return false;
    r->request->messages = lm_arena_alloc(r->arena, sizeof(*r->request->messages));
    r->request->message_count = 1;
    r->request->messages[0] = (struct lm_chat_message){ LM_STR("user"), r->request->text };
    return true;
}

static bool read_ids(const struct param *p, const json_t *list, struct reading *r)
{
    const size_t count = json_array_size(list);
    if (count > LM_TOKENS_MAX)
        return wrong_type(r, p->name, "shorter");
    r->request->ids = lm_arena_alloc(r->arena, count * sizeof(*r->request->ids));
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(list, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return wrong_type(r, p->name, "token ids without anything else between them");
        r->request->ids[i] = (uint32_t)json_integer_value(id);
    }
    r->request->id_count = count;
    return true;
}

/* A string, a list with one string, a list of ids, or a list with one list of ids. */
static bool read_prompt(const struct param *p, const json_t *value, struct reading *r)
{
    const json_t *first = json_array_get(value, 0);
    if (json_is_string(value))
        return read_text(p, value, r);
    if (!first)
        return wrong_type(r, p->name, "a string or a list of token ids");
    if (json_is_integer(first))
        return read_ids(p, value, r);
    if (json_array_size(value) > 1)
        return lm_fault_set(r->fault, LM_FAULT_UNSUPPORTED, p->name,
                            "only one prompt per request is supported");
    if (json_is_string(first))
        return read_text(p, first, r);
    return json_array_size(first) > 0 ? read_ids(p, first, r)
                                      : wrong_type(r, p->name, "a string or token ids");
}

/* ---- the table ---- */

/* To add a parameter: a field in struct lm_api_request and a row here. */
// clang-format off
static const struct param params[] = {
    { "model",    OPENAI | QUERY, OPENAI,     read_text,     AT(model),         1, LM_NAME_BYTES_MAX },
    { "messages", CHAT,           CHAT,       read_messages, .offset = 0 },
    { "prompt",   COMPLETION,     COMPLETION, read_prompt,   AT(text),          1, LM_TOKENS_MAX },
    { "query",    QUERY,          QUERY,      read_query,    AT(text),          1, LM_TOKENS_MAX },

    { "max_tokens",            OPENAI | QUERY, 0, read_int,  AT(max_tokens),         1, LM_TOKENS_MAX },
    { "max_completion_tokens", OPENAI, 0, read_int,          AT(max_tokens),         1, LM_TOKENS_MAX },
    { "n",                     OPENAI, 0, read_int,          AT(n),                  1, 1 },
    { "best_of",               COMPLETION, 0, read_int,      AT(best_of),            1, 1 },
    { "temperature",           OPENAI, 0, read_real,         AT(temperature),        0, 2 },
    { "top_p",                 OPENAI, 0, read_real,         AT(top_p),              0, 1 },
    { "min_p",                 OPENAI, 0, read_real,         AT(min_p),              0, 1 },
    { "top_k",                 OPENAI, 0, read_int,          AT(top_k),              0, LM_TOKENS_MAX },
    { "presence_penalty",      OPENAI, 0, read_real,         AT(presence_penalty),  -2, 2 },
    { "frequency_penalty",     OPENAI, 0, read_real,         AT(frequency_penalty), -2, 2 },
    { "repetition_penalty",    OPENAI, 0, read_real,         AT(repetition_penalty), 0.1, 10 },
    { "seed",                  OPENAI, 0, read_seed,         AT(seed),               0, 0 },
    { "stop",                  OPENAI, 0, read_stop,         .offset = 0 },
    { "stream",                OPENAI, 0, read_bool,         AT(stream),             0, 0 },
    { "stream_options",        OPENAI, 0, read_stream_options, .offset = 0 },
    { "logprobs",              CHAT, 0, read_bool,           AT(logprobs),           0, 0 },
    { "top_logprobs",          CHAT, 0, read_int,            AT(top_logprobs),       0, LM_API_TOP_LOGPROBS_MAX },
    { "logprobs",              COMPLETION, 0, read_logprob_count, AT(top_logprobs),  0, LM_API_TOP_LOGPROBS_MAX },

    { "response_format",       OPENAI, 0, read_response_format, .offset = 0 },
    { "logit_bias",            OPENAI, 0, read_bias,         .offset = 0, -LM_LOGIT_BIAS_VALUE_MAX, LM_LOGIT_BIAS_VALUE_MAX },

    { "tools",           CHAT, 0, refuse, .offset = 0 },
    { "functions",       CHAT, 0, refuse, .offset = 0 },
    { "audio",           CHAT, 0, refuse, .offset = 0 },
    { "echo",            COMPLETION, 0, refuse, .offset = 0 },
    { "suffix",          COMPLETION, 0, refuse, .offset = 0 },
    { "user",                OPENAI, 0, ignore, .offset = 0 },
    { "metadata",            OPENAI, 0, ignore, .offset = 0 },
    { "store",               OPENAI, 0, ignore, .offset = 0 },
    { "service_tier",        OPENAI, 0, ignore, .offset = 0 },
    { "safety_identifier",   OPENAI, 0, ignore, .offset = 0 },
    { "prompt_cache_key",    OPENAI, 0, ignore, .offset = 0 },
    { "tool_choice",         CHAT, 0, ignore, .offset = 0 },   // nothing to choose from
    { "parallel_tool_calls", CHAT, 0, ignore, .offset = 0 },

    { "answer",      FEEDBACK, 0, read_text,          AT(answer),     1, LM_NAME_BYTES_MAX },
    { "response_id", FEEDBACK, 0, read_text,          AT(answer),     1, LM_NAME_BYTES_MAX },
    { "rating",      FEEDBACK, FEEDBACK, read_rating, AT(rating),    -1, 1 },
    { "reason",      FEEDBACK, 0, read_text,          AT(reason),     0, LM_FEEDBACK_TEXT_MAX },
    { "correction",  FEEDBACK, 0, read_text,          AT(correction), 0, LM_FEEDBACK_TEXT_MAX },

    { "action",     ACCESS, ACCESS, read_text, AT(action),     1, LM_NAME_BYTES_MAX },
    { "user",       ACCESS, 0, read_text,      AT(user),       1, LM_NAME_BYTES_MAX },
    { "role",       ACCESS, 0, read_text,      AT(role),       1, LM_NAME_BYTES_MAX },
    { "prefix",     ACCESS, 0, read_text,      AT(prefix),     1, LM_NAME_BYTES_MAX },
    { "partitions", ACCESS, 0, read_words,     AT(partitions), 0, 65536 },
    { "accounts",   ACCESS, 0, read_words,     AT(accounts),   0, 65536 },
    { "expires_ms", ACCESS, 0, read_int,       AT(expires_ms), 0, 1e15 },
    { "tokens",     ACCESS, 0, read_int,       AT(tokens),     0, 1e15 },
};
// clang-format on
enum { PARAM_COUNT = sizeof(params) / sizeof(params[0]) };

static const struct param *find_param(enum lm_body_kind kind, const char *name)
{
    for (size_t i = 0; i < PARAM_COUNT; i++)
        if ((params[i].kinds & BIT(kind)) && strcmp(params[i].name, name) == 0)
            return &params[i];
    return NULL;
}

static bool unknown_param(enum lm_body_kind kind, const char *name, struct lm_fault *fault)
{
    enum { NEAR = 3 };
    const char *nearest = NULL;
    size_t best = NEAR + 1;
    for (size_t i = 0; i < PARAM_COUNT; i++) {
        const size_t distance = lm_str_distance(name, params[i].name);
        if ((params[i].kinds & BIT(kind)) && distance < best) {
            best = distance;
            nearest = params[i].name;
        }
    }
    if (nearest)
        return lm_fault_set(fault, LM_FAULT_UNKNOWN, name,
                            "there is no parameter '%.60s'; did you mean '%s'?", name, nearest);
    return lm_fault_set(fault, LM_FAULT_UNKNOWN, name, "there is no parameter '%.60s'", name);
}

/* What no row can say alone. */
static bool check_together(const struct lm_api_request *request, struct lm_fault *fault)
{
    if (request->top_logprobs > 0 && !request->logprobs)
        return lm_fault_set(fault, LM_FAULT_VALUE, "top_logprobs", "'top_logprobs' needs 'logprobs': true");
    if (request->has_stream_options && !request->stream)
        return lm_fault_set(fault, LM_FAULT_VALUE, "stream_options", "'stream_options' needs 'stream': true");
    if (request->kind == LM_BODY_FEEDBACK && request->answer.len == 0)
        return lm_fault_set(fault, LM_FAULT_MISSING, "answer",
                            "'answer' is missing: the id of the answer meant");
    return true;
}

static bool read_object(enum lm_body_kind kind, const json_t *root, struct reading *r)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)root, key, value)
    {
        const struct param *p = find_param(kind, key);
        if (!p)
            return unknown_param(kind, key, r->fault);
        if (!json_is_null(value) && !p->read(p, value, r))
            return false;
    }
    for (size_t i = 0; i < PARAM_COUNT; i++) {
        const json_t *given = json_object_get(root, params[i].name);
        if ((params[i].required & BIT(kind)) && (!given || json_is_null(given)))
            return lm_fault_set(r->fault, LM_FAULT_MISSING, params[i].name, "'%s' is missing",
                                params[i].name);
    }
    return check_together(r->request, r->fault);
}

bool lm_api_parse(enum lm_body_kind kind, struct lm_str body, struct lm_arena *arena,
                  struct lm_api_request *ret, struct lm_fault *fault)
{
    LM_ASSERT(kind > LM_BODY_NONE && kind < LM_BODY_COUNT);
    *ret = (struct lm_api_request){
        .kind = kind,
        .model = LM_STR(""),
        .text = LM_STR(""),
        .answer = LM_STR(""),
        .reason = LM_STR(""),
        .correction = LM_STR(""),
        .schema = LM_STR(""),
        .n = 1,
        .best_of = 1,
        .temperature = 1,
        .top_p = 1,
        .repetition_penalty = 1,
    };
    json_error_t error;
    json_t *root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!root)
        return lm_fault_set(fault, LM_FAULT_JSON, NULL, "the body is not JSON at byte %d: %s", error.position,
                            error.text);
    struct reading r = { .arena = arena, .request = ret, .fault = fault };
    const bool ok = json_is_object(root)
                        ? read_object(kind, root, &r)
                        : lm_fault_set(fault, LM_FAULT_JSON, NULL, "the body must be a JSON object");
    json_decref(root);
    return ok;
}

/* ---- what was written ---- */

static ptrdiff_t last_of_user(const struct lm_api_request *request)
{
    ptrdiff_t last = (ptrdiff_t)request->message_count - 1;
    while (last >= 0 && !lm_str_eq(request->messages[last].role, LM_STR("user")))
        last--;
    return last;
}

struct lm_str lm_api_question(const struct lm_api_request *request)
{
    const ptrdiff_t last = last_of_user(request);
    return last >= 0 ? request->messages[last].content : request->text;
}

struct lm_str lm_api_text(const struct lm_api_request *request, struct lm_arena *arena)
{
    if (request->message_count <= 1)
        return request->message_count ? request->messages[0].content : request->text;
    const ptrdiff_t last = last_of_user(request);
    struct lm_buf text = { 0 };
    if (last >= 0)
        lm_buf_add_str(&text, request->messages[last].content);
    for (ptrdiff_t i = 0; i < (ptrdiff_t)request->message_count; i++) {
        if (i == last)
            continue;
        lm_buf_putc(&text, '\n');
        lm_buf_add_str(&text, request->messages[i].content);
    }
    const struct lm_str copied = { lm_arena_strndup(arena, lm_buf_str(&text).ptr, text.len), text.len };
    lm_buf_release(&text);
    return copied;
}
