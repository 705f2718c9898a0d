#ifndef LM_GOVERN_AUDIT_H
#define LM_GOVERN_AUDIT_H
/* govern/audit.h - append-only, hash-chained log: no answer byte leaves before its record is durable.
 *
 * audit/000001.log, ... : one record a line, canonical JSON, of the form
 *     {"seq":N,"time":"...","prev":"<sha-256 of the previous line>","type":"decision",...fields...,"hash":"..."}
 * hash = SHA-256 over the line up to (and without) ,"hash":  so that the line can be checked by itself, prev
 * chains lines and files.  A signed head (Ed25519, audit/head.json) is rewritten every HEAD_EVERY records and at
 * close, so that cutting the end off is seen, too.
 *
 * Threads: lm_audit_append may be called from any; concurrent appends share one fsync (group commit). */

#include "base/err.h"
#include "base/str.h"

struct lm_audit;

enum { LM_AUDIT_RECORD_MAX = 1 << 20, LM_AUDIT_HEAD_EVERY = 256 };

/* Verifies the tail and goes on from it.  LM_EEXIST when another process holds the log. */
enum lm_rc lm_audit_open(const char *dir, struct lm_audit **ret, struct lm_err *err);
void lm_audit_close(struct lm_audit *a);

/* `fields`: the inside of a JSON object without braces, e.g. "user":"u-1","rule":"A"; durable on LM_OK. */
enum lm_rc lm_audit_append(struct lm_audit *a, const char *type, struct lm_str fields, uint64_t *ret_seq,
                           struct lm_err *err);

struct lm_audit_report {
    uint64_t records, files;
    uint64_t bad_seq;      // first broken record (its expected number), 0 if none
    char why[256];
};

/* Needs no server and no key but the public one in head.json (pinned by `public_key_hex` when not NULL).
 * LM_EFORMAT with the record named when anything was changed, cut, inserted or reordered. */
enum lm_rc lm_audit_verify(const char *dir, const char *public_key_hex, struct lm_audit_report *ret,
                           struct lm_err *err);

/* Calls `each` for every record line in order; stops when it returns not LM_OK. */
enum lm_rc lm_audit_scan(const char *dir, enum lm_rc (*each)(void *user, struct lm_str line, struct lm_err *err),
                         void *user, struct lm_err *err);

#endif
