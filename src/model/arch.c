/* Architectures: what each computes and from which tensors, limits, shapes. */
#include "model/limits.h"
#include "model/model.h"

#define T(name) (UINT32_C(1) << LM_T_##name)

enum {
    MATRICES = T(EMBED) | T(POSITION) | T(TOKEN_TYPE) | T(WQ) | T(WK) | T(WV) | T(WO) | T(W_GATE) | T(W_UP) |
               T(W_DOWN) | T(HEAD),
    LAYER = T(ATTN_NORM) | T(WQ) | T(WK) | T(WV) | T(WO) | T(FFN_NORM) | T(W_UP) | T(W_DOWN),
    LLAMA = T(EMBED) | LAYER | T(W_GATE) | T(NORM) | T(HEAD),
    QKV_BIAS = T(BQ) | T(BK) | T(BV),
    LAYER_BIAS = T(ATTN_NORM_BIAS) | QKV_BIAS | T(BO) | T(FFN_NORM_BIAS) | T(B_UP) | T(B_DOWN),
};

// clang-format off
/* To add an architecture: its place in the enum, a row here, and its names in names.c. */
const struct lm_arch_info lm_archs[LM_ARCH_COUNT] = {
    [LM_ARCH_LLAMA] = { "llama", "llama", "LlamaForCausalLM", .causal = true, .rope = true, .gated = true,
        .required = LLAMA, .optional = QKV_BIAS | T(BO) },
    [LM_ARCH_MISTRAL] = { "mistral", "llama", "MistralForCausalLM", .causal = true, .rope = true, .gated = true,
        .required = LLAMA },
    [LM_ARCH_QWEN2] = { "qwen2", "qwen2", "Qwen2ForCausalLM", .causal = true, .rope = true, .gated = true,
        .required = LLAMA | QKV_BIAS },
    [LM_ARCH_QWEN3] = { "qwen3", "qwen3", "Qwen3ForCausalLM", .causal = true, .rope = true, .gated = true,
        .required = LLAMA | T(Q_NORM) | T(K_NORM), .optional = QKV_BIAS | T(BO) },
    [LM_ARCH_GPT2] = { "gpt2", "gpt2", "GPT2LMHeadModel", .causal = true, .layer_norm = true, .gelu_tanh = true,
        .required = T(EMBED) | T(POSITION) | LAYER | LAYER_BIAS | T(NORM) | T(NORM_BIAS) | T(HEAD) },
    [LM_ARCH_BERT] = { "bert", "bert", "BertModel", .layer_norm = true, .norm_after = true,
        .required = T(EMBED) | T(POSITION) | T(TOKEN_TYPE) | T(EMBED_NORM) | T(EMBED_NORM_BIAS) | LAYER |
                    LAYER_BIAS },
};

/* With these limits the largest model has less than 2^52 parameters. */
static const struct lm_model_limit {
    const char *name;
    size_t offset;
    int64_t min, max;
} limits[] = {
#define ROW(field, min, max) { #field, offsetof(struct lm_model_config, field), min, max }
    ROW(vocab_size,        1, 1 << 24),
    ROW(dim,               2, 1 << 16),
    ROW(layers,            1, 1 << 10),
    ROW(heads,             1, 1 << 10),
    ROW(kv_heads,          1, 1 << 10),
    ROW(head_dim,          2, 1 << 10),
    ROW(ffn_dim,           1, 1 << 18),
    ROW(context,           1, 1 << 24),
    ROW(token_types,       0, 1 << 10),
    ROW(window,            0, 1 << 24),
    ROW(window_from_layer, 0, 1 << 10),
    ROW(rope.original_context, 0, 1 << 24),
#undef ROW
};

/* Bounds of the reals, both included. */
static const struct {
    const char *name;
    size_t offset;
    double min, max;
} real_limits[] = {
#define ROW(field, min, max) { #field, offsetof(struct lm_model_config, field), min, max }
    ROW(norm_eps,       1e-20, 1),
    ROW(rope.theta,     1,     1e12),
    ROW(rope.factor,    1e-6,  1e6),
    ROW(rope.attention, 1e-6,  1e6),
#undef ROW
};
// clang-format on

