#include "model/llama.h"
#include "model/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

static const struct lm_llama_config small = {
    .vocab_size = 30,
    .dim = 16,
    .layers = 2,
    .heads = 4,
    .kv_heads = 2,
    .ffn_dim = 24,
    .context = 128,
    .rope_theta = 500000,
    .norm_eps = 1e-5,
    .bos_id = -1,
    .eos_id = 2,
};

static void write_text(const char *path, const char *text)
{
    assert_int_equal(lm_file_write(path, lm_str(text), NULL), LM_OK);
}

static void assert_same_config(const struct lm_llama_config *a, const struct lm_llama_config *b)
{
    struct lm_buf x = { 0 }, y = { 0 };
    lm_llama_config_json(a, &x);
    lm_llama_config_json(b, &y);
    assert_string_equal(x.ptr, y.ptr);
    lm_buf_release(&x);
    lm_buf_release(&y);
}

static void a_model_comes_back_as_it_was_saved(void **state)
{
    (void)state;
    for (int tied = 0; tied <= 1; tied++) {
        struct lm_llama_config config = small;
        config.tied = tied;
        struct lm_llama m, back;
        struct lm_err err = { 0 };
        lm_llama_init(&m, &config);
        lm_llama_random(&m, 3);
        assert_int_equal(lm_llama_save(&m, "model", &err), LM_OK);
        assert_int_equal(lm_llama_load(&back, "model", &err), LM_OK);
        assert_same_config(&m.config, &back.config);
        assert_int_equal(m.parameter_count, back.parameter_count);
        assert_memory_equal(m.params, back.params, m.parameter_count * sizeof(float));
        struct lm_safetensors st;
        assert_int_equal(lm_safetensors_open(&st, "model/model.safetensors", &err), LM_OK);
        assert_true(tied == !lm_safetensors_find(&st, "lm_head.weight"));
        assert_non_null(lm_safetensors_find(&st, "model.layers.1.mlp.down_proj.weight"));
        lm_safetensors_close(&st);
        lm_llama_release(&m);
        lm_llama_release(&back);
    }
}

static void half_precision_weights_are_widened(void **state)
{
    (void)state;
    const char *names[] = { "model.embed_tokens.weight", "model.norm.weight" };
    struct lm_llama m, back;
    struct lm_err err = { 0 };
    lm_llama_init(&m, &small);
    lm_llama_random(&m, 3);
    assert_int_equal(lm_llama_save(&m, "half", &err), LM_OK);
    struct lm_safetensors st;
    assert_int_equal(lm_safetensors_open(&st, "half/model.safetensors", &err), LM_OK);
    struct lm_tensor_view *views = lm_memdup(st.tensors, st.count * sizeof *views);
    uint16_t bf16[30 * 16];
    const uint16_t f16[16] = { 0x3c00, 0x4000 };   // 1, 2, 0 ...
    for (size_t i = 0; i < 30 * 16; i++) {
        uint32_t bits;
        memcpy(&bits, &m.params[i], 4);
        bf16[i] = (uint16_t)(bits >> 16);
    }
    for (size_t i = 0; i < st.count; i++) {
        if (lm_str_eq(views[i].name, lm_str(names[0])))
            views[i].dtype = LM_BF16, views[i].data = bf16, views[i].bytes = sizeof bf16;
        if (lm_str_eq(views[i].name, lm_str(names[1])))
            views[i].dtype = LM_F16, views[i].data = f16, views[i].bytes = sizeof f16;
    }
    assert_int_equal(lm_safetensors_write("half/new", views, st.count, LM_STR(""), &err), LM_OK);
    assert_int_equal(lm_path_rename("half/new", "half/model.safetensors", &err), LM_OK);
    assert_int_equal(lm_llama_load(&back, "half", &err), LM_OK);
    for (size_t i = 0; i < 30 * 16; i++) {
        const float exact = m.params[i];
        assert_true(fabsf(back.params[i] - exact) <= fabsf(exact) / 128);
    }
    assert_true(back.tensor[LM_LLAMA_NORM][0] == 1 && back.tensor[LM_LLAMA_NORM][1] == 2);
    assert_memory_equal(back.tensor[LM_LLAMA_HEAD], m.tensor[LM_LLAMA_HEAD], sizeof(float) * 30 * 16);
    lm_safetensors_close(&st);
    free(views);
    lm_llama_release(&m);
    lm_llama_release(&back);
}

#define LLAMA "\"model_type\":\"llama\","
#define BASE LLAMA SIZES
#define SIZES                                                                                                \
    "\"vocab_size\":30,\"hidden_size\":16,\"intermediate_size\":24,\"num_hidden_layers\":2,"                 \
    "\"num_attention_heads\":4,\"max_position_embeddings\":128"

