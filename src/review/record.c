/* review/record.c - a review for programs: review.json, answers.jsonl, the metrics of the stage. */

#include "base/json.h"
#include "base/line.h"
#include "review/result.h"

static void open_object(struct lm_buf *ret, const char *key)
{
    if (key)
        lm_json_key(ret, key);
    else
        lm_json_sep(ret);
    lm_buf_putc(ret, '{');
}

static void add_interval(struct lm_buf *ret, double value, struct lm_interval interval, const char *signature)
{
    lm_json_key_num(ret, "value", value);
    lm_json_key_num(ret, "low", interval.low);
    lm_json_key_num(ret, "high", interval.high);
    if (signature)
        lm_json_key_str(ret, "signature", lm_str(signature));
    lm_buf_putc(ret, '}');
}

static void add_gates(const struct lm_review_result *r, struct lm_buf *ret)
{
    lm_json_key(ret, "gates");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < r->gate_count; i++) {
        const struct lm_gate_result *g = &r->gates[i];
        open_object(ret, NULL);
        lm_json_key_str(ret, "name", lm_str(g->name));
        if (g->snapshot)
            lm_json_key_str(ret, "snapshot", lm_str(g->snapshot));
        lm_json_key_num(ret, "value", g->value);
        lm_json_key_str(ret, "rule", lm_str(g->at_least ? "at least" : "at most"));
        lm_json_key_num(ret, "threshold", g->threshold);
        lm_json_key_bool(ret, "passed", g->passed);
        lm_buf_putc(ret, '}');
    }
    lm_buf_putc(ret, ']');
}

static void add_heldout_score(const char *key, const struct lm_heldout_score *s, struct lm_buf *ret)
{
    open_object(ret, key);
    lm_json_key_num(ret, "perplexity_per_token", s->perplexity);
    open_object(ret, "bits_per_byte");
    add_interval(ret, s->bits_per_byte, s->bits_interval, s->signature);
    lm_buf_putc(ret, '}');
}

static void add_heldout(const struct lm_heldout_result *h, struct lm_buf *ret)
{
    open_object(ret, "heldout");
    lm_json_key_int(ret, "documents", (int64_t)h->documents);
    lm_json_key_int(ret, "documents_total", (int64_t)h->documents_total);
    lm_json_key_int(ret, "tokens", (int64_t)h->model.sum.tokens);
    lm_json_key_int(ret, "bytes", (int64_t)h->model.sum.bytes);
    add_heldout_score("model", &h->model, ret);
    add_heldout_score("baseline", &h->baseline, ret);
    open_object(ret, "ratio");
    add_interval(ret, h->ratio, h->ratio_interval, NULL);
    lm_buf_putc(ret, '}');
}

static void add_answers(const struct lm_answers *a, struct lm_buf *ret)
{
    open_object(ret, NULL);
    lm_json_key_str(ret, "name", lm_str(a->name));
    lm_json_key_int(ret, "questions", (int64_t)a->questions.len);
    lm_json_key_int(ret, "questions_total", (int64_t)a->questions.total);
    if (a->questions.len > 0) {
        lm_json_key_int(ret, "empty", (int64_t)a->empty);
        lm_json_key_int(ret, "cut", (int64_t)a->cut);
        lm_json_key(ret, "scores");
        lm_buf_putc(ret, '[');
        for (size_t m = 0; m < LM_ANSWER_METRICS; m++)
            lm_metric_score_json(lm_answer_metrics[m].metric, &a->scores[m], ret);
        lm_buf_putc(ret, ']');
        open_object(ret, "answer_loss");
        add_interval(ret, a->loss.snapshot, a->loss.snapshot_interval, a->loss.signature);
        open_object(ret, "answer_loss_of_base");
        add_interval(ret, a->loss.base, a->loss.base_interval, a->loss.signature);
        open_object(ret, "answer_loss_ratio");
        add_interval(ret, a->loss.ratio, a->loss.ratio_interval, NULL);
    }
    lm_buf_putc(ret, '}');
}

