/* config.json of transformers, written so that reading it gives the same config. */
#include "model/hf_config.h"

#include "base/json.h"
#include "model/hf_keys.h"

static void put_token_ids(struct lm_buf *buf, const char *key, const int64_t *ids, size_t count)
{
    lm_json_key(buf, key);
    if (count == 0) {
        lm_buf_puts(buf, "null");
        return;
    }
    lm_buf_puts(buf, count > 1 ? "[" : "");
    for (size_t i = 0; i < count; i++) {
        lm_json_sep(buf);
        lm_json_int(buf, ids[i]);
    }
    lm_buf_puts(buf, count > 1 ? "]" : "");
}

static void put_value(struct lm_buf *buf, const char *key, enum lm_hf_field_type type, const char *at)
{
    switch (type) {
    case LM_HF_INTEGER:
        lm_json_key_int(buf, key, *(const int64_t *)at);
        break;
    case LM_HF_REAL:
        lm_json_key_num(buf, key, *(const double *)at);
        break;
    case LM_HF_FLAG:
        lm_json_key_bool(buf, key, *(const bool *)at);
        break;
    }
}

/* Factors per pair (a GGUF file) have no form here: exporters refuse them before. */
static void put_rope(struct lm_buf *buf, const struct lm_model_config *c)
{
    if (c->rope.kind == LM_ROPE_PLAIN || c->rope.kind == LM_ROPE_FACTORS)
        return;
    lm_json_key(buf, "rope_scaling");
    lm_buf_putc(buf, '{');
    lm_json_key_str(buf, "rope_type", lm_str(lm_hf_rope_names[c->rope.kind]));
    for (size_t i = 0; i < lm_hf_rope_field_count; i++)
        if ((lm_hf_rope_fields[i].used_by & 1u << c->rope.kind) &&
            lm_hf_rope_fields[i].used_by != LM_HF_ROPE_ANY)
            put_value(buf, lm_hf_rope_fields[i].key, lm_hf_rope_fields[i].type,
                      (const char *)c + lm_hf_rope_fields[i].offset);
    lm_buf_putc(buf, '}');
}

static void put_window(struct lm_buf *buf, const struct lm_model_config *c, unsigned arch_bit)
{
    if (!(arch_bit & (LM_HF_MISTRAL | LM_HF_QWEN)))
        return;
    if (arch_bit & LM_HF_QWEN)
        lm_json_key_bool(buf, "use_sliding_window", c->window > 0);
    if ((arch_bit & LM_HF_QWEN) && c->window > 0)
        lm_json_key_int(buf, "max_window_layers", c->window_from_layer);
    lm_json_key(buf, "sliding_window");
    if (c->window > 0)
        lm_json_int(buf, c->window);
    else
        lm_buf_puts(buf, "null");
}

void lm_hf_config_json(const struct lm_model_config *c, bool biases, const char *dtype, struct lm_buf *ret)
{
    const unsigned arch_bit = 1u << c->arch;
    const bool usual_head = c->head_dim * c->heads == c->dim && lm_hf_defaults[c->arch].head_dim == 0;
    lm_buf_putc(ret, '{');
    lm_json_key(ret, "architectures");
    lm_buf_printf(ret, "[\"%s\"]", lm_archs[c->arch].hf_class);
    lm_json_key_str(ret, "model_type", lm_str(lm_archs[c->arch].name));
    for (size_t i = 0; i < lm_hf_field_count; i++)
        if ((lm_hf_fields[i].used_by & arch_bit) &&
            !(usual_head && lm_hf_fields[i].offset == offsetof(struct lm_model_config, head_dim)))
            put_value(ret, lm_hf_fields[i].key, lm_hf_fields[i].type,
                      (const char *)c + lm_hf_fields[i].offset);
    put_token_ids(ret, "bos_token_id", &c->bos_id, c->bos_id >= 0);
    put_token_ids(ret, "eos_token_id", c->eos_ids, c->eos_count);
    put_rope(ret, c);
    put_window(ret, c, arch_bit);
    for (size_t i = 0; i < lm_hf_fixed_count; i++) {
        const char *only = lm_hf_fixed[i].only[0];
        if (!(lm_hf_fixed[i].used_by & arch_bit) || !lm_hf_fixed[i].written)
            continue;
        lm_json_key(ret, lm_hf_fixed[i].key);
        if (strcmp(only, "true") == 0 || strcmp(only, "false") == 0)
            lm_buf_puts(ret, only);
        else
            lm_json_str(ret, lm_str(only));
    }
    if (lm_archs[c->arch].optional)
        lm_json_key_bool(ret, "attention_bias", biases);
    if (arch_bit & LM_HF_ROPES)
        lm_json_key_num(ret, "attention_dropout", 0);
    lm_json_key_num(ret, "initializer_range", 0.02);
    lm_json_key_bool(ret, "use_cache", true);
    lm_json_key_str(ret, "torch_dtype", lm_str(dtype));
    lm_buf_puts(ret, "}\n");
}
