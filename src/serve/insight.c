/* What developers, analysts and end-users may know without asking a model: facts and aggregates, no records.
 * A figure about people is shown when at least the policy's number of them stands behind it. */
#include "serve/handlers.h"

#include "base/json.h"
#include "govern/policy.h"
#include "model/hf_config.h"
#include "serve/exchange.h"
#include "store/artifact.h"

#include <jansson.h>

/* ---- /modelDetails ---- */

static void put_details(struct lm_buf *ret, const struct lm_served *m)
{
    char sha256[LM_SHA256_HEX];
    lm_hex(lm_tokenizer_sha256(m->tokenizer), LM_SHA256_BYTES, sha256);
    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "name", lm_str(m->name));
    lm_json_key_str(ret, "artifact", lm_str(m->artifact));
    lm_json_key_int(ret, "parameters", (int64_t)lm_model_parameters(&m->model.config));
    lm_json_key_str(ret, "tokenizer_sha256", lm_str(sha256));
    lm_json_key(ret, "config");
    lm_hf_config_json(&m->model.config, lm_model_at(&m->model, LM_T_BO, 0)->data,
                      lm_types[lm_model_at(&m->model, LM_T_WQ, 0)->type].name, ret);
    lm_buf_putc(ret, '}');
}

void lm_handle_model_details(struct lm_exchange *x)
{
    lm_buf_puts(&x->reply.body, "{\"models\":[");
    for (size_t i = 0; i < x->server->model_count; i++)
        if (lm_exchange_may_see(x, &x->server->models[i]))
            put_details(&x->reply.body, &x->server->models[i]);
    lm_buf_puts(&x->reply.body, "]}");
}

/* ---- /trainingDataInsights ---- */

/* Numbers only: a text among the metrics of a stage could be one of the training set. */
static void put_numbers(struct lm_buf *ret, const json_t *object)
{
    const char *key;
    json_t *value;
    lm_buf_putc(ret, '{');
    json_object_foreach((json_t *)object, key, value)
    {
        if (!json_is_number(value) && !json_is_object(value))
            continue;
        lm_json_key(ret, key);
        if (json_is_object(value))
            put_numbers(ret, value);
        else if (json_is_integer(value))
            lm_json_int(ret, json_integer_value(value));
        else
            lm_json_num(ret, json_real_value(value));
    }
    lm_buf_putc(ret, '}');
}

/* The stages that made a model, as far as their artifacts are here: the model first, then what went into it.
 */
static void put_training(struct lm_exchange *x, const struct lm_served *m)
{
    enum { STAGES_MAX = 32 };
    struct lm_buf *ret = &x->reply.body;
    struct lm_artifact steps[STAGES_MAX];
    size_t count = 0;
    if (m->artifact[0] &&
        lm_artifact_load(x->server->state_dir, m->artifact, &x->arena, &steps[0], NULL) == LM_OK)
        count = 1;
    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "model", lm_str(m->name));
    lm_json_key(ret, "stages");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < count; i++) {
        json_t *metrics = json_loadb(steps[i].metrics.ptr, steps[i].metrics.len, 0, NULL);
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_str(ret, "stage", lm_str(steps[i].stage));
        lm_json_key_str(ret, "artifact", lm_str(steps[i].id));
        lm_json_key(ret, "metrics");
        put_numbers(ret, metrics);
        lm_buf_putc(ret, '}');
        json_decref(metrics);
        for (size_t k = 0; k < steps[i].input_count && count < STAGES_MAX; k++) {
            const struct lm_artifact_input *input = &steps[i].inputs[k];
            bool known = strcmp(input->role, "source") == 0;
            for (size_t j = 0; j < count; j++)
                known |= strcmp(steps[j].id, input->id) == 0;
            if (!known &&
                lm_artifact_load(x->server->state_dir, input->id, &x->arena, &steps[count], NULL) == LM_OK)
                count++;
        }
    }
    lm_buf_puts(ret, "]}");
}

void lm_handle_training(struct lm_exchange *x)
{
    lm_buf_puts(&x->reply.body, "{\"models\":[");
    for (size_t i = 0; i < x->server->model_count; i++)
        if (lm_exchange_may_see(x, &x->server->models[i]))
            put_training(x, &x->server->models[i]);
    lm_buf_puts(&x->reply.body, "]}");
}

/* ---- /debuggingTools ---- */

static bool is_large_enough(const struct lm_exchange *x, size_t persons)
{
    return persons >= (size_t)x->server->policy->min_cohort;
}

