#include "infer/measure.h"

#include "base/mem.h"
#include "base/sys.h"
#include "infer/matrix.h"

#include <stdlib.h>

enum { PROMPT_STEP = 512, RUNS_MAX = 101 };

const struct lm_measure_case lm_measure_cases[] = {
    { "decode", "tokens/s", "one sequence, 128 tokens after a prompt of 16", 1, 0, 128 },
    { "batch16", "tokens/s", "16 sequences, 64 tokens each after prompts of 16", 16, 0, 64 },
    { "prompt512", "tokens/s", "a prompt of 512 tokens", 1, 512, 0 },
    { 0 },
};

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return values[count / 2];
}

/* ---- a model's speed ---- */

enum { START = 16 };   // tokens before decoding begins

static uint32_t token_at(const struct lm_model *m, size_t sequence, size_t position)
{
    return (uint32_t)((position * 7919 + sequence * 104729 + 17) % (uint64_t)m->config.vocab_size);
}

struct sequences {
    const struct lm_model *model;
    struct lm_forward *forward;
    struct lm_forward_row *rows;
    uint32_t *blocks;   // (batch, blocks_each)
    size_t batch, blocks_each;
};

/* Positions first .. end - 1 of every sequence, in one run; logits of the last one. */
static void run_positions(const struct sequences *s, size_t first, size_t end)
{
    size_t count = 0, stride;
    for (size_t b = 0; b < s->batch; b++)
        for (size_t p = first; p < end; p++)
            s->rows[count++] = (struct lm_forward_row){
                .token = token_at(s->model, b, p),
                .position = (uint32_t)p,
                .blocks = s->blocks + b * s->blocks_each,
                .wants_logits = p + 1 == end,
            };
    lm_forward_run(s->forward, s->rows, count, &stride);
}

static double once(const struct sequences *s, const struct lm_measure_case *what)
{
    if (what->prompt == 0)
        run_positions(s, 0, START);
    const uint64_t start = lm_now_ns();
    for (size_t p = 0; p < what->prompt; p += PROMPT_STEP)
        run_positions(s, p, what->prompt - p < PROMPT_STEP ? what->prompt : p + PROMPT_STEP);
    for (size_t p = START; p < START + what->steps; p++)
        run_positions(s, p, p + 1);
    const double seconds = (double)(lm_now_ns() - start) * 1e-9;
    return (double)(what->batch * (what->prompt ? what->prompt : what->steps)) / seconds;
}

enum lm_rc lm_measure(const struct lm_model *model, const struct lm_measure_case *what, enum lm_kv_type kv,
                      int runs, double *ret, struct lm_err *err)
{
    LM_ASSERT(runs >= 1 && runs <= RUNS_MAX);
    const size_t length = what->prompt ? what->prompt : START + what->steps;
    if ((size_t)model->config.context < length)
        return lm_fail(err, LM_EINVAL, "'%s' needs a context of %zu tokens, the model has %lld", what->name,
                       length, (long long)model->config.context);
    const size_t rows = what->prompt ? what->batch * PROMPT_STEP : what->batch * START;
    struct sequences s = { .model = model, .batch = what->batch, .blocks_each = lm_kv_blocks(length) };
    const struct lm_forward_config config = { rows, what->batch, s.batch * s.blocks_each * LM_KV_TOKENS, kv };
    LM_TRY(lm_forward_new(model, &config, &s.forward, err));
    s.rows = lm_zalloc(rows, sizeof *s.rows);
    s.blocks = lm_zalloc(s.batch * s.blocks_each, sizeof *s.blocks);
    const bool taken = lm_kv_take(lm_forward_kv(s.forward), s.batch * s.blocks_each, s.blocks);
    LM_ASSERT(taken);
    double rates[RUNS_MAX];
    once(&s, what);   // the first touches memory
    for (int i = 0; i < runs; i++)
        rates[i] = once(&s, what);
    *ret = median(rates, runs);
    free(s.rows);
    free(s.blocks);
    lm_forward_free(s.forward);
    return LM_OK;
}

enum lm_rc lm_measure_load(const char *path, double *ret, struct lm_err *err)
{
    const uint64_t start = lm_now_ns();
    struct lm_model m;
    struct lm_forward *f;
    uint32_t block;
    size_t stride;
    LM_TRY(lm_model_open(path, &m, err));
    const enum lm_rc rc = lm_forward_new(&m, &(struct lm_forward_config){ 1, 1, 16, LM_KV_F16 }, &f, err);
    if (rc == LM_OK) {
        lm_kv_take(lm_forward_kv(f), 1, &block);
        lm_forward_run(f, &(struct lm_forward_row){ 0, 0, &block, true }, 1, &stride);
        *ret = (double)(lm_now_ns() - start) * 1e-9;
        lm_forward_free(f);
    }
    lm_model_close(&m);
    return rc;
}