bool lm_tensor_per_layer(enum lm_tensor tensor)
{
    return tensor >= LM_T_ATTN_NORM && tensor <= LM_T_B_DOWN;
}

bool lm_tensor_is_matrix(enum lm_tensor tensor)
{
    return MATRICES >> tensor & 1;
}

/* ---- limits ---- */

enum lm_rc lm_model_limit_check(size_t offset, int64_t value, const char *what, struct lm_err *err)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].offset == offset && (value < limits[i].min || value > limits[i].max))
            return lm_fail(err, LM_ELIMIT, "%s %lld is outside %lld..%lld", what ? what : limits[i].name,
                           (long long)value, (long long)limits[i].min, (long long)limits[i].max);
    return LM_OK;
}

static enum lm_rc check_rope(const struct lm_model_config *c, struct lm_err *err)
{
    if (c->head_dim % 2 != 0)
        return lm_fail(err, LM_EINVAL, "head_dim %lld is odd, which rotated positions cannot be",
                       (long long)c->head_dim);
    if (c->rope.kind == LM_ROPE_LLAMA3 &&
        !(c->rope.low_factor > 0 && c->rope.high_factor < 1e6 && c->rope.high_factor > c->rope.low_factor))
        return lm_fail(err, LM_EINVAL, "rope low_freq_factor %g and high_freq_factor %g are no range",
                       c->rope.low_factor, c->rope.high_factor);
    if (c->rope.kind == LM_ROPE_YARN &&
        !(c->rope.beta_slow > 0 && c->rope.beta_fast < 1e6 && c->rope.beta_fast >= c->rope.beta_slow))
        return lm_fail(err, LM_EINVAL, "rope beta_fast %g and beta_slow %g are no range", c->rope.beta_fast,
                       c->rope.beta_slow);
    if ((c->rope.kind == LM_ROPE_LLAMA3 || c->rope.kind == LM_ROPE_YARN) && c->rope.original_context < 1)
        return lm_fail(err, LM_EINVAL, "rope scaling needs the original context length");
    if (c->rope.kind == LM_ROPE_YARN && c->rope.theta <= 1)
        return lm_fail(err, LM_EINVAL, "rope theta %g is too small for yarn", c->rope.theta);
    if (c->rope.kind == LM_ROPE_FACTORS)
        for (int64_t d = 0; d < c->head_dim / 2; d++)
            if (!(c->rope.factors[d] > 1e-6f && c->rope.factors[d] < 1e6f))
                return lm_fail(err, LM_EINVAL, "rope factor %lld is %g", (long long)d, c->rope.factors[d]);
    return LM_OK;
}

static enum lm_rc check_token_ids(const struct lm_model_config *c, struct lm_err *err)
{
    if (c->eos_count > sizeof c->eos_ids / sizeof c->eos_ids[0])
        return lm_fail(err, LM_ELIMIT, "%zu end tokens are more than 4", c->eos_count);
    bool inside = c->bos_id >= -1 && c->bos_id < c->vocab_size;
    int64_t id = c->bos_id;
    for (size_t i = 0; inside && i < c->eos_count; i++) {
        id = c->eos_ids[i];
        inside = id >= 0 && id < c->vocab_size;
    }
    if (inside)
        return LM_OK;
    return lm_fail(err, LM_EINVAL, "token id %lld (bos or eos) is not in a vocabulary of %lld tokens",
                   (long long)id, (long long)c->vocab_size);
}

