#include "infer/forward.h"

#include "base/mem.h"
#include "base/sys.h"
#include "infer/attention.h"
#include "infer/weights.h"

#include <math.h>
#include <stdlib.h>

enum {
    CHUNK_PANELS_MAX = 16,
    QUERY_ROWS_MAX = 6,   // rows of one sequence that read the keys together
    READY_ROWS = 4,
};

/* Rows first .. first + count - 1 are neighbours in one sequence; the first sees positions below length. */
struct row_group {
    size_t first, count, length;
};

struct lm_forward {
    const struct lm_model *model;
    const struct lm_arch_info *arch;
    const struct lm_panel_kernels *kernels;
    struct lm_team *team;
    struct lm_kv_pool kv;

    size_t vocab, dim, layers, heads, kv_heads, head_dim, ffn;
    size_t vocab_pad, dim_pad, head_pad, qkv_pad, att_pad, ffn_pad;   // rounded up to whole panels
    size_t pairs_pad;
    size_t codes_bytes;   // of a row of prepared inputs
    size_t positions;     // longest sequence, whole blocks
    size_t rows_max, logits_max;
    float eps;

    struct lm_weights weights;
    double *frequencies;   // of RoPE, (D/2)
    float rope_scale;

    float *rope;            // (rows, D): D/2 cosines, D/2 sines
    float *x, *normed;      // (rows, dim_pad)
    float *qkv;             // (rows, qkv_pad): Q heads, K heads, V heads, each head_pad wide
    float *att;             // (rows, att_pad)
    float *gate, *hidden;   // (rows, ffn_pad)
    uint16_t *pairs;        // (rows, pairs_pad): the same, in pairs
    char *codes;            // (rows, codes_bytes): of the input of the product at hand
    float *logits;          // (logits_max, vocab_pad)
    struct row_group *groups;
    struct lm_attention_scratch *scratch;   // per worker

    /* The run at hand. */
    const struct lm_forward_row *rows;
    size_t row_count, group_count, at_layer;
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
    size_t widest = f->dim > f->ffn ? f->dim : f->ffn;
    widest = widest > f->att_pad ? widest : f->att_pad;
    f->pairs_pad = lm_panel_pad(widest);
    f->codes_bytes = (widest / LM_BLOCK * LM_BLOCK_INPUT_BYTES + 63) / 64 * 64;
    const size_t context = (size_t)c->context;
    f->positions = lm_panel_pad(context < kv_tokens ? context : kv_tokens);
}

static float *floats(size_t count, size_t width)
{
    return lm_slab_alloc(count * width * sizeof(float));
}

static void make_buffers(struct lm_forward *f)
{
    const size_t rows = f->rows_max;
    f->rope = floats(rows, f->head_dim);
    f->x = floats(rows, f->dim_pad);
    f->normed = floats(rows, f->dim_pad);
    f->qkv = floats(rows, f->qkv_pad);
    f->att = floats(rows, f->att_pad);
    f->gate = floats(rows, f->ffn_pad);
    f->hidden = floats(rows, f->ffn_pad);
    f->codes = lm_slab_alloc(rows * f->codes_bytes);
    f->pairs = lm_slab_alloc(rows * f->pairs_pad * sizeof *f->pairs);
    f->logits = f->arch->causal ? floats(f->logits_max, f->vocab_pad) : NULL;
    f->groups = lm_zalloc(rows, sizeof *f->groups);

    const size_t shared = f->heads / f->kv_heads, queries = shared > QUERY_ROWS_MAX ? shared : QUERY_ROWS_MAX;
    f->scratch = lm_zalloc(lm_team_size(f->team), sizeof *f->scratch);
    for (size_t i = 0; i < lm_team_size(f->team); i++)
        lm_attention_scratch_init(&f->scratch[i], queries, f->head_dim);
}

enum lm_rc lm_forward_new(const struct lm_model *model, const struct lm_forward_config *config,
                          struct lm_forward **ret, struct lm_err *err)
{
    LM_ASSERT(model->weights);
    LM_ASSERT(config->rows_max >= 1 && config->logits_max >= 1 && config->kv_tokens >= 1);

