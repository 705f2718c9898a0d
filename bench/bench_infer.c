/* Decoding, prompts and scoring of one small model, beside the limits of this machine: reading the weights
 * once per step, and fused multiply-adds. */
#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"
#include "infer/engine.h"
#include "infer/forward.h"

#include <stdio.h>
#include <stdlib.h>

enum { RUNS = 5, CONTEXT = 512, PROMPT = 256, BATCH_MAX = 16, NEW_MAX = 128 };

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

/* ---- limits of the machine ---- */

enum { READ_CHUNKS = 64 };

struct reading {
    const uint64_t *data;
    size_t words;   // of a chunk
    uint64_t sums[READ_CHUNKS];
};

/* One word of each cache line, in four streams, as the products read. */
static void read_chunk(void *context, size_t chunk, size_t worker)
{
    (void)worker;
    struct reading *r = context;
    uint64_t sums[4] = { 0 };
    const size_t quarter = r->words / 4;
    const uint64_t *from = r->data + chunk * r->words;
    for (size_t i = 0; i < quarter; i += 8)
        for (size_t k = 0; k < 4; k++)
            sums[k] += from[k * quarter + i];
    r->sums[chunk] = sums[0] + sums[1] + sums[2] + sums[3];
}

/* GB/s at which the team reads as many bytes as the weights have, again and again: from a cache if they fit.
 */
static double read_rate(struct lm_team *team, size_t bytes)
{
    struct reading r = { .words = bytes / READ_CHUNKS / 256 * 32 };   // four times whole lines
    uint64_t *data = lm_slab_alloc(bytes);
    double best = 0;
    r.data = data;
    for (int i = 0; i < 20 * runs; i++) {
        const uint64_t start = lm_now_ns();
        lm_team_run(team, READ_CHUNKS, read_chunk, &r);
        const double rate = (double)(r.words * READ_CHUNKS * 8) / (double)(lm_now_ns() - start);
        best = rate > best ? rate : best;
    }
    free(data);
    return best;
}

/* ---- forward passes ---- */

static double seconds_per_step(struct lm_forward *f, size_t batch, size_t rows_each, size_t steps)
{
    uint32_t blocks[BATCH_MAX][CONTEXT / LM_KV_TOKENS];
    struct lm_forward_row rows[BATCH_MAX * 64];
    double best = 1e9;
    for (size_t s = 0; s < batch; s++)
        if (!lm_kv_take(lm_forward_kv(f), CONTEXT / LM_KV_TOKENS, blocks[s]))
            abort();
    for (int r = 0; r < runs; r++) {
        const uint64_t start = lm_now_ns();
        for (size_t at = 0; at < steps; at++) {
            size_t count = 0, stride;
            for (size_t s = 0; s < batch; s++)
                for (size_t i = 0; i < rows_each; i++, count++)
                    rows[count] = (struct lm_forward_row){
                        .token = (uint32_t)((at * 31 + s * 7 + i) % 4096),
                        .position = (uint32_t)(at * rows_each + i),
                        .blocks = blocks[s],
                        .wants_logits = rows_each == 1,
                    };
            lm_forward_run(f, rows, count, &stride);
        }
        const double seconds = (double)(lm_now_ns() - start) * 1e-9 / (double)steps;
        best = seconds < best ? seconds : best;
    }
    for (size_t s = 0; s < batch; s++)
        lm_kv_give(lm_forward_kv(f), CONTEXT / LM_KV_TOKENS, blocks[s]);
    return best;
}

static void bench_forward(const struct lm_model *m, size_t steps)
{
    const size_t parameters = lm_model_parameters(&m->config);
    struct lm_forward *f;
    if (lm_forward_new(m, BATCH_MAX * 64, BATCH_MAX, BATCH_MAX * CONTEXT, &f, NULL) != LM_OK)
        abort();
    const double bytes = (double)parameters * sizeof(float);
    const double roof = read_rate(lm_forward_team(f), parameters * sizeof(float));
    const size_t batches[] = { 1, 4, 16 };
    for (size_t i = 0; i < 3; i++) {
        const double seconds = seconds_per_step(f, batches[i], 1, steps);
        row("decode", batches[i], (double)batches[i] / seconds, "tokens/s");
        row("decode", batches[i], 100 * bytes / seconds * 1e-9 / roof, "percent of read rate");
        row("decode", batches[i], 2e-9 * (double)(parameters * batches[i]) / seconds, "GFLOP/s");
    }
    const double seconds = seconds_per_step(f, 1, 64, 4);
    row("prefill in steps of 64", 1, 64 / seconds, "tokens/s");
    row("read rate of the weights", 1, roof, "GB/s");
    lm_forward_free(f);
}

/* ---- the engine and the scorer ---- */

static void count_end(void *user, const struct lm_engine_event *event)
{
    _Atomic int *left = user;
    if (event->finish != LM_FINISH_NONE)
        --*left;
}

static void bench_engine(const struct lm_model *m, size_t new_tokens)
{
    struct lm_engine *e;
    static uint32_t prompt[PROMPT];
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
    bench_forward(&view, smoke ? 2 : NEW_MAX);
    bench_engine(&view, smoke ? 2 : NEW_MAX);
    bench_score(&view);
    lm_model_close(&view);
    lm_llama_release(&m);
    return 0;
}
