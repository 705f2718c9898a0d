/* An open model as a Hugging Face folder. */
#include "base/json.h"
#include "model/export_plan.h"
#include "model/hf_config.h"
#include "model/safetensors.h"
#include "model/source.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

// clang-format off
static const struct {
    enum lm_type type;
    enum lm_dtype dtype;
    const char *name;   // torch_dtype
} dtypes[] = {
    { LM_TYPE_F32,  LM_F32,  "float32" },
    { LM_TYPE_F16,  LM_F16,  "float16" },
    { LM_TYPE_BF16, LM_BF16, "bfloat16" },
};

/* What a folder has beside the weights and the configuration: copied from a source that is a folder. */
static const char *const companions[] = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "vocab.txt", "merges.txt", "tokenizer.model", "chat_template.jinja", "generation_config.json", "README.md",
    "LICENSE", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json",
};
// clang-format on

static size_t dtype_of(enum lm_type type)
{
    size_t i = 0;
    while (dtypes[i].type != type)   // the plan has no other
        i++;
    return i;
}

static enum lm_rc save_text(const char *dir, const char *name, const struct lm_buf *text, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(dir, name);
    return lm_file_write(path, lm_buf_str(text), err);
}

/* ---- config.json ---- */

static bool same_rotations(const struct lm_model_config *a, const struct lm_model_config *b)
{
    const size_t half = (size_t)a->head_dim / 2;
    LM_FREE double *f = lm_alloc(2 * half * sizeof *f);
    lm_model_rope(a, f);
    lm_model_rope(b, f + half);
    for (size_t d = 0; d < half; d++)
        if (!(fabs(f[d] - f[half + d]) <= 1e-6 * f[d]))
            return false;
    return true;
}

/* Factors per pair that are a llama3 scaling with the usual bounds, of an original context that is said or a
 * power of two: then config.json can say it. */
static bool factors_are_llama3(const struct lm_model_config *c, struct lm_model_config *ret)
{
    struct lm_model_config guess = *c;
    guess.rope.kind = LM_ROPE_LLAMA3;
    guess.rope.factors = NULL;
    guess.rope.factor = 1;
    guess.rope.low_factor = 1;
    guess.rope.high_factor = 4;
    for (int64_t d = 0; d < c->head_dim / 2; d++)
        guess.rope.factor = fmax(guess.rope.factor, (double)c->rope.factors[d]);
    bool same = c->rope.original_context > 0 && same_rotations(c, &guess);
    for (int64_t context = 1; !same && context <= 1 << 24; context *= 2) {
        guess.rope.original_context = context;
        same = same_rotations(c, &guess);
    }
    if (same)
        *ret = guess;
    return same;
}

/* What a folder can say of the configuration, and whether the model has the optional biases. */
static enum lm_rc adapt_config(const struct lm_model *m, struct lm_model_config *ret, bool *ret_biases,
                               struct lm_err *err)
{
    struct lm_model_config c = m->config;
    *ret_biases = lm_model_at(m, LM_T_BQ, 0)->data != NULL;
    if (c.arch == LM_ARCH_LLAMA && c.window > 0) {   // one architecture in GGUF, two here
        if (*ret_biases)
            return lm_fail(err, LM_EINVAL,
                           "no architecture of config.json has a sliding window and biases of attention");
        c.arch = LM_ARCH_MISTRAL;
    }
    const uint32_t optional = lm_archs[c.arch].optional;
    for (int t = LM_T_BQ; t <= LM_T_BO; t++)
        for (size_t l = 0; l < (size_t)c.layers; l++)
            if ((optional >> t & 1) && (lm_model_at(m, t, l)->data != NULL) != *ret_biases)
                return lm_fail(
                    err, LM_EINVAL,
                    "config.json can say only that all matrices of attention have a bias or none has");
    if (c.rope.kind == LM_ROPE_FACTORS && !factors_are_llama3(&m->config, &c))
        return lm_fail(err, LM_EINVAL,
                       "config.json cannot say these rotation factors (rope_freqs.weight): they "
                       "are no llama3 scaling");
    *ret = c;
    return LM_OK;
}

