#ifndef LM_REVIEW_RESULT_H
#define LM_REVIEW_RESULT_H
/* review/result.h - all that a review found; what review.json and report.html are written from.  Internal. */

#include "review/answers.h"
#include "review/heldout.h"

struct lm_gate_result {
    const char *name, *meaning;
    const char *snapshot;   // NULL: of the base model
    double value;           // NaN: could not be measured, and so did not pass
    bool at_least;          // else at most
    double threshold;
    bool passed;
};

struct lm_review_result {
    const struct lm_review_config *config;
    const struct lm_review_inputs *inputs;
    struct lm_model_config base;
    size_t base_parameters;
    char base_fingerprint[LM_SHA256_HEX];
    double train_bytes_per_token;   // turns training loss into bits per byte
    struct lm_heldout_result heldout;
    struct lm_answers *snapshots;
    size_t snapshot_count;
    struct lm_gate_result *gates;
    size_t gate_count;
    bool passed;
};

/* ---- review/gates.c ---- */
void lm_gates_decide(struct lm_review_result *r);   // fills gates, gate_count, passed; free(gates)

/* ---- review/record.c ---- */
void lm_record_review(const struct lm_review_result *r, struct lm_buf *ret);    // review.json
void lm_record_metrics(const struct lm_review_result *r, struct lm_buf *ret);   // one flat object
enum lm_rc lm_record_answers(const struct lm_review_result *r, const char *path, struct lm_err *err);

/* ---- review/report.c ---- */
enum lm_rc lm_report_html(const struct lm_review_result *r, struct lm_buf *ret, struct lm_err *err);

#endif
