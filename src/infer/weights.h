#ifndef LM_INFER_WEIGHTS_H
#define LM_INFER_WEIGHTS_H
/* infer/weights.h - a copy of a model's weights in panels, in the order in which a forward pass reads them.
 */

#include "infer/panels.h"
#include "model/model.h"

enum { LM_FFN_PANELS = 4 };

struct lm_layer_weights {
    const float *attn_norm, *ffn_norm;   // (C), then zeros up to whole panels
    const float *qkv;       // heads of Q, of K, of V; each begins a panel, zeros behind its D rows
    const float *wo;        // (C, H * D)
    const float *gate_up;   // LM_FFN_PANELS panels of the gate, the same of up, and so on; (2 F, C)
    const float *down;      // (C, F)
};

/* Owns the panels.  Zero-initialised is empty. */
struct lm_weights {
    float *packed;
    struct lm_layer_weights *layers;
    const float *norm, *head;   // (C), (V, C)
};

void lm_weights_init(struct lm_weights *w, const struct lm_model *model);
void lm_weights_release(struct lm_weights *w);

#endif
