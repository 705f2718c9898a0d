/* What trackers take from a log, and event files for TensorBoard: the framing by a parser of its own, known
 * check sums, cut files. */
#include "train/tfevents.h"

#include "base/file.h"
#include "base/sys.h"

#include "../lib/check.h"

#include <math.h>
#include <unistd.h>

/* RFC 3720, B.4, and the check value of the CRC catalogue. */
static void check_sums_are_the_published_ones(void **state)
{
    (void)state;
    uint8_t zeros[32] = { 0 }, ones[32], up[32], down[32];
    for (int i = 0; i < 32; i++) {
        ones[i] = 0xff;
        up[i] = (uint8_t)i;
        down[i] = (uint8_t)(31 - i);
    }
    assert_int_equal(lm_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(lm_crc32c(zeros, 32), 0x8a9136aa);
    assert_int_equal(lm_crc32c(ones, 32), 0x62a8ab43);
    assert_int_equal(lm_crc32c(up, 32), 0x46dd794e);
    assert_int_equal(lm_crc32c(down, 32), 0x113fdb5c);
    assert_int_equal(lm_crc32c("", 0), 0);
}

/* ---- a second reader of the format, by hand ---- */

static uint64_t little(const uint8_t *p, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value += (uint64_t)p[i] << 8 * i;
    return value;
}

static uint32_t unmasked(uint32_t masked)
{
    const uint32_t rotated = masked - 0xa282ead8u;
    return rotated >> 17 | rotated << 15;
}

/* The data of record `number`; checks the sums of all before it. */
static struct lm_str record_at(const struct lm_buf *file, size_t number)
{
    const uint8_t *p = (const uint8_t *)file->ptr, *end = p + file->len;
    for (;; number--) {
        assert_true(end - p >= 16);
        const size_t len = little(p, 8);
        assert_int_equal(unmasked((uint32_t)little(p + 8, 4)), lm_crc32c(p, 8));
        assert_true((size_t)(end - p) >= 16 + len);
        assert_int_equal(unmasked((uint32_t)little(p + 12 + len, 4)), lm_crc32c(p + 12, len));
        if (number == 0)
            return (struct lm_str){ (const char *)p + 12, len };
        p += 16 + len;
    }
}

static void events_are_what_the_format_says(void **state)
{
    (void)state;
    struct lm_buf file = { 0 };
    const struct lm_track_point points[] = { { LM_STR("loss"), 2.5, 300 }, { LM_STR("lr"), 0.1, 300 } };
    lm_tfevent_version(1.5, &file);
    lm_tfevent_scalars(1.5, points, 2, &file);
    /* wall_time 1.5 as a double, then file_version; by hand from the wire format of protobuf. */
    static const uint8_t version[] = "\x09\0\0\0\0\0\0\xf8\x3f\x1a\x0d"
                                     "brain.Event:2";
    static const uint8_t scalars[] = "\x09\0\0\0\0\0\0\xf8\x3f\x10\xac\x02\x2a\x18"
                                     "\x0a\x0b\x0a\x04"
                                     "loss\x15\0\0\x20\x40"
                                     "\x0a\x09\x0a\x02"
                                     "lr\x15\xcd\xcc\xcc\x3d";
    struct lm_str data = record_at(&file, 0);
    assert_int_equal(data.len, sizeof version - 1);
    assert_memory_equal(data.ptr, version, data.len);
    data = record_at(&file, 1);
    assert_int_equal(data.len, sizeof scalars - 1);
    assert_memory_equal(data.ptr, scalars, data.len);
    lm_buf_release(&file);
}

static void a_file_goes_on_from_any_cut(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    struct lm_buf whole = { 0 }, now = { 0 };
    const char *path = "cut/events.out.tfevents.0000000000.loom";
    struct lm_track_marks marks = { 0 };
    struct lm_tfevents f = { 0 };
    assert_ok(lm_tfevents_open(&f, "cut", &marks, &err));
    for (int64_t step = 1; step <= 3; step++) {
        const struct lm_track_point p = { LM_STR("loss"), 1.0 / (double)step, step };
        assert_ok(lm_tfevents_add(&f, &p, 1, &err));
    }
    lm_tfevents_close(&f);
    assert_ok(lm_file_read(path, 1 << 20, &whole, &err));
    for (size_t len = 0; len <= whole.len; len++) {
        assert_ok(lm_file_write(path, (struct lm_str){ whole.ptr, len }, &err));
        marks = (struct lm_track_marks){ 0 };
        const enum lm_rc rc = lm_tfevents_open(&f, "cut", &marks, &err);
        const size_t version = 16 + 24;   // shorter than this it is no event file, unless it is empty
        assert_int_equal(rc, len == 0 || len >= version ? LM_OK : LM_EFORMAT);
        if (rc != LM_OK)
            continue;
        /* What was whole is kept, and the steps that are missing are those that the marks do not name. */
        for (int64_t step = 1; step <= 3; step++) {
            const struct lm_track_point p = { LM_STR("loss"), 1.0 / (double)step, step };
            if (lm_track_marks_pass(&marks, p.name))
                assert_ok(lm_tfevents_add(&f, &p, 1, &err));
        }
        lm_tfevents_close(&f);
        lm_buf_reset(&now);
        assert_ok(lm_file_read(path, 1 << 20, &now, &err));
        assert_int_equal(now.len, whole.len);
        for (size_t i = 1; i <= 3; i++) {
            struct lm_track_point points[LM_TRACK_NAMES_MAX];
            size_t count;
            assert_ok(lm_tfevent_parse(record_at(&now, i), points, &count, &err));
            assert_int_equal(count, 1);
            assert_int_equal(points[0].step, i);
            assert_true(points[0].value == (double)(1.0f / (float)i));
            assert_text(points[0].name, "loss");
        }
    }
    assert_ok(lm_file_write(path, LM_STR("this is somebody's letter, and stays as it is"), &err));
    assert_int_equal(lm_tfevents_open(&f, "cut", &marks, &err), LM_EFORMAT);
    assert_contains(err.text, path);
    lm_buf_release(&whole);
    lm_buf_release(&now);
}

static void lines_give_their_numbers(void **state)
{
    (void)state;
    struct lm_arena arena = { 0 };
    struct lm_track_point p[LM_TRACK_NAMES_MAX];
    struct lm_err err = { 0 };
    size_t count;
    assert_ok(lm_track_line_parse(
        LM_STR("{\"loss\":2.5,\"step\":7,\"note\":\"x\",\"bad\":null,\"list\":[1,{\"a\":2}],\"lr\":1e-3}"),
        "t", &arena, p, &count, &err));
    assert_int_equal(count, 2);
    assert_text(p[0].name, "loss");
    assert_text(p[1].name, "lr");
    assert_true(p[0].value == 2.5 && p[1].value == 1e-3 && p[0].step == 7 && p[1].step == 7);
    assert_int_equal(lm_track_line_parse(LM_STR("{\"loss\":1}"), "t", &arena, p, &count, &err), LM_EFORMAT);
    assert_int_equal(lm_track_line_parse(LM_STR("{\"step\":1.5}"), "t", &arena, p, &count, &err), LM_EFORMAT);
    assert_int_equal(lm_track_line_parse(LM_STR("{\"step\":1"), "t", &arena, p, &count, &err), LM_EFORMAT);
    lm_arena_release(&arena);
}

static void marks_let_each_point_pass_once(void **state)
{
    (void)state;
    struct lm_track_marks m = { 0 };
    const struct lm_str loss = LM_STR("loss"), lr = LM_STR("lr");
    lm_track_marks_add(&m, loss, 3);   // there already, from a run that was killed
    lm_track_marks_add(&m, loss, 4);
    for (int i = 0; i < 7; i++) {
        assert_false(lm_track_marks_pass(&m, loss));
        assert_true(lm_track_marks_pass(&m, lr));
    }
    assert_true(lm_track_marks_pass(&m, loss));
    assert_true(lm_track_marks_pass(&m, loss));
    assert_false(lm_track_marks_pass(
        &m, LM_STR("a name that is longer than any that the log has, so that it is left out")));
}

static int clear(void **state)
{
    (void)state;
    return lm_path_remove("cut", NULL) == LM_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_sums_are_the_published_ones),
        cmocka_unit_test(events_are_what_the_format_says),
        cmocka_unit_test(a_file_goes_on_from_any_cut),
        cmocka_unit_test(lines_give_their_numbers),
        cmocka_unit_test(marks_let_each_point_pass_once),
    };
    return cmocka_run_group_tests(tests, clear, NULL) != 0;
}
