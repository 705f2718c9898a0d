/* Models of transformers 5.23.0 and of llama.cpp's layout: tests/golden/models, made by its make.py. */
#include "check.h"
#include "model/hf_config.h"
#include "model/open.h"
#include "model/safetensors.h"
#include "naive.h"

#define GOLDEN LOOM_TEST_DIR "/golden/models/"

enum { TOKENS = 12 };

static void open_golden(const char *name, struct lm_model *ret)
{
    struct lm_err err = { 0 };
    LM_FREE char *path = lm_path_join(GOLDEN, name);
    if (lm_model_open(path, ret, &err) != LM_OK)
        fail_msg("%s", err.text);
}

static float *read_floats(const char *folder, const char *file, size_t *ret_count)
{
    struct lm_buf bytes = { 0 };
    struct lm_err err = { 0 };
    LM_FREE char *dir = lm_path_join(GOLDEN, folder);
    LM_FREE char *path = lm_path_join(dir, file);
    if (lm_file_read(path, 1 << 20, &bytes, &err) != LM_OK)
        fail_msg("%s", err.text);
    *ret_count = bytes.len / sizeof(float);
    return (float *)lm_buf_take(&bytes);
}

static void assert_computes(const struct lm_model *m, const char *folder)
{
    uint32_t tokens[TOKENS];
    size_t count;
    for (uint32_t i = 0; i < TOKENS; i++)
        tokens[i] = (5 * i + 1) % 64;
    LM_FREE float *expected = read_floats(folder, "expected.f32", &count);
    LM_FREE double *got = naive_run(m, tokens, TOKENS);
    for (size_t i = 0; i < count; i++)
        if (!(fabs(got[i] - expected[i]) <= 2e-4 * (1 + fabs(expected[i]))))
            fail_msg("%s: value %zu is %g, not %g", folder, i, got[i], expected[i]);
}

static const char *const folders[] = { "llama", "mistral", "qwen2", "qwen3", "gpt2", "bert" };

static void a_folder_of_each_architecture_computes_what_transformers_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        struct lm_model m;
        open_golden(folders[i], &m);
        assert_string_equal(lm_archs[m.config.arch].name, folders[i]);
        assert_ok(lm_model_config_check(&m.config, NULL));
        assert_ok(lm_model_check_finite(&m, NULL));
        assert_computes(&m, folders[i]);
        assert_true(lm_model_file_bytes(&m) > 30000);
        lm_model_close(&m);
    }
}

static void rotations_are_those_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {   // those that rotate
        struct lm_model m;
        double got[8];
        size_t count;
        open_golden(folders[i], &m);
        LM_FREE float *expected = read_floats(folders[i], "frequencies.f32", &count);
        const double factor = lm_model_rope(&m.config, got);
        assert_int_equal(count, m.config.head_dim / 2 + 1);
        for (size_t d = 0; d + 1 < count; d++)
            assert_true(fabs(got[d] - expected[d]) <= 1e-6 * expected[d]);
        assert_true(fabs(factor - expected[count - 1]) <= 1e-6);

        struct lm_model_config linear = m.config;
        linear.rope.kind = LM_ROPE_LINEAR;
        linear.rope.factor = 8;
        lm_model_rope(&linear, got);
        assert_true(fabs(got[1] - pow(10000, -2.0 / (double)m.config.head_dim) / 8) < 1e-9);
        lm_model_close(&m);
    }
}

static void what_is_particular_to_a_folder_is_read(void **state)
{
    (void)state;
    struct lm_model m;
    open_golden("qwen2", &m);
    assert_true(m.config.tied && m.config.window == 3 && m.config.window_from_layer == 1);
    assert_ptr_equal(lm_model_at(&m, LM_T_HEAD, 0)->data, lm_model_at(&m, LM_T_EMBED, 0)->data);
    assert_int_equal(lm_model_at(&m, LM_T_WQ, 1)->type, LM_TYPE_F16);
    assert_int_equal(m.config.eos_ids[0], 2);
    lm_model_close(&m);
    open_golden("mistral", &m);
    assert_true(m.config.head_dim == 16 && m.config.window == 4 && m.config.window_from_layer == 0);
    assert_int_equal(lm_model_at(&m, LM_T_WQ, 1)->rows, 64);
    assert_null(lm_model_at(&m, LM_T_BQ, 0)->data);
    lm_model_close(&m);
    open_golden("gpt2", &m);
    assert_int_equal(lm_model_at(&m, LM_T_W_UP, 0)->rows, 64);   // (in, out) in the file
    lm_model_close(&m);
}

/* Every weight of one is the weight of the other, bit for bit, in the order of meaning. */
static void assert_same_weights(const struct lm_model *a, const struct lm_model *b)
{
    float x[64], y[64];
    for (int t = 0; t < LM_T_COUNT; t++)
        for (size_t l = 0; l < (lm_tensor_per_layer(t) ? (size_t)a->config.layers : 1); l++) {
            const struct lm_weight *v = lm_model_at(a, t, l), *w = lm_model_at(b, t, l);
            assert_int_equal(!v->data, !w->data);
            assert_int_equal(v->rows, w->rows);
            assert_int_equal(v->cols, w->cols);
            for (size_t r = 0; r < v->rows && v->data; r++) {
                lm_weight_row_f32(v, r, x);
                lm_weight_row_f32(w, r, y);
                assert_memory_equal(x, y, v->cols * sizeof *x);
            }
        }
}