// clang-format off
static const struct {
    const char *json, *says;
} refused[] = {
    { "{" BASE ",\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"llama3\"}}", "low_freq_factor is missing in rope_scaling" },
    { "{" BASE ",\"rope_parameters\":{\"rope_type\":\"yarn\"}}", "factor is missing in rope_parameters" },
    { "{" BASE ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}", "this rope_scaling can be used, but not" },
    { "{" BASE ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}}", "rope_scaling 'dynamic' is not supported" },
    { "{" BASE ",\"attention_bias\":true}", "this attention_bias can be used, but not trained" },
    { "{" BASE ",\"mlp_bias\":true}", "mlp_bias 'true'" },
    { "{" SIZES "}", "model_type is missing" },
    { "{\"model_type\":\"mamba\"," SIZES "}", "model_type 'mamba' is not supported" },
    { "{\"model_type\":\"qwen2\",\"num_key_value_heads\":4," SIZES "}", "this model_type can be used, but not" },
    { "{" BASE ",\"hidden_act\":\"gelu\"}", "hidden_act 'gelu'" },
    { "{" BASE ",\"quantization_config\":{\"bits\":4}}", "quantization_config '{...}'" },
    { "{" BASE ",\"head_dim\":8}", "this head_dim can be used, but not trained" },
    { "{" BASE ",\"architectures\":[\"LlamaForSequenceClassification\"]}", "architectures does not name LlamaForCausalLM" },
    { "{" BASE ",\"num_key_value_heads\":3}", "not a multiple of kv_heads 3" },
    { "{" BASE ",\"vocab_size\":30}", "duplicate object key" },
    { "{" BASE ",\"num_key_value_heads\":2.5}", "num_key_value_heads is not a whole number" },
    { "{" BASE ",\"eos_token_id\":[]}", "eos_token_id is not a token id" },
    { "{" BASE ",\"eos_token_id\":30}", "token id 30" },
    { "{" LLAMA "\"hidden_size\":16}", "vocab_size is missing" },
    { "{" BASE, "config.json: byte" },
};

static const struct {
    const char *json;
    double rope_theta;
    int64_t eos_id;
} accepted[] = {
    { "{" BASE "}", 10000, -1 },
    { "{" BASE ",\"rope_theta\":5e5,\"eos_token_id\":[7,8]}", 500000, 7 },
    { "{" BASE ",\"rope_parameters\":{\"rope_theta\":130000,\"rope_type\":\"default\"}}", 130000, -1 },
    { "{" BASE ",\"rope_scaling\":null,\"eos_token_id\":null,\"new_key\":[{\"a\":1}]}", 10000, -1 },
    { "{" BASE ",\"head_dim\":4,\"architectures\":[\"LlamaForCausalLM\"],\"eos_token_id\":0}", 10000, 0 },
};
// clang-format on

static void what_is_not_supported_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct lm_llama_config config;
        struct lm_err err = { 0 };
        assert_int_equal(lm_llama_config_parse(&config, lm_str(refused[i].json), "config.json", &err),
                         LM_EFORMAT);
        if (!strstr(err.text, refused[i].says))
            fail_msg("case %zu: '%s' does not say '%s'", i, err.text, refused[i].says);
    }
}

static void older_and_newer_forms_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        struct lm_llama_config config;
        struct lm_err err = { 0 };
        assert_int_equal(lm_llama_config_parse(&config, lm_str(accepted[i].json), "config.json", &err),
                         LM_OK);
        assert_true(config.rope_theta == accepted[i].rope_theta);
        assert_int_equal(config.eos_id, accepted[i].eos_id);
        assert_int_equal(config.kv_heads, 4);   // as many as query heads when not said
    }
}

static void assert_load_fails(const char *says)
{
    struct lm_llama m;
    struct lm_err err = { 0 };
    assert_int_not_equal(lm_llama_load(&m, "bad", &err), LM_OK);
    if (!strstr(err.text, says))
        fail_msg("'%s' does not say '%s'", err.text, says);
}

static void missing_foreign_and_misshapen_tensors_are_refused_by_name(void **state)
{
    (void)state;
    struct lm_llama m;
    struct lm_err err = { 0 };
    lm_llama_init(&m, &small);
    assert_int_equal(lm_path_remove("bad", &err), LM_OK);
    assert_int_equal(lm_llama_save(&m, "bad", &err), LM_OK);
    lm_llama_release(&m);

    struct lm_safetensors st;
    assert_int_equal(lm_safetensors_open(&st, "bad/model.safetensors", &err), LM_OK);
    struct lm_tensor_view *views = lm_zalloc(st.count + 1, sizeof *views);
    memcpy(views, st.tensors, st.count * sizeof *views);
    const char *path = "bad/model.safetensors";

    assert_int_equal(lm_safetensors_write(path, views + 1, st.count - 1, LM_STR(""), &err), LM_OK);
    assert_load_fails("tensor 'model.embed_tokens.weight' is missing");

    views[st.count] = views[1];
    views[st.count].name = LM_STR("model.layers.0.self_attn.q_proj.bias");
    assert_int_equal(lm_safetensors_write(path, views, st.count + 1, LM_STR(""), &err), LM_OK);
    assert_load_fails("tensor 'model.layers.0.self_attn.q_proj.bias' is not part of a Llama model");

    views[0].shape[0] = 16, views[0].shape[1] = 30;
    assert_int_equal(lm_safetensors_write(path, views, st.count, LM_STR(""), &err), LM_OK);
    assert_load_fails("has shape (16, 30), but config.json asks for (30, 16)");

    views[0] = st.tensors[0];
    views[0].dtype = LM_U32;
    assert_int_equal(lm_safetensors_write(path, views, st.count, LM_STR(""), &err), LM_OK);
    assert_load_fails("is U32; only F32, F16 and BF16");

    assert_int_equal(lm_path_remove(path, &err), LM_OK);
    assert_load_fails("model.safetensors");
    free(views);
    lm_safetensors_close(&st);
}

