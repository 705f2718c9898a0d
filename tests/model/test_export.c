/* Models written in both directions: what comes back is bit for bit what went out. */
#include "check.h"
#include "model/export.h"
#include "model/gguf.h"
#include "model/hf_config.h"
#include "model/names.h"
#include "model/open.h"
#include "model/safetensors.h"
#include "naive.h"
#include "token/parts.h"

#include <signal.h>
#include <sys/resource.h>

#define GOLDEN LOOM_TEST_DIR "/golden/models/"
#define TOKENIZERS LOOM_TEST_DIR "/golden/token/"

static const struct lm_export_options as_stored = { .type = LM_TYPE_COUNT };

static void open_ok(const char *path, struct lm_model *ret)
{
    struct lm_err err = { 0 };
    if (lm_model_open(path, ret, &err) != LM_OK)
        fail_msg("%s", err.text);
}

static void open_golden(const char *name, struct lm_model *ret)
{
    LM_FREE char *path = lm_path_join(GOLDEN, name);
    open_ok(path, ret);
}

static void to_gguf(const struct lm_model *m, const struct lm_tokenizer *t, struct lm_export_options o,
                    const char *path)
{
    struct lm_err err = { 0 };
    struct lm_export_report report;
    if (lm_export_gguf(m, t, &o, path, &report, &err) != LM_OK)
        fail_msg("%s", err.text);
    lm_export_report_release(&report);
}

static void to_folder(const struct lm_model *m, const struct lm_tokenizer *t, struct lm_export_options o,
                      const char *dir)
{
    struct lm_err err = { 0 };
    struct lm_export_report report;
    assert_ok(lm_path_remove(dir, NULL));
    if (lm_export_folder(m, t, &o, dir, &report, &err) != LM_OK)
        fail_msg("%s", err.text);
    lm_export_report_release(&report);
}

static size_t layers_of(const struct lm_model *m, int tensor)
{
    return lm_tensor_per_layer(tensor) ? (size_t)m->config.layers : 1;
}

/* ---- folder -> GGUF -> folder ---- */

/* Every tensor of one folder is in the other, bit for bit, but for those that carry nothing. */
static void assert_same_file(enum lm_arch arch, const char *a, const char *b)
{
    struct lm_safetensors x, y;
    LM_FREE char *path_a = lm_path_join(a, "model.safetensors"),
                 *path_b = lm_path_join(b, "model.safetensors");
    assert_ok(lm_safetensors_open(&x, path_a, NULL));
    assert_ok(lm_safetensors_open(&y, path_b, NULL));
    size_t compared = 0;
    for (size_t i = 0; i < x.count; i++) {
        const struct lm_tensor_view *v = &x.tensors[i];
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)v->name.len, v->name.ptr);
        if (lm_tensor_is_harmless(arch, LM_NAMING_HF, name))
            continue;
        const struct lm_tensor_view *w = lm_safetensors_find(&y, name);
        if (!w)
            fail_msg("%s has no tensor %s", b, name);
        if (w->dtype != v->dtype || w->dims != v->dims || w->bytes != v->bytes ||
            memcmp(w->shape, v->shape, v->dims * sizeof *v->shape) != 0 ||
            memcmp(w->data, v->data, v->bytes) != 0)
            fail_msg("tensor %s of %s is another in %s", name, a, b);
        compared++;
    }
    assert_int_equal(compared, y.count);
    lm_safetensors_close(&x);
    lm_safetensors_close(&y);
}

static void assert_same_config(const char *a, const char *b)
{
    struct lm_model_config x, y;
    uint32_t biases_x, biases_y;
    assert_ok(lm_hf_config_load(a, &x, &biases_x, NULL));
    assert_ok(lm_hf_config_load(b, &y, &biases_y, NULL));
    assert_memory_equal(&x, &y, sizeof x);
    assert_int_equal(biases_x, biases_y);
}

