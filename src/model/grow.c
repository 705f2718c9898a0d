/* A model with more tokens. */
#include "model/grow.h"

#include <stdlib.h>

/* The mean of some rows, into the place of one. */
static void put_mean(const struct lm_weight *from, const struct lm_grown_token *token, double *sum,
                     float *row, void *to)
{
    memset(sum, 0, from->cols * sizeof(*sum));
    for (size_t k = 0; k < token->piece_count; k++) {
        lm_weight_row_f32(from, token->pieces[k], row);
        for (size_t i = 0; i < from->cols; i++)
            sum[i] += (double)row[i];
    }
    for (size_t i = 0; i < from->cols; i++)
        row[i] = (float)(sum[i] / token->piece_count);
    lm_types[from->type].encode(to, row, from->cols);
}

/* The weight with `rows` rows in memory of its own. */
static enum lm_rc grow_weight(struct lm_weight *w, const char *name, size_t rows,
                              const struct lm_grown *grown, void **ret, struct lm_err *err)
{
    const size_t row_bytes = lm_type_bytes(w->type, w->cols);
    if (w->rows < grown->old_size)
        return lm_fail(err, LM_EINVAL,
                       "grow: the %s has %zu rows, fewer than the %u ids of the vocabulary that was grown",
                       name, w->rows, grown->old_size);
    if (!lm_types[w->type].encode)
        return lm_fail(
            err, LM_EINVAL,
            "grow: the %s is %s, which loom reads but does not write; grow a model of another type", name,
            lm_types[w->type].name);
    LM_ASSERT(rows >= w->rows && rows >= grown->new_size && w->paired == 0);
    char *bytes = lm_alloc(rows * row_bytes);
    double *sum = lm_alloc(w->cols * sizeof(*sum));
    float *row = lm_alloc(w->cols * sizeof(*row));
    memcpy(bytes, w->data, w->rows * row_bytes);
    for (size_t i = 0; i < grown->count; i++)
        put_mean(w, &grown->tokens[i], sum, row, bytes + grown->tokens[i].id * row_bytes);
    free(sum);
    free(row);
    w->data = *ret = bytes;
    w->rows = rows;
    return LM_OK;
}

enum lm_rc lm_model_grow(const struct lm_model *m, const struct lm_grown *grown, struct lm_model_growth *ret,
                         struct lm_err *err)
{
    const size_t weight_count = (size_t)LM_T_COUNT * (size_t)m->config.layers;
    struct lm_model_growth g = { .model = *m };
    if (g.model.config.vocab_size < grown->new_size)
        g.model.config.vocab_size = grown->new_size;
    LM_TRY(lm_model_config_check(&g.model.config, err));
    g.model.weights = lm_alloc(weight_count * sizeof(*g.model.weights));
    memcpy(g.model.weights, m->weights, weight_count * sizeof(*g.model.weights));
    struct lm_weight *embed = &g.model.weights[LM_T_EMBED * m->config.layers];
    struct lm_weight *head = &g.model.weights[LM_T_HEAD * m->config.layers];
    const size_t rows = (size_t)g.model.config.vocab_size;
    enum lm_rc rc = grow_weight(embed, "embedding", rows, grown, &g.embed, err);
    if (rc == LM_OK && head->data && m->config.tied)
        *head = *embed;
    else if (rc == LM_OK && head->data)
        rc = grow_weight(head, "head", rows, grown, &g.head, err);
    if (rc == LM_OK)
        *ret = g;
    else
        lm_model_growth_release(&g);
    return rc;
}

void lm_model_growth_release(struct lm_model_growth *g)
{
    free(g->model.weights);
    free(g->embed);
    free(g->head);
    *g = (struct lm_model_growth){ 0 };
}
