/* GGUF files and folders that are well formed and make no sense: refused, with file, key and offset. */
#include "check.h"
#include "model/gguf.h"
#include "model/open.h"

#include <math.h>
#include <stdlib.h>

/* One tiny Llama, of which every case changes one thing. */
struct change {
    const char *key;   // left out, or another value
    int64_t value;
    bool absent;
    const char *tensor;   // left out (rows 0), of other rows, of another name, or with a NaN in it
    uint64_t rows;
    const char *renamed;
    bool nan;
    const char *says, *says_too;
};

enum { DIM = 8, FFN = 12, VOCAB = 5, CONTEXT = 16 };

static const struct {
    const char *key;
    int64_t value;
} keys[] = {
    { "llama.block_count", 1 },           { "llama.context_length", CONTEXT },
    { "llama.embedding_length", DIM },    { "llama.feed_forward_length", FFN },
    { "llama.attention.head_count", 2 },  { "llama.attention.head_count_kv", 1 },
    { "llama.attention.key_length", 4 },  { "llama.rope.dimension_count", 4 },
    { "llama.expert_count", 0 },          { "llama.vocab_size", VOCAB },
    { "tokenizer.ggml.bos_token_id", 1 }, { "tokenizer.ggml.eos_token_id", 2 },
};

static const struct {
    const char *name;
    uint64_t cols, rows;   // rows 0: a vector
} tensors[] = {
    { "token_embd.weight", DIM, VOCAB }, { "blk.0.attn_norm.weight", DIM, 0 },
    { "blk.0.attn_q.weight", DIM, 8 },   { "blk.0.attn_k.weight", DIM, 4 },
    { "blk.0.attn_v.weight", DIM, 4 },   { "blk.0.attn_output.weight", 8, DIM },
    { "blk.0.ffn_norm.weight", DIM, 0 }, { "blk.0.ffn_gate.weight", DIM, FFN },
    { "blk.0.ffn_up.weight", DIM, FFN }, { "blk.0.ffn_down.weight", FFN, DIM },
    { "output_norm.weight", DIM, 0 },
};
enum { KEYS = sizeof keys / sizeof keys[0], TENSORS = sizeof tensors / sizeof tensors[0] };

static enum lm_rc fill(const struct lm_gguf_out_tensor *t, FILE *to, struct lm_err *err)
{
    const struct change *c = t->user;
    const uint64_t count = t->shape[0] * (t->dims == 2 ? t->shape[1] : 1);
    for (uint64_t i = 0; i < count; i++) {
        const float value = c->nan && c->tensor && strcmp(c->tensor, t->name) == 0 && i == 9 ? NAN : 0.5f;
        if (fwrite(&value, sizeof value, 1, to) != 1)
            return lm_fail(err, LM_EIO, "cannot write");
    }
    return LM_OK;
}

static size_t put_tensors(const struct change *c, struct lm_gguf_out_tensor *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        const bool hit = c->tensor && !c->nan && strcmp(c->tensor, tensors[i].name) == 0;
        if (hit && !c->rows && !c->renamed)
            continue;
        struct lm_gguf_out_tensor *t = &ret[count++];
        *t = (struct lm_gguf_out_tensor){
            .type = LM_TYPE_F32,
            .dims = tensors[i].rows ? 2 : 1,
            .shape = { tensors[i].cols, hit && c->rows ? c->rows : tensors[i].rows },
            .user = c,
        };
        snprintf(t->name, sizeof t->name, "%s", hit && c->renamed ? c->renamed : tensors[i].name);
    }
    return count;
}

static void write_model(const char *path, const struct change *c)
{
    struct lm_gguf_out out = { 0 };
    struct lm_gguf_out_tensor list[TENSORS];
    struct lm_err err = { 0 };
    const char *arch = c->key && strcmp(c->key, "general.architecture") == 0 ? "mamba" : "llama";
    lm_gguf_put_str(&out, "general.architecture", lm_str(arch));
    for (size_t i = 0; i < KEYS; i++) {
        const bool hit = c->key && strcmp(c->key, keys[i].key) == 0;
        if (!(hit && c->absent))
            lm_gguf_put_int(&out, keys[i].key, LM_GGUF_I64, hit ? c->value : keys[i].value);
    }
    lm_gguf_put_real(&out, "llama.attention.layer_norm_rms_epsilon", 1e-5);
    const struct lm_str words[] = { LM_STR("a"), LM_STR("b"), LM_STR("c"),
                                    LM_STR("d"), LM_STR("e"), LM_STR("f") };
    const bool more = c->key && strcmp(c->key, "tokenizer.ggml.tokens") == 0;
    lm_gguf_put_strings(&out, "tokenizer.ggml.tokens", words, more ? VOCAB + 1 : VOCAB);
    const size_t count = put_tensors(c, list);
    if (lm_gguf_write(path, &out, list, count, fill, &err) != LM_OK)
        fail_msg("%s", err.text);
    lm_gguf_out_release(&out);
}