    struct lm_forward *f = lm_zalloc(1, sizeof *f);
    f->model = model;
    f->arch = &lm_archs[model->config.arch];
    f->kernels = lm_panels();
    f->rows_max = config->rows_max;
    f->logits_max = config->logits_max;
    set_sizes(f, &model->config, config->kv_tokens);
    const struct lm_kv_shape shape = { config->kv_type, f->layers, f->kv_heads, f->head_dim };
    enum lm_rc rc = lm_kv_pool_init(&f->kv, shape, lm_kv_blocks(config->kv_tokens), err);
    if (rc != LM_OK) {
        free(f);
        return rc;
    }
    f->team = lm_team_new((size_t)lm_threads());
    f->frequencies = lm_zalloc(f->head_dim, sizeof *f->frequencies);
    if (f->arch->rope)
        f->rope_scale = (float)lm_model_rope(&model->config, f->frequencies);
    make_buffers(f);
    rc = lm_weights_init(&f->weights, model, f->team, err);
    if (rc == LM_OK)
        *ret = f;
    else
        lm_forward_free(f);
    return rc;
}

void lm_forward_free(struct lm_forward *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < lm_team_size(f->team); i++)
        lm_attention_scratch_release(&f->scratch[i]);
    lm_team_free(f->team);
    lm_kv_pool_release(&f->kv);
    lm_weights_release(&f->weights);
    float *const slabs[] = { f->rope, f->x, f->normed, f->qkv, f->att, f->gate, f->hidden, f->logits };
    for (size_t i = 0; i < sizeof slabs / sizeof slabs[0]; i++)
        free(slabs[i]);
    free(f->codes);
    free(f->pairs);
    free(f->frequencies);
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

/* ---- inputs made ready: normalised, and prepared for products with blocks ---- */

struct ready_job {
    const struct lm_forward *f;
    float *to;   // what is normalised, if there is a gain
    const float *from;
    size_t stride, pad, cols;   // of to and from alike
    const float *gain, *bias;   // NULL: taken as it is
    unsigned forms;             // of enum lm_input_form, what the matrices ask for
};

static void ready_chunk(void *context, size_t chunk, size_t worker)
{
    (void)worker;
    const struct ready_job *j = context;
    const struct lm_forward *f = j->f;
    for (size_t m = chunk * READY_ROWS; m < f->row_count && m < (chunk + 1) * READY_ROWS; m++) {
        const float *from = j->from + m * j->stride;
        if (j->gain) {
            float *to = j->to + m * j->stride;
            if (f->arch->layer_norm)
                f->kernels->layernorm(to, from, j->gain, j->bias, j->pad, j->cols, f->eps);
            else
                f->kernels->rmsnorm(to, from, j->gain, j->pad, j->cols, f->eps);
            from = to;
        }
        if (j->forms & LM_INPUT_BLOCKS)
            lm_blocks()->prepare(f->codes + m * f->codes_bytes, from, j->cols / LM_BLOCK);
        if (j->forms & LM_INPUT_PAIRS)
            lm_pairs()->prepare(f->pairs + m * f->pairs_pad, from, j->cols);
    }
}

/* How the rows of a batch go into products, once they are ready. */
static struct lm_inputs make_ready(struct lm_forward *f, struct ready_job job)
{
    job.f = f;
    if (job.gain || job.forms & ~(unsigned)LM_INPUT_FLOATS)
        lm_team_run(f->team, (f->row_count + READY_ROWS - 1) / READY_ROWS, ready_chunk, &job);
    return (struct lm_inputs){
        .x = job.gain ? job.to : job.from,
        .x_stride = job.stride,
        .codes = f->codes,
        .codes_bytes = f->codes_bytes,
        .pairs = f->pairs,
        .pairs_stride = f->pairs_pad,
        .rows = f->row_count,
    };
}

/* The residual stream before a part of a layer (`before`: its norm comes first), or behind it. */
static struct lm_inputs ready_x(struct lm_forward *f, const float *gain, const float *bias, bool in_place,
                                unsigned forms)
{
    return make_ready(f, (struct ready_job){
                             .to = in_place ? f->x : f->normed,
                             .from = f->x,
                             .stride = f->dim_pad,
                             .pad = f->dim_pad,
                             .cols = f->dim,
                             .gain = gain,
                             .bias = bias,
                             .forms = forms,
                         });
}

/* ---- products over chunks of panels ---- */

/* Panels a chunk takes: about four chunks per thread, and whole tiles: of floats the widest of any row of
 * kernels, of blocks two panels, but one for a single row. */