/* Same in meaning, whatever the order of rows in the files. */
static void assert_same_weights(const struct lm_model *a, const struct lm_model *b)
{
    float x[64], y[64];
    for (int t = 0; t < LM_T_COUNT; t++)
        for (size_t l = 0; l < layers_of(a, t); l++) {
            const struct lm_weight *v = lm_model_at(a, t, l), *w = lm_model_at(b, t, l);
            assert_int_equal(!v->data, !w->data);
            for (size_t r = 0; r < v->rows && v->data; r++) {
                lm_weight_row_f32(v, r, x);
                lm_weight_row_f32(w, r, y);
                assert_memory_equal(x, y, v->cols * sizeof *x);
            }
        }
}

static void assert_computes(const struct lm_model *m, const char *golden)
{
    uint32_t tokens[12];
    struct lm_buf expected = { 0 };
    LM_FREE char *dir = lm_path_join(GOLDEN, golden), *path = lm_path_join(dir, "expected.f32");
    for (uint32_t i = 0; i < 12; i++)
        tokens[i] = (5 * i + 1) % 64;
    assert_ok(lm_file_read(path, 1 << 20, &expected, NULL));
    LM_FREE double *got = naive_run(m, tokens, 12);
    for (size_t i = 0; i < expected.len / sizeof(float); i++) {
        float want;
        memcpy(&want, expected.ptr + i * sizeof want, sizeof want);
        if (!(fabs(got[i] - want) <= 2e-4 * (1 + fabs(want))))
            fail_msg("%s: value %zu is %g, not %g", golden, i, got[i], want);
    }
    lm_buf_release(&expected);
}

static void a_folder_survives_the_way_through_gguf(void **state)
{
    (void)state;
    static const char *const folders[] = { "llama", "mistral", "qwen2", "qwen3", "gpt2", "bert" };
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        struct lm_model first, file, again;
        LM_FREE char *dir = lm_path_join(GOLDEN, folders[i]);
        open_ok(dir, &first);
        to_gguf(&first, NULL, as_stored, "way.gguf");
        open_ok("way.gguf", &file);
        assert_string_equal(lm_archs[file.config.arch].gguf_name, lm_archs[first.config.arch].gguf_name);
        assert_same_weights(&first, &file);
        assert_computes(&file, folders[i]);
        to_folder(&file, NULL, as_stored, "way");
        open_ok("way", &again);
        assert_computes(&again, folders[i]);
        assert_same_file(first.config.arch, dir, "way");
        assert_same_config(dir, "way");
        lm_model_close(&first);
        lm_model_close(&file);
        lm_model_close(&again);
    }
}

static void a_gguf_file_survives_the_way_through_a_folder(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        { "llama.gguf", "llama" },
        { "gpt2.gguf", "gpt2" },
        { "split-00001-of-00003.gguf", "gpt2" },
    };
    for (size_t i = 0; i < 3; i++) {
        struct lm_model first, folder, again;
        open_golden(names[i][0], &first);
        to_folder(&first, NULL, as_stored, "back/");
        open_ok("back", &folder);
        assert_computes(&folder, names[i][1]);
        to_gguf(&folder, NULL, as_stored, "back.gguf");
        open_ok("back.gguf", &again);
        assert_same_weights(&first, &again);
        assert_computes(&again, names[i][1]);
        lm_model_close(&first);
        lm_model_close(&folder);
        lm_model_close(&again);
    }
}

static void the_licence_goes_with_the_weights(void **state)
{
    (void)state;
    struct lm_model first, folder, again;
    open_golden("llama.gguf", &first);
    to_folder(&first, NULL, as_stored, "licensed");
    open_ok("licensed", &folder);
    assert_text(lm_model_note(&folder, "license"), "mit");
    to_gguf(&folder, NULL, as_stored, "licensed.gguf");
    open_ok("licensed.gguf", &again);
    assert_text(lm_model_note(&again, "license"), "mit");
    lm_model_close(&first);
    lm_model_close(&folder);
    lm_model_close(&again);
}

