/* An open model as a GGUF file. */
#include "model/export_plan.h"
#include "model/gguf_keys.h"
#include "model/source.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

struct writer {
    const struct lm_model *m;
    const struct lm_model_config *c;
    struct lm_gguf_out out;
    struct lm_arena arena;
    char key[LM_GGUF_KEY_MAX];
};

static const char *full_key(struct writer *w, const char *key)
{
    lm_gguf_key(w->c->arch, key, w->key);
    return w->key;
}

/* ---- general ---- */

/* llama.cpp's numbers of what most matrices are: general.file_type. */
static const int file_types[LM_TYPE_COUNT] = {
    [LM_TYPE_F32] = 0,   [LM_TYPE_F16] = 1,   [LM_TYPE_BF16] = 32, [LM_TYPE_Q8_0] = 7,
    [LM_TYPE_Q4_0] = 2,  [LM_TYPE_Q4_1] = 3,  [LM_TYPE_Q5_0] = 8,  [LM_TYPE_Q5_1] = 9,
    [LM_TYPE_Q4_K] = 15, [LM_TYPE_Q5_K] = 17, [LM_TYPE_Q6_K] = 18,
};

static void put_types(struct writer *w, enum lm_type type)
{
    lm_gguf_put_int(&w->out, "general.file_type", LM_GGUF_U32, file_types[type]);
    if (lm_types[type].block_len > 1)
        lm_gguf_put_int(&w->out, "general.quantization_version", LM_GGUF_U32, 2);
}

static void put_general(struct writer *w, enum lm_type type)
{
    static const char *const notes[] = { "name", "license" };
    lm_gguf_put_str(&w->out, "general.architecture", lm_str(lm_archs[w->c->arch].gguf_name));
    lm_gguf_put_str(&w->out, "general.type", LM_STR("model"));
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        const struct lm_str note = lm_model_note(w->m, notes[i]);
        char key[32];
        snprintf(key, sizeof key, "general.%s", notes[i]);
        if (note.len > 0)
            lm_gguf_put_str(&w->out, key, note);
    }
    put_types(w, type);
}

/* ---- the architecture ---- */

static bool is_written(const struct lm_model_config *c, enum lm_gguf_when when, int64_t value)
{
    return when == LM_GGUF_ALWAYS || (when == LM_GGUF_NOT_0 && value != 0) ||
           (when == LM_GGUF_ODD_HEAD && c->head_dim * c->heads != c->dim);
}

/* What the reader multiplies the attention of yarn by: the file says only what differs from it. */
static double yarn_usual(const struct lm_model_config *c)
{
    return c->rope.factor > 1 ? 1 + 0.1 * log(c->rope.factor) : 1;
}

static void put_reals(struct writer *w)
{
    const unsigned is = lm_gguf_traits(w->c->arch);
    for (size_t i = 0; i < lm_gguf_real_key_count; i++) {
        const struct lm_gguf_real_key *row = &lm_gguf_real_keys[i];
        double value;
        memcpy(&value, (const char *)w->c + row->offset, sizeof value);
        if (!(row->used_by & is) || !(row->written_by_rope >> w->c->rope.kind & 1))
            continue;
        if (row->offset == offsetof(struct lm_model_config, rope.attention))
            value /= yarn_usual(w->c);
        lm_gguf_put_real(&w->out, full_key(w, row->key), value);
    }
}

static void put_window_pattern(struct writer *w)
{
    if (w->c->window == 0 || w->c->window_from_layer == 0)
        return;
    uint8_t *slides = lm_arena_alloc(&w->arena, (size_t)w->c->layers);
    for (int64_t l = 0; l < w->c->layers; l++)
        slides[l] = l >= w->c->window_from_layer;
    lm_gguf_put_array(&w->out, full_key(w, "attention.sliding_window_pattern"), LM_GGUF_BOOL, slides,
                      (size_t)w->c->layers);
}

