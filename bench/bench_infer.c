/* The engine and the scorer on one small model of random weights.  A real model's speed, and the machine's
 * limits beside it: `loom bench infer`. */
#include "base/sys.h"
#include "infer/engine.h"

#include <stdio.h>
#include <stdlib.h>

enum { RUNS = 5, CONTEXT = 512, BATCH_MAX = 16, NEW_MAX = 128 };

static const struct lm_llama_config config = {
    .vocab_size = 4096,
    .dim = 256,
    .layers = 6,
    .heads = 8,
    .kv_heads = 8,
    .ffn_dim = 688,
    .context = CONTEXT,
    .rope_theta = 10000,
    .norm_eps = 1e-5,
    .tied = true,
    .bos_id = -1,
    .eos_id = -1,
};

static int runs = RUNS;

static void row(const char *name, size_t batch, double value, const char *unit)
{
    printf("infer,%s batch %zu,%.6g,%s,%d\n", name, batch, value, unit, runs);
    fflush(stdout);
}

static void count_end(void *user, const struct lm_engine_event *event)
{
    _Atomic int *left = user;
    if (event->finish != LM_FINISH_NONE)
        --*left;
}

static void bench_engine(const struct lm_model *m, size_t new_tokens)
{
    struct lm_engine *e;
    static uint32_t prompt[8];
    if (lm_engine_new(m, NULL, NULL, &e, NULL) != LM_OK)
        abort();
    for (size_t batch = 1; batch <= BATCH_MAX; batch *= BATCH_MAX) {
        double best = 0;
        for (int r = 0; r < runs; r++) {
            _Atomic int left = (int)batch;
            struct lm_sampling s;
            lm_sampling_defaults(&s);
            s.max_tokens = new_tokens, s.top_p = 0.95, s.top_k = 50;
            const uint64_t start = lm_now_ns();
            for (s.seed = 0; s.seed < batch; s.seed++)
                if (lm_engine_submit(e, prompt, 8, &s, count_end, &left, NULL, NULL) != LM_OK)
                    abort();
            while (left > 0)
                nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
            const double rate = (double)(batch * new_tokens) * 1e9 / (double)(lm_now_ns() - start);
            best = rate > best ? rate : best;
        }
        row("engine with sampling", batch, best, "tokens/s");
    }
    lm_engine_free(e);
}

static void bench_score(const struct lm_model *m)
{
    static uint32_t tokens[4 * CONTEXT];
    static double scores[4 * CONTEXT];
    struct lm_scorer *s;
    double best = 0;
    if (lm_scorer_new(m, &s, NULL) != LM_OK)
        abort();
    for (int r = 0; r < runs; r++) {
        const uint64_t start = lm_now_ns();
        if (lm_scorer_run(s, tokens, CONTEXT, scores, NULL) != LM_OK)
            abort();
        const double rate = CONTEXT * 1e9 / (double)(lm_now_ns() - start);
        best = rate > best ? rate : best;
    }
    row("score", 1, best, "tokens/s");
    lm_scorer_free(s);
}

int main(int argc, char **argv)
{
    const bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
    struct lm_llama m;
    runs = smoke ? 1 : RUNS;
    lm_llama_init(&m, &config);
    lm_llama_random(&m, 1);
    struct lm_model view;
    lm_model_of_llama(&view, &m);
    bench_engine(&view, smoke ? 2 : NEW_MAX);
    bench_score(&view);
    lm_model_close(&view);
    lm_llama_release(&m);
    return 0;
}