/* ---- other types ---- */

/* Row by row, in the order of meaning: what the encoder of the type makes of the source's values. */
static void assert_encoded(const struct lm_weight *from, const struct lm_weight *to)
{
    float values[64];
    char bytes[256];
    for (size_t r = 0; r < from->rows; r++) {
        lm_weight_row_f32(from, r, values);
        lm_types[to->type].encode(bytes, values, from->cols);
        assert_memory_equal(bytes, lm_weight_row(to, r), lm_type_bytes(to->type, to->cols));
    }
}

static void matrices_get_the_type_asked_for_and_vectors_stay_floats(void **state)
{
    (void)state;
    static const enum lm_type types[] = { LM_TYPE_F32,  LM_TYPE_F16,  LM_TYPE_BF16, LM_TYPE_Q8_0,
                                          LM_TYPE_Q4_0, LM_TYPE_Q4_1, LM_TYPE_Q5_0, LM_TYPE_Q5_1 };
    struct lm_model first;
    open_golden("bert", &first);   // widths 32 and 64: whole blocks
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct lm_model file;
        to_gguf(&first, NULL, (struct lm_export_options){ .type = types[i] }, "typed.gguf");
        open_ok("typed.gguf", &file);
        for (int t = 0; t < LM_T_COUNT; t++)
            for (size_t l = 0; l < layers_of(&first, t); l++) {
                const struct lm_weight *w = lm_model_at(&file, t, l);
                if (!w->data)
                    continue;
                const bool is_float = !lm_tensor_is_matrix(t) || t == LM_T_POSITION || t == LM_T_TOKEN_TYPE;
                assert_int_equal(w->type, is_float ? LM_TYPE_F32 : types[i]);
                assert_encoded(lm_model_at(&first, t, l), w);
            }
        lm_model_close(&file);
    }
    lm_model_close(&first);
}

static void interleaved_rows_are_encoded_in_their_order(void **state)
{
    (void)state;
    struct lm_model first, file, folder;
    open_golden("llama", &first);
    to_gguf(&first, NULL, (struct lm_export_options){ .type = LM_TYPE_Q8_0, .fall_back = true }, "rows.gguf");
    open_ok("rows.gguf", &file);
    assert_encoded(lm_model_at(&first, LM_T_WQ, 1), lm_model_at(&file, LM_T_WQ, 1));
    assert_encoded(lm_model_at(&first, LM_T_WK, 0), lm_model_at(&file, LM_T_WK, 0));
    to_folder(&file, NULL, (struct lm_export_options){ .type = LM_TYPE_F32 }, "rows");
    open_ok("rows", &folder);
    assert_same_weights(&file, &folder);   // decoded, and exactly so
    lm_model_close(&first);
    lm_model_close(&file);
    lm_model_close(&folder);
}

static void the_head_of_a_file_of_four_bits_has_eight(void **state)
{
    (void)state;
    static const char *const names[] = { "llama", "qwen2" };   // a head of its own, and a tied one
    static const enum lm_type embeds[] = { LM_TYPE_Q4_0, LM_TYPE_Q8_0 };
    for (size_t i = 0; i < 2; i++) {
        struct lm_model first, file;
        open_golden(names[i], &first);
        to_gguf(&first, NULL, (struct lm_export_options){ .type = LM_TYPE_Q4_0, .fall_back = true },
                "four.gguf");
        open_ok("four.gguf", &file);
        assert_int_equal(lm_model_at(&file, LM_T_HEAD, 0)->type, LM_TYPE_Q8_0);
        assert_int_equal(lm_model_at(&file, LM_T_EMBED, 0)->type, embeds[i]);
        assert_int_equal(lm_model_at(&file, LM_T_WV, 0)->type, LM_TYPE_Q4_0);
        lm_model_close(&first);
        lm_model_close(&file);
    }
}