static size_t chunk_width(const struct lm_forward *f, const struct lm_matrix *matrix)
{
    const size_t tile = lm_matrix_input(matrix) != LM_INPUT_BLOCKS ? 8 : f->row_count > 1 ? 2 : 1;
    const size_t parts = 4 * lm_team_size(f->team), even = (matrix->panel_count + parts - 1) / parts;
    const size_t rounded = (even + tile - 1) / tile * tile;
    return rounded < CHUNK_PANELS_MAX ? rounded : CHUNK_PANELS_MAX;
}

static size_t chunk_count(size_t items, size_t width)
{
    return (items + width - 1) / width;
}

/* One matrix applied to the whole batch, as a job. */
struct matrix_job {
    const struct lm_matrix *matrix;
    struct lm_inputs in;
    float *y;
    size_t y_stride, width;
    bool add;
};

static void matrix_chunk(void *context, size_t chunk, size_t worker)
{
    (void)worker;
    const struct matrix_job *j = context;
    const size_t first = chunk * j->width, left = j->matrix->panel_count - first;
    lm_matrix_product(j->matrix, &j->in, j->y + first * LM_PANEL, j->y_stride, first,
                      left < j->width ? left : j->width, j->add);
}

static void apply(struct lm_forward *f, const struct lm_matrix *matrix, struct lm_inputs in, float *y,
                  size_t y_stride, bool add)
{
    struct matrix_job job = { matrix, in, y, y_stride, chunk_width(f, matrix), add };
    lm_team_run(f->team, chunk_count(matrix->panel_count, job.width), matrix_chunk, &job);
}

/* ---- attention ---- */

/* Rotates pairs (d, d + D/2), as Hugging Face stores Q and K. */
static void rotate(const struct lm_forward *f, float *head, size_t row)
{
    const size_t half = f->head_dim / 2;
    const float *cosine = f->rope + row * f->head_dim, *sine = cosine + half;
    for (size_t d = 0; d < half; d++) {
        const float a = head[d], b = head[d + half];
        head[d] = a * cosine[d] - b * sine[d];
        head[d + half] = b * cosine[d] + a * sine[d];
    }
}

/* Heads of a chunk: enough for one tile. */
static size_t heads_per_chunk(const struct lm_forward *f)
{
    const size_t panels = f->head_pad / LM_PANEL;
    return panels >= 8 ? 1 : 8 / panels;
}

/* Norm, rotation and the way into the cache; `head` counts Q, then K, then V. */
static void finish_head(const struct lm_forward *f, size_t head, size_t row, float *at)
{
    const struct lm_layer_weights *layer = &f->weights.layers[f->at_layer];
    const struct lm_forward_row *r = &f->rows[row];
    const bool is_value = head >= f->heads + f->kv_heads, is_key = head >= f->heads && !is_value;
    const float *gain = is_value ? NULL : is_key ? layer->k_norm : layer->q_norm;
    if (gain)
        f->kernels->rmsnorm(at, at, gain, f->head_pad, f->head_dim, f->eps);
    if (f->arch->rope && !is_value)
        rotate(f, at, row);
    if (is_value)
        lm_attention_store_value(&f->kv, r->blocks, r->position, f->at_layer, head - f->heads - f->kv_heads,
                                 at);
    else if (is_key)
        lm_attention_store_key(&f->kv, r->blocks, r->position, f->at_layer, head - f->heads, at);
}

struct qkv_job {
    const struct lm_forward *f;
    struct lm_inputs in;
};

/* Heads first .. end - 1, as far as they belong to `matrix`, whose first head is number `from`. */
static void head_products(const struct qkv_job *j, const struct lm_matrix *matrix, size_t from, size_t count,
                          size_t first, size_t end)
{
    const struct lm_forward *f = j->f;
    const size_t panels = f->head_pad / LM_PANEL;
    first = first > from ? first : from;
    end = end < from + count ? end : from + count;
    if (first < end)
        lm_matrix_product(matrix, &j->in, f->qkv + first * f->head_pad, f->qkv_pad, (first - from) * panels,
                          (end - first) * panels, false);
}