static void put_generation(const struct lm_model_config *c, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    if (c->bos_id >= 0)
        lm_json_key_int(ret, "bos_token_id", c->bos_id);
    if (c->eos_count == 1)
        lm_json_key_int(ret, "eos_token_id", c->eos_ids[0]);
    if (c->eos_count > 1) {
        lm_json_key(ret, "eos_token_id");
        lm_buf_putc(ret, '[');
        for (size_t i = 0; i < c->eos_count; i++) {
            lm_json_sep(ret);
            lm_json_int(ret, c->eos_ids[i]);
        }
        lm_buf_putc(ret, ']');
    }
    lm_buf_puts(ret, "}\n");
}

static enum lm_rc save_configs(const struct lm_model *m, enum lm_type type, const char *dir,
                               struct lm_err *err)
{
    struct lm_model_config c;
    bool biases;
    struct lm_buf text = { 0 };
    LM_TRY(adapt_config(m, &c, &biases, err));
    lm_hf_config_json(&c, biases, dtypes[dtype_of(type)].name, &text);
    enum lm_rc rc = save_text(dir, "config.json", &text, err);
    lm_buf_reset(&text);
    put_generation(&c, &text);
    if (rc == LM_OK && lm_archs[c.arch].causal)
        rc = save_text(dir, "generation_config.json", &text, err);
    lm_buf_release(&text);
    return rc;
}

/* ---- weights ---- */

static enum lm_rc write_items(const struct lm_export_plan *plan, const char *path, struct lm_writer *w,
                              struct lm_err *err)
{
    for (size_t i = 0; i < plan->count; i++) {
        LM_TRY(lm_export_item_write(&plan->items[i], w->stream, err));
        if (ferror(w->stream))
            return lm_fail_errno(err, LM_EIO, "cannot write '%s'", path);
    }
    return LM_OK;
}

static enum lm_rc save_weights(const struct lm_export_plan *plan, const char *dir, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(dir, "model.safetensors");
    LM_FREE struct lm_tensor_view *views = lm_zalloc(plan->count + 1, sizeof *views);
    for (size_t i = 0; i < plan->count; i++) {
        const struct lm_export_item *item = &plan->items[i];
        struct lm_tensor_view *v = &views[i];
        *v = (struct lm_tensor_view){ .name = lm_str(item->name),
                                      .dtype = dtypes[dtype_of(item->type)].dtype,
                                      .bytes = lm_export_item_bytes(item) };
        if (item->matrix)
            v->shape[v->dims++] = item->transposed ? item->cols : item->rows;
        v->shape[v->dims++] = item->transposed ? item->rows : item->cols;
    }
    struct lm_writer w = { 0 };
    LM_TRY(lm_writer_open(&w, path, err));
    struct lm_buf head = { 0 };
    lm_safetensors_header(views, plan->count, LM_STR("{\"format\":\"pt\"}"), &head);
    fwrite(head.ptr, 1, head.len, w.stream);
    lm_buf_release(&head);
    const enum lm_rc rc = write_items(plan, path, &w, err);
    if (rc == LM_OK)
        return lm_writer_commit(&w, err);
    lm_writer_abort(&w);
    return rc;
}

/* ---- the tokenizer and the card ---- */

// clang-format off
static const struct {
    const char *key;
    enum lm_token_role role;
} roles[] = {
    { "bos_token", LM_ROLE_BOS },   { "eos_token", LM_ROLE_EOS }, { "unk_token", LM_ROLE_UNK },
    { "pad_token", LM_ROLE_PAD },   { "sep_token", LM_ROLE_SEP }, { "cls_token", LM_ROLE_CLS },
    { "mask_token", LM_ROLE_MASK },
};
// clang-format on

static enum lm_rc save_tokenizer(const struct lm_model *m, const struct lm_tokenizer *t, const char *dir,
                                 struct lm_err *err)
{
    struct lm_buf text = { 0 };
    lm_buf_add_str(&text, lm_tokenizer_json(t));
    enum lm_rc rc = save_text(dir, "tokenizer.json", &text, err);
    lm_buf_reset(&text);
    lm_buf_putc(&text, '{');
    lm_json_key_str(&text, "tokenizer_class", LM_STR("PreTrainedTokenizerFast"));
    lm_json_key_int(&text, "model_max_length", m->config.context);
    lm_json_key_bool(&text, "clean_up_tokenization_spaces", false);
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        const uint32_t id = lm_tokenizer_role(t, roles[i].role);
        if (id != UINT32_MAX)
            lm_json_key_str(&text, roles[i].key, lm_tokenizer_bytes(t, id));
    }
    if (lm_tokenizer_chat_template(t).len > 0)
        lm_json_key_str(&text, "chat_template", lm_tokenizer_chat_template(t));
    lm_buf_puts(&text, "}\n");
    if (rc == LM_OK)
        rc = save_text(dir, "tokenizer_config.json", &text, err);
    lm_buf_release(&text);
    return rc;
}

