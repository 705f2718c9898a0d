#include "govern/audit_read.h"
#include "govern/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <unistd.h>

enum { HEAD_BYTES_MAX = 4096 };

enum lm_rc lm_audit_head_read(const char *dir, struct lm_audit_head *ret, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(dir, "head.json");
    struct lm_buf text = { 0 };
    enum lm_rc rc = lm_file_read(path, HEAD_BYTES_MAX, &text, err);
    if (rc == LM_OK) {
        const char *problem = lm_audit_head_check(lm_buf_str(&text), ret);
        if (problem)
            rc = lm_fail(err, LM_EFORMAT, "audit log: '%s' %s", path, problem);
    }
    lm_buf_release(&text);
    return rc;
}

/* The next line without its line feed; false when none is left that has one. */
static bool next_line(struct lm_str *rest, struct lm_str *ret)
{
    const char *lf = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
    if (!lf)
        return false;
    *ret = (struct lm_str){ rest->ptr, (size_t)(lf - rest->ptr) };
    *rest = (struct lm_str){ lf + 1, rest->len - ret->len - 1 };
    return true;
}

static const char *check_record(struct lm_str line, const struct lm_audit_head *head,
                                struct lm_audit_link *link)
{
    struct lm_audit_link next = *link;
    const char *problem = lm_audit_line_check(line, &next);
    if (!problem && next.seq == head->records && strcmp(next.hash, head->hash) != 0)
        problem = "is not the one that was signed";
    if (!problem)
        *link = next;
    return problem;
}

enum lm_rc lm_audit_segment_check(const char *dir, uint64_t number, const struct lm_audit_head *head,
                                  struct lm_audit_link *link, struct lm_map *map, size_t *ret_whole_bytes,
                                  struct lm_err *err)
{
    char name[LM_AUDIT_NAME];
    lm_audit_segment_name(number, name);
    LM_FREE char *path = lm_path_join(dir, name);
    LM_TRY(lm_map_open(map, path, err));

    struct lm_str rest = { map->ptr, map->len }, line;
    while (next_line(&rest, &line)) {
        const char *problem = check_record(line, head, link);
        if (problem)
            return lm_fail(err, LM_EFORMAT, "audit log: record %" PRIu64 " in '%s' %s", link->seq + 1, path,
                           problem);
    }
    *ret_whole_bytes = map->len - rest.len;
    return LM_OK;
}

/* ---- verify ---- */

/* True while a process has the log open for writing: then its last line may be on its way. */
static bool is_being_written(const char *dir)
{
    LM_FREE char *path = lm_path_join(dir, "lock");
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);   // and lets go
    return held;
}

static enum lm_rc verify_segments(const char *dir, const struct lm_audit_head *head, uint64_t count,
                                  struct lm_audit_link *link, struct lm_err *err)
{
    for (uint64_t number = 1; number <= count; number++) {
        struct lm_map map = { 0 };
        size_t whole = 0;
        enum lm_rc rc = lm_audit_segment_check(dir, number, head, link, &map, &whole, err);
        if (rc == LM_OK && whole < map.len && !(number == count && is_being_written(dir)))
            rc = lm_fail(err, LM_EFORMAT, "audit log: record %" PRIu64 " in '%s' is half written",
                         link->seq + 1, dir);
        if (rc == LM_OK && number < count && map.len == 0)
            rc = lm_fail(err, LM_EFORMAT,
                         "audit log: record %" PRIu64 " is missing: file %06" PRIu64 ".log in '%s' is empty",
                         link->seq + 1, number, dir);
        lm_map_close(&map);
        LM_TRY(rc);
    }
    if (link->seq < head->records)
        return lm_fail(err, LM_EFORMAT,
                       "audit log '%s': record %" PRIu64 " is missing: the signed head counts %" PRIu64, dir,
                       link->seq + 1, head->records);
    return LM_OK;
}

/* The head is read before the records: a log that grows meanwhile only gets longer than its head says. */
static enum lm_rc verify(const char *dir, const char *public_key_hex, struct lm_audit_report *report,
                         struct lm_err *err)
{
    struct lm_audit_head head;
    const enum lm_rc rc = lm_audit_head_read(dir, &head, err);
    if (rc == LM_ENOENT && lm_path_is_dir(dir))
        return lm_fail(err, LM_EFORMAT, "audit log '%s' has no head.json", dir);
    LM_TRY(rc);
    memcpy(report->public_key, head.public_key, sizeof(report->public_key));
    if (public_key_hex && strcmp(public_key_hex, head.public_key) != 0)
        return lm_fail(err, LM_EFORMAT, "audit log '%s' is signed by key %s, not by %s", dir, head.public_key,
                       public_key_hex);

    LM_TRY(lm_audit_segment_count(dir, &report->files, err));
    struct lm_audit_link link = lm_audit_link_start;
    const enum lm_rc checked = verify_segments(dir, &head, report->files, &link, err);
    report->records = link.seq;
    report->bad_seq = checked == LM_EFORMAT ? link.seq + 1 : 0;
    return checked;
}

enum lm_rc lm_audit_verify(const char *dir, const char *public_key_hex, struct lm_audit_report *ret,
                           struct lm_err *err)
{
    struct lm_err own = { 0 };
    struct lm_audit_report report = { 0 };
    const enum lm_rc rc = verify(dir, public_key_hex, &report, &own);
    snprintf(report.why, sizeof(report.why), "%.*s", (int)sizeof(report.why) - 1, own.text);
    *ret = report;   // also on failure: it says what is wrong
    return rc == LM_OK ? LM_OK : lm_fail(err, rc, "%s", own.text);
}

/* ---- scan ---- */

enum lm_rc lm_audit_scan(const char *dir,
                         enum lm_rc (*each)(void *user, struct lm_str line, struct lm_err *err), void *user,
                         struct lm_err *err)
{
    uint64_t count;
    LM_TRY(lm_audit_segment_count(dir, &count, err));
    for (uint64_t number = 1; number <= count; number++) {
        char name[LM_AUDIT_NAME];
        lm_audit_segment_name(number, name);
        LM_FREE char *path = lm_path_join(dir, name);
        struct lm_map map;
        LM_TRY(lm_map_open(&map, path, err));
        struct lm_str rest = { map.ptr, map.len }, line;
        enum lm_rc rc = LM_OK;
        while (rc == LM_OK && next_line(&rest, &line))
            rc = each(user, line, err);
        lm_map_close(&map);
        LM_TRY(rc);
    }
    return LM_OK;
}
