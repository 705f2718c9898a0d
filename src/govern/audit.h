#ifndef LM_GOVERN_AUDIT_H
#define LM_GOVERN_AUDIT_H
/* govern/audit.h - append-only, hash-chained log: no answer byte leaves before its record is durable.
 *
 * audit/000001.log, ... : one record a line, canonical JSON, of the form
 *     {"seq":N,"time":"...","prev":"<hash of record N-1>","type":"decision",...fields...,"hash":"<own hash>"}
 * hash = SHA-256 over the line up to (and without) ,"hash": so that a line can be checked by itself; prev
 * chains lines and files (64 zeros before the first).  A head signed with Ed25519 (audit/head.json) names the
 * newest record; it is rewritten every LM_AUDIT_HEAD_EVERY records, with the first record after
 * LM_AUDIT_HEAD_MS, and at close, so that cutting the end off is seen, too.  What this protects against, and
 * what not: README.md.
 *
 * Threads: lm_audit_append may be called from any; concurrent appends share one fsync (group commit). */

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

struct lm_audit;

enum {
    LM_AUDIT_RECORD_MAX = 1 << 20,     // bytes of a line
    LM_AUDIT_SEGMENT_MAX = 64 << 20,   // bytes of a file, unless one record alone is longer
    LM_AUDIT_HEAD_EVERY = 256,
    LM_AUDIT_HEAD_MS = 10000,
};

/* Checks the newest file and goes on from its end.  A half-written last line (kill -9, power) is cut off,
 * which a record of type "recovered" then says; any other damage is LM_EFORMAT, naming file and record.
 * LM_EEXIST when another process holds the log.  The signing key is made on first open. */
enum lm_rc lm_audit_open(const char *dir, struct lm_audit **ret, struct lm_err *err);
enum lm_rc lm_audit_open_sized(const char *dir, uint64_t segment_bytes_max, uint64_t head_every,
                               struct lm_audit **ret, struct lm_err *err);
void lm_audit_close(struct lm_audit *a);   // NULL is fine; no append may be running

/* `fields`: the inside of a JSON object without braces, e.g. "user":"u-1","rule":"A"; LM_EINVAL when it is
 * not, or names one of our own keys.  Durable on LM_OK.  After a write error the log takes no more until
 * reopened. */
enum lm_rc lm_audit_append(struct lm_audit *a, const char *type, struct lm_str fields, uint64_t *ret_seq,
                           struct lm_err *err);

struct lm_audit_report {
    uint64_t records, files;
    uint64_t bad_seq;   // first broken record (its expected number); 0: none, or the head itself is broken
    char why[256];
    char public_key[LM_SHA256_HEX];   // of head.json, in hex; to be pinned
};

/* Needs no server and no key but the public one in head.json (pinned by `public_key_hex` when not NULL).
 * LM_EFORMAT with the record named when anything was changed, cut, inserted or reordered. */
enum lm_rc lm_audit_verify(const char *dir, const char *public_key_hex, struct lm_audit_report *ret,
                           struct lm_err *err);

/* Calls `each` for every record line in order, without checking; stops when it returns not LM_OK. */
enum lm_rc lm_audit_scan(const char *dir,
                         enum lm_rc (*each)(void *user, struct lm_str line, struct lm_err *err), void *user,
                         struct lm_err *err);

#endif
