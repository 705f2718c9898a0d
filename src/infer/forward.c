#include "infer/forward.h"

#include "base/mem.h"
#include "base/sys.h"
#include "infer/weights.h"

#include <math.h>
#include <stdlib.h>

enum {
    CHUNK_PANELS_MAX = 16,
    QUERY_ROWS_MAX = 6,   // rows of one sequence that read the keys together
    NORM_ROWS = 4,
};

/* Rows first .. first + count - 1 are neighbours in one sequence. */
struct row_group {
    size_t first, count;
};

/* Scratch of one worker. */
struct scratch {
    float *scores;   // (queries, positions)
    float *sums;     // (queries, head_pad)
    float *scales;   // (queries)
    const float **panels;
};

struct lm_forward {
    const struct lm_model *model;
    const struct lm_panel_kernels *kernels;
    struct lm_team *team;
    struct lm_kv_pool kv;

    size_t vocab, dim, layers, heads, kv_heads, head_dim, ffn;
    size_t vocab_pad, dim_pad, head_pad, qkv_pad, att_pad, ffn_pad;   // rounded up to whole panels
    size_t positions;                                                 // longest sequence, whole blocks
    size_t rows_max, logits_max;
    size_t kv_head_floats;   // keys and values of one block, layer and head
    float eps;

    struct lm_weights weights;
    float *rope;   // (positions, D): D/2 cosines, D/2 sines

    float *x, *normed;         // (rows, dim_pad)
    float *qkv;                // (rows, qkv_pad): Q heads, K heads, V heads, each head_pad wide
    float *att;                // (rows, att_pad)
    float *gate_up, *hidden;   // (rows, 2 ffn_pad), (rows, ffn_pad)
    float *logits;             // (logits_max, vocab_pad)
    struct row_group *groups;
    struct scratch *scratch;   // per worker

    /* The run at hand. */
    const struct lm_forward_row *rows;
    size_t row_count, group_count, at_layer;
    const float *gain;   // of the norm at hand
};

/* ---- making and freeing ---- */

static void set_sizes(struct lm_forward *f, const struct lm_model_config *c, size_t kv_tokens)
{
    f->vocab = (size_t)c->vocab_size;
    f->dim = (size_t)c->dim;
    f->layers = (size_t)c->layers;
    f->heads = (size_t)c->heads;
    f->kv_heads = (size_t)c->kv_heads;
    f->head_dim = (size_t)c->head_dim;
    f->ffn = (size_t)c->ffn_dim;
    f->eps = (float)c->norm_eps;
    f->vocab_pad = lm_panel_pad(f->vocab);
    f->dim_pad = lm_panel_pad(f->dim);
    f->head_pad = lm_panel_pad(f->head_dim);
    f->qkv_pad = (f->heads + 2 * f->kv_heads) * f->head_pad;
    f->att_pad = lm_panel_pad(f->heads * f->head_dim);
    f->ffn_pad = lm_panel_pad(f->ffn);
    const size_t context = (size_t)c->context;
    f->positions = lm_panel_pad(context < kv_tokens ? context : kv_tokens);
    f->kv_head_floats = (f->head_dim + f->head_pad) * LM_KV_TOKENS;
}

/* Angle of position p, pair d: p theta^(-2 d / D); Su et al. 2021, arXiv:2104.09864. */
static void fill_rope(struct lm_forward *f, double theta)
{
    const size_t half = f->head_dim / 2;
    for (size_t d = 0; d < half; d++) {
        const double frequency = pow(theta, -2.0 * (double)d / (double)f->head_dim);
        for (size_t p = 0; p < f->positions; p++) {
            f->rope[p * f->head_dim + d] = (float)cos((double)p * frequency);
            f->rope[p * f->head_dim + half + d] = (float)sin((double)p * frequency);
        }
    }
}

static float *floats(size_t count, size_t width)
{
    return lm_slab_alloc(count * width * sizeof(float));
}

