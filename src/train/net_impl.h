#ifndef LM_TRAIN_NET_IMPL_H
#define LM_TRAIN_NET_IMPL_H
/* train/net_impl.h - the inside of struct lm_net: net.c goes through a batch, net_f32.c and net_bf16.c are
 * the two ways to compute a micro-batch, net_f32_products.c and net_products.c what they do with matrices and
 * adapters, net_bf16_loss.c is the latter's loss, net_memory.c says where everything lies. */

#include "tensor/bf16.h"
#include "train/net.h"

enum { LM_NET_UNIT_ROWS = 32, LM_NET_UNIT_COLS = 64 };     // what one thread takes; no sum crosses a unit
enum { LM_NET_LOSS_UNITS = 16, LM_NET_LOSS_COLS = 256 };   // parts of the vocabulary, at most; block of one
enum {
    LM_NET_SKEW = 32
};   // behind a row whose length is likely a power of two: a line, lest all share a set

/* Matrices with the same input are one product: their outputs lie side by side, each in whole panels. */
enum lm_net_bundle_kind { LM_NET_QKV, LM_NET_OUT, LM_NET_GATE_UP, LM_NET_DOWN, LM_NET_BUNDLES };
enum { LM_NET_BUNDLE_MAX = 3 };
struct lm_net_bundle {
    size_t count;
    enum lm_llama_tensor kind[LM_NET_BUNDLE_MAX], bias[LM_NET_BUNDLE_MAX];   // bias: GPT-2 only
    size_t out[LM_NET_BUNDLE_MAX], at[LM_NET_BUNDLE_MAX + 1];   // outputs; the first one, at[count] is all
    size_t in, in16;                                            // inputs; in whole panels
    /* Of their adapters: the first column of x A^T, all columns; low_all 0: there is none. */
    size_t low_at[LM_NET_BUNDLE_MAX], low_all;
};

/* What the way back reads, for one layer.  With recompute all layers share everything but x. */
struct lm_net_kept {
    float *x;       // (N, C) residual stream at the start
    float *lse;     // (rows, H, T)
    float *x_mid;   // (N, C) residual stream between attention and feed-forward
    /* f32 */
    float *q, *att;     // (N, H*D) after RoPE; the attention's result
    float *k, *v;       // (N, K*D)
    float *gate, *up;   // (N, F)
    /* bf16: rows padded to whole panels */
    uint16_t *normed, *normed_mid;   // (N, C) both norms' results
    uint16_t *qkv, *att16;           // (N, qkv16) after RoPE, (N, C)
    uint16_t *gate_up;               // (N, 2 F)
    float *scale, *scale_mid;        // (N) of the norms
    float *mean, *mean_mid;          // (N) of LayerNorm
    uint16_t *low[LM_NET_BUNDLES];   // (N, low_all) scale x A^T
};

/* One layer as bf16 panels, [LM_NET_FORWARD] and [LM_NET_BACKWARD]: its matrices, its adapters. */
enum lm_net_direction { LM_NET_FORWARD, LM_NET_BACKWARD };
struct lm_net_packed {
    float *bias[LM_NET_BUNDLES];      // (all outputs); NULL: none
    uint16_t *w[LM_NET_BUNDLES][2];   // k = in16, k = all outputs
    uint16_t *a[LM_NET_BUNDLES][2];   // scale A, k = in16; A, k = low_all
    uint16_t *b[LM_NET_BUNDLES][2];   // B, k = rank16; scale B, matrix by matrix, k = its outputs
};

/* A micro-batch: the rows of the batch whose first position is `first`. */
struct lm_net_way {
    enum lm_rc (*forward)(struct lm_net *n, const struct lm_batch *b, size_t first, struct lm_err *err);
    /* From the normed end of the residual stream to n->losses, for `count` of its positions, and back to the
     * gradient by it, by n->weights: for those that `loss` was told last. */
    enum lm_rc (*loss)(struct lm_net *n, const struct lm_batch *b, size_t first, const uint32_t *rows,
                       size_t count, struct lm_err *err);
    enum lm_rc (*loss_back)(struct lm_net *n, const struct lm_batch *b, size_t first, const uint32_t *rows,
                            size_t count, const struct lm_gradient *g, struct lm_err *err);
    enum lm_rc (*backward)(struct lm_net *n, const struct lm_batch *b, size_t first,
                           const struct lm_gradient *g, struct lm_err *err);
    void (*refresh)(struct lm_net *n);
};
extern const struct lm_net_way lm_net_f32, lm_net_bf16;

