/* Tokenizers as GGUF's arrays: from them, and back to them. */
#include "check.h"

#include "parts_file.h"
#include "token/parts_impl.h"

/* ---- the golden tokenizers, as their arrays ---- */

struct sample {
    struct lm_tokenizer_parts parts;
    struct lm_arena arena;
    json_t *file;
};

static struct lm_str merge_line(struct lm_arena *arena, const json_t *merge)
{
    if (json_is_string(merge))
        return parts_text(merge);
    const char *line = lm_arena_printf(arena, "%s %s", json_string_value(json_array_get(merge, 0)),
                                       json_string_value(json_array_get(merge, 1)));
    return lm_str(line);
}

/* The file is taken apart here, not by the code under test. */
static struct sample take_apart(const char *name, const char *pre)
{
    struct sample s = { 0 };
    char path[512];
    snprintf(path, sizeof(path), GOLDEN "%s.tokenizer.json", name);
    s.file = json_load_file(path, 0, NULL);
    json_t *model = json_object_get(s.file, "model"), *merges = json_object_get(model, "merges"), *id;
    const json_t *added = json_object_get(s.file, "added_tokens");
    const size_t count = json_object_size(json_object_get(model, "vocab"));
    struct lm_str *tokens = lm_arena_alloc(&s.arena, count * sizeof(*tokens));
    struct lm_str *lines = lm_arena_alloc(&s.arena, json_array_size(merges) * sizeof(*lines));
    int32_t *types = lm_arena_alloc(&s.arena, count * sizeof(*types));
    const char *text;
    json_object_foreach(json_object_get(model, "vocab"), text, id)
    {
        tokens[json_integer_value(id)] = lm_str(text);
        types[json_integer_value(id)] = LM_TOKEN_NORMAL;
    }
    for (size_t i = 0; i < json_array_size(added); i++)
        types[json_integer_value(json_object_get(json_array_get(added, i), "id"))] = LM_TOKEN_CONTROL;
    for (size_t i = 0; i < json_array_size(merges); i++)
        lines[i] = merge_line(&s.arena, json_array_get(merges, i));
    s.parts = (struct lm_tokenizer_parts){
        .model = LM_STR("gpt2"),
        .pre = lm_str(pre),
        .tokens = tokens,
        .types = types,
        .merges = lines,
        .token_count = count,
        .merge_count = json_array_size(merges),
        .bos_id = 0,
        .eos_id = 0,
        .unk_id = -1,
        .pad_id = -1,
        .sep_id = -1,
        .cls_id = -1,
        .mask_id = -1,
        .eot_id = 2,
        .add_bos = 0,
        .add_eos = -1,
        .add_space_prefix = -1,
        .remove_extra_blanks = -1,
        .chat_template = LM_STR("{{ messages }}"),
    };
    return s;
}

static void sample_release(struct sample *s)
{
    json_decref(s->file);
    lm_arena_release(&s->arena);
}

static struct lm_tokenizer *from_parts(const struct lm_tokenizer_parts *parts)
{
    struct lm_err err = { 0 };
    struct lm_tokenizer *t = NULL;
    assert_ok_err(lm_tokenizer_from_parts(parts, "x.gguf", &t, &err), &err);
    return t;
}

static const struct {
    const char *file, *pre;
} samples[] = {
    { "gpt2", "gpt-2" }, { "llama3", "llama-bpe" }, { "smollm", "smollm" }, { "qwen2", "qwen2" }
};
enum { SAMPLES = sizeof(samples) / sizeof(samples[0]) };

/* ---- what comes out ---- */

static void check_vectors(const struct lm_tokenizer *t, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), GOLDEN "%s.vectors.json", name);
    check_vectors_file(t, path, true);
}

static void arrays_give_the_ids_of_hugging_face(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct sample s = take_apart(samples[i].file, samples[i].pre);
        struct lm_tokenizer *t = from_parts(&s.parts);
        check_vectors(t, samples[i].file);
        sample_release(&s);   // all is copied
        assert_string_equal(lm_tokenizer_chat_template(t).ptr, "{{ messages }}");
        assert_int_equal(lm_tokenizer_role(t, LM_ROLE_EOT), 2);
        assert_int_equal(lm_tokenizer_role(t, LM_ROLE_UNK), UINT32_MAX);
        lm_tokenizer_free(t);
    }
}

