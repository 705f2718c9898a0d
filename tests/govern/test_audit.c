#include "base/file.h"
#include "govern/audit.h"
#include "govern/audit_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a log to break ---- */

enum { SEGMENT = 720, RECORDS = 7 };   // three records a file

static struct lm_audit *open_sized(const char *dir, uint64_t segment_bytes_max, uint64_t head_every)
{
    struct lm_audit *a = NULL;
    struct lm_err err = { 0 };
    if (lm_audit_open_sized(dir, segment_bytes_max, head_every, &a, &err) != LM_OK)
        fail_msg("%s", err.text);
    return a;
}

static struct lm_audit *open_log(const char *dir)
{
    return open_sized(dir, SEGMENT, 4);
}

static void append(struct lm_audit *a, const char *fields)
{
    struct lm_err err = { 0 };
    if (lm_audit_append(a, "decision", lm_str(fields), NULL, &err) != LM_OK)
        fail_msg("%s", err.text);
}

static void make_log(const char *dir)
{
    assert_int_equal(lm_path_remove(dir, NULL), LM_OK);
    struct lm_audit *a = open_log(dir);
    for (int i = 0; i < RECORDS; i++)
        append(a, "\"user\":\"u-1\",\"rule\":\"A\"");
    lm_audit_close(a);
}

static struct lm_buf read_file(const char *dir, const char *name)
{
    struct lm_buf text = { 0 };
    LM_FREE char *path = lm_path_join(dir, name);
    assert_int_equal(lm_file_read(path, 1 << 20, &text, NULL), LM_OK);
    return text;
}

/* In place: a file that is emptied first is synced by some file systems when it is closed. */
static void write_file(const char *dir, const char *name, struct lm_str text)
{
    LM_FREE char *path = lm_path_join(dir, name);
    const int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text.ptr, text.len, 0), text.len);
    assert_int_equal(ftruncate(fd, (off_t)text.len), 0);
    assert_int_equal(close(fd), 0);
}

static struct lm_audit_report verify(const char *dir, enum lm_rc want)
{
    struct lm_audit_report report;
    struct lm_err err = { 0 };
    const enum lm_rc rc = lm_audit_verify(dir, NULL, &report, &err);
    if (rc != want)
        fail_msg("verify gave %d: %s", rc, err.text);
    assert_int_equal(report.why[0] == '\0', rc == LM_OK);
    return report;
}

static const char *const segments[] = { "000001.log", "000002.log", "000003.log" };

/* ---- tests ---- */

static void a_fresh_log_verifies_and_goes_on_after_reopening(void **state)
{
    (void)state;
    make_log("fresh");
    struct lm_audit_report report = verify("fresh", LM_OK);
    assert_int_equal(report.records, RECORDS);
    assert_int_equal(report.files, 3);
    assert_int_equal(report.bad_seq, 0);

    struct lm_audit *a = open_log("fresh");
    uint64_t seq = 0;
    assert_int_equal(lm_audit_append(a, "note", LM_STR(""), &seq, NULL), LM_OK);
    assert_int_equal(seq, RECORDS + 1);
    lm_audit_close(a);
    assert_int_equal(verify("fresh", LM_OK).records, RECORDS + 1);
}

static void an_empty_log_verifies(void **state)
{
    (void)state;
    lm_path_remove("empty", NULL);
    lm_audit_close(open_log("empty"));
    assert_int_equal(verify("empty", LM_OK).records, 0);
}