struct lm_net {
    const struct lm_llama *model;
    struct lm_gemm *gemm;
    struct lm_net_config config;
    const struct lm_net_way *way;
    const struct lm_kernels *kernels;
    const struct lm_bf16_kernels *kernels16;
    size_t rows, positions, count;   // count = rows * positions = N
    size_t width, heads, kv_heads, head_dim, kv_width, ffn, vocab, layers, loss_rows;
    void (*layer_done)(void *state, size_t layer);   // see lm_net_watch
    void *layer_done_state;
    bool last;   // micro-batch of its batch
    float eps;
    bool gpt2;                  // LayerNorm, learned positions, GELU, biases
    struct lm_net_kept *kept;   // one per layer
    char *slab;                 // owns everything below and in kept and packed
    float *x_end;               // (N, C) residual stream after the last layer
    float *dx;                  // (N, C)
    float *angles;              // (T, D)
    float *losses, *weights;    // (N); a loss's share in what is minimised
    float drop, low_drop;       // rates of this pass: of the residual stream's parts, before adapters
    uint64_t mask_key, mask_first;
    float *undropped;      // (N, widest input) the adapter's part of a gradient; with low_drop only
    float *scale, *mean;   // (N); mean: of LayerNorm
    char *attention;       // one unit's scratch per thread
    size_t attention_bytes;

    /* f32 */
    float *normed, *dnormed;                // (N, C)
    float *dq, *datt;                       // (N, C)
    float *dk, *dv;                         // (N, K*D)
    float *act;                             // (N, F)
    float *logits, *gathered, *dgathered;   // (loss_rows, V), (loss_rows, C) twice
    float *low, *low_back;                  // (N, r) scale x A^T, scale dy B
    float *dropped;                         // (N, widest input) what an adapter reads

    /* bf16.  Strides: w16 = C, kv16 = K*D, f16 = F, v16 = V in whole panels, qkv16 = w16 + 2 kv16; k16
     * positions of a product over them, t16 the stride of transposed operands. */
    size_t w16, kv16, f16, v16, qkv16, k16, t16, groups, spans, loss_units, loss_unit_cols;
    struct lm_net_bundle bundle[LM_NET_BUNDLES];
    size_t rank16, low_most;          // of the adapter: rank in whole panels, most columns of a bundle
    struct lm_net_packed *packed;     // one per layer
    bool base_packed;                 // beside an adapter the model is packed once
    float *scaled;                    // the adapter's parameters times its scale
    uint16_t *low_back16;             // (N, low_most)
    uint16_t *dropped16;              // (N, widest input) what an adapter reads
    uint16_t *head[2];                // panels of the head
    uint16_t *normed_end;             // (N, w16)
    uint16_t *dnormed16;              // (N, w16)
    uint16_t *dx16, *datt16;          // (N, w16)
    uint16_t *act16, *dqkv;           // (N, f16), (N, qkv16)
    uint16_t *left, *right;           // operands of products to weights: transposed, panels
    float *dgain, *dbias;             // (units, C); dbias: of LayerNorm
    uint16_t *chosen;                 // (loss_rows, w16): rows that have a target
    uint16_t *chosen_panels;          // the same as panels
    uint16_t *share;                  // (groups, loss_rows, LM_BF16_GROUP)
    float *top, *total, *at_target;   // (loss_rows, spans) twice, (loss_rows)
    float *dchosen;                   // (loss_units, loss_rows, C)
    uint16_t *loss_scratch;           // per thread: a block of logit gradients in both layouts
    size_t loss_scratch_count;
};

#define LM_NET_WEIGHT(n, kind, layer) lm_llama_at((n)->model, LM_LLAMA_##kind, layer)

/* NULL with an adapter. */
float *lm_net_gradient_at(const struct lm_net *n, const struct lm_gradient *g, enum lm_llama_tensor kind,
                          size_t layer);

/* The norms: gains, and biases where the family has them. */
enum lm_net_norm { LM_NET_NORM_ATTENTION, LM_NET_NORM_FFN, LM_NET_NORM_END, LM_NET_NORMS };
extern const enum lm_llama_tensor lm_net_norms[LM_NET_NORMS][2];
/* Of a matrix inside layers, the bias that GPT-2 adds to its product; 0, the embedding: there is none. */
enum lm_llama_tensor lm_net_bias_of(enum lm_llama_tensor matrix);

/* Runs the statement for units of rows [r, r + len) of all N; nothing in it crosses rows. */
// clang-format off
#define LM_NET_FOR_UNITS(n, r, len)                                                                          \
    _Pragma("omp parallel for schedule(static) num_threads(lm_threads())")                                   \
    for (size_t r = 0; r < (n)->count; r += LM_NET_UNIT_ROWS)                                                \
        for (size_t len = (n)->count - r < LM_NET_UNIT_ROWS ? (n)->count - r : LM_NET_UNIT_ROWS, once = 1;   \
             once; once = 0)
// clang-format on

