#ifndef LM_CORPUS_DOCUMENT_H
#define LM_CORPUS_DOCUMENT_H
/* corpus/document.h - one document record, and files of them (JSON Lines, plain, .gz or .zst).
 *
 * Keys, in the order they are written:
 *
 *     id              32 hex digits in everything loom writes; see lm_document_settle
 *     url title       strings
 *     content         string, required; on reading `text` is an alias for it
 *     media_type date_published author source license    strings
 *     labels          list of strings (or one string): partitions and topics; anything else is an error,
 *                     because access rules rest on them
 *     language        string
 *     attributes      object, kept as JSON: what loom measured and what it does not know
 *
 * Nothing is lost on reading: unknown keys, and known ones with a list or an object where a string is
 * expected, become attributes of the same name (the first of a name wins); numbers are taken as text; null
 * and
 * "" mean absent.  A known key that occurs twice is an error.  Writing is canonical: equal records, equal
 * bytes. */

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

enum { LM_DOCUMENT_ID = 33, LM_DOCUMENT_ATTRIBUTES_MAX = 1024 };

/* One line of JSON; `name` is for messages ("x.jsonl:12"). */
enum lm_rc lm_document_parse(struct lm_str line, const char *name, struct lm_arena *arena,
                             struct lm_document *ret, struct lm_err *err);
void lm_document_write(const struct lm_document *doc, struct lm_buf *ret);   // appends; no LF

/* The id of a record: first 32 hex digits of SHA-256 over (source name, path or record key in the source).
 * So a document keeps its id when its text is mended. */
void lm_document_id(struct lm_str source, struct lm_str key, char ret[LM_DOCUMENT_ID]);

/* Gives a record from outside an id of 32 hex digits.  One that has the form stays; another becomes
 * the attribute "source_id" and the key of a new id; without any, `place` ("x.jsonl:12") is the key. */
void lm_document_settle(struct lm_document *doc, struct lm_str source, struct lm_str place,
                        struct lm_arena *arena);

/* A key for tables of ids (corpus/seen.h). */
void lm_document_id_digest(struct lm_str id, uint8_t ret[32]);

/* Appends the attributes as an object that is still open ("{" and members), without those named, so that
 * the caller can add members of these names and close it.  `without` ends with NULL. */
void lm_document_attributes_open(struct lm_str attributes, const char *const *without, struct lm_buf *ret);

/* True for names in .jsonl, .jsonl.gz, .jsonl.zst. */
bool lm_document_is_records(struct lm_str name);

/* Iterates over record files in the order given.  A folder means its documents.jsonl, .jsonl.gz or .jsonl.zst
 * if there is one (a folder made by a stage), else all *.jsonl, *.jsonl.gz, *.jsonl.zst directly in it, by
 * name. "-" is standard input.
 * LM_ENOENT names a path without records.  A record without a source is of the source named like its file.
 * Ids are settled. */
struct lm_document_reader;
enum lm_rc lm_document_open(const char *const *paths, size_t count, struct lm_document_reader **ret,
                            struct lm_err *err);
/* LM_ENOTHING at the end.  The document is valid until the next call. */
enum lm_rc lm_document_next(struct lm_document_reader *r, struct lm_document *ret, struct lm_err *err);
/* The same, but the document lives in the arena: for batches. */
enum lm_rc lm_document_next_into(struct lm_document_reader *r, struct lm_arena *arena,
                                 struct lm_document *ret, struct lm_err *err);
void lm_document_close(struct lm_document_reader *r);   // NULL is fine

#endif