static void put_group(struct lm_exchange *x, const char *rule, struct lm_trace_group group, size_t *hidden)
{
    struct lm_buf *ret = &x->reply.body;
    if (!is_large_enough(x, group.persons)) {
        *hidden += group.requests > 0;
        return;
    }
    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "rule", lm_str(rule));
    lm_json_key_int(ret, "requests", (int64_t)group.requests);
    lm_json_key_num(ret, "seconds_p50", group.p50_s);
    lm_json_key_num(ret, "seconds_p95", group.p95_s);
    lm_buf_putc(ret, '}');
}

void lm_handle_debugging(struct lm_exchange *x)
{
    struct lm_buf *ret = &x->reply.body;
    size_t hidden = 0;
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "window_requests", LM_TRACES_MAX);
    lm_json_key(ret, "groups");
    lm_buf_putc(ret, '[');
    put_group(x, "all", lm_trace_ring_group(x->server->traces, LM_RULE_COUNT), &hidden);
    for (enum lm_rule rule = 0; rule < LM_RULE_COUNT; rule++)
        put_group(x, lm_rule_names[rule], lm_trace_ring_group(x->server->traces, rule), &hidden);
    lm_buf_putc(ret, ']');
    lm_json_key_int(ret, "hidden_groups", (int64_t)hidden);
    lm_json_key_int(ret, "persons_min", x->server->policy->min_cohort);
    lm_buf_putc(ret, '}');
}

/* ---- /resultAnalysis ---- */

/* Read only; monitor owns the tables. */
// clang-format off
static const char ratings_sql[] =
    "SELECT a.model, COUNT(DISTINCT f.username), COUNT(*),"
    " SUM(CASE f.rating WHEN 1 THEN 1 ELSE 0 END), SUM(CASE f.rating WHEN 0 THEN 1 ELSE 0 END),"
    " SUM(CASE f.rating WHEN -1 THEN 1 ELSE 0 END), SUM(CASE f.correction WHEN '' THEN 0 ELSE 1 END)"
    " FROM feedback f JOIN answers a ON a.id = f.answer GROUP BY a.model ORDER BY a.model";
// clang-format on

static void put_ratings(struct lm_buf *ret, struct lm_db_rows *rows)
{
    static const char *const names[] = { "answers", "up", "neutral", "down", "corrected" };
    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "model", lm_db_text(rows, 0));
    for (int i = 0; i < 5; i++)
        lm_json_key_int(ret, names[i], lm_db_int(rows, 2 + i));
    lm_buf_putc(ret, '}');
}

void lm_handle_results(struct lm_exchange *x)
{
    struct lm_err err = { 0 };
    struct lm_buf *ret = &x->reply.body;
    struct lm_db_rows *rows = NULL;
    size_t hidden = 0;
    struct lm_db *db = lm_server_db(x->server, &err);
    enum lm_rc rc = db ? lm_db_query(db, &rows, &err, ratings_sql, "") : err.rc;
    lm_buf_puts(ret, "{\"models\":[");
    while (rc == LM_OK && (rc = lm_db_next(rows, &err)) == LM_OK) {
        if (is_large_enough(x, (size_t)lm_db_int(rows, 1)))
            put_ratings(ret, rows);
        else
            hidden++;
    }
    lm_db_end(rows);
    if (db)
        lm_server_db_give(x->server, db);
    if (rc != LM_ENOTHING) {
        (void)lm_exchange_failed(x, &err);
        return;
    }
    lm_buf_putc(ret, ']');
    lm_json_key_int(ret, "hidden_models", (int64_t)hidden);
    lm_json_key_int(ret, "persons_min", x->server->policy->min_cohort);
    lm_buf_putc(ret, '}');
}

/* ---- /help ---- */

void lm_handle_help(struct lm_exchange *x)
{
    static const char text[] = "Ask with POST /simpleQuery {\"query\": \"...\"}. Questions may be about the "
                               "documents this assistant was "
                               "trained on, about its use, and about your own records; records of others are "
                               "not available. An answer can "
                               "be wrong: judge it with POST /v1/feedback {\"answer\": \"<id>\", \"rating\": "
                               "\"up\" or \"down\"}. Every "
                               "request is decided by a policy and recorded.";
    struct lm_buf *ret = &x->reply.body;
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "help", lm_str(text));
    lm_json_key(ret, "agreement");
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "accepted", x->subject.agreement_version);
    lm_json_key_int(ret, "required", x->subject.agreement_required);
    lm_buf_puts(ret, "}}");
}
