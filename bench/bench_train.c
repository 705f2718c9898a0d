/* Training steps and their parts, beside what this machine reaches in fused multiply-adds and in bf16
 * products.
 *
 * bench_train 15m|110m|smollm2|adapter [RUNS]: whole steps of AdamW of that model alone, as peers/train.py
 * wants them; the median.  adapter: rank 16 on all matrices of smollm2. */
#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"
#include "tensor/bf16.h"
#include "train/optim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 7, CONTEXT = 256, ROWS = 8, PEAK_MS = 200 };

static const struct lm_llama_config config = {
    .vocab_size = 2048,
    .dim = 256,
    .layers = 4,
    .heads = 4,
    .kv_heads = 2,
    .ffn_dim = 688,
    .context = CONTEXT,
    .rope_theta = 10000,
    .norm_eps = 1e-5,
    .tied = true,
    .bos_id = -1,
    .eos_id = -1,
};

static int runs = RUNS;
static double peak;   // GFLOP/s

static void row(const char *name, double value, const char *unit)
{
    printf("train,%s,%.6g,%s,%d\n", name, value, unit, runs);
    fflush(stdout);
}

/* Seconds of the fastest of all runs. */
static double fastest(void (*run)(void *), void *context)
{
    double best = 1e30;
    run(context);   // primitives are made, pages are touched
    for (int i = 0; i < runs; i++) {
        const uint64_t start = lm_now_ns();
        run(context);
        const double seconds = (double)(lm_now_ns() - start) * 1e-9;
        best = seconds < best ? seconds : best;
    }
    return best;
}

static void rates(const char *name, double flops, double seconds)
{
    row(name, flops / seconds / 1e9, "GFLOP/s");
    row(name, 100 * flops / seconds / 1e9 / peak, "percent of f32 peak");
}

/* ---- a whole step ---- */

struct step {
    struct lm_llama model;
    struct lm_gemm *gemm;
    struct lm_net *net;
    struct lm_lora lora;
    struct lm_gradient gradient;
    struct lm_optim optim;
    struct lm_batch batch;
    double loss;
};

static void run_gradient(void *context)
{
    struct step *s = context;
    memset(s->gradient.slab, 0, s->gradient.count * sizeof(float));
    lm_net_refresh(s->net);
    LM_ASSERT(lm_net_train(s->net, &s->batch, &s->gradient, &s->loss, NULL) == LM_OK);
}

static void run_update(void *context)
{
    struct step *s = context;
    double norm;
    LM_ASSERT(lm_optim_step(&s->optim, &s->gradient, 0, &norm, NULL) == LM_OK);
}

static void step_init(struct step *s, const struct lm_llama_config *model,
                      const struct lm_optim_config *optim, size_t rows, int64_t rank, bool bf16)
{
    const size_t positions = (size_t)model->context;
    struct lm_rng rng = lm_rng_make(1, 0);
    LM_ASSERT(lm_gemm_new(&s->gemm, NULL) == LM_OK);
    lm_llama_init(&s->model, model);
    lm_llama_random(&s->model, 1);
    struct lm_lora_config adapter = { .rank = rank, .alpha = 32 };
    struct lm_lora *lora = rank > 0 ? &s->lora : NULL;
    s->lora = (struct lm_lora){ 0 };
    if (lora) {
        LM_ASSERT(lm_lora_targets_parse((const char *const[]){ "all" }, 1, &adapter.targets, NULL) == LM_OK);
        LM_ASSERT(lm_lora_init(lora, &adapter, &s->model, NULL) == LM_OK);
        lm_lora_random(lora, 1);
    }
    const struct lm_net_config net = { .positions = positions, .bf16 = bf16, .lora = lora };
    s->net = lm_net_new(&s->model, s->gemm, &net);
    lm_gradient_init(&s->gradient, &s->model, lora);
    lm_optim_init(&s->optim, optim, &s->model, lora, bf16 ? NULL : s->gemm);
    lm_batch_init(&s->batch, rows, positions);
    for (size_t i = 0; i < rows * positions; i++) {
        s->batch.input[i] = (uint32_t)lm_rng_below(&rng, (uint64_t)model->vocab_size);
        s->batch.target[i] = (int32_t)lm_rng_below(&rng, (uint64_t)model->vocab_size);
    }
    s->batch.trained = rows * positions;
}

