#ifndef LM_TRAIN_NET_H
#define LM_TRAIN_NET_H
/* train/net.h - forward and backward through the families of model/llama.h.
 *
 * Works on micro-batches of a fixed number of positions, so memory does not grow with the batch.  In f32 the
 * products are oneDNN's.  In bf16 everything that feeds a product is bf16 (tensor/bf16.h), while the residual
 * stream, sums, weights and gradients stay f32.  Logits exist for LM_LOSS_ROWS positions at a time: never
 * B x T x V of them.
 *
 * Letters as in model/llama.h; N = rows * T positions of a micro-batch. */

#include "model/llama.h"
#include "tensor/gemm.h"
#include "tensor/kernels.h"
#include "train/batch.h"
#include "train/lora.h"

enum { LM_LOSS_ROWS = 512, LM_MICRO_POSITIONS = 2048 };

struct lm_net_config {
    size_t positions;   // T of every batch, or more
    size_t rows_min;    // that a micro-batch holds; 0: as many as lm_net_rows says
    bool bf16;          // fast where lm_net_bf16_works(), correct everywhere
    bool recompute;     // a layer keeps its input only; the rest is computed again on the way back
    float dropout;      // share of the embedding and of what layers add to it that is dropped in training
    uint64_t seed;      // of the masks
    const struct lm_lora *lora;   // borrowed; computed beside the model and trained in its place; NULL: none
};

struct lm_net;

/* model and gemm are borrowed. */
struct lm_net *lm_net_new(const struct lm_llama *model, struct lm_gemm *gemm,
                          const struct lm_net_config *config);
void lm_net_free(struct lm_net *net);

bool lm_net_bf16_works(void);   // this processor multiplies bf16

/* To be called before the first batch and whenever what is trained has changed: products in bf16 read packed
 * copies of the weights.  Beside an adapter the model's are packed once, by the first call. */
void lm_net_refresh(struct lm_net *net);

/* Rows a micro-batch holds: some with LM_MICRO_POSITIONS positions, at least one. */
size_t lm_net_rows(size_t positions);
/* What lm_net_new allocates, in bytes: activations kept for the way back, packed weights, scratch. */
size_t lm_net_bytes(const struct lm_llama_config *model, const struct lm_net_config *config, int threads);

/* The gradient slab of a model: laid out like its parameters. */
struct lm_gradient {
    float *slab;
    float *tensor[LM_LLAMA_TENSOR_COUNT];   // NULL with an adapter
    struct lm_lora *lora;                   // the net's, the only thing that is trained; NULL: everything is
    size_t count;                           // floats in the slab
};
/* lora NULL: laid out like the model's parameters, else like the adapter's. */
void lm_gradient_init(struct lm_gradient *g, const struct lm_llama *model, struct lm_lora *lora);
void lm_gradient_release(struct lm_gradient *g);

/* -ln p of every target, into losses (B, T), 0 where there is none.  No gradient. */
enum lm_rc lm_net_measure(struct lm_net *net, const struct lm_batch *batch, float *losses,
                          struct lm_err *err);

/* Adds to the gradient of the sum of losses divided by batch->trained, and returns that mean loss.
 * batch->trained must not be 0. */
enum lm_rc lm_net_train(struct lm_net *net, const struct lm_batch *batch, struct lm_gradient *gradient,
                        double *ret_loss, struct lm_err *err);

/* Adds to the gradient of the sum of losses, each times a weight that is known when the losses are: `weigh`
 * is called once for every micro-batch, with the losses (count) from position `first` of the batch on. */
struct lm_net_weigher {
    void (*weigh)(void *state, size_t first, size_t count, const float *losses, float *ret_weights);
    void *state;
};
enum lm_rc lm_net_train_weighted(struct lm_net *net, const struct lm_batch *batch,
                                 struct lm_gradient *gradient, const struct lm_net_weigher *weigher,
                                 struct lm_err *err);

/* Logits of the token behind a position of a batch's first row: (V).  No gradient. */
enum lm_rc lm_net_next(struct lm_net *net, const struct lm_batch *batch, size_t position, float *ret_logits,
                       struct lm_err *err);

/* Told in the last micro-batch of lm_net_train when the gradients of a layer are complete, and with them
 * those of all layers behind it and of what is behind the last one; from the last layer to the first.  The
 * embedding's, and a tied head's, are complete when lm_net_train returns.  done NULL: nobody is told. */
void lm_net_watch(struct lm_net *net, void (*done)(void *state, size_t layer), void *state);

/* Floating-point operations of one trained position, forward and backward, for speeds. */
double lm_net_flops(const struct lm_llama_config *config, size_t positions);

#endif