static void make_buffers(struct lm_forward *f)
{
    const size_t rows = f->rows_max;
    f->x = floats(rows, f->dim_pad);
    f->normed = floats(rows, f->dim_pad);
    f->qkv = floats(rows, f->qkv_pad);
    f->att = floats(rows, f->att_pad);
    f->gate_up = floats(rows, 2 * f->ffn_pad);
    f->hidden = floats(rows, f->ffn_pad);
    f->logits = floats(f->logits_max, f->vocab_pad);
    f->groups = lm_zalloc(rows, sizeof *f->groups);

    const size_t shared = f->heads / f->kv_heads, queries = shared > QUERY_ROWS_MAX ? shared : QUERY_ROWS_MAX;
    const size_t blocks = f->positions / LM_KV_TOKENS, head_panels = f->head_pad / LM_PANEL;
    f->scratch = lm_zalloc(lm_team_size(f->team), sizeof *f->scratch);
    for (size_t i = 0; i < lm_team_size(f->team); i++)
        f->scratch[i] = (struct scratch){
            .scores = floats(queries, f->positions),
            .sums = floats(queries, f->head_pad),
            .scales = floats(queries, 1),
            .panels = lm_zalloc(blocks > head_panels ? blocks : head_panels, sizeof *f->scratch[i].panels),
        };
}

enum lm_rc lm_forward_new(const struct lm_model *model, size_t rows_max, size_t logits_max, size_t kv_tokens,
                          struct lm_forward **ret, struct lm_err *err)
{
    LM_ASSERT(model->weights);
    LM_ASSERT(rows_max >= 1 && logits_max >= 1 && kv_tokens >= 1);

    struct lm_forward *f = lm_zalloc(1, sizeof *f);
    f->model = model;
    f->kernels = lm_panels();
    f->rows_max = rows_max;
    f->logits_max = logits_max;
    set_sizes(f, &model->config, kv_tokens);
    const size_t block_floats = f->layers * f->kv_heads * f->kv_head_floats;
    const enum lm_rc rc = lm_kv_pool_init(&f->kv, block_floats, lm_kv_blocks(kv_tokens), err);
    if (rc != LM_OK) {
        free(f);
        return rc;
    }
    f->team = lm_team_new((size_t)lm_threads());
    lm_weights_init(&f->weights, model);
    f->rope = floats(f->positions, f->head_dim);
    fill_rope(f, model->config.rope.theta);
    make_buffers(f);
    *ret = f;
    return LM_OK;
}

void lm_forward_free(struct lm_forward *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < lm_team_size(f->team); i++) {
        free(f->scratch[i].scores);
        free(f->scratch[i].sums);
        free(f->scratch[i].scales);
        free(f->scratch[i].panels);
    }
    lm_team_free(f->team);
    lm_kv_pool_release(&f->kv);
    lm_weights_release(&f->weights);
    float *const slabs[] = { f->rope, f->x, f->normed, f->qkv, f->att, f->gate_up, f->hidden, f->logits };
    for (size_t i = 0; i < sizeof slabs / sizeof slabs[0]; i++)
        free(slabs[i]);
    free(f->groups);
    free(f->scratch);
    free(f);
}

struct lm_team *lm_forward_team(struct lm_forward *f)
{
    return f->team;
}

struct lm_kv_pool *lm_forward_kv(struct lm_forward *f)
{
    return &f->kv;
}

/* ---- products over chunks of panels ---- */

/* y (+)= x W^T for some neighbouring panels of W, all rows of the batch. */
static void product(const struct lm_forward *f, float *y, size_t y_stride, const float *x, size_t x_stride,
                    const float *weights, size_t panel_count, size_t depth, bool add)
{
    const float *panels[CHUNK_PANELS_MAX];
    LM_DASSERT(panel_count <= CHUNK_PANELS_MAX);
    for (size_t j = 0; j < panel_count; j++)
        panels[j] = weights + j * LM_PANEL * depth;
    f->kernels->product(y, y_stride, x, x_stride, f->row_count, panels, panel_count, depth, add);
}

/* Panels a chunk takes: about four chunks per thread, and whole tiles. */
static size_t chunk_width(const struct lm_forward *f, size_t panel_count)
{
    enum { TILE = 8 };   // the widest tile of any row of kernels
    const size_t even = panel_count / (4 * lm_team_size(f->team));
    const size_t rounded = (even + TILE - 1) / TILE * TILE;
    return rounded < TILE ? TILE / 2 : rounded < CHUNK_PANELS_MAX ? rounded : CHUNK_PANELS_MAX;
}

static size_t chunk_count(size_t items, size_t width)
{
    return (items + width - 1) / width;
}

/* One matrix applied to the whole batch, as a job. */
struct matrix_job {
    const struct lm_forward *f;
    float *y;
    const float *x, *weights;
    size_t y_stride, x_stride, depth, panel_count, width;
    bool add;
};