static void step_release(struct step *s)
{
    lm_batch_release(&s->batch);
    lm_optim_release(&s->optim);
    lm_gradient_release(&s->gradient);
    lm_net_free(s->net);
    lm_lora_release(&s->lora);
    lm_llama_release(&s->model);
    lm_gemm_free(s->gemm);
}

static void bench_step(bool bf16, const char *name)
{
    struct step s;
    const struct lm_optim_config optim = {
        .optimizer = LM_OPTIMIZER_MUON, .beta1 = 0.9, .beta2 = 0.95, .adam_eps = 1e-8, .steps = 10
    };
    step_init(&s, &config, &optim, ROWS, 0, bf16);
    char title[64];
    const double tokens = (double)s.batch.trained, gradient = fastest(run_gradient, &s);
    const double update = fastest(run_update, &s);
    snprintf(title, sizeof title, "%s forward and backward", name);
    rates(title, tokens * lm_net_flops(&config, CONTEXT), gradient);
    snprintf(title, sizeof title, "%s Muon update", name);
    row(title, 1e3 * update, "ms");
    snprintf(title, sizeof title, "%s step", name);
    row(title, tokens / (gradient + update), "tokens/s");
    step_release(&s);
}

/* ---- the models that others are compared on ---- */

struct model_case {
    const char *name;
    struct lm_llama_config config;
    size_t rows;
    int64_t rank;   // of the adapter; 0: the model is trained
};

/* 8,192 tokens a step, 2,048 where others fine-tune. */
static const struct model_case model_cases[] = {
    { "15m", { 32000, 288, 6, 6, 6, 768, 256, 10000, 1e-5, true, -1, -1 }, 32, 0 },
    { "110m", { 32000, 768, 12, 12, 12, 2048, 1024, 10000, 1e-5, true, -1, -1 }, 8, 0 },
    { "smollm2", { 49152, 576, 30, 9, 3, 1536, 512, 100000, 1e-5, true, -1, -1 }, 4, 0 },
    { "adapter", { 49152, 576, 30, 9, 3, 1536, 512, 100000, 1e-5, true, -1, -1 }, 4, 16 },
};

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Whole steps, and in percent of the peak of bf16 products; the median, the peak is the best of all. */
static void bench_model(const struct model_case *c)
{
    enum { RUNS_MAX = 101 };
    double seconds[RUNS_MAX], best_peak = 0;
    struct step s;
    const struct lm_optim_config optim = { .optimizer = LM_OPTIMIZER_ADAMW,
                                           .lr = 1e-4,
                                           .beta1 = 0.9,
                                           .beta2 = 0.95,
                                           .adam_eps = 1e-8,
                                           .weight_decay = 0.1,
                                           .clip = 1,
                                           .steps = 1000 };
    const size_t count = runs < RUNS_MAX ? (size_t)runs : RUNS_MAX;
    step_init(&s, &c->config, &optim, c->rows, c->rank, lm_net_bf16_works());
    run_gradient(&s);
    run_update(&s);
    for (size_t i = 0; i < count; i++) {
        best_peak = fmax(best_peak, lm_bf16_peak_gflops(PEAK_MS));
        const uint64_t start = lm_now_ns();
        run_gradient(&s);
        run_update(&s);
        seconds[i] = (double)(lm_now_ns() - start) * 1e-9;
    }
    qsort(seconds, count, sizeof *seconds, ascending);
    const double rate = (double)s.batch.trained / seconds[count / 2];
    const double flops = rate * lm_net_flops(&c->config, (size_t)c->config.context);
    row(c->name, rate, "tokens/s");
    row(c->name, 100 * flops / 1e9 / best_peak, "percent of bf16 peak");
    row(c->name, best_peak, "GFLOP/s bf16 peak");
    step_release(&s);
}

/* ---- attention ---- */

struct attend {
    struct lm_attention shape;
    float *q, *k, *v, *out, *lse, *dq, *dk, *dv, *scratch;
};