static void what_is_written_as_json_loads_and_means_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct sample s = take_apart(samples[i].file, samples[i].pre);
        struct lm_tokenizer *t = from_parts(&s.parts), *again = NULL;
        struct lm_err err = { 0 };
        assert_ok_err(lm_tokenizer_parse(lm_tokenizer_json(t), "again", &again, &err), &err);
        check_vectors(again, samples[i].file);
        lm_tokenizer_free(t);
        lm_tokenizer_free(again);
        sample_release(&s);
    }
}

static void assert_same_texts(const struct lm_str *a, const struct lm_str *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(lm_str_eq(a[i], b[i]));
}

static void the_way_back_gives_the_same_arrays(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct sample s = take_apart(samples[i].file, samples[i].pre);
        struct lm_tokenizer *t = from_parts(&s.parts);
        struct lm_arena arena = { 0 };
        struct lm_tokenizer_parts back;
        struct lm_err err = { 0 };
        assert_ok_err(lm_tokenizer_to_parts(t, &arena, &back, &err), &err);
        assert_true(lm_str_eq(back.model, s.parts.model));
        assert_true(lm_str_eq(back.pre, s.parts.pre));
        assert_true(lm_str_eq(back.chat_template, s.parts.chat_template));
        assert_int_equal(back.token_count, s.parts.token_count);
        assert_int_equal(back.merge_count, s.parts.merge_count);
        assert_same_texts(back.tokens, s.parts.tokens, back.token_count);
        assert_same_texts(back.merges, s.parts.merges, back.merge_count);
        assert_memory_equal(back.types, s.parts.types, back.token_count * sizeof(*back.types));
        assert_int_equal(back.bos_id, 0);
        assert_int_equal(back.eos_id, 0);
        assert_int_equal(back.pad_id, -1);
        assert_int_equal(back.eot_id, 2);
        assert_int_equal(back.add_bos, 0);
        assert_int_equal(back.add_eos, 0);
        lm_arena_release(&arena);
        lm_tokenizer_free(t);
        sample_release(&s);
    }
}

/* Every name of a pre-tokeniser has a meaning, and that meaning a name. */
static void every_name_goes_there_and_back(void **state)
{
    (void)state;
    static const char text[] =
        "Don't  12345 \xe4\xb8\xad\xe6\x96\x87 abc, x\n\n y!<sentinel:1> \xea\xb0\x80 z 'S\xe2\x80\xa6";
    struct sample s = take_apart("gpt2", "");
    for (size_t i = 0; i < LM_PARTS_PRE_COUNT; i++) {
        if (i > 0 && lm_parts_pre[i].splits == lm_parts_pre[i - 1].splits &&
            lm_parts_pre[i].grammar == lm_parts_pre[i - 1].grammar)
            continue;   // another name for it
        struct lm_arena arena = { 0 };
        struct lm_tokenizer_parts back;
        struct lm_err err = { 0 };
        struct lm_tokens ids[2] = { { 0 }, { 0 } };
        s.parts.pre = lm_str(lm_parts_pre[i].name);
        struct lm_tokenizer *t[2] = { from_parts(&s.parts), NULL };
        assert_ok_err(lm_tokenizer_to_parts(t[0], &arena, &back, &err), &err);
        t[1] = from_parts(&back);
        for (size_t k = 0; k < 2; k++) {
            struct lm_encoder *e = lm_encoder_new(t[k]);
            lm_encode(e, lm_str(text), false, &ids[k]);
            lm_encoder_free(e);
        }
        assert_int_equal(ids[0].len, ids[1].len);
        assert_memory_equal(ids[0].ids, ids[1].ids, ids[0].len * sizeof(*ids[0].ids));
        for (size_t k = 0; k < 2; k++) {
            lm_tokens_release(&ids[k]);
            lm_tokenizer_free(t[k]);
        }
        lm_arena_release(&arena);
    }
    sample_release(&s);
}

