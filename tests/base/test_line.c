#include "check.h"

#include "base/line.h"
#include "base/rng.h"

#include <stdlib.h>
#include <unistd.h>

static const char *const names[] = { "l.txt", "l.gz", "l.zst" };
enum { NAMES = 3 };

static void write_lines(const char *path, const struct lm_str *lines, size_t count)
{
    struct lm_line_writer *w;
    assert_ok(lm_line_create(path, &w, NULL));
    for (size_t i = 0; i < count; i++)
        assert_ok(lm_line_add(w, lines[i], NULL));
    assert_ok(lm_line_commit(w, NULL));
}

/* All lines, each with a '|' behind it, so that the end of one cannot hide; the result of the last call. */
static enum lm_rc read_lines(const char *path, size_t line_bytes_max, struct lm_buf *ret, struct lm_err *err)
{
    struct lm_line_reader *r;
    enum lm_rc rc = lm_line_open(path, line_bytes_max, &r, err);
    if (rc != LM_OK)
        return rc;
    struct lm_str line;
    uint64_t number = 0, read_bytes = 0;
    while ((rc = lm_line_next(r, &line, err)) == LM_OK) {
        assert_int_equal(lm_line_number(r), ++number);
        assert_true(lm_line_bytes_read(r) >= read_bytes);
        read_bytes = lm_line_bytes_read(r);
        lm_buf_add_str(ret, line);
        lm_buf_putc(ret, '|');
    }
    lm_line_close(r);
    return rc;
}

