/* GGUF files: what is written is read again; files of Python's gguf; split files; whole or absent. */
#include "check.h"
#include "model/gguf.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#define GOLDEN LOOM_TEST_DIR "/golden/models/"

static void open_ok(struct lm_gguf *g, const char *path)
{
    struct lm_err err = { 0 };
    if (lm_gguf_open(g, path, &err) != LM_OK)
        fail_msg("%s", err.text);
}

/* Byte i of the tensor is i plus the number in user. */
static enum lm_rc count_up(const struct lm_gguf_out_tensor *t, FILE *to, struct lm_err *err)
{
    (void)err;
    size_t bytes = lm_type_bytes(t->type, t->shape[0]);
    for (size_t d = 1; d < t->dims; d++)
        bytes *= t->shape[d];
    for (size_t i = 0; i < bytes; i++)
        fputc((int)(i + *(const size_t *)t->user), to);
    return LM_OK;
}

static const size_t bases[] = { 0, 50, 100 };

static void write_ok(const char *path, struct lm_gguf_out *o, const struct lm_gguf_out_tensor *tensors,
                     size_t count)
{
    struct lm_err err = { 0 };
    if (lm_gguf_write(path, o, tensors, count, count_up, &err) != LM_OK)
        fail_msg("%s", err.text);
    lm_gguf_out_release(o);
}

/* ---- values ---- */

static void whole_numbers_of_every_kind_come_back(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        enum lm_gguf_kind kind;
        int64_t value;
    } cases[] = {
        { "u8", LM_GGUF_U8, 255 },          { "i8", LM_GGUF_I8, -128 },
        { "u16", LM_GGUF_U16, 65535 },      { "i16", LM_GGUF_I16, -32768 },
        { "u32", LM_GGUF_U32, UINT32_MAX }, { "i32", LM_GGUF_I32, INT32_MIN },
        { "u64", LM_GGUF_U64, INT64_MAX },  { "i64", LM_GGUF_I64, INT64_MIN },
    };
    enum { COUNT = sizeof cases / sizeof cases[0] };
    struct lm_gguf_out o = { 0 };
    struct lm_gguf g;
    for (size_t i = 0; i < COUNT; i++)
        lm_gguf_put_int(&o, cases[i].key, cases[i].kind, cases[i].value);
    write_ok("ints.gguf", &o, NULL, 0);
    open_ok(&g, "ints.gguf");
    assert_int_equal(g.value_count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        int64_t got = 7;
        assert_text(g.values[i].key, cases[i].key);   // in the order put
        assert_int_equal(g.values[i].kind, cases[i].kind);
        assert_ok(lm_gguf_get_int(&g, cases[i].key, &got, NULL));
        assert_true(got == cases[i].value);
    }
    int64_t same = 7;
    assert_ok(lm_gguf_get_int(&g, "absent", &same, NULL));
    assert_int_equal(same, 7);
    lm_gguf_close(&g);
}

