/* Health and metrics, and the routes that every role has. */
#include "serve/handlers.h"

#include "base/json.h"
#include "base/sys.h"
#include "monitor/feedback.h"
#include "serve/exchange.h"

/* ---- for balancers and dashboards ---- */

void lm_handle_health(struct lm_exchange *x)
{
    if (atomic_load(&x->server->phase) == LM_PHASE_SERVING)
        lm_buf_puts(&x->reply.body, "{\"status\":\"ready\"}");
    else
        (void)lm_fault_set(&x->fault, LM_FAULT_DRAINING, NULL, "this server is about to stop");
}

void lm_handle_livez(struct lm_exchange *x)
{
    lm_buf_puts(&x->reply.body, "{\"status\":\"alive\"}");
}

void lm_handle_metrics(struct lm_exchange *x)
{
    x->reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
    lm_server_gauges(x->server);
    lm_metrics_text(x->server->metrics, &x->reply.body);
}

/* ---- OpenAI's list of models: those the caller may see ---- */

static void put_model(struct lm_buf *ret, const struct lm_served *model)
{
    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "id", lm_str(model->name));
    lm_json_key_str(ret, "object", LM_STR("model"));
    lm_json_key_int(ret, "created", 0);
    lm_json_key_str(ret, "owned_by", LM_STR("loom"));
    lm_json_key_int(ret, "max_model_len", model->model.config.context);
    lm_buf_putc(ret, '}');
}

void lm_handle_models(struct lm_exchange *x)
{
    lm_buf_puts(&x->reply.body, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < x->server->model_count; i++)
        if (lm_exchange_may_see(x, &x->server->models[i]))
            put_model(&x->reply.body, &x->server->models[i]);
    lm_buf_puts(&x->reply.body, "]}");
}

void lm_handle_model(struct lm_exchange *x)
{
    const struct lm_served *model = lm_server_find(x->server, x->path_id);
    if (model && lm_exchange_may_see(x, model))
        put_model(&x->reply.body, model);
    else
        (void)lm_fault_set(&x->fault, LM_FAULT_MODEL, "model", "there is no model '%.*s'",
                           (int)(x->path_id.len < 100 ? x->path_id.len : 100), x->path_id.ptr);
}

/* ---- feedback ---- */

static void set_feedback_fault(struct lm_exchange *x, enum lm_rc rc, const struct lm_err *err)
{
    static const char unknown[] = "no answer with this id was given to you";
    if (rc == LM_ENOENT || rc == LM_EDENIED)   // whether another user has it is nobody's business
        (void)lm_fault_set(&x->fault, LM_FAULT_SUBJECT, "answer", unknown);
    else
        (void)lm_exchange_failed(x, err);
}

void lm_handle_feedback(struct lm_exchange *x)
{
    static const char *const names[] = { "down", "neutral", "up" };
    const struct lm_api_request *r = &x->request;
    const struct lm_feedback feedback = {
        .answer = r->answer.ptr,
        .user = x->subject.user,
        .rating = (int)r->rating,
        .reason = r->reason,
        .correction = r->correction,
    };
    struct lm_err err = { 0 };
    struct lm_db *db = lm_server_db(x->server, &err);
    const enum lm_rc rc = db ? lm_feedback_add(db, &feedback, lm_wall_ms(), &err) : err.rc;
    if (db)
        lm_server_db_give(x->server, db);
    if (rc != LM_OK) {
        set_feedback_fault(x, rc, &err);
        return;
    }
    lm_metric_add(x->server->metrics, LM_METRIC_FEEDBACK, names[r->rating + 1], NULL, 1);
    lm_buf_putc(&x->reply.body, '{');
    lm_json_key_str(&x->reply.body, "answer", r->answer);
    lm_json_key_int(&x->reply.body, "rating", r->rating);
    lm_buf_putc(&x->reply.body, '}');
}
