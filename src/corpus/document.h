#ifndef LM_CORPUS_DOCUMENT_H
#define LM_CORPUS_DOCUMENT_H
/* corpus/document.h - one document record, and files of them (JSON Lines, plain, .gz or .zst).
 *
 * Keys: id, url, title, content (alias on reading: text), media_type, date_published, author, source, license,
 * labels (list of strings), language, attributes (object, kept as JSON).  Unknown keys are kept in attributes.
 * The id is stable: first 32 hex digits of SHA-256 over (source name, path or record key in the source). */

#include "base/err.h"
#include "base/json.h"
#include "base/line.h"
#include "base/mem.h"
#include "base/str.h"

/* Borrows from the line or lives in the arena it was read into.  Absent strings are empty. */
struct lm_document {
    struct lm_str id, url, title, content, media_type, date_published, author, source, license, language;
    const struct lm_str *labels;
    size_t label_count;
    struct lm_str attributes;   // JSON object text, "" when absent
};

enum { LM_DOCUMENT_ID = 33 };

/* One line of JSON; `name` is for messages ("x.jsonl:12"). */
enum lm_rc lm_document_parse(struct lm_str line, const char *name, struct lm_arena *arena, struct lm_document *ret,
                             struct lm_err *err);
void lm_document_write(const struct lm_document *doc, struct lm_buf *ret);   // canonical key order, no LF
void lm_document_id(struct lm_str source, struct lm_str key, char ret[LM_DOCUMENT_ID]);

/* Iterates over one or more record files in the order given; folders mean their *.jsonl, *.jsonl.gz,
 * *.jsonl.zst files in name order. */
struct lm_document_reader;
enum lm_rc lm_document_open(const char *const *paths, size_t count, struct lm_document_reader **ret,
                            struct lm_err *err);
/* LM_ENOTHING at the end.  The document is valid until the next call. */
enum lm_rc lm_document_next(struct lm_document_reader *r, struct lm_document *ret, struct lm_err *err);
void lm_document_close(struct lm_document_reader *r);

#endif