/* The licence goes with the weights. */
static enum lm_rc save_card(const struct lm_model *m, const char *dir, struct lm_err *err)
{
    const struct lm_str license = lm_model_note(m, "license"), name = lm_model_note(m, "name");
    if (license.len == 0)
        return LM_OK;
    struct lm_buf text = { 0 };
    lm_buf_puts(&text, "---\nlicense: ");
    lm_json_str(&text, license);   // a YAML scalar too
    lm_buf_puts(&text, "\n---\n");
    if (name.len > 0 && !memchr(name.ptr, '\n', name.len))
        lm_buf_printf(&text, "# %.*s\n", (int)name.len, name.ptr);
    const enum lm_rc rc = save_text(dir, "README.md", &text, err);
    lm_buf_release(&text);
    return rc;
}

static enum lm_rc copy_companions(const struct lm_model *m, const char *dir, struct lm_err *err)
{
    const char *name = m->source->shards.name;
    LM_FREE char *from_dir = lm_memdup(name, strlen(name) + 1);
    from_dir[lm_path_base(name) - name] = '\0';
    for (size_t i = 0; i < sizeof companions / sizeof companions[0]; i++) {
        LM_FREE char *from = lm_path_join(from_dir, companions[i]);
        LM_FREE char *to = lm_path_join(dir, companions[i]);
        if (!lm_path_exists(from))
            continue;
        if (strchr(companions[i], '/')) {
            LM_FREE char *parent = lm_memdup(to, strlen(to) + 1);
            parent[lm_path_base(parent) - parent - 1] = '\0';
            LM_TRY(lm_dir_make(parent, err));
        }
        LM_TRY(lm_file_copy(from, to, err));
    }
    return LM_OK;
}

/* ---- all of it ---- */

static enum lm_rc fill_folder(const struct lm_model *m, const struct lm_tokenizer *tokenizer,
                              const struct lm_export_options *options, const struct lm_export_plan *plan,
                              const char *dir, struct lm_err *err)
{
    const enum lm_type type = options->type == LM_TYPE_COUNT ? lm_export_main_type(m) : options->type;
    LM_TRY(lm_path_remove(dir, err));
    LM_TRY(lm_dir_make(dir, err));
    LM_TRY(save_configs(m, type, dir, err));
    if (m->source && m->source->naming == LM_NAMING_HF) {
        LM_TRY(copy_companions(m, dir, err));
    } else {
        LM_TRY(save_card(m, dir, err));
        if (tokenizer)
            LM_TRY(save_tokenizer(m, tokenizer, dir, err));
    }
    return save_weights(plan, dir, err);
}

enum lm_rc lm_export_folder(const struct lm_model *m, const struct lm_tokenizer *tokenizer,
                            const struct lm_export_options *options, const char *dir,
                            struct lm_export_report *ret, struct lm_err *err)
{
    struct lm_export_plan plan;
    if (lm_path_exists(dir) && rmdir(dir) != 0)
        return lm_fail(err, LM_EEXIST, "'%s' exists and is not an empty folder; give another or remove it",
                       dir);
    LM_TRY(lm_export_plan_make(m, LM_NAMING_HF, options, &plan, err));
    struct lm_buf name = { 0 };
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/')   // beside the folder, not in it
        len--;
    lm_buf_printf(&name, "%.*s.tmp.%ld", (int)len, dir, (long)getpid());
    LM_FREE char *tmp = lm_buf_take(&name);
    enum lm_rc rc = fill_folder(m, tokenizer, options, &plan, tmp, err);
    if (rc == LM_OK)
        rc = lm_path_rename(tmp, dir, err);
    if (rc == LM_OK)
        lm_export_plan_report(&plan, ret);
    else
        (void)lm_path_remove(tmp, NULL);
    lm_export_plan_release(&plan);
    return rc;
}