static void a_text_on_its_own_gets_the_tokens_the_file_asks_for(void **state)
{
    (void)state;
    static const struct {
        int add_bos, add_eos;
        size_t before, after;
    } cases[] = { { -1, -1, 1, 0 }, { 0, 0, 0, 0 }, { 1, 1, 1, 1 }, { 0, 1, 0, 1 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample s = take_apart("llama3", "llama-bpe");   // which adds BOS when nothing is said
        s.parts.bos_id = 1;
        s.parts.add_bos = cases[i].add_bos;
        s.parts.add_eos = cases[i].add_eos;
        struct lm_tokenizer *t = from_parts(&s.parts);
        struct lm_encoder *e = lm_encoder_new(t);
        struct lm_tokens plain = { 0 }, full = { 0 };
        lm_encode(e, LM_STR("Hello world"), false, &plain);
        lm_encode_with_specials(e, LM_STR("Hello world"), false, &full);
        assert_int_equal(full.len, cases[i].before + plain.len + cases[i].after);
        if (cases[i].before)
            assert_int_equal(full.ids[0], 1);
        if (cases[i].after)
            assert_int_equal(full.ids[full.len - 1], 0);
        assert_memory_equal(full.ids + cases[i].before, plain.ids, plain.len * sizeof(*plain.ids));
        lm_tokens_release(&plain);
        lm_tokens_release(&full);
        lm_encoder_free(e);
        lm_tokenizer_free(t);
        sample_release(&s);
    }
}

static void user_defined_tokens_are_cut_first_and_openers_are_special(void **state)
{
    (void)state;
    struct sample s = take_apart("gpt2", "gpt-2");
    int32_t *types = (int32_t *)s.parts.types;
    const uint32_t pair = (uint32_t)s.parts.token_count - 1;
    const struct lm_str text = LM_STR("a<|im_start|>b<|im_end|>");
    types[0] = LM_TOKEN_NORMAL;         // it is BOS: special all the same
    types[1] = LM_TOKEN_USER_DEFINED;   // <|im_start|>
    struct lm_tokenizer *t = from_parts(&s.parts);
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_tokens got = { 0 };
    lm_encode(e, text, false, &got);
    assert_int_equal(got.ids[1], 1);   // user-defined is text, the control token is not
    assert_true(got.len > 4);
    assert_true(lm_tokenizer_is_special(t, 0));
    assert_false(lm_tokenizer_is_special(t, 1));
    assert_true(lm_tokenizer_is_special(t, 2));
    assert_false(lm_tokenizer_is_special(t, pair));
    lm_tokens_release(&got);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
    sample_release(&s);
}

/* ---- refusals ---- */

enum change {
    MODEL,
    PRE,
    NO_MERGES,
    TYPE,
    ROLE,
    BROKEN_MERGE,
    EMPTY,
    NOT_UTF8,
    NO_BOS,
    TWICE,
    LONELY,
    NO_TOKENS
};

static void change_parts(struct sample *s, enum change change)
{
    struct lm_tokenizer_parts *p = &s->parts;
    struct lm_str *tokens = (struct lm_str *)p->tokens, *merges = (struct lm_str *)p->merges;
    switch (change) {
    case MODEL:
        p->model = LM_STR("t6");
        break;
    case PRE:
        p->pre = LM_STR("default");
        break;
    case NO_MERGES:
        p->merge_count = 0;
        break;
    case TYPE:
        ((int32_t *)p->types)[5] = 7;
        break;
    case ROLE:
        p->pad_id = (int64_t)p->token_count;
        break;
    case BROKEN_MERGE:
        merges[3] = LM_STR("abc");
        break;
    case EMPTY:
        tokens[7] = LM_STR("");
        break;
    case NOT_UTF8:
        merges[2] = LM_STR("a \xff");
        break;
    case NO_BOS:
        p->bos_id = -1;
        p->add_bos = 1;
        break;
    case TWICE:
        tokens[9] = tokens[8];
        break;
    case LONELY:
        merges[4] = LM_STR("a qqq");
        break;
    case NO_TOKENS:
        p->token_count = 0;
        break;
    }
}

static void what_cannot_be_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        enum change change;
        const char *message;
    } cases[] = {
        { MODEL, "tokenizer.ggml.model 't6' is not supported" },
        { PRE, "tokenizer.ggml.pre 'default'" },
        { NO_MERGES, "tokenizer.ggml.merges is missing" },
        { TYPE, "tokenizer.ggml.token_type[5] is 7" },
        { ROLE, "_token_id is 420" },
        { BROKEN_MERGE, "tokenizer.ggml.merges[3]" },
        { EMPTY, "tokenizer.ggml.tokens[7] is empty" },
        { NOT_UTF8, "tokenizer.ggml.merges[2] is not UTF-8" },
        { NO_BOS, "tokenizer.ggml.add_bos_token is set" },
        { TWICE, "is there twice" },
        { LONELY, "merge 4: 'qqq'" },
        { NO_TOKENS, "0 tokens" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample s = take_apart("gpt2", "gpt-2");
        struct lm_err err = { 0 };
        struct lm_tokenizer *t = NULL;
        change_parts(&s, cases[i].change);
        assert_int_equal(lm_tokenizer_from_parts(&s.parts, "x.gguf", &t, &err), LM_EFORMAT);
        assert_null(t);
        assert_contains(err.text, "x.gguf: ");
        assert_contains(err.text, cases[i].message);
        sample_release(&s);
    }
}