static void qkv_chunk(void *context, size_t chunk, size_t worker)
{
    (void)worker;
    const struct qkv_job *j = context;
    const struct lm_forward *f = j->f;
    const struct lm_layer_weights *layer = &f->weights.layers[f->at_layer];
    const size_t all = f->heads + 2 * f->kv_heads, first = chunk * heads_per_chunk(f);
    const size_t end = first + heads_per_chunk(f) < all ? first + heads_per_chunk(f) : all;
    head_products(j, &layer->q, 0, f->heads, first, end);
    head_products(j, &layer->k, f->heads, f->kv_heads, first, end);
    head_products(j, &layer->v, f->heads + f->kv_heads, f->kv_heads, first, end);
    for (size_t h = first; h < end; h++)
        for (size_t m = 0; m < f->row_count; m++)
            finish_head(f, h, m, f->qkv + m * f->qkv_pad + h * f->head_pad);
}

/* The heads of one row share the keys of their KV head; rows of one sequence share them head by head. */
static void attention_chunk(void *context, size_t chunk, size_t worker)
{
    const struct lm_forward *f = context;
    const struct lm_model_config *c = &f->model->config;
    const struct row_group *group = &f->groups[chunk / f->kv_heads];
    const size_t kv_head = chunk % f->kv_heads, shared = f->heads / f->kv_heads, head = kv_head * shared;
    const bool windowed = c->window > 0 && (int64_t)f->at_layer >= c->window_from_layer;
    struct lm_attention a = {
        .blocks = f->rows[group->first].blocks,
        .layer = f->at_layer,
        .head = kv_head,
        .q = f->qkv + group->first * f->qkv_pad + head * f->head_pad,
        .out = f->att + group->first * f->att_pad + head * f->head_dim,
        .count = shared,
        .q_stride = f->head_pad,
        .out_stride = f->head_dim,
        .length = group->length,
        .window = windowed ? (size_t)c->window : 0,
    };
    if (group->count == 1) {
        lm_attention_run(&f->kv, &f->scratch[worker], &a);
        return;
    }
    a.count = group->count, a.q_stride = f->qkv_pad, a.out_stride = f->att_pad;
    a.growth = f->arch->causal;
    for (size_t h = 0; h < shared; h++, a.q += f->head_pad, a.out += f->head_dim)
        lm_attention_run(&f->kv, &f->scratch[worker], &a);
}

/* ---- feed-forward ---- */

struct ffn_job {
    const struct lm_forward *f;
    struct lm_inputs in;
    size_t width;
};

static void ffn_chunk(void *context, size_t chunk, size_t worker)
{
    (void)worker;
    const struct ffn_job *j = context;
    const struct lm_forward *f = j->f;
    const struct lm_layer_weights *layer = &f->weights.layers[f->at_layer];
    const size_t first = chunk * j->width, left = layer->up.panel_count - first;
    const size_t count = left < j->width ? left : j->width, width = count * LM_PANEL;
    float *gate = f->gate + first * LM_PANEL, *hidden = f->hidden + first * LM_PANEL;
    if (f->arch->gated)
        lm_matrix_product(&layer->gate, &j->in, gate, f->ffn_pad, first, count, false);
    lm_matrix_product(&layer->up, &j->in, hidden, f->ffn_pad, first, count, false);
    for (size_t m = 0; m < f->row_count; m++, gate += f->ffn_pad, hidden += f->ffn_pad)
        if (f->arch->gated)
            f->kernels->swiglu(hidden, gate, hidden, width);
        else if (f->arch->gelu_tanh)
            f->kernels->gelu_tanh(hidden, hidden, width);
        else
            f->kernels->gelu(hidden, hidden, width);
}

/* ---- the pass ---- */