static void matrix_chunk(void *context, size_t chunk, size_t worker)
{
    (void)worker;
    const struct matrix_job *j = context;
    const size_t first = chunk * j->width;
    const size_t count = j->panel_count - first < j->width ? j->panel_count - first : j->width;
    product(j->f, j->y + first * LM_PANEL, j->y_stride, j->x, j->x_stride,
            j->weights + first * LM_PANEL * j->depth, count, j->depth, j->add);
}

static void apply(struct lm_forward *f, struct matrix_job job)
{
    job.f = f;
    job.width = chunk_width(f, job.panel_count);
    lm_team_run(f->team, chunk_count(job.panel_count, job.width), matrix_chunk, &job);
}

/* ---- the parts of a layer ---- */

static void norm_chunk(void *context, size_t chunk, size_t worker)
{
    (void)worker;
    const struct lm_forward *f = context;
    for (size_t m = chunk * NORM_ROWS; m < f->row_count && m < (chunk + 1) * NORM_ROWS; m++)
        f->kernels->rmsnorm(f->normed + m * f->dim_pad, f->x + m * f->dim_pad, f->gain, f->dim_pad, f->dim,
                            f->eps);
}

static void normalise(struct lm_forward *f, const float *gain)
{
    f->gain = gain;
    lm_team_run(f->team, chunk_count(f->row_count, NORM_ROWS), norm_chunk, f);
}

/* Rotates pairs (d, d + D/2), as Hugging Face stores Q and K. */
static void rotate(const struct lm_forward *f, float *head, size_t position)
{
    const size_t half = f->head_dim / 2;
    const float *cosine = f->rope + position * f->head_dim, *sine = cosine + half;
    for (size_t d = 0; d < half; d++) {
        const float a = head[d], b = head[d + half];
        head[d] = a * cosine[d] - b * sine[d];
        head[d + half] = b * cosine[d] + a * sine[d];
    }
}

/* Keys of a block for the layer at hand; values follow them. */
static float *kv_at(const struct lm_forward *f, uint32_t block, size_t kv_head)
{
    return f->kv.data + block * f->kv.block_floats +
           (f->at_layer * f->kv_heads + kv_head) * f->kv_head_floats;
}

static void store_key(const struct lm_forward *f, const struct lm_forward_row *row, size_t kv_head,
                      const float *key)
{
    float *to = kv_at(f, row->blocks[row->position / LM_KV_TOKENS], kv_head) + row->position % LM_KV_TOKENS;
    for (size_t d = 0; d < f->head_dim; d++)
        to[d * LM_KV_TOKENS] = key[d];
}

static void store_value(const struct lm_forward *f, const struct lm_forward_row *row, size_t kv_head,
                        const float *value)
{
    float *to = kv_at(f, row->blocks[row->position / LM_KV_TOKENS], kv_head) + f->head_dim * LM_KV_TOKENS +
                row->position % LM_KV_TOKENS * LM_PANEL;
    for (size_t d = 0; d < f->head_pad; d += LM_PANEL)
        memcpy(to + d * LM_KV_TOKENS, value + d, LM_PANEL * sizeof *to);
}

/* Heads of a chunk: enough for one tile. */
static size_t heads_per_chunk(const struct lm_forward *f)
{
    const size_t panels = f->head_pad / LM_PANEL;
    return panels >= 8 ? 1 : 8 / panels;
}

static void finish_head(const struct lm_forward *f, size_t head, const struct lm_forward_row *row, float *at)
{
    if (head < f->heads + f->kv_heads)
        rotate(f, at, row->position);
    if (head >= f->heads + f->kv_heads)
        store_value(f, row, head - f->heads - f->kv_heads, at);
    else if (head >= f->heads)
        store_key(f, row, head - f->heads, at);
}

static void qkv_chunk(void *context, size_t chunk, size_t worker)
{
    (void)worker;
    const struct lm_forward *f = context;
    const size_t head_panels = f->head_pad / LM_PANEL, all = f->heads + 2 * f->kv_heads;
    const size_t first = chunk * heads_per_chunk(f);
    const size_t end = first + heads_per_chunk(f) < all ? first + heads_per_chunk(f) : all;
    const float *weights = f->weights.layers[f->at_layer].qkv;
    for (size_t p = first * head_panels; p < end * head_panels;) {
        const size_t left = end * head_panels - p, count = left < CHUNK_PANELS_MAX ? left : CHUNK_PANELS_MAX;
        product(f, f->qkv + p * LM_PANEL, f->qkv_pad, f->normed, f->dim_pad, weights + p * LM_PANEL * f->dim,
                count, f->dim, false);
        p += count;
    }
    for (size_t h = first; h < end; h++)
        for (size_t m = 0; m < f->row_count; m++)
            finish_head(f, h, &f->rows[m], f->qkv + m * f->qkv_pad + h * f->head_pad);
}