/* Which models the verdict is about, by their bytes. */
static void add_judged(const char *role, const char *name, const char *fingerprint, struct lm_buf *ret)
{
    if (!fingerprint[0])
        return;
    open_object(ret, NULL);
    lm_json_key_str(ret, "role", lm_str(role));
    lm_json_key_str(ret, "name", lm_str(name));
    lm_json_key_str(ret, "sha256", lm_str(fingerprint));
    lm_buf_putc(ret, '}');
}

void lm_record_review(const struct lm_review_result *r, struct lm_buf *ret)
{
    open_object(ret, NULL);
    lm_json_key_str(ret, "title", lm_str(r->inputs->title));
    lm_json_key_bool(ret, "passed", r->passed);
    add_gates(r, ret);
    lm_json_key(ret, "judged");
    lm_buf_putc(ret, '[');
    add_judged("base", r->inputs->title, r->base_fingerprint, ret);
    for (size_t i = 0; i < r->snapshot_count; i++)
        add_judged("snapshot", r->snapshots[i].name, r->snapshots[i].fingerprint, ret);
    lm_buf_putc(ret, ']');
    lm_json_key(ret, "options");
    lm_opt_to_json(&lm_review_options, r->config, true, ret);
    lm_json_key_int(ret, "parameters", (int64_t)r->base_parameters);
    add_heldout(&r->heldout, ret);
    lm_json_key(ret, "snapshots");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < r->snapshot_count; i++)
        add_answers(&r->snapshots[i], ret);
    lm_buf_puts(ret, "]}\n");
}

void lm_record_metrics(const struct lm_review_result *r, struct lm_buf *ret)
{
    open_object(ret, NULL);
    lm_json_key_bool(ret, "passed", r->passed);
    lm_json_key_num(ret, "bits_per_byte", r->heldout.model.bits_per_byte);
    lm_json_key_num(ret, "baseline_bits_per_byte", r->heldout.baseline.bits_per_byte);
    lm_json_key_num(ret, "perplexity_per_token", r->heldout.model.perplexity);
    open_object(ret, "snapshots");
    for (size_t i = 0; i < r->snapshot_count; i++) {
        const struct lm_answers *a = &r->snapshots[i];
        open_object(ret, a->name);
        lm_json_key_int(ret, "questions", (int64_t)a->questions.len);
        for (size_t m = 0; a->questions.len > 0 && m < LM_ANSWER_METRICS; m++)
            lm_json_key_num(ret, lm_answer_metrics[m].metric, a->scores[m].value);
        if (a->questions.len > 0)
            lm_json_key_num(ret, "answer_loss_ratio", a->loss.ratio);
        lm_buf_putc(ret, '}');
    }
    lm_buf_puts(ret, "}}");
}

enum lm_rc lm_record_answers(const struct lm_review_result *r, const char *path, struct lm_err *err)
{
    struct lm_line_writer *w = NULL;
    LM_TRY(lm_line_create(path, &w, err));
    struct lm_buf line = { 0 };
    enum lm_rc rc = LM_OK;
    for (size_t s = 0; s < r->snapshot_count; s++) {
        const struct lm_answers *a = &r->snapshots[s];
        for (size_t i = 0; i < a->questions.len && rc == LM_OK; i++) {
            lm_buf_reset(&line);
            lm_buf_putc(&line, '{');
            lm_json_key_str(&line, "snapshot", lm_str(a->name));
            lm_json_key_str(&line, "id", a->questions.items[i].id);
            lm_json_key_str(&line, "question", a->questions.items[i].text);
            lm_json_key_str(&line, "reference", a->questions.items[i].reference);
            lm_json_key_str(&line, "answer", lm_buf_str(&a->items[i].text));
            lm_json_key_num(&line, "rouge-l", a->items[i].rouge_l);
            lm_json_key_bool(&line, "cut", a->items[i].cut);
            lm_buf_putc(&line, '}');
            rc = lm_line_add(w, lm_buf_str(&line), err);
        }
    }
    lm_buf_release(&line);
    if (rc == LM_OK)
        return lm_line_commit(w, err);
    lm_line_abort(w);
    return rc;
}