static void rows_that_are_no_whole_blocks_fall_back_only_when_told(void **state)
{
    (void)state;
    struct lm_model m;
    struct lm_err err = { 0 };
    struct lm_export_report report;
    struct lm_export_options o = { .type = LM_TYPE_Q8_0 };
    open_golden("llama", &m);   // a feed-forward width of 48
    assert_ok(lm_path_remove("odd.gguf", NULL));
    assert_int_equal(lm_export_gguf(&m, NULL, &o, "odd.gguf", &report, &err), LM_EINVAL);
    assert_contains(err.text,
                    "tensor 'blk.0.ffn_down.weight': rows of 48 values are not whole blocks of Q8_0");
    assert_false(lm_path_exists("odd.gguf"));
    o.fall_back = true;
    assert_ok(lm_export_gguf(&m, NULL, &o, "odd.gguf", &report, &err));
    size_t fell = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < report.count; i++) {
        const struct lm_exported *t = &report.tensors[i];
        const bool down = strstr(t->name, "ffn_down") != NULL;
        assert_int_equal(t->fell_back, down);
        assert_int_equal(t->type, down ? LM_TYPE_F16 : t->rows ? LM_TYPE_Q8_0 : LM_TYPE_F32);
        assert_int_equal(t->stored, LM_TYPE_F32);
        fell += t->fell_back;
        bytes += t->bytes;
    }
    assert_int_equal(fell, 2);
    assert_int_equal(bytes, report.bytes);
    lm_export_report_release(&report);
    lm_model_close(&m);
}

/* A model of our own whose matrices are random K blocks: a type that is only read. */
static void types_that_are_only_read_are_kept_or_decoded(void **state)
{
    (void)state;
    struct lm_llama llama;
    struct lm_model m, file;
    struct lm_err err = { 0 };
    struct lm_export_report report;
    const struct lm_llama_config config = { .vocab_size = 8,
                                            .dim = 256,
                                            .layers = 1,
                                            .heads = 4,
                                            .kv_heads = 2,
                                            .ffn_dim = 256,
                                            .context = 8,
                                            .rope_theta = 100,
                                            .norm_eps = 1e-5,
                                            .bos_id = -1,
                                            .eos_id = 3 };
    lm_llama_init(&llama, &config);
    lm_llama_random(&llama, 1);
    lm_model_of_llama(&m, &llama);
    struct lm_weight *down = &m.weights[LM_T_W_DOWN];
    uint8_t *blocks = lm_zalloc(256, 210);
    for (size_t i = 0; i < 256 * 210; i++)
        blocks[i] = (uint8_t)((i * 37 + 11) & (i % 210 == 209 ? 0x3f : 0xff));
    *down = (struct lm_weight){ .data = blocks, .type = LM_TYPE_Q6_K, .rows = 256, .cols = 256 };
    to_gguf(&m, NULL, as_stored, "k.gguf");
    open_ok("k.gguf", &file);
    assert_int_equal(lm_model_at(&file, LM_T_W_DOWN, 0)->type, LM_TYPE_Q6_K);
    assert_memory_equal(lm_model_at(&file, LM_T_W_DOWN, 0)->data, blocks, 256 * 210);

    assert_ok(lm_path_remove("k", NULL));
    assert_int_equal(lm_export_folder(&file, NULL, &as_stored, "k", &report, &err), LM_EINVAL);
    assert_contains(err.text, "'model.layers.0.mlp.down_proj.weight' is Q6_K, which a folder cannot hold");
    assert_false(lm_path_exists("k"));
    const struct lm_export_options q6 = { .type = LM_TYPE_Q6_K };
    assert_int_equal(lm_export_gguf(&m, NULL, &q6, "k6.gguf", &report, &err), LM_EINVAL);
    assert_contains(err.text, "cannot become Q6_K: loom only reads that type");
    lm_model_close(&file);
    lm_model_close(&m);
    lm_llama_release(&llama);
    free(blocks);
}

/* ---- the tokenizer ---- */