static void the_signing_key_is_private_and_stays_the_same(void **state)
{
    (void)state;
    make_log("key");
    struct stat st;
    assert_int_equal(stat("key/signing.key", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    const struct lm_audit_report before = verify("key", LM_OK);
    lm_audit_close(open_log("key"));
    assert_int_equal(lm_audit_verify("key", before.public_key, &(struct lm_audit_report){ 0 }, NULL), LM_OK);

    struct lm_audit *a = NULL;
    assert_int_equal(chmod("key/signing.key", 0644), 0);
    assert_int_equal(lm_audit_open("key", &a, NULL), LM_EDENIED);
}

static void a_head_signed_by_another_key_is_not_the_pinned_one(void **state)
{
    (void)state;
    make_log("mine");
    make_log("forged");
    const struct lm_audit_report mine = verify("mine", LM_OK);
    struct lm_audit_report report;
    assert_int_equal(lm_audit_verify("forged", mine.public_key, &report, NULL), LM_EFORMAT);
}

/* The number of the record that byte `at` of the files, laid end to end, belongs to. */
static uint64_t record_at(const struct lm_buf *file, size_t at, uint64_t first)
{
    uint64_t seq = first;
    for (size_t i = 0; i < at; i++)
        seq += file->ptr[i] == '\n';
    return seq;
}

static void check_flips(uint8_t mask)
{
    uint64_t first = 1;
    for (size_t s = 0; s < 3; s++) {
        struct lm_buf file = read_file("flip", segments[s]);
        for (size_t at = 0; at < file.len; at++) {
            const char was = file.ptr[at];
            file.ptr[at] = (char)(was ^ mask);
            write_file("flip", segments[s], lm_buf_str(&file));
            const struct lm_audit_report report = verify("flip", LM_EFORMAT);
            file.ptr[at] = was;
            if (report.bad_seq != record_at(&file, at, first))
                fail_msg("byte %zu of %s: named record %" PRIu64, at, segments[s], report.bad_seq);
        }
        write_file("flip", segments[s], lm_buf_str(&file));
        first = record_at(&file, file.len, first);
        lm_buf_release(&file);
    }
    assert_int_equal(first, RECORDS + 1);
}

static void any_flipped_byte_is_found_and_its_record_named(void **state)
{
    (void)state;
    make_log("flip");
    check_flips(0x01);
    check_flips(0x20);   // '*' becomes a line feed
    check_flips(0xff);
    verify("flip", LM_OK);
}

static void any_flipped_byte_of_the_head_is_found(void **state)
{
    (void)state;
    make_log("flip-head");
    struct lm_buf head = read_file("flip-head", "head.json");
    for (size_t at = 0; at < head.len; at++) {
        head.ptr[at] ^= 1;
        write_file("flip-head", "head.json", lm_buf_str(&head));
        const struct lm_audit_report report = verify("flip-head", LM_EFORMAT);
        assert_int_equal(report.bad_seq, 0);
        assert_non_null(strstr(report.why, "head.json"));
        head.ptr[at] ^= 1;
    }
    lm_buf_release(&head);
    assert_int_equal(unlink("flip-head/head.json"), 0);
    verify("flip-head", LM_EFORMAT);
}

static void every_cut_of_the_end_is_found(void **state)
{
    (void)state;
    make_log("cut");
    struct lm_buf file = read_file("cut", segments[2]);
    const uint64_t first = RECORDS + 1 - (record_at(&file, file.len, 1) - 1);
    for (size_t len = 0; len < file.len; len++) {
        write_file("cut", segments[2], (struct lm_str){ file.ptr, len });
        assert_int_equal(verify("cut", LM_EFORMAT).bad_seq, record_at(&file, len, first));
        struct lm_audit *a = NULL;   // and the writer does not take it for a crash
        assert_int_equal(lm_audit_open_sized("cut", SEGMENT, 4, &a, NULL), LM_EFORMAT);
    }
    lm_buf_release(&file);
    assert_int_equal(unlink("cut/000003.log"), 0);
    assert_int_equal(verify("cut", LM_EFORMAT).bad_seq, first);
    assert_int_equal(unlink("cut/000001.log"), 0);
    assert_int_equal(lm_audit_verify("cut", NULL, &(struct lm_audit_report){ 0 }, NULL), LM_EFORMAT);
}

/* The three lines of the first file, put together anew. */
static void check_rearranged(const char *order, uint64_t bad_seq)
{
    struct lm_buf file = read_file("order", segments[0]), other = { 0 };
    struct lm_str rest = lm_buf_str(&file), lines[3];
    for (size_t i = 0; i < 3; i++)
        assert_true(lm_str_split(&rest, '\n', &lines[i]));
    for (; *order; order++) {
        lm_buf_add_str(&other, lines[*order - '1']);
        lm_buf_putc(&other, '\n');
    }
    write_file("order", segments[0], lm_buf_str(&other));
    assert_int_equal(verify("order", LM_EFORMAT).bad_seq, bad_seq);
    write_file("order", segments[0], lm_buf_str(&file));
    verify("order", LM_OK);
    lm_buf_release(&file);
    lm_buf_release(&other);
}

static void deletion_insertion_and_reordering_are_found(void **state)
{
    (void)state;
    make_log("order");
    check_rearranged("23", 1);
    check_rearranged("13", 2);
    check_rearranged("12", 3);   // the next file does not follow
    check_rearranged("213", 1);
    check_rearranged("132", 2);
    check_rearranged("1123", 2);
    check_rearranged("1231", 4);
    check_rearranged("", 1);

    struct lm_buf first = read_file("order", segments[0]), second = read_file("order", segments[1]);
    write_file("order", segments[0], lm_buf_str(&second));
    write_file("order", segments[1], lm_buf_str(&first));
    assert_int_equal(verify("order", LM_EFORMAT).bad_seq, 1);
    lm_buf_release(&first);
    lm_buf_release(&second);
}

static void a_rewritten_chain_does_not_fit_the_signed_head(void **state)
{
    (void)state;
    make_log("chain");
    make_log("other");   // a valid chain of its own, but not the one that was signed
    for (size_t s = 0; s < 3; s++) {
        struct lm_buf file = read_file("other", segments[s]);
        write_file("chain", segments[s], lm_buf_str(&file));
        lm_buf_release(&file);
    }
    /* Both may have been written within one millisecond; then they are the same and must verify. */
    struct lm_buf mine = read_file("chain", "head.json"), others = read_file("other", "head.json");
    const bool same = strncmp(strstr(mine.ptr, "hash"), strstr(others.ptr, "hash"), 71) == 0;
    assert_int_equal(verify("chain", same ? LM_OK : LM_EFORMAT).bad_seq, same ? 0 : RECORDS);
    lm_buf_release(&mine);
    lm_buf_release(&others);
}

static void a_record_follows_in_number_and_in_hash(void **state)
{
    (void)state;
    struct lm_audit_link start = { .seq = 5, .hash = LM_AUDIT_HASH_ZERO }, link = start;
    struct lm_buf line = { 0 };
    lm_audit_line_add(&line, &link, "2026-01-31T12:00:00.000Z", "note", LM_STR("\"a\":1"));
    const struct lm_str text = { line.ptr, line.len - 1 };

    struct lm_audit_link other = start;
    other.seq = 6;
    assert_non_null(lm_audit_line_check(text, &other));
    other = start;
    other.hash[63] = '1';
    assert_non_null(lm_audit_line_check(text, &other));
    other = start;
    assert_null(lm_audit_line_check(text, &other));
    assert_int_equal(other.seq, 6);
    assert_string_equal(other.hash, link.hash);
    lm_buf_release(&line);
}

static void a_half_written_record_is_cut_off_and_said_so(void **state)
{
    (void)state;
    make_log("half");
    struct lm_buf file = read_file("half", segments[2]);
    lm_buf_puts(&file, "{\"seq\":8,\"ti");
    write_file("half", segments[2], lm_buf_str(&file));
    lm_buf_release(&file);
    assert_int_equal(verify("half", LM_EFORMAT).bad_seq, RECORDS + 1);

    lm_audit_close(open_log("half"));
    assert_int_equal(verify("half", LM_OK).records, RECORDS + 1);
    struct lm_buf last = read_file("half", segments[2]);
    char hash[LM_SHA256_HEX];
    lm_sha256_hex(LM_STR("{\"seq\":8,\"ti"), hash);
    assert_non_null(
        strstr(last.ptr, "\"type\":\"recovered\",\"file\":\"000003.log\",\"bytes\":12,\"sha256\""));
    assert_non_null(strstr(last.ptr, hash));
    lm_buf_release(&last);
}

static void a_broken_line_elsewhere_is_not_opened(void **state)
{
    (void)state;
    make_log("broken");
    struct lm_buf file = read_file("broken", segments[2]);
    file.ptr[30] ^= 1;
    write_file("broken", segments[2], lm_buf_str(&file));
    lm_buf_release(&file);
    struct lm_audit *a = NULL;
    struct lm_err err = { 0 };
    assert_int_equal(lm_audit_open_sized("broken", SEGMENT, 4, &a, &err), LM_EFORMAT);
    assert_non_null(strstr(err.text, "record 7 in 'broken/000003.log'"));
}

static void only_one_process_may_write(void **state)
{
    (void)state;
    make_log("held");
    struct lm_audit *a = open_log("held"), *b = NULL;
    assert_int_equal(lm_audit_open("held", &b, NULL), LM_EEXIST);
    lm_audit_close(a);
}

static void fields_that_would_break_the_line_are_refused(void **state)
{
    (void)state;
    lm_path_remove("fields", NULL);
    static const char *const bad[] = {
        "\"a\":1},{\"b\":2",
        "\"a\":1,\n\"b\":2",
        "\"seq\":5",
        "\"hash\":\"x\"",
        "\"a\":1,\"a\":2",
        "\"a\":",
        "a:1",
        "\"a\":1}",
        "\"\\u0073eq\":5",
        ",",
    };
    struct lm_audit *a = open_log("fields");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (lm_audit_append(a, "decision", lm_str(bad[i]), NULL, NULL) != LM_EINVAL)
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(lm_audit_append(a, "no \"word\"", LM_STR(""), NULL, NULL), LM_EINVAL);
    append(a, "\"a\":{\"seq\":1},\"b\":[\"\\n\",null]");
    lm_audit_close(a);
    assert_int_equal(verify("fields", LM_OK).records, 1);
}

enum { THREADS = 6, EACH = 30 };

static void *append_many(void *user)
{
    uint64_t last = 0;
    for (int i = 0; i < EACH; i++) {
        uint64_t seq = 0;
        if (lm_audit_append(user, "decision", LM_STR("\"n\":1"), &seq, NULL) != LM_OK || seq <= last)
            return user;
        last = seq;
    }
    return NULL;
}

static void threads_share_the_log(void **state)
{
    (void)state;
    lm_path_remove("threads", NULL);
    struct lm_audit *a = open_sized("threads", 8192, 50);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_many, a), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    verify("threads", LM_OK);   // while it is open
    lm_audit_close(a);
    assert_int_equal(verify("threads", LM_OK).records, THREADS * EACH);
}

/* Says on the pipe what is durable; is killed somewhere in between. */
static void append_until_killed(int pipe_fd)
{
    struct lm_audit *a = NULL;
    if (lm_audit_open_sized("killed", 4096, 8, &a, NULL) != LM_OK)
        _exit(1);
    for (;;) {
        uint64_t seq = 0;
        if (lm_audit_append(a, "decision", LM_STR("\"n\":1"), &seq, NULL) != LM_OK ||
            write(pipe_fd, &seq, sizeof(seq)) != sizeof(seq))
            _exit(1);
    }
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
    (void)state;
    lm_path_remove("killed", NULL);
    uint64_t acknowledged = 0;
    for (uint64_t round = 1; round <= 5; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            append_until_killed(ends[1]);
        close(ends[1]);
        uint64_t seq = 0;
        for (uint64_t i = 0; i < 11 * round && read(ends[0], &seq, sizeof(seq)) == sizeof(seq); i++)
            acknowledged = seq;
        kill(child, SIGKILL);
        while (read(ends[0], &seq, sizeof(seq)) == sizeof(seq))
            acknowledged = seq;
        close(ends[0]);
        waitpid(child, NULL, 0);

        struct lm_audit *a = NULL;
        assert_int_equal(lm_audit_open_sized("killed", 4096, 8, &a, NULL), LM_OK);
        lm_audit_close(a);
        assert_true(verify("killed", LM_OK).records >= acknowledged);
    }
    assert_true(acknowledged >= 55);
}

static enum lm_rc count_line(void *user, struct lm_str line, struct lm_err *err)
{
    uint64_t *count = user;
    char start[32];
    const int len = snprintf(start, sizeof(start), "{\"seq\":%" PRIu64 ",", ++*count);
    if (!lm_str_starts(line, (struct lm_str){ start, (size_t)len }))
        return lm_fail(err, LM_EFORMAT, "out of order");
    return *count == 5 ? LM_ESTOP : LM_OK;
}

static void a_scan_goes_in_order_and_stops_when_told(void **state)
{
    (void)state;
    make_log("scan");
    uint64_t count = 0;
    assert_int_equal(lm_audit_scan("scan", count_line, &count, NULL), LM_ESTOP);
    assert_int_equal(count, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_log_verifies_and_goes_on_after_reopening),
        cmocka_unit_test(an_empty_log_verifies),
        cmocka_unit_test(the_signing_key_is_private_and_stays_the_same),
        cmocka_unit_test(a_head_signed_by_another_key_is_not_the_pinned_one),
        cmocka_unit_test(any_flipped_byte_is_found_and_its_record_named),
        cmocka_unit_test(any_flipped_byte_of_the_head_is_found),
        cmocka_unit_test(every_cut_of_the_end_is_found),
        cmocka_unit_test(deletion_insertion_and_reordering_are_found),
        cmocka_unit_test(a_rewritten_chain_does_not_fit_the_signed_head),
        cmocka_unit_test(a_record_follows_in_number_and_in_hash),
        cmocka_unit_test(a_half_written_record_is_cut_off_and_said_so),
        cmocka_unit_test(a_broken_line_elsewhere_is_not_opened),
        cmocka_unit_test(only_one_process_may_write),
        cmocka_unit_test(fields_that_would_break_the_line_are_refused),
        cmocka_unit_test(threads_share_the_log),
        cmocka_unit_test(what_was_acknowledged_survives_kill_9),
        cmocka_unit_test(a_scan_goes_in_order_and_stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