enum lm_rc lm_model_config_check(const struct lm_model_config *c, struct lm_err *err)
{
    if ((unsigned)c->arch >= LM_ARCH_COUNT)
        return lm_fail(err, LM_EINVAL, "architecture %d is unknown", (int)c->arch);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        int64_t value;
        memcpy(&value, (const char *)c + limits[i].offset, sizeof value);
        LM_TRY(lm_model_limit_check(limits[i].offset, value, NULL, err));
    }
    const struct lm_arch_info *arch = &lm_archs[c->arch];
    for (size_t i = 0; i < sizeof real_limits / sizeof real_limits[0]; i++) {
        double value;
        memcpy(&value, (const char *)c + real_limits[i].offset, sizeof value);
        if (!arch->rope && real_limits[i].offset >= offsetof(struct lm_model_config, rope))
            continue;
        if (!(value >= real_limits[i].min && value <= real_limits[i].max))
            return lm_fail(err, LM_EINVAL, "%s %g is outside %g..%g", real_limits[i].name, value,
                           real_limits[i].min, real_limits[i].max);
    }
    if (c->heads % c->kv_heads != 0)
        return lm_fail(err, LM_EINVAL, "heads %lld is not a multiple of kv_heads %lld", (long long)c->heads,
                       (long long)c->kv_heads);
    if ((arch->required & T(TOKEN_TYPE)) && c->token_types < 1)
        return lm_fail(err, LM_EINVAL, "token_types 0 is outside 1..1024");
    if (arch->rope)
        LM_TRY(check_rope(c, err));
    return check_token_ids(c, err);
}

struct lm_model_config lm_model_config_of_llama(const struct lm_llama_config *c)
{
    return (struct lm_model_config){
        .arch = c->family == LM_FAMILY_GPT2 ? LM_ARCH_GPT2 : LM_ARCH_LLAMA,
        .vocab_size = c->vocab_size,
        .dim = c->dim,
        .layers = c->layers,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->dim / c->heads,
        .ffn_dim = c->ffn_dim,
        .context = c->context,
        .norm_eps = c->norm_eps,
        .tied = c->tied,
        .bos_id = c->bos_id,
        .eos_ids = { c->eos_id },
        .eos_count = c->eos_id >= 0,
        .rope = { .theta = c->rope_theta, .factor = 1, .attention = 1 },
    };
}

/* ---- shapes ---- */

void lm_model_shape(const struct lm_model_config *c, enum lm_tensor tensor, size_t *ret_rows,
                    size_t *ret_cols)
{
    const size_t dim = (size_t)c->dim, ffn = (size_t)c->ffn_dim, vocab = (size_t)c->vocab_size;
    const size_t head = (size_t)c->head_dim, q = (size_t)c->heads * head, kv = (size_t)c->kv_heads * head;
    const size_t shape[LM_T_COUNT][2] = {
        [LM_T_EMBED] = { vocab, dim },
        [LM_T_POSITION] = { (size_t)c->context, dim },
        [LM_T_TOKEN_TYPE] = { (size_t)c->token_types, dim },
        [LM_T_WQ] = { q, dim },
        [LM_T_WK] = { kv, dim },
        [LM_T_WV] = { kv, dim },
        [LM_T_WO] = { dim, q },
        [LM_T_BQ] = { 1, q },
        [LM_T_BK] = { 1, kv },
        [LM_T_BV] = { 1, kv },
        [LM_T_Q_NORM] = { 1, head },
        [LM_T_K_NORM] = { 1, head },
        [LM_T_W_GATE] = { ffn, dim },
        [LM_T_W_UP] = { ffn, dim },
        [LM_T_W_DOWN] = { dim, ffn },
        [LM_T_B_UP] = { 1, ffn },
        [LM_T_HEAD] = { vocab, dim },
    };
    *ret_rows = shape[tensor][0] ? shape[tensor][0] : 1;   // the others are vectors of C
    *ret_cols = shape[tensor][1] ? shape[tensor][1] : dim;
}

size_t lm_model_parameters(const struct lm_model_config *c)
{
    size_t sum = 0;
    for (int t = 0; t < LM_T_COUNT; t++) {
        if (!(lm_archs[c->arch].required >> t & 1) || (t == LM_T_HEAD && c->tied))
            continue;
        size_t rows, cols;
        lm_model_shape(c, t, &rows, &cols);
        sum += rows * cols * (lm_tensor_per_layer(t) ? (size_t)c->layers : 1);
    }
    return sum;
}