static void run_forward(void *context)
{
    struct attend *a = context;
    lm_kernels()->attention(&a->shape, 0, a->out, a->lse, a->q, a->k, a->v, a->scratch);
}

static void run_backward(void *context)
{
    struct attend *a = context;
    lm_kernels()->attention_back(&a->shape, 0, a->dq, a->dk, a->dv, a->q, a->out, a->lse, a->q, a->k, a->v,
                                 a->scratch);
}

static void bench_attention(void)
{
    enum { POSITIONS = 512, D = 64, FLOATS = POSITIONS * D };
    static const uint32_t start[POSITIONS];
    float *slab = lm_slab_alloc((9 * FLOATS + lm_attention_scratch(POSITIONS, D)) * sizeof *slab);
    struct attend a = { { POSITIONS, 1, 1, D, start },
                        slab,
                        slab + FLOATS,
                        slab + 2 * FLOATS,
                        slab + 3 * FLOATS,
                        slab + 4 * FLOATS,
                        slab + 5 * FLOATS,
                        slab + 6 * FLOATS,
                        slab + 7 * FLOATS,
                        slab + 8 * FLOATS };
    struct lm_rng rng = lm_rng_make(1, 0);
    for (size_t i = 0; i < 3 * (size_t)FLOATS; i++)
        slab[i] = (float)lm_rng_normal(&rng);
    const double pair = 2.0 * POSITIONS * POSITIONS / 2 * D, all = peak;
    lm_threads_set(1);
    peak = lm_peak_gflops(PEAK_MS);   // one thread's
    rates("attention forward T 512 D 64 1 thread", 2 * pair, fastest(run_forward, &a));
    rates("attention backward T 512 D 64 1 thread", 5 * pair, fastest(run_backward, &a));
    lm_threads_set(0);
    peak = all;
    free(slab);
}

/* ---- products ---- */

struct multiply {
    struct lm_gemm *gemm;
    struct lm_product product;
};

static void run_product(void *context)
{
    struct multiply *m = context;
    LM_ASSERT(lm_gemm_run(m->gemm, &m->product, NULL) == LM_OK);
}

static void bench_product(size_t m, size_t n, size_t k, bool a_t, bool b_t)
{
    struct multiply x;
    char title[64];
    LM_ASSERT(lm_gemm_new(&x.gemm, NULL) == LM_OK);
    float *a = lm_slab_alloc(m * k * sizeof *a), *b = lm_slab_alloc(n * k * sizeof *b);
    float *c = lm_slab_alloc(m * n * sizeof *c);
    x.product = (struct lm_product){
        .c = c, .a = a, .b = b, .m = m, .n = n, .k = k, .a_t = a_t, .b_t = b_t, .accumulate = a_t
    };
    snprintf(title, sizeof title, "product %zux%zux%zu%s%s", m, n, k, a_t ? " a^T" : "", b_t ? " b^T" : "");
    rates(title, 2.0 * (double)m * (double)n * (double)k, fastest(run_product, &x));
    free(a);
    free(b);
    free(c);
    lm_gemm_free(x.gemm);
}

int main(int argc, char **argv)
{
    const bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
    if (smoke)
        runs = 1;
    if (argc > 2)
        runs = (int)strtol(argv[2], NULL, 10);
    for (size_t i = 0; argc > 1 && i < sizeof model_cases / sizeof model_cases[0]; i++)
        if (strcmp(argv[1], model_cases[i].name) == 0) {
            bench_model(&model_cases[i]);
            return 0;
        }
    peak = lm_peak_gflops(PEAK_MS);
    row("f32 peak", peak, "GFLOP/s");
    bench_product(2048, 256, 256, false, true);
    bench_product(2048, 688, 256, false, true);
    bench_product(2048, 256, 688, false, false);
    bench_product(256, 688, 2048, true, false);
    bench_product(512, 2048, 256, false, true);
    bench_product(256, 256, 256, false, false);
    bench_attention();
    bench_step(false, "f32");
    if (lm_net_bf16_works())
        bench_step(true, "bf16");
    return 0;
}