static void assert_same_ids(const struct lm_tokenizer *a, const struct lm_tokenizer *b)
{
    static const char text[] = "The quick brown fox, 12345 times; gr\xc3\xbc\xc3\x9f dich!\n  <|im_start|>x";
    const struct lm_tokenizer *const both[] = { a, b };
    struct lm_tokens ids[2] = { 0 };
    for (size_t i = 0; i < 2; i++) {
        struct lm_encoder *e = lm_encoder_new(both[i]);
        lm_encode(e, lm_str(text), true, &ids[i]);
        lm_encoder_free(e);
    }
    assert_int_equal(ids[0].len, ids[1].len);
    assert_memory_equal(ids[0].ids, ids[1].ids, ids[0].len * sizeof *ids[0].ids);
    lm_tokens_release(&ids[0]);
    lm_tokens_release(&ids[1]);
}

static void the_tokenizer_comes_along_both_ways(void **state)
{
    (void)state;
    struct lm_llama llama;
    struct lm_model m, file;
    struct lm_tokenizer *first, *second, *third;
    struct lm_err err = { 0 };
    struct lm_gguf g;
    struct lm_str *tokens;
    size_t count = 0;
    assert_ok(lm_tokenizer_load(TOKENIZERS "smollm.tokenizer.json", &first, NULL));
    const uint32_t known = lm_tokenizer_vocab_size(first);
    const struct lm_llama_config config = { .vocab_size = known + 3,
                                            .dim = 8,
                                            .layers = 1,
                                            .heads = 2,
                                            .kv_heads = 1,
                                            .ffn_dim = 8,
                                            .context = 8,
                                            .rope_theta = 100,
                                            .norm_eps = 1e-5,
                                            .bos_id = 1,
                                            .eos_id = 2 };
    lm_llama_init(&llama, &config);
    lm_llama_random(&llama, 1);
    lm_model_of_llama(&m, &llama);
    to_gguf(&m, first, as_stored, "token.gguf");

    assert_ok(lm_gguf_open(&g, "token.gguf", NULL));
    assert_ok(lm_gguf_get_strings(&g, "tokenizer.ggml.tokens", &tokens, &count, NULL));
    assert_int_equal(count, known + 3);   // as many as the embedding has rows
    assert_true(lm_str_starts(tokens[known + 2], LM_STR("[PAD")));
    const struct lm_gguf_value *types = lm_gguf_find(&g, "tokenizer.ggml.token_type");
    int32_t last;
    memcpy(&last, types->bytes + types->bytes_len - sizeof last, sizeof last);
    assert_int_equal(last, LM_TOKEN_UNUSED);
    lm_gguf_close(&g);

    if (lm_model_tokenizer("token.gguf", &second, &err) != LM_OK)
        fail_msg("%s", err.text);
    assert_same_ids(first, second);
    open_ok("token.gguf", &file);
    assert_int_equal(file.config.bos_id, 1);
    assert_int_equal(file.config.eos_ids[0], 2);
    to_folder(&file, second, as_stored, "token");
    if (lm_model_tokenizer("token", &third, &err) != LM_OK)
        fail_msg("%s", err.text);
    assert_same_ids(first, third);
    assert_int_equal(lm_tokenizer_role(third, LM_ROLE_EOS), lm_tokenizer_role(second, LM_ROLE_EOS));
    lm_model_close(&file);
    lm_model_close(&m);
    lm_llama_release(&llama);
    lm_tokenizer_free(first);
    lm_tokenizer_free(second);
    lm_tokenizer_free(third);
}

