#ifndef LM_REVIEW_CURVE_H
#define LM_REVIEW_CURVE_H
/* review/curve.h - the course of a training run, from its metrics.jsonl: one object a step, keys step, loss,
 * lr, grad_norm, and at evaluations heldout_loss, heldout_bits_per_byte.  A private run has no loss, and
 * noisy_grad_norm; a run on preferences has margin and accuracy. */

#include "base/err.h"
#include "base/str.h"

struct lm_points {
    double *x, *y;
    size_t len, x_cap, y_cap;
};

/* Zero-initialised is empty. */
struct lm_curve {
    struct lm_points loss;           // nats per token (of preferences: per pair), at each step
    struct lm_points heldout;        // bits per byte
    struct lm_points heldout_loss;   // nats per token
    struct lm_points lr, grad_norm;
    struct lm_points margin, accuracy;   // of a run on preferences, whose loss is nats per pair
};

enum lm_rc lm_curve_parse(struct lm_str jsonl, const char *name, struct lm_curve *ret, struct lm_err *err);

/* Means over runs of *ret_run steps, so few that at most points_max are left. */
void lm_points_thin(struct lm_points *points, size_t points_max, size_t *ret_run);

void lm_curve_release(struct lm_curve *curve);

#endif
