#ifndef LM_TRAIN_NET_IMPL_H
#define LM_TRAIN_NET_IMPL_H
/* train/net_impl.h - the inside of struct lm_net, for net.c (what it computes) and net_memory.c (where). */

#include "train/net.h"

/* What the way back reads, for one layer. */
struct kept {
    float *x;           // (N, C) residual stream at the start
    float *q, *att;     // (N, H*D) after RoPE; the attention's result
    float *k, *v;       // (N, K*D)
    float *lse;         // (rows, H, T)
    float *x_mid;       // (N, C) residual stream between attention and feed-forward
    float *gate, *up;   // (N, F)
};

struct lm_net {
    const struct lm_llama *model;
    struct lm_gemm *gemm;
    const struct lm_kernels *kernels;
    size_t rows, positions, count;   // count = rows * positions = N
    size_t width, heads, kv_heads, head_dim, kv_width, ffn, vocab, layers, loss_rows;
    float eps;
    struct kept *kept;                      // one per layer
    float *slab;                            // owns everything below and in kept
    float *x_end;                           // (N, C) residual stream after the last layer
    float *normed, *dnormed, *dx;           // (N, C)
    float *dq, *datt;                       // (N, C)
    float *dk, *dv;                         // (N, K*D)
    float *act;                             // (N, F)
    float *scale;                           // (N)
    float *logits, *gathered, *dgathered;   // (loss_rows, V), (loss_rows, C) twice
    float *angles;                          // (T, D)
    float *attention;                       // one unit's scratch per thread
    size_t attention_floats;
    float *losses;   // (N)
};

#endif