// clang-format off
static const struct change bad[] = {
    { .key = "general.architecture", .says = "architecture 'mamba' is not supported" },
    { .key = "llama.block_count", .value = 1 << 20, .says = "key 'llama.block_count' (byte ", .says_too = "1048576 is outside 1..1024" },
    { .key = "llama.block_count", .value = -1, .says = "-1 is outside" },
    { .key = "llama.block_count", .value = 2, .says = "tensor 'blk.1.attn_norm.weight' is missing" },
    { .key = "llama.block_count", .absent = true, .says = "key 'llama.block_count' is missing" },
    { .key = "llama.embedding_length", .value = INT64_MAX, .says = "key 'llama.embedding_length' (byte " },
    { .key = "llama.embedding_length", .value = 16, .says = "tensor 'token_embd.weight' has shape (5, 8), but the header asks for (5, 16)" },
    { .key = "llama.attention.head_count", .value = 0, .says = "llama.attention.head_count" },
    { .key = "llama.attention.head_count_kv", .value = 3, .says = "heads 2 is not a multiple of kv_heads 3" },
    { .key = "llama.attention.key_length", .value = 3, .says = "'llama.rope.dimension_count' (byte ", .says_too = "4 is not supported (only 3)" },
    { .key = "llama.rope.dimension_count", .value = 2, .says = "2 is not supported (only 4)" },
    { .key = "llama.expert_count", .value = 8, .says = "'llama.expert_count' (byte ", .says_too = "8 is not supported (only 0)" },
    { .key = "llama.context_length", .value = INT64_C(1) << 40, .says = "llama.context_length" },
    { .key = "llama.vocab_size", .value = 6, .says = "'llama.vocab_size' (byte ", .says_too = "gives 6 tokens, but the embedding has 5 rows" },
    { .key = "tokenizer.ggml.tokens", .says = "'tokenizer.ggml.tokens' (byte ", .says_too = "gives 6 tokens, but the embedding has 5 rows" },
    { .key = "tokenizer.ggml.eos_token_id", .value = 5, .says = "token id 5" },
    { .key = "tokenizer.ggml.bos_token_id", .value = -2, .says = "token id -2" },
    { .tensor = "token_embd.weight", .says = "tensor 'token_embd.weight' is missing" },
    { .tensor = "blk.0.attn_k.weight", .says = "tensor 'blk.0.attn_k.weight' is missing" },
    { .tensor = "blk.0.attn_k.weight", .rows = 8, .says = "'blk.0.attn_k.weight' has shape (8, 8), but the header asks for (4, 8)" },
    { .tensor = "blk.0.attn_k.weight", .renamed = "blk.0.attn_qk.weight", .says = "is missing" },
    { .tensor = "output_norm.weight", .renamed = "norm.weight", .says = "is missing" },
};
// clang-format on

static void a_model_that_makes_no_sense_is_refused_with_the_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lm_model m;
        struct lm_err err = { 0 };
        write_model("bad.gguf", &bad[i]);
        if (lm_model_open("bad.gguf", &m, &err) == LM_OK)
            fail_msg("case %zu was accepted", i);
        assert_contains(err.text, "bad.gguf");
        assert_contains(err.text, bad[i].says);
        if (bad[i].says_too)
            assert_contains(err.text, bad[i].says_too);
    }
}

static void the_unchanged_model_is_accepted(void **state)
{
    (void)state;
    struct lm_model m;
    struct lm_err err = { 0 };
    const struct change none = { 0 };
    write_model("good.gguf", &none);
    if (lm_model_open("good.gguf", &m, &err) != LM_OK)
        fail_msg("%s", err.text);
    assert_true(m.config.tied && m.config.head_dim == 4 && m.config.kv_heads == 1);
    assert_int_equal(m.config.eos_count, 1);
    assert_ok(lm_model_check_finite(&m, &err));
    lm_model_close(&m);
}

