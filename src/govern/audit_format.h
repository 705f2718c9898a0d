#ifndef LM_GOVERN_AUDIT_FORMAT_H
#define LM_GOVERN_AUDIT_FORMAT_H
/* govern/audit_format.h - the bytes of the audit log: record lines, the signed head, file names.
 *
 * One writer and one checker for each form, here and nowhere else.  No files, no clock, no lock. */

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "base/sys.h"

#include <sodium/crypto_sign_ed25519.h>

#define LM_AUDIT_HASH_ZERO "0000000000000000000000000000000000000000000000000000000000000000"

/* Where the chain stands: number and hash of the newest record. */
struct lm_audit_link {
    uint64_t seq;   // 0: no record yet
    char hash[LM_SHA256_HEX];
};
extern const struct lm_audit_link lm_audit_link_start;

/* LM_EINVAL unless type is a plain word and fields the inside of a JSON object without our own keys. */
enum lm_rc lm_audit_fields_check(const char *type, struct lm_str fields, struct lm_err *err);

/* Appends the record after *link, with its line feed, and moves the link on. */
void lm_audit_line_add(struct lm_buf *buf, struct lm_audit_link *link, const char time[LM_TIME_TEXT],
                       const char *type, struct lm_str fields);

/* NULL when the line (without line feed) is the record after *link, which moves on; otherwise what is wrong.
 */
const char *lm_audit_line_check(struct lm_str line, struct lm_audit_link *link);

/* The link a line claims to be, checked against nothing but its own hash. */
const char *lm_audit_line_link(struct lm_str line, struct lm_audit_link *ret);

struct lm_audit_head {
    uint64_t records;
    char hash[LM_SHA256_HEX];   // of record number `records`
    char time[LM_TIME_TEXT];
    char public_key[2 * crypto_sign_ed25519_PUBLICKEYBYTES + 1];   // hex
};

void lm_audit_head_add(struct lm_buf *buf, const struct lm_audit_head *head,
                       const uint8_t secret_key[crypto_sign_ed25519_SECRETKEYBYTES]);

/* NULL when the text is a head, byte for byte as lm_audit_head_add writes it, and signed by the key in it. */
const char *lm_audit_head_check(struct lm_str text, struct lm_audit_head *ret);

/* "000001.log" */
enum { LM_AUDIT_NAME = 16 };
void lm_audit_segment_name(uint64_t number, char ret[LM_AUDIT_NAME]);

/* Number of the newest file; LM_EFORMAT when one in between is missing.  0: none. */
enum lm_rc lm_audit_segment_count(const char *dir, uint64_t *ret, struct lm_err *err);

#endif