static void texts_lists_and_reals_come_back(void **state)
{
    (void)state;
    const struct lm_str words[] = { LM_STR("a"), LM_STR(""), { "b\0c", 3 } };
    const float scores[] = { 1, -0.5f, 1e-30f };
    struct lm_gguf_out o = { 0 };
    struct lm_gguf g;
    lm_gguf_put_str(&o, "text", LM_STR("gr\xc3\xbc\xc3\x9f"));
    lm_gguf_put_str(&o, "empty", LM_STR(""));
    lm_gguf_put_strings(&o, "words", words, 3);
    lm_gguf_put_strings(&o, "none", NULL, 0);
    lm_gguf_put_array(&o, "scores", LM_GGUF_F32, scores, 3);
    lm_gguf_put_real(&o, "pi", 3.140625);
    lm_gguf_put_bool(&o, "yes", true);
    lm_gguf_put_bool(&o, "no", false);
    write_ok("texts.gguf", &o, NULL, 0);
    open_ok(&g, "texts.gguf");

    struct lm_str text = { 0 }, *items = NULL;
    size_t count = 9;
    double pi = 0;
    bool yes = false, no = true;
    assert_ok(lm_gguf_get_str(&g, "text", &text, NULL));
    assert_text(text, "gr\xc3\xbc\xc3\x9f");
    assert_ok(lm_gguf_get_str(&g, "empty", &text, NULL));
    assert_int_equal(text.len, 0);
    assert_ok(lm_gguf_get_strings(&g, "words", &items, &count, NULL));
    assert_int_equal(count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(lm_str_eq(items[i], words[i]));
    assert_ok(lm_gguf_get_strings(&g, "none", &items, &count, NULL));
    assert_int_equal(count, 0);
    assert_int_equal(lm_gguf_find(&g, "scores")->count, 3);
    assert_memory_equal(lm_gguf_find(&g, "scores")->bytes, scores, sizeof scores);
    assert_ok(lm_gguf_get_real(&g, "pi", &pi, NULL));
    assert_true(pi == 3.140625);
    assert_ok(lm_gguf_get_bool(&g, "yes", &yes, NULL));
    assert_ok(lm_gguf_get_bool(&g, "no", &no, NULL));
    assert_true(yes && !no);
    lm_gguf_close(&g);
}

static void a_value_of_another_kind_is_refused_by_name_and_place(void **state)
{
    (void)state;
    struct lm_gguf_out o = { 0 };
    struct lm_gguf g;
    struct lm_err err = { 0 };
    int64_t whole;
    double real;
    bool flag;
    struct lm_str text, *items;
    size_t count;
    lm_gguf_put_str(&o, "text", LM_STR("x"));
    lm_gguf_put_int(&o, "int", LM_GGUF_U32, 3);
    lm_gguf_put_real(&o, "nan", NAN);
    lm_gguf_put_array(&o, "big", LM_GGUF_U64, &(uint64_t){ 1 }, 1);
    write_ok("kinds.gguf", &o, NULL, 0);
    open_ok(&g, "kinds.gguf");
    assert_int_equal(lm_gguf_get_int(&g, "text", &whole, &err), LM_EFORMAT);
    assert_string_equal(err.text, "kinds.gguf: key 'text' (byte 24) is text, not a whole number");
    assert_int_equal(lm_gguf_get_real(&g, "int", &real, &err), LM_EFORMAT);
    assert_contains(err.text, "key 'int' (byte 49) is u32, not a number with a fraction");
    assert_int_equal(lm_gguf_get_bool(&g, "int", &flag, &err), LM_EFORMAT);
    assert_contains(err.text, "not a truth value");
    assert_int_equal(lm_gguf_get_str(&g, "int", &text, &err), LM_EFORMAT);
    assert_contains(err.text, "not text");
    assert_int_equal(lm_gguf_get_strings(&g, "big", &items, &count, &err), LM_EFORMAT);
    assert_contains(err.text, "key 'big' (byte 87) is u64 in a list, not a list of texts");
    assert_int_equal(lm_gguf_get_real(&g, "nan", &real, &err), LM_EFORMAT);
    assert_contains(err.text, "key 'nan' (byte 68) is no finite number");
    lm_gguf_close(&g);
}

/* ---- tensors ---- */

static void tensors_of_every_type_lie_back_to_back(void **state)
{
    (void)state;
    struct lm_gguf_out_tensor list[LM_TYPE_COUNT];
    struct lm_gguf_out o = { 0 };
    struct lm_gguf g;
    for (size_t t = 0; t < LM_TYPE_COUNT; t++) {
        list[t] = (struct lm_gguf_out_tensor){
            .type = t, .dims = 1 + t % 4, .shape = { 256, 1 + t % 3, 2, 1 }, .user = &bases[t % 3]
        };
        snprintf(list[t].name, sizeof list[t].name, "tensor %zu", LM_TYPE_COUNT - t);
    }
    lm_gguf_put_str(&o, "general.architecture", LM_STR("none"));
    write_ok("types.gguf", &o, list, LM_TYPE_COUNT);
    open_ok(&g, "types.gguf");
    assert_int_equal(g.tensor_count, LM_TYPE_COUNT);
    const unsigned char *at = g.tensors[0].data;
    for (size_t t = 0; t < LM_TYPE_COUNT; t++) {
        const struct lm_gguf_tensor *got = lm_gguf_tensor_find(&g, list[t].name);
        assert_ptr_equal(got, &g.tensors[t]);
        assert_ptr_equal(got->data, at);
        assert_int_equal((uintptr_t)at % 32, 0);
        assert_int_equal(got->type, t);
        assert_int_equal(got->dims, list[t].dims);
        assert_memory_equal(got->shape, list[t].shape, got->dims * sizeof got->shape[0]);
        for (size_t i = 0; i < got->bytes; i++)
            assert_int_equal(at[i], (unsigned char)(i + bases[t % 3]));
        at += (got->bytes + 31) / 32 * 32;
    }
    assert_ptr_equal(at, g.maps->ptr + g.maps->len);
    assert_null(lm_gguf_tensor_find(&g, "tensor"));
    lm_gguf_close(&g);
}

static void a_hundred_thousand_keys_are_found(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct lm_gguf_out o = { 0 };
    struct lm_gguf g;
    char key[32];
    for (int64_t i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "key.%lld", (long long)(i * 7919 % COUNT));
        lm_gguf_put_int(&o, key, LM_GGUF_I32, i);
    }
    write_ok("many.gguf", &o, NULL, 0);
    open_ok(&g, "many.gguf");
    for (int64_t i = 0; i < COUNT; i++) {
        int64_t got = -1;
        snprintf(key, sizeof key, "key.%lld", (long long)(i * 7919 % COUNT));
        assert_ok(lm_gguf_get_int(&g, key, &got, NULL));
        assert_int_equal(got, i);
    }
    lm_gguf_close(&g);
}

