#include "base/sys.h"
#include "model/llama.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

static const struct lm_llama_config small = {
    .vocab_size = 50,
    .dim = 24,
    .layers = 3,
    .heads = 4,
    .kv_heads = 2,
    .ffn_dim = 40,
    .context = 64,
    .rope_theta = 10000,
    .norm_eps = 1e-5,
    .bos_id = 0,
    .eos_id = 0,
};

static void the_slab_is_tiled_by_the_tensors_in_table_order(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct lm_llama_config config = small;
        const bool tied = kind & 1;
        config.tied = tied;
        config.family = kind & 2 ? LM_FAMILY_GPT2 : LM_FAMILY_LLAMA;
        config.kv_heads = kind & 2 ? config.heads : config.kv_heads;
        struct lm_llama m;
        lm_llama_init(&m, &config);
        const float *at = m.params;
        for (int t = 0; t < LM_LLAMA_TENSOR_COUNT; t++)
            for (size_t l = 0; (t != LM_LLAMA_HEAD || !tied) && l < lm_llama_layer_count(&config, t); l++) {
                size_t rows, cols;
                lm_llama_shape(&config, t, &rows, &cols);
                assert_ptr_equal(lm_llama_at(&m, t, l), at);
                at += rows * cols;
            }
        assert_ptr_equal(at, m.params + m.parameter_count);
        assert_true(tied == (m.tensor[LM_LLAMA_HEAD] == m.tensor[LM_LLAMA_EMBED]));
        lm_llama_release(&m);
        lm_llama_release(&m);   // twice is fine
    }
}

/* stories15M of llama2.c: 288 wide, 6 layers, 6 heads, 768, 32000 tokens, tied; 15,191,712 parameters. */
static void a_published_shape_has_its_published_size(void **state)
{
    (void)state;
    const struct lm_llama_config stories = {
        .vocab_size = 32000,
        .dim = 288,
        .layers = 6,
        .heads = 6,
        .kv_heads = 6,
        .ffn_dim = 768,
        .tied = true,
    };
    assert_int_equal(lm_llama_parameter_count(&stories), 15191712);
    /* SmolLM2-135M: 576 wide, 30 layers, 9 and 3 heads, 1536, 49152 tokens, tied. */
    const struct lm_llama_config smol = {
        .vocab_size = 49152,
        .dim = 576,
        .layers = 30,
        .heads = 9,
        .kv_heads = 3,
        .ffn_dim = 1536,
        .tied = true,
    };
    assert_int_equal(lm_llama_parameter_count(&smol), 134515008);
}

static void random_weights_depend_on_the_seed_and_not_on_the_threads(void **state)
{
    (void)state;
    struct lm_llama a, b, c;
    struct lm_llama_config config = small;
    config.vocab_size = 3000;   // several chunks of random numbers
    lm_llama_init(&a, &config);
    lm_llama_init(&b, &config);
    lm_llama_init(&c, &config);
    lm_threads_set(1);
    lm_llama_random(&a, 7);
    lm_threads_set(3);
    lm_llama_random(&b, 7);
    lm_threads_set(0);
    lm_llama_random(&c, 8);
    assert_memory_equal(a.params, b.params, a.parameter_count * sizeof(float));
    assert_memory_not_equal(a.params, c.params, a.parameter_count * sizeof(float));
    lm_llama_release(&a);
    lm_llama_release(&b);
    lm_llama_release(&c);
}

static double deviation(const float *x, size_t count)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += x[i];
        squares += (double)x[i] * x[i];
    }
    const double mean = sum / (double)count;
    return sqrt(squares / (double)count - mean * mean);
}

static void random_weights_have_the_stated_spread(void **state)
{
    (void)state;
    struct lm_llama_config config = small;
    config.dim = 128;
    struct lm_llama m;
    lm_llama_init(&m, &config);
    lm_llama_random(&m, 1);
    const size_t square = (size_t)config.dim * (size_t)config.dim * (size_t)config.layers;
    assert_true(fabs(deviation(m.tensor[LM_LLAMA_WQ], square) / 0.02 - 1) < 0.02);
    assert_true(fabs(deviation(m.tensor[LM_LLAMA_WO], square) / (0.02 / sqrt(6)) - 1) < 0.02);
    for (size_t i = 0; i < (size_t)config.dim; i++)
        assert_true(m.tensor[LM_LLAMA_NORM][i] == 1);
    assert_memory_not_equal(lm_llama_at(&m, LM_LLAMA_WQ, 0), lm_llama_at(&m, LM_LLAMA_WQ, 1), 4096);
    lm_llama_release(&m);
}

static void a_wrong_configuration_is_refused_with_its_number(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    struct lm_llama_config c = small;
    assert_int_equal(lm_llama_config_check(&c, &err), LM_OK);
#define REFUSED(field, value, word)                                                                          \
    c = small;                                                                                               \
    c.field = value;                                                                                         \
    assert_int_equal(lm_llama_config_check(&c, &err), LM_EINVAL);                                            \
    assert_non_null(strstr(err.text, word))
    REFUSED(vocab_size, 0, "vocab_size 0");
    REFUSED(dim, 1 << 20, "hidden_size 1048576");
    REFUSED(layers, -1, "num_hidden_layers -1");
    REFUSED(heads, 5, "num_attention_heads 5");
    REFUSED(heads, 8, "even");   // 24 / 8 = 3
    REFUSED(kv_heads, 3, "num_key_value_heads 3");
    REFUSED(context, 0, "max_position_embeddings 0");
    REFUSED(rope_theta, NAN, "rope_theta");
    REFUSED(norm_eps, 0, "rms_norm_eps");
    REFUSED(eos_id, 50, "eos_token_id 50");
#undef REFUSED
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_slab_is_tiled_by_the_tensors_in_table_order),
        cmocka_unit_test(a_published_shape_has_its_published_size),
        cmocka_unit_test(random_weights_depend_on_the_seed_and_not_on_the_threads),
        cmocka_unit_test(random_weights_have_the_stated_spread),
        cmocka_unit_test(a_wrong_configuration_is_refused_with_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