static void run_layer(struct lm_forward *f, size_t index)
{
    const struct lm_layer_weights *layer = &f->weights.layers[index];
    const bool before = !f->arch->norm_after;
    f->at_layer = index;

    const unsigned qkv_forms =
        lm_matrix_input(&layer->q) | lm_matrix_input(&layer->k) | lm_matrix_input(&layer->v);
    struct qkv_job qkv = { f, ready_x(f, before ? layer->attn_norm : NULL, layer->attn_norm_bias, false,
                                      qkv_forms) };
    lm_team_run(f->team, chunk_count(f->heads + 2 * f->kv_heads, heads_per_chunk(f)), qkv_chunk, &qkv);
    lm_team_run(f->team, f->group_count * f->kv_heads, attention_chunk, f);
    struct lm_inputs in = make_ready(f, (struct ready_job){
                                            .from = f->att,
                                            .stride = f->att_pad,
                                            .cols = f->heads * f->head_dim,
                                            .forms = lm_matrix_input(&layer->o),
                                        });
    apply(f, &layer->o, in, f->x, f->dim_pad, true);

    const unsigned up_forms = lm_matrix_input(&layer->up) | lm_matrix_input(&layer->gate);
    struct ffn_job ffn = {
        .f = f,
        .in = before ? ready_x(f, layer->ffn_norm, layer->ffn_norm_bias, false, up_forms)
                     : ready_x(f, layer->attn_norm, layer->attn_norm_bias, true, up_forms),
        .width = chunk_width(f, &layer->up),
    };
    lm_team_run(f->team, chunk_count(layer->up.panel_count, ffn.width), ffn_chunk, &ffn);
    in = make_ready(f, (struct ready_job){
                           .from = f->hidden,
                           .stride = f->ffn_pad,
                           .cols = f->ffn,
                           .forms = lm_matrix_input(&layer->down),
                       });
    apply(f, &layer->down, in, f->x, f->dim_pad, true);
    if (!before)
        ready_x(f, layer->ffn_norm, layer->ffn_norm_bias, true, 0);
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
    if (!f->arch->causal)
        return f->x;
    if (wanted == 0)
        return f->logits;
    const struct lm_matrix *head = &f->weights.head;
    apply(f, head, ready_x(f, f->weights.norm, f->weights.norm_bias, false, lm_matrix_input(head)), f->logits,
          f->vocab_pad, false);
    return f->logits;
}

static void add_row(const struct lm_forward *f, enum lm_tensor tensor, size_t row, float *x)
{
    const struct lm_weight *w = lm_model_at(f->model, tensor, 0);
    if (!w->data)
        return;
    lm_weight_row_f32(w, row, f->normed);
    for (size_t i = 0; i < f->dim; i++)
        x[i] += f->normed[i];
}

static void start_row(const struct lm_forward *f, size_t m)
{
    const struct lm_forward_row *row = &f->rows[m];
    LM_ASSERT(row->token < f->vocab && row->position < f->positions);

    float *x = f->x + m * f->dim_pad, *cosine = f->rope + m * f->head_dim, *sine = cosine + f->head_dim / 2;
    lm_weight_row_f32(lm_model_at(f->model, LM_T_EMBED, 0), row->token, x);
    memset(x + f->dim, 0, (f->dim_pad - f->dim) * sizeof *x);
    add_row(f, LM_T_TOKEN_TYPE, 0, x);
    add_row(f, LM_T_POSITION, row->position, x);
    for (size_t d = 0; f->arch->rope && d < f->head_dim / 2; d++) {
        const double angle = (double)row->position * f->frequencies[d];
        cosine[d] = (float)(cos(angle) * (double)f->rope_scale);
        sine[d] = (float)(sin(angle) * (double)f->rope_scale);
    }
}

/* In an encoder every row sees its whole sequence. */
static void set_lengths(struct lm_forward *f)
{
    for (size_t g = f->group_count; g-- > 0;) {
        struct row_group *at = &f->groups[g], *next = g + 1 < f->group_count ? at + 1 : NULL;
        if (f->arch->causal)
            at->length = f->rows[at->first].position + (size_t)1;
        else if (next && f->rows[next->first].position == f->rows[at->first].position + at->count)
            at->length = next->length;
        else
            at->length = f->rows[at->first].position + at->count;
    }
}

static void start_rows(struct lm_forward *f, const struct lm_forward_row *rows, size_t row_count)
{
    f->rows = rows;
    f->row_count = row_count;
    f->group_count = 0;
    for (size_t m = 0; m < row_count; m++) {
        start_row(f, m);
        struct row_group *last = m > 0 ? &f->groups[f->group_count - 1] : NULL;
        if (last && last->count < QUERY_ROWS_MAX && rows[m].blocks == rows[m - 1].blocks &&
            rows[m].position == rows[m - 1].position + 1)
            last->count++;
        else
            f->groups[f->group_count++] = (struct row_group){ m, 1, 0 };
    }
    set_lengths(f);
    if (f->weights.embed_norm)
        ready_x(f, f->weights.embed_norm, f->weights.embed_norm_bias, true, 0);
}

float *lm_forward_run(struct lm_forward *f, const struct lm_forward_row *rows, size_t row_count,
                      size_t *ret_stride)
{
    LM_ASSERT(row_count <= f->rows_max);

    start_rows(f, rows, row_count);
    for (size_t l = 0; l < f->layers; l++)
        run_layer(f, l);
    *ret_stride = f->arch->causal ? f->vocab_pad : f->dim_pad;
    return run_head(f);
}
