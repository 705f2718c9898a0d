/* What the audit log says of a request.  No text of users or models: the prompt is there as its hash. */
#include "serve/exchange.h"

#include "base/json.h"
#include "base/sys.h"

static void put_strings(struct lm_buf *fields, const char *key, const char *const *items, size_t count)
{
    lm_json_key(fields, key);
    lm_buf_putc(fields, '[');
    for (size_t i = 0; i < count; i++) {
        lm_json_sep(fields);
        lm_json_str(fields, lm_str(items[i]));
    }
    lm_buf_putc(fields, ']');
}

static void put_text(struct lm_buf *fields, const char *key, struct lm_str text)
{
    if (text.len)
        lm_json_key_str(fields, key, text);
}

static bool append(struct lm_exchange *x, const char *type, struct lm_buf *fields)
{
    struct lm_err err = { 0 };
    uint64_t seq = 0;
    LM_ASSERT(fields->len > 2);
    const struct lm_str inside = { fields->ptr + 1,
                                   fields->len - 1 };   // the opening brace was for lm_json_key
    const enum lm_rc rc = lm_audit_append(x->server->audit, type, inside, &seq, &err);
    lm_buf_release(fields);
    if (rc == LM_OK) {
        lm_metric_add(x->server->metrics, LM_METRIC_AUDIT_RECORDS, NULL, NULL, 1);
        return true;
    }
    lm_warn("request %s: %s", x->id, err.text);
    return lm_fault_set(&x->fault, LM_FAULT_AUDIT, NULL,
                        "the decision on this request could not be recorded, so it is not answered");
}

static void put_caller(const struct lm_exchange *x, struct lm_buf *fields)
{
    lm_buf_putc(fields, '{');
    if (x->decision.rule == LM_RULE_ALLOW)   // `loom trace` finds the decision on an answer by this
        put_text(fields, "answer", lm_str(x->answer_id));
    lm_json_key_str(fields, "request", lm_str(x->id));
    lm_json_key_str(fields, "user", lm_str(x->subject.user));
    lm_json_key_str(fields, "role", lm_str(x->subject.role));
    lm_json_key_str(fields, "key", lm_str(x->subject.key_prefix));
}

static void put_decision(const struct lm_exchange *x, struct lm_buf *fields)
{
    const struct lm_decision *d = &x->decision;
    lm_json_key_str(fields, "method", lm_str(x->method));
    lm_json_key_str(fields, "path", lm_str(x->route ? x->route->path : ""));
    lm_json_key_str(fields, "route", lm_str(d->route));
    lm_json_key_str(fields, "rule", lm_str(lm_rule_names[d->rule]));
    put_text(fields, "intent", lm_str(d->intent));
    put_text(fields, "scope", lm_str(d->scope));
    put_text(fields, "resource", lm_str(d->resource));
    put_text(fields, "detail", lm_str(d->detail));
    put_strings(fields, "subjects", d->subjects, d->subject_count);
    put_strings(fields, "obligations", d->obligations, d->obligation_count);
    lm_json_key_str(fields, "policy", lm_str(lm_policy_digest(x->server->policy)));
}

/* What an answer depends on: with it, the same tokens can be made again. */
static void put_generation(const struct lm_exchange *x, struct lm_buf *fields)
{
    lm_json_key_str(fields, "model", lm_str(x->model->name));
    lm_json_key_str(fields, "artifact", lm_str(x->model->artifact));
    if (!x->answer_id[0])
        return;
    lm_json_key_str(fields, "prompt_sha256", lm_str(x->prompt_sha256));
    lm_json_key_int(fields, "prompt_tokens", (int64_t)x->prompt.len);
    lm_json_key_int(fields, "max_tokens", (int64_t)x->sampling.max_tokens);
    lm_json_key_num(fields, "temperature", x->sampling.temperature);
    char seed[24];   // as text: 64 bits do not survive every JSON reader
    snprintf(seed, sizeof(seed), "%llu", (unsigned long long)x->sampling.seed);
    lm_json_key_str(fields, "seed", lm_str(seed));
}

bool lm_record_decision(struct lm_exchange *x)
{
    struct lm_buf fields = { 0 };
    put_caller(x, &fields);
    put_decision(x, &fields);
    if (x->model)
        put_generation(x, &fields);
    put_text(&fields, "action", x->request.action);
    put_text(&fields, "about",
             x->request.kind == LM_BODY_FEEDBACK ? x->request.answer
             : x->request.user.len               ? x->request.user
                                                 : x->request.prefix);
    lm_metric_add(x->server->metrics, LM_METRIC_DECISIONS, lm_rule_names[x->decision.rule], NULL, 1);
    return append(x, "decision", &fields);
}

bool lm_record_answer(struct lm_exchange *x, const char *finish, const struct lm_generation_facts *facts)
{
    char sha256[LM_SHA256_HEX];
    lm_sha256_hex(lm_generation_all_text(x->generation), sha256);
    struct lm_buf fields = { 0 };
    put_caller(x, &fields);
    lm_json_key_str(&fields, "finish", lm_str(finish));
    lm_json_key_str(&fields, "filter", lm_str(lm_filter_result_names[facts->filter]));
    lm_json_key_int(&fields, "prompt_tokens", (int64_t)facts->prompt_tokens);
    lm_json_key_int(&fields, "completion_tokens", (int64_t)facts->completion_tokens);
    lm_json_key_str(&fields, "answer_sha256", lm_str(sha256));
    return append(x, "answer", &fields);
}
