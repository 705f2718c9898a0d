#ifndef LM_BASE_LINE_H
#define LM_BASE_LINE_H
/* base/line.h - lines of a plain, .gz or .zst file, and the matching writer.
 *
 * The compression is told by the first bytes, not by the name.  A damaged or cut stream is LM_EFORMAT with
 * the offset; a line longer than line_bytes_max is LM_ELIMIT with its number.  CR LF counts as LF. */

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"

struct lm_line_reader;

enum { LM_LINE_BYTES_MAX = 256 << 20 };   // default ceiling for one line

/* path "-" is standard input.  line_bytes_max 0 = LM_LINE_BYTES_MAX. */
enum lm_rc lm_line_open(const char *path, size_t line_bytes_max, struct lm_line_reader **ret,
                        struct lm_err *err);

/* *ret borrows until the next call, without the line end.  LM_ENOTHING at the end of the file (err
 * untouched). */
enum lm_rc lm_line_next(struct lm_line_reader *r, struct lm_str *ret, struct lm_err *err);
uint64_t lm_line_number(const struct lm_line_reader *r);       // of the line last returned, from 1
uint64_t lm_line_bytes_read(const struct lm_line_reader *r);   // compressed bytes consumed, for progress
void lm_line_close(struct lm_line_reader *r);                  // NULL is fine

/* Writes whole or absent, like lm_writer; compresses when the path ends in .gz or .zst. */
struct lm_line_writer;

enum lm_rc lm_line_create(const char *path, struct lm_line_writer **ret, struct lm_err *err);
enum lm_rc lm_line_add(struct lm_line_writer *w, struct lm_str line, struct lm_err *err);   // adds the LF
enum lm_rc lm_line_commit(struct lm_line_writer *w, struct lm_err *err);   // frees w in every case
void lm_line_abort(struct lm_line_writer *w);                              // NULL is fine; frees w

#endif
