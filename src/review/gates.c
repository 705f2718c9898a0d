/* review/gates.c - what a model must reach before anybody may deploy it. */

#include "base/mem.h"
#include "review/result.h"

#include <math.h>

static double bits_ratio(const struct lm_review_result *r, const struct lm_answers *a)
{
    (void)a;
    return r->heldout.ratio;
}

static double answer_loss_ratio(const struct lm_review_result *r, const struct lm_answers *a)
{
    (void)r;
    return a->questions.len > 0 ? a->loss.ratio : NAN;
}

static double answered_share(const struct lm_review_result *r, const struct lm_answers *a)
{
    (void)r;
    return a->questions.len > 0 ? (double)(a->questions.len - a->empty) / (double)a->questions.len : NAN;
}

/* To add a gate: its threshold in lm_review_config, a function above, a row here. */
#define AT(field) offsetof(struct lm_review_config, field)
static const struct {
    const char *name, *meaning;
    size_t threshold;   // offset of a double in the config
    bool at_least, per_snapshot;
    double (*value)(const struct lm_review_result *r, const struct lm_answers *a);
} gates[] = {
    { "bits-per-byte-ratio", "bits per byte of unseen text, model / n-gram baseline",
      AT(gate_bits_per_byte_ratio_max), .value = bits_ratio },
    { "answer-loss-ratio", "loss on unseen answers, fine-tuned / base model", AT(gate_answer_loss_ratio_max),
      .per_snapshot = true, .value = answer_loss_ratio },
    { "answered-share", "questions that get an answer at all", AT(gate_answered_share_min), .at_least = true,
      .per_snapshot = true, .value = answered_share },
};
#undef AT
enum { GATES = sizeof(gates) / sizeof(gates[0]) };

static void decide(struct lm_review_result *r, size_t gate, const struct lm_answers *a)
{
    const double threshold = *(const double *)((const char *)r->config + gates[gate].threshold);
    const double value = gates[gate].value(r, a);
    const struct lm_gate_result result = {
        .name = gates[gate].name,
        .meaning = gates[gate].meaning,
        .snapshot = a ? a->name : NULL,
        .value = value,
        .at_least = gates[gate].at_least,
        .threshold = threshold,
        .passed = gates[gate].at_least ? value >= threshold : value <= threshold,   // false for NaN
    };
    r->gates[r->gate_count++] = result;
    r->passed = r->passed && result.passed;
}

void lm_gates_decide(struct lm_review_result *r)
{
    r->gates = lm_zalloc(GATES * (r->snapshot_count + 1), sizeof(*r->gates));
    r->gate_count = 0;
    r->passed = true;
    for (size_t g = 0; g < GATES; g++)
        if (!gates[g].per_snapshot)
            decide(r, g, NULL);
    for (size_t s = 0; s < r->snapshot_count; s++)
        for (size_t g = 0; g < GATES; g++)
            if (gates[g].per_snapshot)
                decide(r, g, &r->snapshots[s]);
}