static void put_file(const char *path, struct lm_str bytes)
{
    FILE *file = fopen(path, "wb");   // plain, without the sync of lm_file_write: there are thousands
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

static void assert_lines(struct lm_str file, const char *expected)
{
    put_file("l.raw", file);
    struct lm_buf got = { 0 };
    assert_int_equal(read_lines("l.raw", 0, &got, NULL), LM_ENOTHING);
    assert_text(lm_buf_str(&got), expected);
    lm_buf_release(&got);
}

static void line_ends_are_taken_off(void **state)
{
    (void)state;
    assert_lines(LM_STR(""), "");
    assert_lines(LM_STR("\n"), "|");
    assert_lines(LM_STR("a"), "a|");
    assert_lines(LM_STR("a\nb\n"), "a|b|");
    assert_lines(LM_STR("a\r\n\r\nb\rc\r\n"), "a||b\rc|");
    assert_lines(LM_STR("a\r"), "a\r|");   // no LF: the CR is text
    assert_lines(LM_STR("\x1f"), "\x1f|");
    assert_lines(LM_STR("\x28\xb5"), "\x28\xb5|");
}

/* Lines of all lengths around the sizes of the buffers, and one that needs several. */
static void plain_gzip_and_zstd_give_back_the_same_lines(void **state)
{
    (void)state;
    enum { COUNT = 600, LONGEST = 900000 };
    struct lm_rng rng = lm_rng_make(5, 5);
    LM_FREE char *text = lm_alloc(LONGEST);
    for (size_t i = 0; i < LONGEST; i++) {
        text[i] = (char)(lm_rng_next(&rng) >> 58);   // 0..63
        text[i] += text[i] == '\n' || text[i] == '\r';
    }
    struct lm_str lines[COUNT];
    struct lm_buf expected = { 0 };
    for (size_t i = 0; i < COUNT; i++) {
        const size_t len = i == 300       ? LONGEST
                           : i % 100 == 7 ? (128 << 10) + i - 300
                                          : lm_rng_below(&rng, 2000);
        lines[i] = (struct lm_str){ text + lm_rng_below(&rng, LONGEST - len + 1), len };
        lm_buf_add_str(&expected, lines[i]);
        lm_buf_putc(&expected, '|');
    }
    for (size_t k = 0; k < NAMES; k++) {
        write_lines(names[k], lines, COUNT);
        struct lm_buf got = { 0 };
        assert_int_equal(read_lines(names[k], 0, &got, NULL), LM_ENOTHING);
        assert_int_equal(got.len, expected.len);
        assert_true(lm_str_eq(lm_buf_str(&got), lm_buf_str(&expected)));
        lm_buf_release(&got);
    }
    lm_buf_release(&expected);
}

static void equal_lines_make_equal_files(void **state)
{
    (void)state;
    static const struct lm_str lines[] = { { "one", 3 }, { "two", 3 } };
    for (size_t k = 0; k < NAMES; k++) {
        struct lm_buf first = { 0 }, second = { 0 };
        write_lines(names[k], lines, 2);
        assert_ok(lm_file_read(names[k], 1 << 20, &first, NULL));
        write_lines(names[k], lines, 2);
        assert_ok(lm_file_read(names[k], 1 << 20, &second, NULL));
        assert_true(lm_str_eq(lm_buf_str(&first), lm_buf_str(&second)));
        if (k == 1)
            assert_memory_equal(first.ptr + 4, "\0\0\0\0", 4);   // MTIME, RFC 1952
        lm_buf_release(&first);
        lm_buf_release(&second);
    }
}

static void the_lines_of_a_small_file(const char *path, struct lm_buf *ret_file, struct lm_buf *ret_lines)
{
    static const struct lm_str lines[] = { { "{\"a\":1}", 7 }, { "", 0 }, { "the last line", 13 } };
    write_lines(path, lines, 3);
    assert_ok(lm_file_read(path, 1 << 20, ret_file, NULL));
    assert_int_equal(read_lines(path, 0, ret_lines, NULL), LM_ENOTHING);
}

static void concatenated_members_are_one_file(void **state)
{
    (void)state;
    for (size_t k = 0; k < NAMES; k++) {
        struct lm_buf file = { 0 }, lines = { 0 }, twice = { 0 };
        the_lines_of_a_small_file(names[k], &file, &lines);
        const size_t len = file.len;
        lm_buf_add(&twice, file.ptr, len);
        lm_buf_add(&twice, file.ptr, len);
        put_file("l.raw", lm_buf_str(&twice));
        lm_buf_reset(&twice);
        assert_int_equal(read_lines("l.raw", 0, &twice, NULL), LM_ENOTHING);
        assert_int_equal(twice.len, 2 * lines.len);
        assert_memory_equal(twice.ptr + lines.len, lines.ptr, lines.len);
        lm_buf_release(&file);
        lm_buf_release(&lines);
        lm_buf_release(&twice);
    }
}

static void a_stream_cut_anywhere_is_named_with_its_length(void **state)
{
    (void)state;
    for (size_t k = 1; k < NAMES; k++) {
        struct lm_buf file = { 0 }, lines = { 0 };
        the_lines_of_a_small_file(names[k], &file, &lines);
        for (size_t len = 4; len < file.len; len++) {
            put_file("l.raw", (struct lm_str){ file.ptr, len });
            struct lm_buf got = { 0 };
            struct lm_err err = { 0 };
            char message[100];
            snprintf(message, sizeof(message), "'l.raw' is cut: the compressed stream has no end at byte %zu",
                     len);
            assert_int_equal(read_lines("l.raw", 0, &got, &err), LM_EFORMAT);
            assert_string_equal(err.text, message);
            lm_buf_release(&got);
        }
        lm_buf_release(&file);
        lm_buf_release(&lines);
    }
}

static void a_damaged_byte_never_changes_a_line_unseen(void **state)
{
    (void)state;
    for (size_t k = 1; k < NAMES; k++) {
        struct lm_buf file = { 0 }, lines = { 0 };
        the_lines_of_a_small_file(names[k], &file, &lines);
        int noticed = 0;
        for (size_t at = 4; at < file.len; at++)   // behind the magic
            for (int bit = 0; bit < 8; bit++) {
                file.ptr[at] ^= (char)(1 << bit);
                put_file("l.raw", lm_buf_str(&file));
                file.ptr[at] ^= (char)(1 << bit);
                struct lm_buf got = { 0 };
                struct lm_err err = { 0 };
                const enum lm_rc rc = read_lines("l.raw", 0, &got, &err);
                if (rc == LM_ENOTHING)
                    assert_true(lm_str_eq(lm_buf_str(&got), lm_buf_str(&lines)));
                else
                    assert_contains(err.text, "'l.raw' is ");
                noticed += rc != LM_ENOTHING;
                lm_buf_release(&got);
            }
        assert_true(noticed > 100);
        lm_buf_release(&file);
        lm_buf_release(&lines);
    }
}

static void bytes_behind_the_last_member_are_refused(void **state)
{
    (void)state;
    for (size_t k = 1; k < NAMES; k++) {
        struct lm_buf file = { 0 }, lines = { 0 };
        struct lm_err err = { 0 };
        the_lines_of_a_small_file(names[k], &file, &lines);
        lm_buf_puts(&file, "garbage");
        put_file("l.raw", lm_buf_str(&file));
        assert_int_equal(read_lines("l.raw", 0, &lines, &err), LM_EFORMAT);
        assert_contains(err.text, "'l.raw' is damaged at byte ");
        lm_buf_release(&file);
        lm_buf_release(&lines);
    }
}

static void a_line_that_is_too_long_is_refused_with_its_number(void **state)
{
    (void)state;
    struct lm_buf got = { 0 };
    struct lm_err err = { 0 };
    put_file("l.raw", LM_STR("12345\r\n12345\n123456\nx\n"));
    assert_int_equal(read_lines("l.raw", 5, &got, &err), LM_ELIMIT);
    assert_text(lm_buf_str(&got), "12345|12345|");
    assert_string_equal(err.text, "l.raw:3: the line is longer than 5 bytes");
    put_file("l.raw", LM_STR("12345\n123456"));   // the last line, without LF
    assert_int_equal(read_lines("l.raw", 5, &got, &err), LM_ELIMIT);
    assert_contains(err.text, "l.raw:2:");

    /* Not too long, though the CR comes with one read and the LF with the next. */
    enum { READ_BYTES = 256 << 10 };
    LM_FREE char *text = lm_alloc(READ_BYTES + 1);
    memset(text, 'x', READ_BYTES - 1);
    memcpy(text + READ_BYTES - 1, "\r\n", 2);
    put_file("l.raw", (struct lm_str){ text, READ_BYTES + 1 });
    lm_buf_reset(&got);
    assert_int_equal(read_lines("l.raw", READ_BYTES - 1, &got, NULL), LM_ENOTHING);
    assert_int_equal(got.len, READ_BYTES);
    assert_int_equal(read_lines("l.raw", READ_BYTES - 2, &got, NULL), LM_ELIMIT);
    lm_buf_release(&got);
}

/* Megabytes of one line in some hundred bytes: memory must follow the limit, not the file. */
static void a_compressed_bomb_stops_at_the_limit(void **state)
{
    (void)state;
    struct lm_line_writer *w;
    LM_FREE char *zeros = lm_zalloc(1, 8 << 20);
    assert_ok(lm_line_create("l.zst", &w, NULL));
    assert_ok(lm_line_add(w, (struct lm_str){ zeros, 8 << 20 }, NULL));
    assert_ok(lm_line_commit(w, NULL));
    struct lm_buf got = { 0 };
    assert_int_equal(read_lines("l.zst", 1 << 20, &got, NULL), LM_ELIMIT);
    lm_buf_release(&got);
}

static void standard_input_is_read_as_a_file(void **state)
{
    (void)state;
    int ends[2];
    const int saved = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "a\nb\n", 4), 4);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    struct lm_buf got = { 0 };
    assert_int_equal(read_lines("-", 0, &got, NULL), LM_ENOTHING);
    dup2(saved, STDIN_FILENO);
    close(saved);
    assert_text(lm_buf_str(&got), "a|b|");
    lm_buf_release(&got);
}

