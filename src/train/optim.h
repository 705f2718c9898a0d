#ifndef LM_TRAIN_OPTIM_H
#define LM_TRAIN_OPTIM_H
/* train/optim.h - one update of all parameters: clipping, learning rate, AdamW, Muon.
 *
 * Muon moves the matrices inside the layers by their momentum made orthogonal (train/muon.c); embedding, head
 * and norms are AdamW's in both cases.  Weight decay acts on matrices only.
 *
 * With several ranks each keeps the moments of its slices only, updates them and gets the others' parameters
 * (train/slices.h); the bits are those of one rank. */

#include "model/llama.h"
#include "tensor/gemm.h"
#include "train/net.h"
#include "train/slices.h"

enum lm_optimizer { LM_OPTIMIZER_ADAMW, LM_OPTIMIZER_MUON };

/* The learning rate as a share of its peak.  It rises in a straight line over the warm-up, then
 *     cosine     falls along half a cosine to the last step;
 *     WSD        stays, and falls in a straight line over the last decay_steps (Hu et al. 2024,
 *                arXiv:2404.06395: warm-up, stable, decay);
 *     constant   stays.
 * What falls ends, at the last step, at lr_end_share. */
enum lm_schedule { LM_SCHEDULE_COSINE, LM_SCHEDULE_WSD, LM_SCHEDULE_CONSTANT };
extern const char *const lm_schedules[];   // NULL-terminated

struct lm_optim_config {
    enum lm_optimizer optimizer;
    double lr, matrix_lr;   // AdamW's peak; Muon's
    double weight_decay, beta1, beta2, adam_eps;
    double clip;   // largest norm of the gradient; 0: no clipping
    enum lm_schedule schedule;
    uint64_t steps, warmup_steps;
    uint64_t decay_steps;   // of WSD; 0: a fifth of steps
    double lr_end_share;    // of the peak, at the last step
};

/* Share of the peak learning rate at a step (0-based). */
double lm_lr_share(const struct lm_optim_config *config, uint64_t step);

struct lm_muon;

struct lm_optim {
    struct lm_optim_config config;
    struct lm_llama *model;   // borrowed
    struct lm_lora *lora;     // borrowed; what is trained instead, by AdamW; NULL: none
    float *params;            // of the one or the other
    size_t count;
    float *m, *v;   // lm_slices_state() floats; on rank 0 slabs laid out like the parameters.  v is
                    // unused where Muon works
    struct lm_slices slices;
    struct lm_muon *muon;   // NULL for AdamW
};

/* gemm is borrowed; NULL: Muon's products in bf16. */
void lm_optim_init(struct lm_optim *o, const struct lm_optim_config *config, struct lm_llama *model,
                   struct lm_lora *lora, struct lm_gemm *gemm);
/* As one of several ranks. */
void lm_optim_init_shared(struct lm_optim *o, const struct lm_optim_config *config, struct lm_llama *model,
                          struct lm_lora *lora, struct lm_gemm *gemm, struct lm_ranks *ranks);
void lm_optim_release(struct lm_optim *o);
/* With several ranks this is rank 0's, which holds all moments for the checkpoint, and what the others send.
 */
size_t lm_optim_bytes(const struct lm_optim_config *config, const struct lm_llama_config *model,
                      const struct lm_lora *lora, int ranks, bool bf16);

/* Update number `step` (0-based), of all ranks together: each brings the gradient of its parts of the batch,
 * which is used up.  Returns the gradient's norm before clipping.  LM_EFORMAT, naming step and tensor, when a
 * gradient is not finite; nothing is changed then. */
enum lm_rc lm_optim_step(struct lm_optim *o, struct lm_gradient *gradient, uint64_t step, double *ret_norm,
                         struct lm_err *err);
/* The same of a gradient that lm_slices_reduce has summed already. */
enum lm_rc lm_optim_update(struct lm_optim *o, const struct lm_gradient *sum, uint64_t step, double *ret_norm,
                           struct lm_err *err);

/* "model.layers.3.mlp.up_proj.weight" or "the adapter": where a slice lies. */
void lm_optim_slice_name(const struct lm_optim *o, const struct lm_slice *slice, char ret[LM_LLAMA_NAME_MAX]);

/* ---- train/muon.c: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks" ---- */

/* gemm is borrowed; NULL: products in bf16. */
struct lm_muon *lm_muon_new(const struct lm_llama_config *model, struct lm_gemm *gemm);
void lm_muon_free(struct lm_muon *muon);
size_t lm_muon_bytes(const struct lm_llama_config *model, bool bf16);
bool lm_muon_handles(enum lm_llama_tensor kind);   // matrices inside layers

/* One matrix: momentum = beta momentum + grad; w = (1 - lr decay) w - lr sqrt(max(1, rows / cols))
 * orthogonal( grad + beta momentum).  grad is taken times grad_scale. */
struct lm_muon_update {
    float *w, *momentum;
    const float *grad;
    size_t rows, cols;
    float lr, decay, beta, grad_scale;
};
enum lm_rc lm_muon_step(struct lm_muon *muon, const struct lm_muon_update *update, struct lm_err *err);

#endif
