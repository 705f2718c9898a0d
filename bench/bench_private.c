/* What privacy costs: a step of units one by one, with clipping and noise, beside the same micro-batches
 * summed up without.  Llama of 15 M parameters (d 288, 6 layers, V 32000), T 256, 24 sequences a step. */
#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"
#include "train/dp.h"
#include "train/optim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 5, CONTEXT = 256, UNITS = 24 };

static struct lm_llama_config config = {
    .vocab_size = 32000,
    .dim = 288,
    .layers = 6,
    .heads = 6,
    .kv_heads = 6,
    .ffn_dim = 768,
    .context = CONTEXT,
    .rope_theta = 10000,
    .norm_eps = 1e-5,
    .tied = true,
    .bos_id = -1,
    .eos_id = -1,
};

static struct lm_llama model;
static struct lm_gemm *gemm;
static struct lm_net *net;
static struct lm_gradient gradient, noisy;
static struct lm_optim optim;
static struct lm_batch batch;
static struct lm_piece units[UNITS];

static void fill(void *state, uint64_t unit, uint64_t draw, struct lm_batch *ret)
{
    (void)state, (void)draw;
    lm_batch_put(ret, 0, 0, &units[unit]);
}

static const struct lm_dp_source source = { NULL, UNITS, fill };
static const struct lm_dp dp = {
    .options = { .clip = 1, .delta = 1e-5 }, .phase = { 1, 1, 1 }, .source = &source, .expected = UNITS
};

static void update(struct lm_gradient *g)
{
    double norm;
    LM_ASSERT(lm_optim_step(&optim, g, 0, &norm, NULL) == LM_OK);
}

static void plain_step(void)
{
    double loss;
    memset(gradient.slab, 0, gradient.count * sizeof(float));
    lm_net_refresh(net);
    for (size_t u = 0; u < UNITS; u++) {
        lm_batch_clear(&batch);
        fill(NULL, u, 0, &batch);
        LM_ASSERT(lm_net_train(net, &batch, &gradient, &loss, NULL) == LM_OK);
    }
    update(&gradient);
}

static void private_step(void)
{
    lm_net_refresh(net);
    memset(noisy.slab, 0, noisy.count * sizeof(float));
    LM_ASSERT(lm_dp_add(&dp, net, &batch, 0, 0, 1, &gradient, noisy.slab, NULL) == LM_OK);
    lm_dp_finish(&dp, 0, noisy.slab, 0, noisy.count);
    update(&noisy);
}

static double seconds_of(void (*step)(void))
{
    const uint64_t start = lm_now_ns();
    step();
    return (double)(lm_now_ns() - start) * 1e-9;
}

static void setup(void)
{
    const struct lm_optim_config adamw = {
        .lr = 1e-4, .beta1 = 0.9, .beta2 = 0.95, .adam_eps = 1e-8, .steps = 10
    };
    struct lm_rng rng = lm_rng_make(1, 0);
    LM_ASSERT(lm_gemm_new(&gemm, NULL) == LM_OK);
    lm_llama_init(&model, &config);
    lm_llama_random(&model, 1);
    net = lm_net_new(&model, gemm,
                     &(struct lm_net_config){ .positions = CONTEXT, .bf16 = lm_net_bf16_works() });
    lm_gradient_init(&gradient, &model, NULL);
    lm_gradient_init(&noisy, &model, NULL);
    lm_optim_init(&optim, &adamw, &model, NULL, gemm);
    lm_batch_init(&batch, 1, CONTEXT);
    for (size_t u = 0; u < UNITS; u++) {
        uint32_t *input = lm_zalloc(CONTEXT, sizeof *input);
        int32_t *target = lm_zalloc(CONTEXT, sizeof *target);
        for (size_t t = 0; t < CONTEXT; t++) {
            input[t] = (uint32_t)lm_rng_below(&rng, (uint64_t)config.vocab_size);
            target[t] = (int32_t)lm_rng_below(&rng, (uint64_t)config.vocab_size);
        }
        units[u] = (struct lm_piece){ input, target, CONTEXT };
    }
}

static void teardown(void)
{
    for (size_t u = 0; u < UNITS; u++) {
        free((void *)units[u].input);
        free((void *)units[u].target);
    }
    lm_batch_release(&batch);
    lm_optim_release(&optim);
    lm_gradient_release(&gradient);
    lm_gradient_release(&noisy);
    lm_net_free(net);
    lm_llama_release(&model);
    lm_gemm_free(gemm);
}

int main(int argc, char **argv)
{
    const bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
    const int runs = smoke ? 1 : RUNS;
    double plain = 1e30, private = 1e30;
    if (smoke)
        config.vocab_size = 500;
    setup();
    plain_step();   // primitives are made, pages are touched
    private_step();
    for (int i = 0; i < runs; i++) {   // by turns
        const double a = seconds_of(plain_step), b = seconds_of(private_step);
        plain = a < plain ? a : plain;
        private = b < private ? b : private;
    }
    printf("private,15M T256 24 units plain step,%.6g,tokens/s,%d\n", UNITS * CONTEXT / plain, runs);
    printf("private,15M T256 24 units private step,%.6g,tokens/s,%d\n", UNITS * CONTEXT / private, runs);
    printf("private,15M T256 24 units private / plain,%.4f,times the time,%d\n", private / plain, runs);
    teardown();
    return 0;
}
