/* cli/cmd_model_inspect.c - what a model is, and how much memory it takes. */

#include "base/json.h"
#include "cli/model.h"
#include "infer/kv.h"
#include "infer/measure.h"

#include <stdlib.h>

struct lm_model_types lm_model_count_types(const struct lm_model *m)
{
    struct lm_model_types ret = { 0 };
    for (int t = 0; t < LM_T_COUNT; t++)
        for (int64_t l = 0; l < (lm_tensor_per_layer(t) ? m->config.layers : 1); l++) {
            const struct lm_weight *w = lm_model_at(m, t, (size_t)l);
            if (!w->data || (t == LM_T_HEAD && m->config.tied))
                continue;
            const uint64_t bytes = w->rows * (uint64_t)lm_type_bytes(w->type, w->cols);
            ret.of[w->type].tensors++;
            ret.of[w->type].values += (uint64_t)w->rows * w->cols;
            ret.of[w->type].bytes += bytes;
            ret.bytes += bytes;
        }
    return ret;
}

const char *lm_model_quantization(const struct lm_model_types *types)
{
    int most = 0;
    for (int t = 1; t < LM_TYPE_COUNT; t++)
        most = types->of[t].values > types->of[most].values ? t : most;
    return lm_types[most].block_len > 1 ? lm_types[most].name : "none";
}

enum lm_rc lm_model_kv_bytes_per_token(const struct lm_model_config *c, enum lm_kv_type type, int64_t *ret,
                                       struct lm_err *err)
{
    const struct lm_kv_shape shape = { type, (size_t)c->layers, (size_t)c->kv_heads, (size_t)c->head_dim };
    struct lm_kv_pool pool = { 0 };
    *ret = 0;
    if (!lm_archs[c->arch].causal)
        return LM_OK;
    LM_TRY(lm_kv_pool_init(&pool, shape, 1, err));
    *ret = (int64_t)(pool.block_bytes / LM_KV_TOKENS);
    lm_kv_pool_release(&pool);
    return LM_OK;
}

/* ---- one fact, to the JSON object and, unless that is all that is wanted, to the reader ---- */

static void tell_text(struct lm_cli *cli, const char *name, struct lm_str value)
{
    lm_json_key_str(&cli->result, name, value);
    if (!cli->globals.json)
        printf("%-20s %.*s\n", name, (int)value.len, value.ptr);
}

static void tell_int(struct lm_cli *cli, const char *name, int64_t value)
{
    lm_json_key_int(&cli->result, name, value);
    if (!cli->globals.json)
        printf("%-20s %lld\n", name, (long long)value);
}

static void tell_bool(struct lm_cli *cli, const char *name, bool value)
{
    lm_json_key_bool(&cli->result, name, value);
    if (!cli->globals.json)
        printf("%-20s %s\n", name, value ? "yes" : "no");
}

static void tell_note(struct lm_cli *cli, const struct lm_model *m, const char *key)
{
    const struct lm_str value = lm_model_note(m, key);
    tell_text(cli, key, value.len ? value : LM_STR("not said"));
}

/* ---- the parts ---- */

static void tell_config(struct lm_cli *cli, const struct lm_model_config *c)
{
    static const char *const positions[] = {
        [LM_ROPE_PLAIN] = "rotated",
        [LM_ROPE_LINEAR] = "rotated, linear",
        [LM_ROPE_LLAMA3] = "rotated, llama3",
        [LM_ROPE_YARN] = "rotated, yarn",
        [LM_ROPE_FACTORS] = "rotated, factors",
    };
    const struct {
        const char *name;
        int64_t value;
    } facts[] = {
        { "dim", c->dim },
        { "layers", c->layers },
        { "heads", c->heads },
        { "kv_heads", c->kv_heads },
        { "head_dim", c->head_dim },
        { "ffn_dim", c->ffn_dim },
        { "vocab_size", c->vocab_size },
        { "context", c->context },
        { "window", c->window },
    };
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        tell_int(cli, facts[i].name, facts[i].value);
    tell_text(cli, "positions", lm_str(lm_archs[c->arch].rope ? positions[c->rope.kind] : "learned"));
    tell_bool(cli, "tied", c->tied);
}

