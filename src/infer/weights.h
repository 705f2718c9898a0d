#ifndef LM_INFER_WEIGHTS_H
#define LM_INFER_WEIGHTS_H
/* infer/weights.h - a copy of a model's weights, packed as a forward pass reads them.
 *
 * Vectors are floats with zeros up to whole panels; NULL where the model has none. */

#include "infer/matrix.h"
#include "infer/team.h"

struct lm_layer_weights {
    const float *attn_norm, *attn_norm_bias, *ffn_norm, *ffn_norm_bias;   // (C)
    const float *q_norm, *k_norm;                                         // (D)
    struct lm_matrix q, k, v;                                             // a head begins a panel
    struct lm_matrix o;                                                   // (C, H D)
    struct lm_matrix gate, up;   // (F, C); gate without panels when the model is not gated
    struct lm_matrix down;       // (C, F)
};

/* Owns the panels.  Zero-initialised is empty. */
struct lm_weights {
    struct lm_layer_weights *layers;
    const float *embed_norm, *embed_norm_bias, *norm, *norm_bias;   // (C)
    struct lm_matrix head;                                          // (V, C); no panels in an encoder
    void *panels;
    size_t panels_bytes;
    float *vectors;
};

/* The team packs; LM_ENOMEM when there is no room for the copy. */
enum lm_rc lm_weights_init(struct lm_weights *w, const struct lm_model *model, struct lm_team *team,
                           struct lm_err *err);
void lm_weights_release(struct lm_weights *w);

#endif