static void a_file_of_a_file_keeps_every_key(void **state)
{
    (void)state;
    struct lm_model m;
    struct lm_gguf a, b;
    open_golden("llama.gguf", &m);
    to_gguf(&m, NULL, (struct lm_export_options){ .type = LM_TYPE_F16 }, "keys.gguf");
    assert_ok(lm_gguf_open(&a, GOLDEN "llama.gguf", NULL));
    assert_ok(lm_gguf_open(&b, "keys.gguf", NULL));
    for (size_t i = 0; i < a.value_count; i++) {
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)a.values[i].key.len, a.values[i].key.ptr);
        const struct lm_gguf_value *v = lm_gguf_find(&b, key);
        assert_non_null(v);
        assert_int_equal(v->kind, a.values[i].kind);
        assert_int_equal(v->bytes_len, a.values[i].bytes_len);
        assert_memory_equal(v->bytes, a.values[i].bytes, v->bytes_len);
    }
    int64_t type = -1;
    assert_ok(lm_gguf_get_int(&b, "general.file_type", &type, NULL));
    assert_int_equal(type, 1);
    assert_int_equal(b.tensor_count, a.tensor_count);
    lm_gguf_close(&a);
    lm_gguf_close(&b);
    lm_model_close(&m);
}

/* ---- what cannot be written ---- */

static void what_a_format_cannot_say_is_refused(void **state)
{
    (void)state;
    struct lm_model m;
    struct lm_err err = { 0 };
    struct lm_export_report report;
    open_golden("llama.gguf", &m);
    float *factors = (float *)m.config.rope.factors;   // of this model's own copy
    factors[2] *= 1.5f;
    assert_int_equal(lm_export_folder(&m, NULL, &as_stored, "unsaid", &report, &err), LM_EINVAL);
    assert_contains(err.text, "cannot say these rotation factors");
    assert_false(lm_path_exists("unsaid"));
    lm_model_close(&m);

    open_golden("llama", &m);
    m.config.eos_count = 4;
    assert_int_equal(lm_export_gguf(&m, NULL, &as_stored, "unsaid.gguf", &report, &err), LM_EINVAL);
    assert_contains(err.text, "the model has 4 end tokens, but a GGUF file has room for 3");
    assert_ok(lm_dir_make("taken/by", NULL));
    assert_int_equal(lm_export_folder(&m, NULL, &as_stored, "taken", &report, &err), LM_EEXIST);
    assert_contains(err.text, "'taken' exists and is not an empty folder");
    lm_model_close(&m);
}

static void a_full_disk_leaves_nothing(void **state)
{
    (void)state;
    struct lm_model m;
    struct lm_err err = { 0 };
    struct lm_export_report report;
    struct rlimit before, small;
    open_golden("llama", &m);
    signal(SIGXFSZ, SIG_IGN);
    assert_ok(lm_path_remove("full", NULL));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 20000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const enum lm_rc folder = lm_export_folder(&m, NULL, &as_stored, "full", &report, &err);
    const enum lm_rc file = lm_export_gguf(&m, NULL, &as_stored, "full.gguf", &report, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(folder, LM_EIO);
    assert_int_equal(file, LM_EIO);
    struct lm_file_list files = { 0 };
    assert_ok(lm_file_walk(".", &files, NULL));
    for (size_t i = 0; i < files.len; i++)
        assert_null(strstr(files.items[i].path, "full"));
    lm_file_list_release(&files);
    lm_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_survives_the_way_through_gguf),
        cmocka_unit_test(a_gguf_file_survives_the_way_through_a_folder),
        cmocka_unit_test(the_licence_goes_with_the_weights),
        cmocka_unit_test(matrices_get_the_type_asked_for_and_vectors_stay_floats),
        cmocka_unit_test(interleaved_rows_are_encoded_in_their_order),
        cmocka_unit_test(the_head_of_a_file_of_four_bits_has_eight),
        cmocka_unit_test(rows_that_are_no_whole_blocks_fall_back_only_when_told),
        cmocka_unit_test(types_that_are_only_read_are_kept_or_decoded),
        cmocka_unit_test(the_tokenizer_comes_along_both_ways),
        cmocka_unit_test(a_file_of_a_file_keeps_every_key),
        cmocka_unit_test(what_a_format_cannot_say_is_refused),
        cmocka_unit_test(a_full_disk_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