static void tell_types(struct lm_cli *cli, const struct lm_model_types *types)
{
    tell_text(cli, "quantization", lm_str(lm_model_quantization(types)));
    lm_json_key(&cli->result, "types");
    lm_buf_putc(&cli->result, '[');
    for (int t = 0; t < LM_TYPE_COUNT; t++) {
        if (types->of[t].tensors == 0)
            continue;
        lm_json_sep(&cli->result);
        lm_buf_putc(&cli->result, '{');
        lm_json_key_str(&cli->result, "type", lm_str(lm_types[t].name));
        lm_json_key_int(&cli->result, "tensors", (int64_t)types->of[t].tensors);
        lm_json_key_int(&cli->result, "values", (int64_t)types->of[t].values);
        lm_json_key_int(&cli->result, "bytes", (int64_t)types->of[t].bytes);
        lm_buf_putc(&cli->result, '}');
        if (!cli->globals.json)
            printf("%-20s %llu tensors, %llu bytes\n", lm_types[t].name,
                   (unsigned long long)types->of[t].tensors, (unsigned long long)types->of[t].bytes);
    }
    lm_buf_putc(&cli->result, ']');
}

/* A tokenizer that loom does not know is a fact about the model, not an error of looking at it. */
static void tell_tokenizer(struct lm_cli *cli, const char *path)
{
    struct lm_tokenizer *t = NULL;
    struct lm_err why = { 0 };
    const bool known = lm_model_tokenizer(path, &t, &why) == LM_OK;
    if (known) {
        tell_int(cli, "tokens", lm_tokenizer_vocab_size(t));
        tell_bool(cli, "chat_template", lm_tokenizer_chat_template(t).len > 0);
    } else {
        tell_text(cli, "tokenizer", lm_str(why.text));
    }
    lm_tokenizer_free(t);
}

/* The file stays mapped, and its pages can go at any time; what must fit is the packed copy and the cache. */
static enum lm_rc tell_memory(struct lm_cli *cli, const struct lm_model *m,
                              const struct lm_model_types *types, struct lm_err *err)
{
    const struct lm_model_cli_config *o = cli->config[0];
    const int64_t context = o->context ? o->context : m->config.context;
    const int64_t packed = (int64_t)lm_measure_weight_bytes(m);
    int64_t per_token;
    LM_TRY(lm_model_kv_bytes_per_token(&m->config, (enum lm_kv_type)o->kv, &per_token, err));
    tell_int(cli, "file_bytes", (int64_t)lm_model_file_bytes(m));
    tell_int(cli, "weight_bytes", (int64_t)types->bytes);
    tell_int(cli, "packed_bytes", packed);
    tell_int(cli, "kv_bytes_per_token", per_token);
    tell_int(cli, "kv_context", context);
    tell_int(cli, "kv_bytes", per_token * context);
    tell_int(cli, "memory_bytes", packed + per_token * context);
    return LM_OK;
}

enum lm_rc lm_model_inspect(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_model m = { 0 };
    LM_TRY(lm_model_open(cli->args[0], &m, err));
    const struct lm_model_types types = lm_model_count_types(&m);
    lm_buf_putc(&cli->result, '{');
    tell_text(cli, "architecture", lm_str(lm_archs[m.config.arch].name));
    tell_note(cli, &m, "name");
    tell_note(cli, &m, "license");
    tell_int(cli, "parameters", (int64_t)lm_model_parameters(&m.config));
    tell_config(cli, &m.config);
    tell_tokenizer(cli, cli->args[0]);
    tell_types(cli, &types);
    const enum lm_rc rc = tell_memory(cli, &m, &types, err);
    lm_buf_putc(&cli->result, '}');
    lm_model_close(&m);
    return rc;
}
