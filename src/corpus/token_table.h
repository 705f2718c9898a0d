#ifndef LM_CORPUS_TOKEN_TABLE_H
#define LM_CORPUS_TOKEN_TABLE_H
/* corpus/token_table.h - tokens.db: which token occurs how often in which document.
 *
 *     token(id, token, bytes, frequency)                   token: for the eye; bytes: exact
 *     document(no, id, split, tokens)                      in the order they were encoded
 *     token_document(token_id, document_no, frequency)     keyed by both, so a token's documents lie together
 *     token_table(token_id, token, frequency, document_ids)   view
 *
 * Documents containing a token:
 *
 *     SELECT d.id FROM token t JOIN token_document td ON td.token_id = t.id
 *     JOIN document d ON d.no = td.document_no WHERE t.token = ' SELECT'; */

#include "token/tokenizer.h"

enum { LM_TABLE_ENTRIES_MAX = 256 << 20 };   // (token, document) pairs held in memory, 12 bytes each

struct lm_token_table;

struct lm_token_table *lm_token_table_new(const struct lm_tokenizer *t);
void lm_token_table_free(struct lm_token_table *table);   // NULL is fine

/* Counts the tokens of the next document; `split` is a static string.  Sorts `tokens` in place. */
enum lm_rc lm_token_table_add(struct lm_token_table *table, struct lm_str document_id, const char *split,
                              uint32_t *tokens, size_t count, struct lm_err *err);

/* Writes the database, whole or not at all.  Equal content gives equal bytes. */
enum lm_rc lm_token_table_write(struct lm_token_table *table, const char *path, struct lm_err *err);

#endif