static void a_gguf_file_is_the_model_of_its_folder(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        { "llama", "llama.gguf" },
        { "gpt2", "gpt2.gguf" },
        { "gpt2", "split-00001-of-00003.gguf" },
    };
    for (size_t i = 0; i < 3; i++) {
        struct lm_model folder, file;
        open_golden(names[i][0], &folder);
        open_golden(names[i][1], &file);
        assert_same_weights(&folder, &file);
        assert_computes(&file, names[i][0]);
        assert_int_equal(folder.config.context, file.config.context);
        assert_int_equal(lm_model_parameters(&folder.config), lm_model_parameters(&file.config));
        lm_model_close(&folder);
        lm_model_close(&file);
    }
}

static void notes_come_from_the_header_or_the_card(void **state)
{
    (void)state;
    struct lm_model m;
    open_golden("llama.gguf", &m);
    assert_text(lm_model_note(&m, "license"), "mit");
    assert_text(lm_model_note(&m, "name"), "golden");
    assert_text(lm_model_note(&m, "colour"), "");
    assert_int_equal(lm_model_at(&m, LM_T_WQ, 0)->paired, 8);
    lm_model_close(&m);

    static const char *const files[] = { "config.json", "model.safetensors" };
    assert_ok(lm_dir_make("carded", NULL));
    for (size_t i = 0; i < 2; i++) {
        LM_FREE char *from = lm_path_join(GOLDEN "bert", files[i]), *to = lm_path_join("carded", files[i]);
        assert_ok(lm_file_copy(from, to, NULL));
    }
    assert_ok(lm_file_write("carded/README.md",
                            LM_STR("---\nlicense: apache-2.0\nlanguage:\n- en\n- de\n---\n# A model\n"),
                            NULL));
    assert_ok(lm_model_open("carded", &m, NULL));
    assert_text(lm_model_note(&m, "license"), "apache-2.0");
    assert_text(lm_model_note(&m, "language"), "en, de");
    lm_model_close(&m);
}

static void a_written_config_means_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        struct lm_model_config first, again;
        struct lm_buf json = { 0 };
        struct lm_err err = { 0 };
        uint32_t biases, biases_again;
        LM_FREE char *dir = lm_path_join(GOLDEN, folders[i]);
        assert_ok(lm_hf_config_load(dir, &first, &biases, &err));
        lm_hf_config_json(&first, biases != 0, "float32", &json);
        if (lm_hf_config_parse(lm_buf_str(&json), "again", &again, &biases_again, &err) != LM_OK)
            fail_msg("%s: %s", json.ptr, err.text);
        assert_memory_equal(&first, &again, sizeof first);
        assert_int_equal(biases, biases_again);
        lm_buf_release(&json);
    }
}

static void a_model_made_here_is_seen_without_a_copy(void **state)
{
    (void)state;
    struct lm_llama llama;
    struct lm_model m;
    const struct lm_llama_config config = { .vocab_size = 8,
                                            .dim = 8,
                                            .layers = 2,
                                            .heads = 2,
                                            .kv_heads = 1,
                                            .ffn_dim = 6,
                                            .context = 4,
                                            .rope_theta = 100,
                                            .norm_eps = 1e-5,
                                            .bos_id = -1,
                                            .eos_id = 3 };
    lm_llama_init(&llama, &config);
    lm_llama_random(&llama, 1);
    lm_model_of_llama(&m, &llama);
    assert_ptr_equal(lm_model_at(&m, LM_T_W_DOWN, 1)->data, lm_llama_at(&llama, LM_LLAMA_W_DOWN, 1));
    assert_int_equal(lm_model_parameters(&m.config), lm_llama_parameter_count(&config));
    assert_ok(lm_model_check_finite(&m, NULL));
    lm_llama_at(&llama, LM_LLAMA_WK, 1)[8 + 5] = INFINITY;
    struct lm_err err = { 0 };
    assert_int_equal(lm_model_check_finite(&m, &err), LM_EFORMAT);
    assert_contains(err.text,
                    "tensor 'model.layers.1.self_attn.k_proj.weight' is not finite in row 1, column 5");
    lm_model_close(&m);
    lm_llama_release(&llama);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_of_each_architecture_computes_what_transformers_does),
        cmocka_unit_test(rotations_are_those_of_transformers),
        cmocka_unit_test(what_is_particular_to_a_folder_is_read),
        cmocka_unit_test(a_gguf_file_is_the_model_of_its_folder),
        cmocka_unit_test(notes_come_from_the_header_or_the_card),
        cmocka_unit_test(a_written_config_means_the_same),
        cmocka_unit_test(a_model_made_here_is_seen_without_a_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