static void put_architecture(struct writer *w)
{
    const struct lm_model_config *c = w->c;
    for (size_t i = 0; i < lm_gguf_integer_key_count; i++) {
        const struct lm_gguf_integer_key *row = &lm_gguf_integer_keys[i];
        int64_t value;
        memcpy(&value, (const char *)c + row->offset, sizeof value);
        if (is_written(c, row->written, value))
            lm_gguf_put_int(&w->out, full_key(w, row->key), LM_GGUF_U32, value);
    }
    if (is_written(c, LM_GGUF_ODD_HEAD, 0))
        lm_gguf_put_int(&w->out, full_key(w, "attention.value_length"), LM_GGUF_U32, c->head_dim);
    put_reals(w);
    put_window_pattern(w);
    lm_gguf_put_int(&w->out, full_key(w, "vocab_size"), LM_GGUF_U32, c->vocab_size);
    if (!lm_archs[c->arch].causal)
        lm_gguf_put_bool(&w->out, full_key(w, "attention.causal"), false);
    if (!lm_archs[c->arch].rope)
        return;
    lm_gguf_put_int(&w->out, full_key(w, "rope.dimension_count"), LM_GGUF_U32, c->head_dim);
    if (c->rope.kind == LM_ROPE_LINEAR || c->rope.kind == LM_ROPE_YARN)
        lm_gguf_put_str(&w->out, full_key(w, "rope.scaling.type"),
                        c->rope.kind == LM_ROPE_YARN ? LM_STR("yarn") : LM_STR("linear"));
}

/* How an encoder's rows become one, as sentence-transformers write it beside the model: llama.cpp's number.
 */
static void put_pooling(struct writer *w)
{
    static const char *const modes[] = { "pooling_mode_mean_tokens", "pooling_mode_cls_token" };
    if (!w->m->source || lm_archs[w->c->arch].causal)
        return;
    const char *name = w->m->source->shards.name;
    char *path =
        lm_arena_printf(&w->arena, "%.*s1_Pooling/config.json", (int)(lm_path_base(name) - name), name);
    json_t *root = json_load_file(path, 0, NULL);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (json_is_true(json_object_get(root, modes[i])))
            lm_gguf_put_int(&w->out, full_key(w, "pooling_type"), LM_GGUF_U32, (int64_t)i + 1);
    json_decref(root);
}

/* rope_freqs.weight: what a plain rotation is divided by, as Llama 3 files have it. */
static void plan_factors(struct writer *w, struct lm_export_plan *plan)
{
    const struct lm_model_config *c = w->c;
    if (!lm_archs[c->arch].rope || (c->rope.kind != LM_ROPE_LLAMA3 && c->rope.kind != LM_ROPE_FACTORS))
        return;
    const size_t half = (size_t)c->head_dim / 2;
    float *factors = lm_arena_alloc(&w->arena, half * sizeof *factors);
    if (c->rope.kind == LM_ROPE_FACTORS) {
        memcpy(factors, c->rope.factors, half * sizeof *factors);
    } else {
        struct lm_model_config plain = *c;
        plain.rope.kind = LM_ROPE_PLAIN;
        double *scaled = lm_arena_alloc(&w->arena, half * sizeof *scaled);
        double *unscaled = lm_arena_alloc(&w->arena, half * sizeof *unscaled);
        lm_model_rope(c, scaled);
        lm_model_rope(&plain, unscaled);
        for (size_t d = 0; d < half; d++)
            factors[d] = (float)(unscaled[d] / scaled[d]);
    }
    struct lm_weight *weight = lm_arena_alloc(&w->arena, sizeof *weight);
    *weight = (struct lm_weight){ .data = factors, .type = LM_TYPE_F32, .rows = 1, .cols = half };
    struct lm_export_item *item = lm_export_plan_add(plan);
    *item = (struct lm_export_item){
        .name = "rope_freqs.weight",
        .type = LM_TYPE_F32,
        .rows = 1,
        .cols = half,
        .parts = { weight },
        .part_count = 1,
    };
}

/* ---- the tokenizer ---- */

