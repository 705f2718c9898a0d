#include "infer/embed.h"

#include "base/mem.h"
#include "infer/forward.h"

#include <math.h>
#include <stdlib.h>

enum { ROWS_LEAST = 512, TEXTS_AT_ONCE = 64, TOKENS_LEAST = 3 };

struct lm_embedder {
    struct lm_embed_config config;
    struct lm_encoder *encoder;
    struct lm_forward *forward;
    size_t dim, rows_max, row_count;
    struct lm_tokens tokens;
    struct lm_forward_row *rows;
    uint32_t *blocks;   // (TEXTS_AT_ONCE, blocks_each)
    size_t blocks_each;
    double *sums;   // (dim)

    /* The texts of the run at hand. */
    struct {
        float *ret;
        size_t first_row, rows;
    } texts[TEXTS_AT_ONCE];
    size_t text_count;
};

enum lm_rc lm_embedder_new(const struct lm_model *model, const struct lm_tokenizer *tokenizer,
                           const struct lm_embed_config *config, struct lm_embedder **ret, struct lm_err *err)
{
    const size_t context = (size_t)model->config.context;
    const size_t tokens_max =
        config->tokens_max > 0 && config->tokens_max < context ? config->tokens_max : context;
    if (lm_archs[model->config.arch].causal)
        return lm_fail(err, LM_EINVAL, "a %s model is no encoder: take a BERT model for embeddings",
                       lm_archs[model->config.arch].name);
    if (tokens_max < TOKENS_LEAST)
        return lm_fail(err, LM_EINVAL, "texts of %zu tokens have no room between [CLS] and [SEP]",
                       tokens_max);
    struct lm_embedder *e = lm_zalloc(1, sizeof *e);
    e->config = *config;
    e->config.tokens_max = tokens_max;
    e->dim = (size_t)model->config.dim;
    e->rows_max = tokens_max > ROWS_LEAST ? tokens_max : ROWS_LEAST;
    e->blocks_each = lm_kv_blocks(tokens_max);
    const size_t kv_tokens = e->rows_max + TEXTS_AT_ONCE * LM_KV_TOKENS;
    const struct lm_forward_config forward = { e->rows_max, e->rows_max, kv_tokens, LM_KV_F32 };
    const enum lm_rc rc = lm_forward_new(model, &forward, &e->forward, err);
    if (rc != LM_OK) {
        free(e);
        return rc;
    }
    e->encoder = lm_encoder_new(tokenizer);
    e->rows = lm_zalloc(e->rows_max, sizeof *e->rows);
    e->blocks = lm_zalloc(TEXTS_AT_ONCE * e->blocks_each, sizeof *e->blocks);
    e->sums = lm_zalloc(e->dim, sizeof *e->sums);
    *ret = e;
    return LM_OK;
}

void lm_embedder_free(struct lm_embedder *e)
{
    if (!e)
        return;
    lm_encoder_free(e->encoder);
    lm_forward_free(e->forward);
    lm_tokens_release(&e->tokens);
    free(e->rows);
    free(e->blocks);
    free(e->sums);
    free(e);
}

/* hidden (rows, stride) to one vector. */
static void pool(const struct lm_embedder *e, const float *hidden, size_t stride, size_t rows, float *ret)
{
    double squares = 0;
    for (size_t d = 0; d < e->dim; d++) {
        double value = (double)hidden[d];
        for (size_t r = 1; r < rows && e->config.pooling != LM_POOL_CLS; r++) {
            const double next = (double)hidden[r * stride + d];
            value = e->config.pooling == LM_POOL_MEAN ? value + next : next > value ? next : value;
        }
        e->sums[d] = e->config.pooling == LM_POOL_MEAN ? value / (double)rows : value;
        squares += e->sums[d] * e->sums[d];
    }
    const double scale = e->config.normalise ? 1 / fmax(sqrt(squares), 1e-12) : 1;
    for (size_t d = 0; d < e->dim; d++)
        ret[d] = (float)(e->sums[d] * scale);
}

static void flush(struct lm_embedder *e)
{
    size_t stride;
    const float *hidden = lm_forward_run(e->forward, e->rows, e->row_count, &stride);
    for (size_t i = 0; i < e->text_count; i++) {
        pool(e, hidden + e->texts[i].first_row * stride, stride, e->texts[i].rows, e->texts[i].ret);
        lm_kv_give(lm_forward_kv(e->forward), lm_kv_blocks(e->texts[i].rows), e->blocks + i * e->blocks_each);
    }
    e->text_count = e->row_count = 0;
}

void lm_embedder_run(struct lm_embedder *e, const struct lm_str *texts, size_t count, float *ret,
                     size_t *ret_tokens)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        e->tokens.len = 0;
        lm_encode_with_specials(e->encoder, texts[i], false, &e->tokens);
        size_t len = e->tokens.len;
        LM_ASSERT(len > 0);   // at least [CLS] and [SEP]
        if (len > e->config.tokens_max) {
            e->tokens.ids[e->config.tokens_max - 1] = e->tokens.ids[len - 1];
            len = e->config.tokens_max;
        }
        if (e->text_count == TEXTS_AT_ONCE || e->row_count + len > e->rows_max)
            flush(e);
        uint32_t *blocks = e->blocks + e->text_count * e->blocks_each;
        const bool taken = lm_kv_take(lm_forward_kv(e->forward), lm_kv_blocks(len), blocks);
        LM_ASSERT(taken);   // rows_max tokens, and for each text what its last block wastes
        e->texts[e->text_count].ret = ret + i * e->dim;
        e->texts[e->text_count].first_row = e->row_count;
        e->texts[e->text_count++].rows = len;
        for (size_t t = 0; t < len; t++)
            e->rows[e->row_count++] = (struct lm_forward_row){ e->tokens.ids[t], (uint32_t)t, blocks, true };
        total += len;
    }
    if (e->text_count > 0)
        flush(e);
    if (ret_tokens)
        *ret_tokens = total;
}