static void a_tokenizer_that_gguf_has_no_name_for_is_not_written(void **state)
{
    (void)state;
    struct lm_buf file = { 0 };
    assert_int_equal(lm_file_read(GOLDEN "qwen2.tokenizer.json", 1 << 20, &file, NULL), LM_OK);
    char *nfc = strstr(file.ptr, "{\"type\":\"NFC\"}");
    assert_non_null(nfc);
    memcpy(nfc, "{\"type\":\"NFD\"}", 14);   // Qwen2's pieces behind another normaliser
    struct lm_tokenizer *t = NULL;
    struct lm_tokenizer_parts parts;
    struct lm_arena arena = { 0 };
    struct lm_err err = { 0 };
    assert_ok_err(lm_tokenizer_parse(lm_buf_str(&file), "x.json", &t, &err), &err);
    assert_int_equal(lm_tokenizer_to_parts(t, &arena, &parts, &err), LM_EINVAL);
    assert_contains(err.text, "qwen2, with a normaliser");
    lm_tokenizer_free(t);
    lm_arena_release(&arena);
    lm_buf_release(&file);
}

/* ---- the files beside tokenizer.json ---- */

static void write_file(const char *dir, const char *name, struct lm_str content)
{
    struct lm_err err = { 0 };
    LM_FREE char *path = lm_path_join(dir, name);
    assert_ok_err(lm_file_write(path, content, &err), &err);
}

static void a_folder_names_roles_and_the_chat_template(void **state)
{
    (void)state;
    char dir[] = "/tmp/loom-parts-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct lm_buf file = { 0 };
    struct lm_err err = { 0 };
    struct lm_tokenizer *t = NULL;
    assert_int_equal(lm_file_read(GOLDEN "gpt2.tokenizer.json", 1 << 20, &file, NULL), LM_OK);
    write_file(dir, "tokenizer.json", lm_buf_str(&file));
    write_file(
        dir, "tokenizer_config.json",
        LM_STR(
            "{\"bos_token\":\"<|im_start|>\",\"eos_token\":{\"content\":\"<|im_end|>\"},\"pad_token\":null,"
            "\"model_max_length\":1000000000000000019884624838656,"
            "\"chat_template\":[{\"name\":\"rag\",\"template\":\"R\"},"
            "{\"name\":\"default\",\"template\":\"D\"}]}"));
    assert_ok_err(lm_tokenizer_load(dir, &t, &err), &err);
    assert_int_equal(lm_tokenizer_role(t, LM_ROLE_BOS), 1);
    assert_int_equal(lm_tokenizer_role(t, LM_ROLE_EOS), 2);
    assert_int_equal(lm_tokenizer_role(t, LM_ROLE_PAD), UINT32_MAX);
    assert_int_equal(lm_tokenizer_end_of_text(t), 0);
    assert_string_equal(lm_tokenizer_chat_template(t).ptr, "D");
    lm_tokenizer_free(t);

    write_file(dir, "chat_template.jinja", LM_STR("J"));   // counts more
    assert_ok_err(lm_tokenizer_load(dir, &t, &err), &err);
    assert_string_equal(lm_tokenizer_chat_template(t).ptr, "J");
    lm_tokenizer_free(t);

    t = NULL;
    write_file(dir, "tokenizer_config.json", LM_STR("{\"bos_token\":7}"));
    assert_int_equal(lm_tokenizer_load(dir, &t, &err), LM_EFORMAT);
    assert_contains(err.text, "tokenizer_config.json: 'bos_token' is neither");
    assert_null(t);
    lm_buf_release(&file);
    assert_ok_err(lm_path_remove(dir, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_give_the_ids_of_hugging_face),
        cmocka_unit_test(what_is_written_as_json_loads_and_means_the_same),
        cmocka_unit_test(the_way_back_gives_the_same_arrays),
        cmocka_unit_test(every_name_goes_there_and_back),
        cmocka_unit_test(a_text_on_its_own_gets_the_tokens_the_file_asks_for),
        cmocka_unit_test(user_defined_tokens_are_cut_first_and_openers_are_special),
        cmocka_unit_test(what_cannot_be_is_refused_by_name),
        cmocka_unit_test(a_tokenizer_that_gguf_has_no_name_for_is_not_written),
        cmocka_unit_test(a_folder_names_roles_and_the_chat_template),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