static void put_scalars(struct writer *w, const struct lm_tokenizer_parts *p)
{
    const char *base = (const char *)p;
    for (size_t i = 0; i < lm_gguf_token_text_count; i++) {
        const struct lm_str *text = (const struct lm_str *)(base + lm_gguf_token_texts[i].offset);
        if (text->len > 0)
            lm_gguf_put_str(&w->out, lm_gguf_token_texts[i].key, *text);
    }
    for (size_t i = 0; i < lm_gguf_token_id_count; i++) {
        const int64_t *id = (const int64_t *)(base + lm_gguf_token_ids[i].offset);
        if (*id >= 0)
            lm_gguf_put_int(&w->out, lm_gguf_token_ids[i].key, LM_GGUF_U32, *id);
    }
    for (size_t i = 0; i < lm_gguf_token_flag_count; i++) {
        const int *flag = (const int *)(base + lm_gguf_token_flags[i].offset);
        if (*flag >= 0)
            lm_gguf_put_bool(&w->out, lm_gguf_token_flags[i].key, *flag);
    }
}

/* One entry per row of the embedding: rows without a token are named and never come up. */
static void put_tokens(struct writer *w, const struct lm_tokenizer_parts *p)
{
    const size_t rows = (size_t)w->c->vocab_size;
    struct lm_str *tokens = lm_arena_alloc(&w->arena, rows * sizeof *tokens);
    int32_t *types = lm_arena_alloc(&w->arena, rows * sizeof *types);
    float *scores = lm_arena_alloc(&w->arena, rows * sizeof *scores);
    for (size_t i = 0; i < rows; i++) {
        const bool known = i < p->token_count;
        tokens[i] = known ? p->tokens[i] : lm_str(lm_arena_printf(&w->arena, "[PAD%zu]", i));
        types[i] = !known ? LM_TOKEN_UNUSED : p->types ? p->types[i] : LM_TOKEN_NORMAL;
        scores[i] = i < p->score_count ? p->scores[i] : -1000;
    }
    lm_gguf_put_strings(&w->out, "tokenizer.ggml.tokens", tokens, rows);
    lm_gguf_put_array(&w->out, "tokenizer.ggml.token_type", LM_GGUF_I32, types, rows);
    if (p->score_count > 0)
        lm_gguf_put_array(&w->out, "tokenizer.ggml.scores", LM_GGUF_F32, scores, rows);
    if (p->charsmap.len > 0)
        lm_gguf_put_array(&w->out, "tokenizer.ggml.precompiled_charsmap", LM_GGUF_U8, p->charsmap.ptr,
                          p->charsmap.len);
    if (p->merge_count > 0)
        lm_gguf_put_strings(&w->out, "tokenizer.ggml.merges", p->merges, p->merge_count);
}

/* What the configuration says of begin and end goes before what the tokenizer says. */
static enum lm_rc put_tokenizer(struct writer *w, const struct lm_tokenizer *tokenizer, struct lm_err *err)
{
    const struct lm_model_config *c = w->c;
    struct lm_tokenizer_parts p = {
        .bos_id = -1,
        .eos_id = -1,
        .unk_id = -1,
        .pad_id = -1,
        .sep_id = -1,
        .cls_id = -1,
        .mask_id = -1,
        .eot_id = -1,
        .add_bos = -1,
        .add_eos = -1,
        .add_space_prefix = -1,
        .remove_extra_blanks = -1,
    };
    if (tokenizer)
        LM_TRY(lm_tokenizer_to_parts(tokenizer, &w->arena, &p, err));
    else
        p.model = LM_STR("no_vocab");   // llama.cpp then takes and gives ids
    if (p.token_count > (size_t)c->vocab_size)
        return lm_fail(err, LM_EINVAL, "the tokenizer has %zu tokens, but the embedding has %lld rows",
                       p.token_count, (long long)c->vocab_size);
    if (c->eos_count > LM_GGUF_END_KEYS)
        return lm_fail(err, LM_EINVAL, "the model has %zu end tokens, but a GGUF file has room for %d",
                       c->eos_count, LM_GGUF_END_KEYS);
    p.bos_id = c->bos_id >= 0 ? c->bos_id : p.bos_id;
    p.eos_id = c->eos_count > 0 ? c->eos_ids[0] : p.eos_id;
    p.eot_id = c->eos_count > 1 ? c->eos_ids[1] : p.eot_id;
    put_scalars(w, &p);
    if (c->eos_count > 2)
        lm_gguf_put_int(&w->out, lm_gguf_end_keys[2], LM_GGUF_U32, c->eos_ids[2]);
    if (c->token_types > 0)
        lm_gguf_put_int(&w->out, "tokenizer.ggml.token_type_count", LM_GGUF_U32, c->token_types);
    if (tokenizer)
        put_tokens(w, &p);
    return LM_OK;
}

