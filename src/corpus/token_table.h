#ifndef LM_CORPUS_TOKEN_TABLE_H
#define LM_CORPUS_TOKEN_TABLE_H
/* corpus/token_table.h - tokens.db: which token occurs how often in which document.
 *
 *     token(id, token, bytes, frequency)       token: for the eye; bytes: exact
 *     document(no, id, split, tokens, place)   in the order they were encoded
 *     posting(token_id, first_document, documents)
 *     heldout(bits)
 *     token_document(token_id, document_no, frequency)        view: the postings one by one
 *     token_table(token_id, token, frequency, document_ids)   view
 *
 * document.place is the number in the shard of its split.  posting.documents is a block of up to 1024
 * documents with their counts, as corpus/postings.h describes; the view token_document takes blocks apart in
 * plain SQL, which takes some 20 us a row: for frequent tokens ask loom, or the table in PostgreSQL.
 * heldout.bits is one row: bit no % 8 of byte no / 8 says that a document is held out.
 *
 * Documents containing a token:
 *
 *     SELECT d.id FROM token t JOIN token_document td ON td.token_id = t.id
 *     JOIN document d ON d.no = td.document_no WHERE t.token = ' SELECT';
 *
 * The table is written as documents come; what is held in memory does not grow with their number. */

#include "token/tokenizer.h"

enum { LM_TABLE_ENTRIES_MAX = 8 << 20 };   // postings held in memory, 24 bytes each while they are sorted

struct lm_token_table;

/* Writes to "<path>.part" until lm_token_table_commit: the table is there whole or not at all. */
enum lm_rc lm_token_table_new(const struct lm_tokenizer *t, const char *path, struct lm_token_table **ret,
                              struct lm_err *err);
void lm_token_table_free(struct lm_token_table *table);   // removes what was not committed; NULL is fine

/* Counts the tokens of the next document; place: its number in the shard of `split`. */
enum lm_rc lm_token_table_add(struct lm_token_table *table, struct lm_str document_id, const char *split,
                              uint64_t place, const uint32_t *tokens, size_t count, struct lm_err *err);

/* Equal content gives equal bytes. */
enum lm_rc lm_token_table_commit(struct lm_token_table *table, struct lm_err *err);

/* Writes schema.cql and the files that it loads into a database that speaks CQL: token_cql.c. */
enum lm_rc lm_token_cql(const char *db_path, const char *out_dir, struct lm_err *err);

/* ---- asking: token_phrase.c ---- */

struct lm_phrase_hits {
    uint64_t *documents;   // their numbers, ascending
    uint64_t *counts;      // how often the phrase stands in each
    size_t len, cap;
};

/* Documents that hold a token of this text (token.token), ascending. */
enum lm_rc lm_token_find(const char *db_path, const char *text, struct lm_phrase_hits *ret,
                         struct lm_err *err);

/* Documents that hold the tokens of one of the phrases one after the other, ascending; the counts of several
 * phrases are added.  Candidates come from the postings, the rarest token first; whether the tokens stand
 * together is read from the shards beside the database. */
struct lm_phrase {
    const uint32_t *ids;
    size_t count;   // >= 1
};
enum lm_rc lm_token_phrases(const char *db_path, const struct lm_phrase *phrases, size_t count,
                            struct lm_phrase_hits *ret, struct lm_err *err);
enum lm_rc lm_token_phrase(const char *db_path, const uint32_t *ids, size_t count, struct lm_phrase_hits *ret,
                           struct lm_err *err);                                         // one
void lm_phrase_hits_put(struct lm_phrase_hits *h, uint64_t document, uint64_t count);   // appends
void lm_phrase_hits_release(struct lm_phrase_hits *h);

#endif
