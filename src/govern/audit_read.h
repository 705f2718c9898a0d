#ifndef LM_GOVERN_AUDIT_READ_H
#define LM_GOVERN_AUDIT_READ_H
/* govern/audit_read.h - what opening and verifying the audit log have in common. */

#include "base/file.h"
#include "govern/audit_format.h"

/* LM_ENOENT when there is none; LM_EFORMAT when it was changed. */
enum lm_rc lm_audit_head_read(const char *dir, struct lm_audit_head *ret, struct lm_err *err);

/* Checks file `number` line by line: each must follow from *link, which moves on, and the record the head
 * names must be the one the head means.  On LM_EFORMAT the broken record is link->seq + 1.  *ret_whole_bytes
 * is the length up to the last line feed: what follows it is a half-written record. */
enum lm_rc lm_audit_segment_check(const char *dir, uint64_t number, const struct lm_audit_head *head,
                                  struct lm_audit_link *link, struct lm_map *map, size_t *ret_whole_bytes,
                                  struct lm_err *err);

#endif
