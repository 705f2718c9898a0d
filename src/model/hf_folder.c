/* A Llama as a Hugging Face folder: weights to safetensors and back, name by name; GPT-2's are hf_gpt2.c's.
 */
#include "base/file.h"
#include "base/json.h"
#include "model/hf_config.h"
#include "model/hf_gpt2.h"
#include "model/hf_shards.h"
#include "model/llama.h"

#include <stdlib.h>

enum { NAME_BYTES = 96 };

/* Every tensor a folder must hold: kind by kind, layer by layer, as in the slab. */
struct place {
    enum lm_llama_tensor tensor;
    size_t layer;
    char name[NAME_BYTES];
    struct lm_tensor_view view;   // as it is written: F32, name and shape; data is set by save
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void place_fill(struct place *p, const struct lm_llama_config *config, enum lm_llama_tensor tensor,
                       size_t layer)
{
    size_t rows, cols;
    *p = (struct place){ .tensor = tensor, .layer = layer };
    snprintf(p->name, sizeof p->name, lm_llama_tensors[tensor].hf_name,
             (int)layer);   // %d or nothing: a table
    lm_llama_shape(config, tensor, &rows, &cols);
    p->view = (struct lm_tensor_view){ .name = lm_str(p->name), .dtype = LM_F32 };
    if (lm_llama_tensors[tensor].is_matrix)
        p->view.shape[p->view.dims++] = rows;
    p->view.shape[p->view.dims++] = cols;
    p->view.bytes = rows * cols * sizeof(float);
}
#pragma GCC diagnostic pop

/* free() it.  Views point at the names: a copy of the array is good for names only. */
static struct place *places_new(const struct lm_llama_config *config, size_t *ret_count)
{
    size_t count = 0;
    for (int t = 0; t < LM_LLAMA_TENSOR_COUNT; t++)
        count += lm_llama_layer_count(config, t);
    struct place *places = lm_zalloc(count, sizeof *places);
    size_t at = 0;
    for (int t = 0; t < LM_LLAMA_TENSOR_COUNT; t++)
        if (t != LM_LLAMA_HEAD || !config->tied)
            for (size_t l = 0; l < lm_llama_layer_count(config, t); l++)
                place_fill(&places[at++], config, t, l);
    *ret_count = at;
    return places;
}

/* ---- saving ---- */

void lm_llama_config_json(const struct lm_llama_config *config, struct lm_buf *ret)
{
    const struct lm_model_config c = lm_model_config_of_llama(config);
    lm_hf_config_json(&c, false, "float32", ret);
}

static enum lm_rc save_text(const char *dir, const char *name, const struct lm_buf *text, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(dir, name);
    return lm_file_write(path, lm_buf_str(text), err);
}

static enum lm_rc save_configs(const struct lm_llama_config *config, const char *dir, struct lm_err *err)
{
    struct lm_buf text = { 0 };
    lm_llama_config_json(config, &text);
    enum lm_rc rc = save_text(dir, "config.json", &text, err);
    if (rc == LM_OK) {
        lm_buf_reset(&text);
        lm_buf_puts(&text, "{");
        if (config->bos_id >= 0)
            lm_json_key_int(&text, "bos_token_id", config->bos_id);
        if (config->eos_id >= 0)
            lm_json_key_int(&text, "eos_token_id", config->eos_id);
        lm_buf_puts(&text, "}\n");
        rc = save_text(dir, "generation_config.json", &text, err);
    }
    lm_buf_release(&text);
    return rc;
}

static enum lm_rc save_weights(const struct lm_llama *m, const char *dir, struct lm_err *err)
{
    size_t count;
    LM_FREE struct place *places = places_new(&m->config, &count);
    LM_FREE struct lm_tensor_view *views = lm_zalloc(count, sizeof *views);
    for (size_t i = 0; i < count; i++) {
        views[i] = places[i].view;
        views[i].data = lm_llama_at(m, places[i].tensor, places[i].layer);
    }
    LM_FREE char *path = lm_path_join(dir, "model.safetensors");
    return lm_safetensors_write(path, views, count, LM_STR("{\"format\":\"pt\"}"), err);
}

enum lm_rc lm_llama_save(const struct lm_llama *m, const char *dir, struct lm_err *err)
{
    LM_ASSERT(m->params);
    LM_TRY(lm_dir_make(dir, err));
    LM_TRY(m->config.family == LM_FAMILY_GPT2 ? lm_gpt2_save_weights(m, dir, err)
                                              : save_weights(m, dir, err));
    return save_configs(&m->config, dir, err);
}

/* ---- loading ---- */

/* What training computes is less than what inference does: plain Llama, and GPT-2. */
enum lm_rc lm_llama_config_parse(struct lm_llama_config *ret, struct lm_str json, const char *name,
                                 struct lm_err *err)
{
    struct lm_model_config c;
    uint32_t biases;
    LM_TRY(lm_hf_config_parse(json, name, &c, &biases, err));
    const bool gpt2 = c.arch == LM_ARCH_GPT2;
    const char *what = gpt2                            ? NULL
                       : c.arch != LM_ARCH_LLAMA       ? "model_type"
                       : c.rope.kind != LM_ROPE_PLAIN  ? "rope_scaling"
                       : biases != 0                   ? "attention_bias"
                       : c.head_dim != c.dim / c.heads ? "head_dim"
                                                       : NULL;
    if (what)
        return lm_fail(err, LM_EFORMAT,
                       "%s: this %s can be used, but not trained (only plain Llama and GPT-2 can)", name,
                       what);
    *ret = (struct lm_llama_config){
        .vocab_size = c.vocab_size,
        .dim = c.dim,
        .layers = c.layers,
        .heads = c.heads,
        .kv_heads = c.kv_heads,
        .ffn_dim = c.ffn_dim,
        .context = c.context,
        .rope_theta = c.rope.theta,
        .norm_eps = c.norm_eps,
        .tied = c.tied,
        .bos_id = c.bos_id,
        .eos_id = c.eos_count ? c.eos_ids[0] : -1,
        .family = gpt2 ? LM_FAMILY_GPT2 : LM_FAMILY_LLAMA,
    };
    struct lm_err why = { 0 };
    if (lm_llama_config_check(ret, &why) != LM_OK)
        return lm_fail(err, LM_EFORMAT, "%s: %s", name, why.text);
    return LM_OK;
}

enum lm_rc lm_llama_load_config(struct lm_llama_config *ret, const char *dir, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(dir, "config.json");
    struct lm_buf text = { 0 };
    enum lm_rc rc = lm_file_read(path, LM_HF_CONFIG_BYTES_MAX, &text, err);
    if (rc == LM_OK)
        rc = lm_llama_config_parse(ret, lm_buf_str(&text), path, err);
    lm_buf_release(&text);
    return rc;
}

static void shape_text(const struct lm_tensor_view *v, char *ret, size_t bytes)
{
    size_t at = 0;
    for (size_t d = 0; d < v->dims && at < bytes; d++)
        at +=
            (size_t)snprintf(ret + at, bytes - at, "%s%llu", d ? ", " : "", (unsigned long long)v->shape[d]);
}

static enum lm_rc check_tensor(const struct lm_tensor_view *want, const struct lm_tensor_view *v,
                               const char *path, struct lm_err *err)
{
    if (!v)
        return lm_fail(err, LM_EFORMAT, "%s: tensor '%s' is missing", path, want->name.ptr);
    if (v->dtype != LM_F32 && v->dtype != LM_F16 && v->dtype != LM_BF16)
        return lm_fail(err, LM_EFORMAT, "%s: tensor '%s' is %s; only F32, F16 and BF16 are supported", path,
                       want->name.ptr, lm_dtype_names[v->dtype]);
    if (v->dims == want->dims && memcmp(v->shape, want->shape, want->dims * sizeof *want->shape) == 0)
        return LM_OK;
    char found[LM_TENSOR_DIMS_MAX * 24] = "", asked[LM_TENSOR_DIMS_MAX * 24] = "";
    shape_text(v, found, sizeof found);
    shape_text(want, asked, sizeof asked);
    return lm_fail(err, LM_EFORMAT, "%s: tensor '%s' has shape (%s), but config.json asks for (%s)", path,
                   want->name.ptr, found, asked);
}

/* Tensors that carry nothing: RoPE frequencies of old files, a head that repeats the embedding. */
static bool is_redundant(struct lm_str name, const struct lm_llama_config *config)
{
    return lm_str_ends(name, LM_STR(".rotary_emb.inv_freq")) ||
           (config->tied && lm_str_eq(name, lm_str(lm_llama_tensors[LM_LLAMA_HEAD].hf_name)));
}

static int place_by_name(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static bool is_known(struct lm_str name, const struct place *sorted, size_t count)
{
    struct place key = { 0 };
    if (name.len >= sizeof key.name)
        return false;
    memcpy(key.name, name.ptr, name.len);
    return strlen(key.name) == name.len && bsearch(&key, sorted, count, sizeof key, place_by_name);
}

static enum lm_rc check_names(const struct lm_safetensors *st, const struct lm_llama_config *config,
                              const struct place *sorted, size_t count, const char *path, struct lm_err *err)
{
    for (size_t i = 0; i < st->count; i++) {
        const struct lm_str name = st->tensors[i].name;
        if (!is_known(name, sorted, count) && !is_redundant(name, config))
            return lm_fail(err, LM_EFORMAT, "%s: tensor '%.*s' is not part of a Llama model", path,
                           (int)(name.len < 200 ? name.len : 200), name.ptr);
    }
    return LM_OK;
}

/* All names, types and shapes, before memory is taken: a config.json may ask for any size. */
static enum lm_rc check_tensors(const struct lm_hf_shards *shards, const struct lm_llama_config *config,
                                const struct place *places, size_t count, struct lm_err *err)
{
    for (size_t i = 0; i < count; i++)
        LM_TRY(check_tensor(&places[i].view, lm_hf_shards_find(shards, places[i].name), shards->name, err));
    LM_FREE struct place *sorted = lm_memdup(places, count * sizeof *places);
    qsort(sorted, count, sizeof *sorted, place_by_name);
    for (size_t i = 0; i < shards->count; i++)
        LM_TRY(check_names(&shards->files[i], config, sorted, count, shards->name, err));
    return LM_OK;
}

static void read_tensors(struct lm_llama *m, const struct lm_hf_shards *shards, const struct place *places,
                         size_t count)
{
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < count; i++) {
        const bool done = lm_tensor_to_f32(lm_hf_shards_find(shards, places[i].name),
                                           lm_llama_at(m, places[i].tensor, places[i].layer));
        LM_ASSERT(done);   // check_tensors saw the type
    }
}

enum lm_rc lm_llama_load(struct lm_llama *ret, const char *dir, struct lm_err *err)
{
    struct lm_llama_config config;
    struct lm_hf_shards shards;
    LM_TRY(lm_llama_load_config(&config, dir, err));
    if (config.family == LM_FAMILY_GPT2)
        return lm_gpt2_load(ret, &config, dir, err);
    LM_TRY(lm_hf_shards_open(&shards, dir, err));
    size_t count;
    LM_FREE struct place *places = places_new(&config, &count);
    const enum lm_rc rc = check_tensors(&shards, &config, places, count, err);
    if (rc == LM_OK) {
        lm_llama_init(ret, &config);
        read_tensors(ret, &shards, places, count);
    }
    lm_hf_shards_close(&shards);
    return rc;
}
