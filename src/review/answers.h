#ifndef LM_REVIEW_ANSWERS_H
#define LM_REVIEW_ANSWERS_H
/* review/answers.h - what a snapshot answers to its held-out questions, and how well. */

#include "infer/engine.h"
#include "model/fingerprint.h"
#include "review/bootstrap.h"
#include "review/questions.h"
#include "review/review.h"

/* Scores of answers, in the order of the report.  To add one: a row in answers.c. */
struct lm_answer_metric {
    const char *metric;   // in lm_metrics
    const char *title, *meaning;
};
enum { LM_ANSWER_METRICS = 6 };
extern const struct lm_answer_metric lm_answer_metrics[LM_ANSWER_METRICS];

struct lm_answer {
    struct lm_buf text;
    bool cut;         // ended by the limit of tokens, not by the model
    double rouge_l;   // against the reference
};

/* Mean over all answer tokens of -ln P, given the question. */
struct lm_answer_loss {
    double snapshot, base, ratio;   // ratio: snapshot / base
    struct lm_interval snapshot_interval, base_interval, ratio_interval;
    uint64_t tokens;
    char signature[LM_SIGNATURE_MAX];
};

/* Owns questions and answers.  Without questions all else is empty. */
struct lm_answers {
    const char *name;
    char fingerprint[LM_SHA256_HEX];   // of the model that answered; "" without questions
    struct lm_questions questions;
    struct lm_answer *items;   // [questions.len]
    size_t empty, cut;
    struct lm_metric_score scores[LM_ANSWER_METRICS];
    struct lm_answer_loss loss;
};

/* A model with what is needed to talk to it. */
struct lm_speaker {
    struct lm_model model;
    struct lm_tokenizer *tokenizer;
    char fingerprint[LM_SHA256_HEX];   // model/fingerprint.h
};
enum lm_rc lm_speaker_load(struct lm_speaker *ret, const char *path, struct lm_err *err);
void lm_speaker_release(struct lm_speaker *s);

/* LM_EINVAL when snapshot and base do not share a tokenizer: their losses could not be compared. */
enum lm_rc lm_answers_judge(const struct lm_review_config *config, const struct lm_speaker *base,
                            const struct lm_review_snapshot *snapshot, const char *pairs_path,
                            struct lm_answers *ret, struct lm_err *err);
void lm_answers_release(struct lm_answers *a);

#endif