/* Queries that share keys: the heads of one row (growth 0), or one head in neighbouring rows (growth 1). */
struct queries {
    const float *q;
    float *out;
    size_t count, q_stride, out_stride;
    size_t length, growth;   // query i sees positions 0 .. length + i * growth - 1
};

/* Values of some neighbouring tokens, weighted: sums (+)= scores V. */
static void add_values(const struct lm_forward *f, const struct scratch *b, const float *keys, size_t block,
                       size_t first_query, size_t query_count, size_t tokens)
{
    const size_t head_panels = f->head_pad / LM_PANEL;
    const float *values = keys + f->head_dim * LM_KV_TOKENS;
    for (size_t j = 0; j < head_panels; j++)
        b->panels[j] = values + j * LM_PANEL * LM_KV_TOKENS;
    f->kernels->product(b->sums + first_query * f->head_pad, f->head_pad,
                        b->scores + first_query * f->positions + block * LM_KV_TOKENS, f->positions,
                        query_count, b->panels, head_panels, tokens, block > 0);
}

/* out = softmax(q K^T / sqrt(D)) V for queries of one sequence and KV head. */
static void attend(const struct lm_forward *f, const struct scratch *b, size_t kv_head,
                   const uint32_t *blocks, struct queries s)
{
    const size_t longest = s.length + (s.count - 1) * s.growth;
    const float scale = (float)(1 / sqrt((double)f->head_dim));
    for (size_t i = 0; i < lm_kv_blocks(longest); i++)
        b->panels[i] = kv_at(f, blocks[i], kv_head);
    f->kernels->product(b->scores, f->positions, s.q, s.q_stride, s.count, b->panels, lm_kv_blocks(longest),
                        f->head_dim, false);
    for (size_t i = 0; i < s.count; i++) {
        float *scores = b->scores + i * f->positions, max;
        b->scales[i] = (float)(1 / f->kernels->softmax(scores, scores, s.length + i * s.growth, scale, &max));
    }
    const size_t whole = s.length / LM_KV_TOKENS;   // blocks that every query sees to their end
    for (size_t k = 0; k < whole; k++)
        add_values(f, b, kv_at(f, blocks[k], kv_head), k, 0, s.count, LM_KV_TOKENS);
    for (size_t i = 0; i < s.count; i++) {
        const size_t length = s.length + i * s.growth;
        for (size_t k = whole; k < lm_kv_blocks(length); k++) {
            const size_t left = length - k * LM_KV_TOKENS;
            add_values(f, b, kv_at(f, blocks[k], kv_head), k, i, 1,
                       left < LM_KV_TOKENS ? left : LM_KV_TOKENS);
        }
        for (size_t d = 0; d < f->head_dim; d++)
            s.out[i * s.out_stride + d] = b->sums[i * f->head_pad + d] * b->scales[i];
    }
}

static void attention_chunk(void *context, size_t chunk, size_t worker)
{
    const struct lm_forward *f = context;
    const struct row_group *group = &f->groups[chunk / f->kv_heads];
    const struct lm_forward_row *row = &f->rows[group->first];
    const size_t kv_head = chunk % f->kv_heads, shared = f->heads / f->kv_heads, head = kv_head * shared;
    struct queries s = {
        .q = f->qkv + group->first * f->qkv_pad + head * f->head_pad,
        .out = f->att + group->first * f->att_pad + head * f->head_dim,
        .length = row->position + 1,
    };
    if (group->count == 1) {
        s.count = shared, s.q_stride = f->head_pad, s.out_stride = f->head_dim;
        attend(f, &f->scratch[worker], kv_head, row->blocks, s);
        return;
    }
    s.count = group->count, s.growth = 1, s.q_stride = f->qkv_pad, s.out_stride = f->att_pad;
    for (size_t h = 0; h < shared; h++, s.q += f->head_pad, s.out += f->head_dim)
        attend(f, &f->scratch[worker], kv_head, row->blocks, s);
}