/* ---- keys of a source that is a GGUF file ---- */

/* Keys that speak of the file, not of the model. */
static bool is_of_the_file(struct lm_str key)
{
    static const char *const names[] = { "general.file_type", "general.quantization_version",
                                         "general.alignment" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (lm_str_eq(key, lm_str(names[i])))
            return true;
    return lm_str_starts(key, LM_STR("split."));
}

static void copy_keys(struct writer *w, enum lm_type type)
{
    const struct lm_gguf *g = &w->m->source->gguf;
    for (size_t i = 0; i < g->value_count; i++)
        if (!is_of_the_file(g->values[i].key))
            lm_gguf_put_value(&w->out, &g->values[i]);
    put_types(w, type);
}

/* ---- all of it ---- */

static enum lm_rc fill(const struct lm_gguf_out_tensor *tensor, FILE *to, struct lm_err *err)
{
    return lm_export_item_write(tensor->user, to, err);
}

static enum lm_rc write_file(struct writer *w, const struct lm_export_plan *plan, const char *path,
                             struct lm_err *err)
{
    struct lm_gguf_out_tensor *tensors = lm_arena_alloc(&w->arena, (plan->count + 1) * sizeof *tensors);
    for (size_t i = 0; i < plan->count; i++) {
        const struct lm_export_item *item = &plan->items[i];
        struct lm_gguf_out_tensor *t = &tensors[i];
        *t = (struct lm_gguf_out_tensor){
            .type = item->type,
            .dims = item->matrix ? 2 : 1,
            .shape = { item->cols, item->rows },
            .user = item,
        };
        LM_ASSERT(strlen(item->name) <= LM_GGUF_NAME_MAX);
        memcpy(t->name, item->name, LM_GGUF_NAME_MAX);
    }
    return lm_gguf_write(path, &w->out, tensors, plan->count, fill, err);
}

static enum lm_rc put_keys(struct writer *w, const struct lm_tokenizer *tokenizer,
                           const struct lm_export_options *options, struct lm_err *err)
{
    const enum lm_type type = options->type == LM_TYPE_COUNT ? lm_export_main_type(w->m) : options->type;
    if (w->m->source && w->m->source->naming == LM_NAMING_GGUF) {
        copy_keys(w, type);
        return LM_OK;
    }
    put_general(w, type);
    put_architecture(w);
    put_pooling(w);
    return put_tokenizer(w, tokenizer, err);
}

enum lm_rc lm_export_gguf(const struct lm_model *m, const struct lm_tokenizer *tokenizer,
                          const struct lm_export_options *options, const char *path,
                          struct lm_export_report *ret, struct lm_err *err)
{
    struct writer w = { .m = m, .c = &m->config };
    struct lm_export_plan plan;
    LM_TRY(lm_export_plan_make(m, LM_NAMING_GGUF, options, &plan, err));
    plan_factors(&w, &plan);
    enum lm_rc rc = put_keys(&w, tokenizer, options, err);
    if (rc == LM_OK)
        rc = write_file(&w, &plan, path, err);
    if (rc == LM_OK)
        lm_export_plan_report(&plan, ret);
    lm_gguf_out_release(&w.out);
    lm_arena_release(&w.arena);
    lm_export_plan_release(&plan);
    return rc;
}