static void files_that_cannot_be_used_are_named(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    struct lm_buf got = { 0 };
    struct lm_line_writer *w;
    assert_int_equal(read_lines("none.jsonl", 0, &got, &err), LM_ENOENT);
    assert_string_equal(err.text, "cannot open 'none.jsonl': No such file or directory");
    assert_int_equal(read_lines(".", 0, &got, &err), LM_EIO);
    assert_int_equal(lm_line_create("no/such/x.gz", &w, &err), LM_EIO);
    assert_ok(lm_line_create("/dev/full", &w, NULL));
    assert_ok(lm_line_add(w, LM_STR("x"), NULL));
    assert_int_equal(lm_line_commit(w, &err), LM_EIO);
    assert_contains(err.text, "No space left");
    assert_ok(lm_line_create("aborted.gz", &w, NULL));
    assert_ok(lm_line_add(w, LM_STR("x"), NULL));
    lm_line_abort(w);
    assert_false(lm_path_exists("aborted.gz"));
    lm_line_abort(NULL);
    lm_line_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_ends_are_taken_off),
        cmocka_unit_test(plain_gzip_and_zstd_give_back_the_same_lines),
        cmocka_unit_test(equal_lines_make_equal_files),
        cmocka_unit_test(concatenated_members_are_one_file),
        cmocka_unit_test(a_stream_cut_anywhere_is_named_with_its_length),
        cmocka_unit_test(a_damaged_byte_never_changes_a_line_unseen),
        cmocka_unit_test(bytes_behind_the_last_member_are_refused),
        cmocka_unit_test(a_line_that_is_too_long_is_refused_with_its_number),
        cmocka_unit_test(a_compressed_bomb_stops_at_the_limit),
        cmocka_unit_test(standard_input_is_read_as_a_file),
        cmocka_unit_test(files_that_cannot_be_used_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