static void ffn_chunk(void *context, size_t chunk, size_t worker)
{
    (void)worker;
    const struct lm_forward *f = context;
    const size_t panels = f->ffn_pad / LM_PANEL, first = chunk * LM_FFN_PANELS;
    const size_t count = panels - first < LM_FFN_PANELS ? panels - first : LM_FFN_PANELS,
                 width = count * LM_PANEL;
    float *both = f->gate_up + 2 * first * LM_PANEL;
    product(f, both, 2 * f->ffn_pad, f->normed, f->dim_pad,
            f->weights.layers[f->at_layer].gate_up + 2 * first * LM_PANEL * f->dim, 2 * count, f->dim, false);
    for (size_t m = 0; m < f->row_count; m++, both += 2 * f->ffn_pad)
        f->kernels->swiglu(f->hidden + m * f->ffn_pad + first * LM_PANEL, both, both + width, width);
}

/* ---- the pass ---- */

static void run_layer(struct lm_forward *f, size_t index)
{
    const struct lm_layer_weights *layer = &f->weights.layers[index];
    const size_t head_chunks = chunk_count(f->heads + 2 * f->kv_heads, heads_per_chunk(f));
    f->at_layer = index;
    normalise(f, layer->attn_norm);
    lm_team_run(f->team, head_chunks, qkv_chunk, f);
    lm_team_run(f->team, f->group_count * f->kv_heads, attention_chunk, f);
    apply(f, (struct matrix_job){
                 .y = f->x,
                 .y_stride = f->dim_pad,
                 .x = f->att,
                 .x_stride = f->att_pad,
                 .weights = layer->wo,
                 .depth = f->heads * f->head_dim,
                 .panel_count = f->dim_pad / LM_PANEL,
                 .add = true,
             });
    normalise(f, layer->ffn_norm);
    lm_team_run(f->team, chunk_count(f->ffn_pad / LM_PANEL, LM_FFN_PANELS), ffn_chunk, f);
    apply(f, (struct matrix_job){
                 .y = f->x,
                 .y_stride = f->dim_pad,
                 .x = f->hidden,
                 .x_stride = f->ffn_pad,
                 .weights = layer->down,
                 .depth = f->ffn,
                 .panel_count = f->dim_pad / LM_PANEL,
                 .add = true,
             });
}

/* Rows of the wanted logits move together to the front of x; the rest of the batch is done. */
static float *run_head(struct lm_forward *f)
{
    size_t wanted = 0;
    for (size_t m = 0; m < f->row_count; m++)
        if (f->rows[m].wants_logits) {
            if (wanted != m)
                memcpy(f->x + wanted * f->dim_pad, f->x + m * f->dim_pad, f->dim_pad * sizeof *f->x);
            wanted++;
        }
    LM_ASSERT(wanted <= f->logits_max);
    f->row_count = wanted;
    if (wanted == 0)
        return f->logits;
    normalise(f, f->weights.norm);
    apply(f, (struct matrix_job){
                 .y = f->logits,
                 .y_stride = f->vocab_pad,
                 .x = f->normed,
                 .x_stride = f->dim_pad,
                 .weights = f->weights.head,
                 .depth = f->dim,
                 .panel_count = f->vocab_pad / LM_PANEL,
             });
    return f->logits;
}

static void start_rows(struct lm_forward *f, const struct lm_forward_row *rows, size_t row_count)
{
    f->rows = rows;
    f->row_count = row_count;
    f->group_count = 0;
    const float *embedding = lm_model_at(f->model, LM_T_EMBED, 0)->data;
    for (size_t m = 0; m < row_count; m++) {
        LM_ASSERT(rows[m].token < f->vocab && rows[m].position < f->positions);
        memcpy(f->x + m * f->dim_pad, embedding + rows[m].token * f->dim, f->dim * sizeof *f->x);
        struct row_group *last = m > 0 ? &f->groups[f->group_count - 1] : NULL;
        if (last && last->count < QUERY_ROWS_MAX && rows[m].blocks == rows[m - 1].blocks &&
            rows[m].position == rows[m - 1].position + 1)
            last->count++;
        else
            f->groups[f->group_count++] = (struct row_group){ m, 1 };
    }
}

float *lm_forward_run(struct lm_forward *f, const struct lm_forward_row *rows, size_t row_count,
                      size_t *ret_stride)
{
    LM_ASSERT(row_count <= f->rows_max);

    start_rows(f, rows, row_count);
    for (size_t l = 0; l < f->layers; l++)
        run_layer(f, l);
    *ret_stride = f->vocab_pad;
    return run_head(f);
}
