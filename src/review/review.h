#ifndef LM_REVIEW_REVIEW_H
#define LM_REVIEW_REVIEW_H
/* review/review.h - the review of a model before anybody may deploy it: scores with signatures, gates, a
 * report a person reads with pleasure. */

#include "base/option.h"
#include "base/str.h"

struct lm_review_config {
    int64_t ngram_order;   // of the baseline
    int64_t answers_max;   // held-out questions generated per snapshot
    int64_t answer_tokens_max;
    double gate_bits_per_byte_ratio_max;   // held-out bits per byte: model / n-gram baseline
    double gate_answer_loss_ratio_max;     // held-out answer loss: snapshot / base; per snapshot
    double gate_answered_share_min;        // questions with an answer that is not empty; per snapshot
    int64_t heldout_tokens_max;            // beyond it every n-th document is scored
    int64_t resamples, seed;               // of the intervals
};
extern const struct lm_opt_table lm_review_options;

struct lm_review_snapshot {
    const char *name;     // in reports
    const char *dir;      // model folder
    const char *system;   // system message it was trained with; NULL: none
    const char *pairs;    // whose pairs it answers in pairs.jsonl; NULL: those of its name
};

struct lm_review_inputs {
    const char *title;        // of the report
    const char *base_dir;     // pre-trained model
    const char *tokens_dir;   // train.tokens (baseline), heldout.tokens
    const char *pairs_path;   // NULL: no answers are judged
    const struct lm_review_snapshot *snapshots;
    size_t snapshot_count;
    const char *const *extra_reports;   // report.json files of earlier stages (prepare), shown as tables
    size_t extra_count;
};

/* Writes review.json (scores, signatures, gates), answers.jsonl (question, reference, answer per snapshot)
 * and report.html (one self-contained file, SVG), and appends one JSON object of metrics.  *ret_passed tells
 * whether all gates passed: that they do not is a result, not an error.  May return LM_ESTOP. */
enum lm_rc lm_review(const struct lm_review_config *config, const struct lm_review_inputs *inputs,
                     const char *out_dir, struct lm_buf *metrics, bool *ret_passed, struct lm_err *err);

#endif