static void a_file_of_pythons_gguf_is_read(void **state)
{
    (void)state;
    struct lm_gguf g;
    struct lm_str text = { 0 }, *tokens = NULL;
    size_t count = 0;
    open_ok(&g, GOLDEN "llama.gguf");
    assert_int_equal(g.value_count, 19);
    assert_int_equal(g.tensor_count, 22);
    assert_ok(lm_gguf_get_str(&g, "general.name", &text, NULL));
    assert_text(text, "golden");
    assert_ok(lm_gguf_get_strings(&g, "tokenizer.ggml.tokens", &tokens, &count, NULL));
    assert_int_equal(count, 64);
    const struct lm_gguf_tensor *t = lm_gguf_tensor_find(&g, "blk.1.ffn_down.weight");
    assert_true(t->dims == 2 && t->shape[0] == 48 && t->shape[1] == 32 && t->type == LM_TYPE_F32);
    lm_gguf_close(&g);
}

static void version_2_has_the_same_layout(void **state)
{
    (void)state;
    struct lm_buf bytes = { 0 };
    struct lm_gguf g;
    struct lm_err err = { 0 };
    assert_ok(lm_file_read(GOLDEN "llama.gguf", 1 << 20, &bytes, NULL));
    bytes.ptr[4] = 2;
    assert_ok(lm_gguf_parse(&g, lm_buf_str(&bytes), "two", &err));
    assert_int_equal(g.tensor_count, 22);
    lm_gguf_close(&g);
    bytes.ptr[4] = 1;
    assert_int_equal(lm_gguf_parse(&g, lm_buf_str(&bytes), "one", &err), LM_EFORMAT);
    assert_contains(err.text, "one: byte 0: version 1 is not supported");
    lm_buf_release(&bytes);
}

/* ---- split files ---- */

enum { PARTS = 3 };

/* Part no of PARTS: no tensors in the first, then two in each; count and promise may lie. */
static void write_part(const char *path, int64_t no, int64_t count, int64_t promise)
{
    struct lm_gguf_out o = { 0 };
    struct lm_gguf_out_tensor list[2];
    for (size_t i = 0; i < 2; i++) {
        list[i] = (struct lm_gguf_out_tensor){
            .type = LM_TYPE_F16, .dims = 1, .shape = { 20 }, .user = &bases[no]
        };
        snprintf(list[i].name, sizeof list[i].name, "part %lld tensor %zu", (long long)no, i);
    }
    if (no == 0)
        lm_gguf_put_str(&o, "general.name", LM_STR("in three"));
    lm_gguf_put_int(&o, "split.no", LM_GGUF_U16, no);
    lm_gguf_put_int(&o, "split.count", LM_GGUF_U16, count);
    lm_gguf_put_int(&o, "split.tensors.count", LM_GGUF_I32, promise);
    write_ok(path, &o, list, no == 0 ? 0 : 2);
}

static void a_set_of_split_files_looks_like_one(void **state)
{
    (void)state;
    struct lm_gguf g;
    write_part("s-00001-of-00003.gguf", 0, PARTS, 4);
    write_part("s-00002-of-00003.gguf", 1, PARTS, 4);
    write_part("s-00003-of-00003.gguf", 2, PARTS, 4);
    open_ok(&g, "s-00001-of-00003.gguf");
    assert_int_equal(g.tensor_count, 4);
    assert_int_equal(g.map_count, PARTS);
    for (int no = 1; no < PARTS; no++)
        for (int i = 0; i < 2; i++) {
            char name[64];
            snprintf(name, sizeof name, "part %d tensor %d", no, i);
            assert_int_equal(*(const unsigned char *)lm_gguf_tensor_find(&g, name)->data, bases[no]);
        }
    assert_non_null(lm_gguf_find(&g, "general.name"));
    lm_gguf_close(&g);
}

static void fails_to_open(const char *path, const char *says)
{
    struct lm_gguf g;
    struct lm_err err = { 0 };
    assert_int_not_equal(lm_gguf_open(&g, path, &err), LM_OK);
    assert_contains(err.text, says);
}