/* ---- the machine's limits ---- */

uint64_t lm_measure_weight_bytes(const struct lm_model *m)
{
    static const enum lm_tensor matrices[] = { LM_T_WQ,   LM_T_WK,     LM_T_WV,     LM_T_WO,
                                               LM_T_W_UP, LM_T_W_GATE, LM_T_W_DOWN, LM_T_HEAD };
    uint64_t bytes = 0;
    for (size_t t = 0; t < sizeof matrices / sizeof matrices[0]; t++)
        for (size_t l = 0; l < (matrices[t] == LM_T_HEAD ? 1 : (size_t)m->config.layers); l++) {
            const struct lm_weight *w = lm_model_at(m, matrices[t], l);
            struct lm_matrix packed;
            if (!w->data)
                continue;
            lm_matrix_plan(&packed, w, w->rows);
            bytes += lm_matrix_bytes(&packed);
        }
    return bytes;
}

enum { READ_CHUNKS = 64, READ_PASSES = 50 };   // passes: as many as a run of decoding has tokens, about

struct reading {
    const uint64_t *data;
    size_t words;   // of a chunk
    uint64_t sums[READ_CHUNKS];
};

/* One word of each cache line, in four streams: no way was found that is faster. */
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

double lm_measure_read_rate(uint64_t bytes, int runs)
{
    LM_ASSERT(runs >= 1 && runs <= RUNS_MAX);
    struct lm_team *team = lm_team_new((size_t)lm_threads());
    struct reading r = { .words = bytes / READ_CHUNKS / 256 * 32 };   // four times whole lines
    uint64_t *data = lm_slab_alloc(bytes);
    double rates[RUNS_MAX];
    memset(data, 1, bytes);
    r.data = data;
    for (int i = 0; i < runs; i++) {
        const uint64_t start = lm_now_ns();
        for (int k = 0; k < READ_PASSES; k++)
            lm_team_run(team, READ_CHUNKS, read_chunk, &r);
        rates[i] = (double)(r.words * READ_CHUNKS * 8 * READ_PASSES) / (double)(lm_now_ns() - start);
    }
    lm_team_free(team);
    free(data);
    return median(rates, runs);
}

enum { PEAK_ROWS = 24, PEAK_COLS = 256, PEAK_OUTS = 64, PEAK_CHUNKS = 8, PEAK_REPEATS = 400 };

struct peak {
    struct lm_matrix matrix;
    struct lm_inputs in;
    float *y;
};

static void peak_chunk(void *context, size_t chunk, size_t worker)
{
    (void)chunk;
    struct peak *p = context;
    float *y = p->y + worker * PEAK_ROWS * PEAK_OUTS;
    for (int i = 0; i < PEAK_REPEATS; i++)
        lm_matrix_product(&p->matrix, &p->in, y, PEAK_OUTS, 0, p->matrix.panel_count, false);
}

double lm_measure_product_peak(enum lm_type type, int runs)
{
    LM_ASSERT(runs >= 1 && runs <= RUNS_MAX);
    struct lm_team *team = lm_team_new((size_t)lm_threads());
    const size_t code_bytes = PEAK_COLS / LM_BLOCK * LM_BLOCK_INPUT_BYTES;
    float *x = lm_slab_alloc(PEAK_ROWS * PEAK_COLS * sizeof *x);
    void *data = lm_slab_alloc(PEAK_OUTS * lm_type_bytes(type, PEAK_COLS));
    char *codes = lm_slab_alloc(PEAK_ROWS * code_bytes), *panels;
    uint16_t *pairs = lm_slab_alloc(PEAK_ROWS * PEAK_COLS * sizeof *pairs);
    const struct lm_weight w = { .data = data, .type = type, .rows = PEAK_OUTS, .cols = PEAK_COLS };
    struct peak p = { .in = { x, codes, pairs, PEAK_COLS, code_bytes, PEAK_COLS, PEAK_ROWS } };
    double rates[RUNS_MAX];
    lm_matrix_plan(&p.matrix, &w, PEAK_OUTS);
    p.matrix.panels = panels = lm_slab_alloc(lm_matrix_bytes(&p.matrix));
    p.y = lm_slab_alloc(lm_team_size(team) * PEAK_ROWS * PEAK_OUTS * sizeof *p.y);
    for (int i = 0; i < runs; i++) {
        const uint64_t start = lm_now_ns();
        lm_team_run(team, PEAK_CHUNKS, peak_chunk, &p);
        rates[i] = (double)PEAK_CHUNKS * PEAK_REPEATS * PEAK_ROWS * PEAK_COLS * PEAK_OUTS /
                   (double)(lm_now_ns() - start);
    }
    lm_team_free(team);
    free(x);
    free(data);
    free(codes);
    free(pairs);
    free(panels);
    free(p.y);
    return median(rates, runs);
}