/* Of row i of a micro-batch, within its document. */
static inline size_t lm_net_position(const struct lm_net *n, const struct lm_batch *b, size_t first, size_t i)
{
    return i % n->positions - b->start[first + i];
}

/* ---- net_f32_products.c ---- */

/* y (N, out) = x (N, in) w^T, and what bias and adapter add. */
enum lm_rc lm_net_linear32(const struct lm_net *n, float *y, const float *x, enum lm_llama_tensor kind,
                           size_t layer, struct lm_err *err);
/* The way back through y (rows, out) = x (rows, in) w^T: to the weight, dw += dy^T x or the adapter's; then
 * to the input, dx = or += dy w and the adapter's part; or both. */
struct lm_net_back {
    enum lm_llama_tensor kind;
    size_t layer, rows, out, in;
    const float *dy, *x;
};
enum lm_rc lm_net_back32_weight(const struct lm_net *n, const struct lm_gradient *g,
                                const struct lm_net_back *w, struct lm_err *err);
enum lm_rc lm_net_back32_input(const struct lm_net *n, const struct lm_net_back *w, float *dx, bool add_to_dx,
                               struct lm_err *err);
enum lm_rc lm_net_back32(const struct lm_net *n, const struct lm_gradient *g, const struct lm_net_back *w,
                         float *dx, bool add_to_dx, struct lm_err *err);

/* ---- net_bf16_loss.c: as struct lm_net_way wants them ---- */

enum lm_rc lm_net_loss16(struct lm_net *n, const struct lm_batch *b, size_t first, const uint32_t *rows,
                         size_t count, struct lm_err *err);
enum lm_rc lm_net_loss16_back(struct lm_net *n, const struct lm_batch *b, size_t first, const uint32_t *rows,
                              size_t count, const struct lm_gradient *g, struct lm_err *err);

/* Shared by both ways. */
void lm_net_layer_done(const struct lm_net *n, size_t layer);   // on the way back
void lm_net_embed(const struct lm_net *n, const struct lm_batch *b, size_t first, float *x);
void lm_net_embed_back(const struct lm_net *n, const struct lm_batch *b, size_t first,
                       const struct lm_gradient *g);
/* ---- net_dropout.c ---- */

/* Places with masks of their own. */
enum { LM_NET_SITE_EMBED, LM_NET_SITE_LAYERS, LM_NET_SITE_OUT = 0, LM_NET_SITE_DOWN, LM_NET_SITE_LOW };
enum { LM_NET_SITES = LM_NET_SITE_LOW + LM_NET_BUNDLES };   // of a layer; adapters: LOW + bundle
static inline size_t lm_net_site(size_t layer, size_t in_layer)
{
    return LM_NET_SITE_LAYERS + layer * LM_NET_SITES + in_layer;
}

/* For the micro-batch from position `first` on. */
void lm_net_start_masks(struct lm_net *n, const struct lm_batch *b, size_t first);
/* x (N, cols) times the mask of a place; nothing for a rate of 0. */
void lm_net_drop(const struct lm_net *n, size_t site, float rate, float *x, size_t cols);
void lm_net_drop16(const struct lm_net *n, size_t site, float rate, uint16_t *x, size_t stride, size_t cols);

/* ---- net_products.c: products of bundles, with what adapters add ---- */

enum lm_net_bundle_kind lm_net_bundle_of(enum lm_llama_tensor kind);   // a matrix inside layers
void lm_net_set_bundles(struct lm_net *n, const struct lm_llama_config *model);
/* Panels of the weights (unless frozen and packed already) and of the adapters. */
void lm_net_pack(struct lm_net *n);

/* y (N, outputs) = x (N, in16) W^T */
void lm_net_linear(const struct lm_net *n, size_t layer, enum lm_net_bundle_kind kind, uint16_t *y,
                   const uint16_t *x);
/* y (N, C) = base + x W^T, of a bundle of one */
void lm_net_linear_add(const struct lm_net *n, size_t layer, enum lm_net_bundle_kind kind, float *y,
                       const float *base, const uint16_t *x);
/* What the adapters of a bundle take of x alone, for the way back of a layer that is computed again. */
void lm_net_low(const struct lm_net *n, size_t layer, enum lm_net_bundle_kind kind, const uint16_t *x);
/* dx (N, in16) = dy (N, outputs) W; leaves dy B in low_back16 for lm_net_gradients of the same bundle. */
void lm_net_linear_back(const struct lm_net *n, size_t layer, enum lm_net_bundle_kind kind, uint16_t *dx,
                        const uint16_t *dy);
/* Adds dy^T x to the gradients of the weights, or the adapter's; after lm_net_linear_back. */
void lm_net_gradients(const struct lm_net *n, const struct lm_gradient *g, size_t layer,
                      enum lm_net_bundle_kind kind, const uint16_t *dy, const uint16_t *x);

#endif