static void a_set_that_is_not_whole_is_refused(void **state)
{
    (void)state;
    assert_ok(lm_path_remove("t-00003-of-00003.gguf", NULL));   // of an earlier run
    write_part("t-00001-of-00003.gguf", 0, PARTS, 4);
    write_part("t-00002-of-00003.gguf", 1, PARTS, 4);
    fails_to_open("t-00002-of-00003.gguf", "this is part 2 of 3: open part 1, '...-00001-of-00003.gguf'");
    fails_to_open("t-00001-of-00003.gguf", "cannot open 't-00003-of-00003.gguf'");
    write_part("t-00003-of-00003.gguf", 1, PARTS, 4);
    fails_to_open("t-00001-of-00003.gguf", "says it is part 2 of 3, but its name says 3 of 3");
    write_part("t-00003-of-00003.gguf", 2, PARTS + 1, 4);
    fails_to_open("t-00001-of-00003.gguf", "says it is part 3 of 4");
    write_part("t-00003-of-00003.gguf", 2, PARTS, 4);
    write_part("t-00001-of-00003.gguf", 0, PARTS, 5);
    fails_to_open("t-00001-of-00003.gguf", "5 tensors are promised, but the 3 files have 4");
    write_part("t.gguf", 0, PARTS, 4);
    fails_to_open("t.gguf", "must be named '...-00001-of-00003.gguf'");
}

static void a_part_count_of_0_means_a_whole_file(void **state)
{
    (void)state;
    struct lm_gguf g;
    write_part("v.gguf", 0, 0, 0);
    open_ok(&g, "v.gguf");
    assert_int_equal(g.map_count, 1);
    lm_gguf_close(&g);
}

static void a_name_in_two_parts_is_refused(void **state)
{
    (void)state;
    struct lm_gguf_out o = { 0 };
    const struct lm_gguf_out_tensor same[] = {
        { .name = "same", .type = LM_TYPE_F32, .dims = 1, .shape = { 2 }, .user = &bases[0] }
    };
    for (int no = 0; no < 2; no++) {
        lm_gguf_put_int(&o, "split.no", LM_GGUF_U16, no);
        lm_gguf_put_int(&o, "split.count", LM_GGUF_U16, 2);
        write_ok(no ? "u-00002-of-00002.gguf" : "u-00001-of-00002.gguf", &o, same, 1);
    }
    fails_to_open("u-00001-of-00002.gguf", "tensor 'same' occurs twice");
}

/* ---- whole or absent ---- */

static enum lm_rc fail_second(const struct lm_gguf_out_tensor *t, FILE *to, struct lm_err *err)
{
    if (strcmp(t->name, "b") == 0)
        return lm_fail(err, LM_EIO, "no more");
    return count_up(t, to, err);
}

static void assert_old_file_is_alone(const char *path)
{
    struct lm_buf bytes = { 0 };
    struct lm_file_list files = { 0 };
    assert_ok(lm_file_read(path, 100, &bytes, NULL));
    assert_text(lm_buf_str(&bytes), "old");
    lm_buf_release(&bytes);
    assert_ok(lm_file_walk(".", &files, NULL));
    for (size_t i = 0; i < files.len; i++)
        assert_null(strstr(files.items[i].path, ".tmp."));
    lm_file_list_release(&files);
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    struct lm_gguf_out o = { 0 };
    struct lm_err err = { 0 };
    const struct lm_gguf_out_tensor list[] = {
        { .name = "a", .type = LM_TYPE_F32, .dims = 2, .shape = { 1024, 64 }, .user = &bases[0] },
        { .name = "b", .type = LM_TYPE_F32, .dims = 1, .shape = { 4 }, .user = &bases[0] },
    };
    assert_ok(lm_file_write("whole.gguf", LM_STR("old"), NULL));
    assert_int_equal(lm_gguf_write("whole.gguf", &o, list, 2, fail_second, &err), LM_EIO);
    assert_string_equal(err.text, "no more");
    assert_old_file_is_alone("whole.gguf");

    struct rlimit before, small;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const enum lm_rc rc = lm_gguf_write("whole.gguf", &o, list, 2, count_up, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(rc, LM_EIO);
    assert_contains(err.text, "cannot write tensor 'a' of 'whole.gguf'");
    assert_old_file_is_alone("whole.gguf");
    lm_gguf_out_release(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_of_every_kind_come_back),
        cmocka_unit_test(texts_lists_and_reals_come_back),
        cmocka_unit_test(a_value_of_another_kind_is_refused_by_name_and_place),
        cmocka_unit_test(tensors_of_every_type_lie_back_to_back),
        cmocka_unit_test(a_hundred_thousand_keys_are_found),
        cmocka_unit_test(a_file_of_pythons_gguf_is_read),
        cmocka_unit_test(version_2_has_the_same_layout),
        cmocka_unit_test(a_set_of_split_files_looks_like_one),
        cmocka_unit_test(a_set_that_is_not_whole_is_refused),
        cmocka_unit_test(a_part_count_of_0_means_a_whole_file),
        cmocka_unit_test(a_name_in_two_parts_is_refused),
        cmocka_unit_test(a_failed_write_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