static void weights_in_several_files_are_one_model(void **state)
{
    (void)state;
    struct lm_llama m, back;
    struct lm_err err = { 0 };
    struct lm_safetensors st;
    assert_int_equal(lm_path_remove("bad", &err), LM_OK);
    lm_llama_init(&m, &small);
    lm_llama_random(&m, 4);
    assert_int_equal(lm_llama_save(&m, "bad", &err), LM_OK);
    assert_int_equal(lm_safetensors_open(&st, "bad/model.safetensors", &err), LM_OK);
    assert_int_equal(lm_safetensors_write("bad/a", st.tensors, 5, LM_STR(""), &err), LM_OK);
    assert_int_equal(lm_safetensors_write("bad/b", st.tensors + 5, st.count - 5, LM_STR(""), &err), LM_OK);
    assert_int_equal(lm_path_remove("bad/model.safetensors", &err), LM_OK);
    const char *index = "bad/model.safetensors.index.json";
    write_text(index, "{\"metadata\":{},\"weight_map\":{\"x\":\"b\",\"y\":\"a\",\"z\":\"b\"}}");
    assert_int_equal(lm_llama_load(&back, "bad", &err), LM_OK);
    assert_memory_equal(m.params, back.params, m.parameter_count * sizeof(float));

    write_text(index, "{\"weight_map\":{\"x\":\"b\"}}");
    assert_load_fails("is missing");
    write_text(index, "{\"weight_map\":{\"x\":\"../bad/b\"}}");
    assert_load_fails("'../bad/b' is not the name of a file");
    write_text(index, "{}");
    assert_load_fails("names no file");
    assert_int_equal(lm_safetensors_write("bad/b", st.tensors + 4, st.count - 4, LM_STR(""), &err), LM_OK);
    write_text(index, "{\"weight_map\":{\"x\":\"a\",\"y\":\"b\"}}");
    assert_load_fails("is in two files");
    lm_safetensors_close(&st);
    lm_llama_release(&m);
    lm_llama_release(&back);
}

/* What transformers wrote of a GPT-2, read and written again: the same tensors, byte by byte. */
static void a_gpt2_of_transformers_comes_back_as_it_was(void **state)
{
    (void)state;
    struct lm_llama m = { 0 };
    struct lm_llama_config config;
    struct lm_safetensors theirs = { 0 }, ours = { 0 };
    struct lm_err err = { 0 };
    if (lm_llama_load(&m, LOOM_TEST_DIR "/golden/train/gpt2", &err) != LM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(m.config.family, LM_FAMILY_GPT2);
    assert_int_equal(lm_llama_save(&m, "gpt2", &err), LM_OK);
    assert_int_equal(lm_safetensors_open(&theirs, LOOM_TEST_DIR "/golden/train/gpt2/model.safetensors", NULL),
                     LM_OK);
    assert_int_equal(lm_safetensors_open(&ours, "gpt2/model.safetensors", NULL), LM_OK);
    assert_int_equal(theirs.count, ours.count);
    for (size_t i = 0; i < theirs.count; i++) {
        const struct lm_tensor_view *want = &theirs.tensors[i];
        char name[96] = "";
        memcpy(name, want->name.ptr, want->name.len);
        const struct lm_tensor_view *got = lm_safetensors_find(&ours, name);
        assert_non_null(got);
        assert_int_equal(got->dims, want->dims);
        assert_memory_equal(got->shape, want->shape, want->dims * sizeof *want->shape);
        assert_int_equal(got->bytes, want->bytes);
        assert_memory_equal(got->data, want->data, want->bytes);
    }
    assert_int_equal(lm_llama_load_config(&config, "gpt2", &err), LM_OK);
    assert_same_config(&config, &m.config);
    lm_safetensors_close(&theirs);
    lm_safetensors_close(&ours);
    lm_llama_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_comes_back_as_it_was_saved),
        cmocka_unit_test(half_precision_weights_are_widened),
        cmocka_unit_test(what_is_not_supported_is_refused_by_name),
        cmocka_unit_test(older_and_newer_forms_are_read),
        cmocka_unit_test(missing_foreign_and_misshapen_tensors_are_refused_by_name),
        cmocka_unit_test(weights_in_several_files_are_one_model),
        cmocka_unit_test(a_gpt2_of_transformers_comes_back_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