static void tensors_nobody_asked_for_are_refused_by_name(void **state)
{
    (void)state;
    struct lm_model m;
    struct lm_err err = { 0 };
    const struct change c = { .tensor = "output_norm.weight", .renamed = "output_norm.weight" };
    write_model("extra.gguf", &c);
    struct lm_gguf g;
    assert_ok(lm_gguf_open(&g, "extra.gguf", &err));
    assert_int_equal(g.tensor_count, TENSORS);
    lm_gguf_close(&g);

    struct lm_gguf_out out = { 0 };
    struct lm_gguf_out_tensor list[TENSORS + 1];
    put_tensors(&c, list);
    list[TENSORS] = list[1];
    snprintf(list[TENSORS].name, sizeof list[TENSORS].name, "blk.0.attn_q_norm.weight");
    lm_gguf_put_str(&out, "general.architecture", LM_STR("llama"));
    for (size_t i = 0; i < KEYS; i++)
        lm_gguf_put_int(&out, keys[i].key, LM_GGUF_U32, keys[i].value);
    lm_gguf_put_real(&out, "llama.attention.layer_norm_rms_epsilon", 1e-5);
    assert_ok(lm_gguf_write("extra.gguf", &out, list, TENSORS + 1, fill, &err));
    lm_gguf_out_release(&out);
    assert_int_equal(lm_model_open("extra.gguf", &m, &err), LM_EFORMAT);
    assert_contains(err.text, "tensor 'blk.0.attn_q_norm.weight' is not part of a llama model");
}

static void a_pattern_of_windows_fits_the_layers(void **state)
{
    (void)state;
    static const struct {
        uint8_t slides[2];
        size_t count;
        bool good;
    } patterns[] = { { { 1 }, 1, true }, { { 0 }, 1, true }, { { 0, 1 }, 2, false }, { { 0 }, 0, false } };
    const struct change none = { 0 };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct lm_gguf_out out = { 0 };
        struct lm_gguf_out_tensor list[TENSORS];
        struct lm_model m;
        struct lm_err err = { 0 };
        lm_gguf_put_str(&out, "general.architecture", LM_STR("llama"));
        for (size_t k = 0; k < KEYS; k++)
            lm_gguf_put_int(&out, keys[k].key, LM_GGUF_U32, keys[k].value);
        lm_gguf_put_real(&out, "llama.attention.layer_norm_rms_epsilon", 1e-5);
        lm_gguf_put_int(&out, "llama.attention.sliding_window", LM_GGUF_U32, 4);
        lm_gguf_put_array(&out, "llama.attention.sliding_window_pattern", LM_GGUF_BOOL, patterns[i].slides,
                          patterns[i].count);
        assert_ok(lm_gguf_write("window.gguf", &out, list, put_tensors(&none, list), fill, &err));
        lm_gguf_out_release(&out);
        const enum lm_rc rc = lm_model_open("window.gguf", &m, &err);
        assert_int_equal(rc, patterns[i].good ? LM_OK : LM_EFORMAT);
        if (rc != LM_OK) {
            assert_contains(err.text, "key 'llama.attention.sliding_window_pattern' (byte ");
            continue;
        }
        assert_int_equal(m.config.window, 4);
        assert_int_equal(m.config.window_from_layer, !patterns[i].slides[0]);
        lm_model_close(&m);
    }
}

static void a_weight_that_is_no_number_is_found(void **state)
{
    (void)state;
    struct lm_model m;
    struct lm_err err = { 0 };
    const struct change c = { .tensor = "blk.0.ffn_up.weight", .nan = true };
    write_model("nan.gguf", &c);
    assert_ok(lm_model_open("nan.gguf", &m, &err));
    assert_int_equal(lm_model_check_finite(&m, &err), LM_EFORMAT);
    assert_contains(err.text, "nan.gguf: tensor 'blk.0.ffn_up.weight' is not finite in row 1, column 1");
    lm_model_close(&m);
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    struct lm_model m;
    struct lm_err err = { 0 };
    assert_int_not_equal(lm_model_open("nowhere", &m, &err), LM_OK);
    assert_contains(err.text, "nowhere");
    assert_ok(lm_dir_make("empty", NULL));
    assert_int_not_equal(lm_model_open("empty", &m, &err), LM_OK);
    assert_contains(err.text, "empty/config.json");
    assert_ok(lm_file_write("text", LM_STR("GGUF is not all of it"), NULL));
    assert_int_not_equal(lm_model_open("text", &m, &err), LM_OK);
    assert_contains(err.text, "text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_unchanged_model_is_accepted),
        cmocka_unit_test(a_model_that_makes_no_sense_is_refused_with_the_place),
        cmocka_unit_test(tensors_nobody_asked_for_are_refused_by_name),
        cmocka_unit_test(a_pattern_of_windows_fits_the_layers),
        cmocka_unit_test(a_weight_that_is_no_number_is_found),
        cmocka_unit_test(what_is_no_model_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
