/* Plans all matrices, then lets the team pack them into one mapping. */
#include "infer/weights.h"

#include "base/mem.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { PANELS_PER_JOB = 16 };

/* ---- what goes where ---- */

#define AT(field) offsetof(struct lm_layer_weights, field)
enum grouping { WHOLE, HEADS, KV_HEADS };

static const struct {
    size_t offset;
    enum lm_tensor weight, bias;   // bias LM_T_COUNT: never one
    enum grouping grouping;
} layer_matrices[] = {
    { AT(q), LM_T_WQ, LM_T_BQ, HEADS },
    { AT(k), LM_T_WK, LM_T_BK, KV_HEADS },
    { AT(v), LM_T_WV, LM_T_BV, KV_HEADS },
    { AT(o), LM_T_WO, LM_T_BO, WHOLE },
    { AT(gate), LM_T_W_GATE, LM_T_COUNT, WHOLE },
    { AT(up), LM_T_W_UP, LM_T_B_UP, WHOLE },
    { AT(down), LM_T_W_DOWN, LM_T_B_DOWN, WHOLE },
};
static const struct {
    size_t offset;
    enum lm_tensor tensor;
} layer_vectors[] = {
    { AT(attn_norm), LM_T_ATTN_NORM }, { AT(attn_norm_bias), LM_T_ATTN_NORM_BIAS },
    { AT(ffn_norm), LM_T_FFN_NORM },   { AT(ffn_norm_bias), LM_T_FFN_NORM_BIAS },
    { AT(q_norm), LM_T_Q_NORM },       { AT(k_norm), LM_T_K_NORM },
};
#undef AT
#define AT(field) offsetof(struct lm_weights, field)
static const struct {
    size_t offset;
    enum lm_tensor tensor;
} vectors[] = {
    { AT(embed_norm), LM_T_EMBED_NORM },
    { AT(embed_norm_bias), LM_T_EMBED_NORM_BIAS },
    { AT(norm), LM_T_NORM },
    { AT(norm_bias), LM_T_NORM_BIAS },
};
#undef AT
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Sizes on the first run, memory on the second. */
struct packer {
    const struct lm_model *model;
    struct lm_weights *w;
    bool place;
    size_t floats, bytes;
    struct job {
        const struct lm_matrix *matrix;
        const struct lm_weight *weight;
        size_t first, count;
    } * jobs;
    size_t job_count, job_cap;
};

static size_t group_rows(const struct packer *p, const struct lm_weight *w, enum grouping grouping)
{
    const struct lm_model_config *c = &p->model->config;
    return grouping == WHOLE ? w->rows : (size_t)c->head_dim;
}

/* Values of a vector; those of each group followed by zeros up to whole panels. */
static const float *add_vector(struct packer *p, enum lm_tensor tensor, size_t layer, size_t group)
{
    const struct lm_weight *w = lm_model_at(p->model, tensor, layer);
    if (!w->data)
        return NULL;
    const size_t len = w->rows * w->cols, width = group ? group : len;
    float *to = p->place ? p->w->vectors + p->floats : NULL;
    p->floats += len / width * lm_panel_pad(width);
    if (!to)
        return NULL;
    float *values = lm_zalloc(len, sizeof *values);
    lm_types[w->type].decode(values, w->data, len);
    for (size_t i = 0; i < len; i++)
        to[i / width * lm_panel_pad(width) + i % width] = values[i];
    free(values);
    return to;
}

static void add_jobs(struct packer *p, const struct lm_matrix *m, const struct lm_weight *w)
{
    for (size_t first = 0; first < m->panel_count; first += PANELS_PER_JOB) {
        const size_t left = m->panel_count - first;
        lm_grow(&p->jobs, &p->job_cap, p->job_count + 1, sizeof *p->jobs);
        p->jobs[p->job_count++] = (struct job){ m, w, first, left < PANELS_PER_JOB ? left : PANELS_PER_JOB };
    }
}

static void add_matrix(struct packer *p, struct lm_matrix *m, enum lm_tensor weight, enum lm_tensor bias,
                       size_t layer, enum grouping grouping)
{
    const struct lm_weight *w = lm_model_at(p->model, weight, layer);
    if (!w->data)
        return;
    lm_matrix_plan(m, w, group_rows(p, w, grouping));
    if (bias != LM_T_COUNT)
        m->bias = add_vector(p, bias, layer, grouping == WHOLE ? 0 : m->group);
    if (p->place) {
        m->panels = (char *)p->w->panels + p->bytes;
        add_jobs(p, m, w);
    }
    p->bytes += lm_matrix_bytes(m);
}

static void add_all(struct packer *p)
{
    struct lm_weights *w = p->w;
    p->floats = p->bytes = 0;
    for (size_t l = 0; l < (size_t)p->model->config.layers; l++) {
        char *layer = (char *)&w->layers[l];
        for (size_t i = 0; i < COUNT(layer_vectors); i++)
            *(const float **)(layer + layer_vectors[i].offset) = add_vector(p, layer_vectors[i].tensor, l, 0);
        for (size_t i = 0; i < COUNT(layer_matrices); i++)
            add_matrix(p, (struct lm_matrix *)(layer + layer_matrices[i].offset), layer_matrices[i].weight,
                       layer_matrices[i].bias, l, layer_matrices[i].grouping);
    }
    for (size_t i = 0; i < COUNT(vectors); i++)
        *(const float **)((char *)w + vectors[i].offset) = add_vector(p, vectors[i].tensor, 0, 0);
    add_matrix(p, &w->head, LM_T_HEAD, LM_T_COUNT, 0, WHOLE);
}

static void pack_chunk(void *context, size_t chunk, size_t worker)
{
    (void)worker;
    const struct job *job = &((const struct packer *)context)->jobs[chunk];
    lm_matrix_pack(job->matrix, job->weight, job->first, job->count);
}

enum lm_rc lm_weights_init(struct lm_weights *w, const struct lm_model *model, struct lm_team *team,
                           struct lm_err *err)
{
    struct packer p = { .model = model, .w = w };
    *w = (struct lm_weights){ .layers = lm_zalloc((size_t)model->config.layers, sizeof *w->layers) };
    add_all(&p);
    w->panels_bytes = p.bytes;
    w->panels = mmap(NULL, p.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w->panels == MAP_FAILED) {
        w->panels = NULL;
        lm_weights_release(w);
        return lm_fail_errno(err, LM_ENOMEM, "cannot get %zu bytes for the packed weights", p.bytes);
    }
    (void)madvise(w->panels, p.bytes, MADV_HUGEPAGE);   // fewer page faults now, fewer TLB misses later
    w->vectors = lm_slab_alloc(p.floats * sizeof *w->vectors);
    p.place = true;
    add_all(&p);
    lm_team_run(team, p.job_count, pack_chunk, &p);
    free(p.jobs);
    return LM_OK;
}

void lm_weights_release(struct lm_weights *w)
{
    if (w->panels)
        munmap(w->panels, w->panels_bytes);
    free(w->vectors);
    free(w->layers);
    *w = (struct lm_weights){ 0 };
}
