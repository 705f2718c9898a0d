/* The audit log: whatever the bytes of a log file and of its head are, verifying gives a verdict.  A file
 * that verifies has as many records as lines, is opened, takes one more, and verifies again; one that does
 * not is opened only if nothing but a half-written end is wrong with it. */

#include "base/file.h"
#include "govern/audit.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/loom-fuzz-audit-XXXXXX";

static void write_file(const char *name, struct lm_str text)
{
    LM_FREE char *path = lm_path_join(dir, name);
    FILE *file = fopen(path, "wb");
    LM_ASSERT(file);
    fwrite(text.ptr, 1, text.len, file);
    LM_ASSERT(fclose(file) == 0);
}

static void remove_log(void)
{
    (void)lm_path_remove(dir, NULL);
}

/* A log without records: its head is signed and says so. */
static void make_empty_log(struct lm_buf *ret_head)
{
    LM_ASSERT(mkdtemp(dir) && atexit(remove_log) == 0);
    struct lm_audit *a = NULL;
    LM_ASSERT(lm_audit_open(dir, &a, NULL) == LM_OK);
    lm_audit_close(a);
    LM_FREE char *path = lm_path_join(dir, "head.json");
    LM_ASSERT(lm_file_read(path, 4096, ret_head, NULL) == LM_OK);
}

static uint64_t count_lines(struct lm_str text)
{
    uint64_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '\n';
    return count;
}

static void check_goes_on(uint64_t records, bool verified)
{
    struct lm_audit_report report;
    struct lm_audit *a = NULL;
    struct lm_err err = { 0 };
    if (lm_audit_open(dir, &a, &err) != LM_OK) {
        LM_ASSERT(!verified && err.text[0]);
        return;
    }
    uint64_t seq = 0;
    LM_ASSERT(lm_audit_append(a, "fuzz", LM_STR(""), &seq, NULL) == LM_OK);
    lm_audit_close(a);
    LM_ASSERT(lm_audit_verify(dir, NULL, &report, NULL) == LM_OK);
    LM_ASSERT(report.records == seq && seq == records + (verified ? 1 : 2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lm_buf head;
    if (!head.len)
        make_empty_log(&head);
    const struct lm_str text = { (const char *)data, size };
    struct lm_audit_report report;
    struct lm_err err = { 0 };

    write_file("head.json", text);
    write_file("000001.log", LM_STR(""));
    LM_ASSERT(lm_audit_verify(dir, NULL, &report, &err) != LM_OK || lm_str_eq(text, lm_buf_str(&head)));

    write_file("head.json", lm_buf_str(&head));
    write_file("000001.log", text);
    const bool verified = lm_audit_verify(dir, NULL, &report, &err) == LM_OK;
    if (verified)
        LM_ASSERT(report.records == count_lines(text) && report.bad_seq == 0);
    else
        LM_ASSERT(report.why[0] && report.bad_seq == report.records + 1);
    check_goes_on(report.records, verified);
    return 0;
}
