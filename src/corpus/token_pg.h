#ifndef LM_CORPUS_TOKEN_PG_H
#define LM_CORPUS_TOKEN_PG_H
/* corpus/token_pg.h - the token table in PostgreSQL, in a schema named `loom`:
 *
 *     token(id, token, bytes, frequency)
 *     document(no, id, split, tokens, token_ids)          token_ids: int[], the text in tokens
 *     posting(token_id, first_document, documents, counts)  bigint[] and int[], side by side
 *     token_document(token_id, document_no, frequency)    view: the postings one by one
 *     token_table(token_id, token, frequency, document_ids)  view: document_ids is text[]
 *     phrase(int[])                                       function: documents where these ids stand together
 *     vocabulary(sha256), load(...)                       whose tokens they are; what was loaded, and how far
 *
 * Documents are numbered through all loads.  A load is one tokens.db with the shards beside it; further ones,
 * of the same tokenizer and other documents, are added.  It goes in by COPY in steps, each a transaction that
 * also notes how far it came: after any interruption the same call goes on behind the last step that the
 * server has kept, so that nothing is there twice and nothing is missing.  Frequencies are added in the last
 * step. */

#include "base/err.h"
#include "corpus/token_table.h"

extern const char lm_token_pg_schema[];   // makes what is not there

struct lm_pg_load {
    uint64_t documents, postings;   // written by this call
    bool resumed;                   // an earlier call had begun
};

/* LM_EIO: the server went away, call again.  LM_EEXIST: this tokens.db is in already, somebody else is
 * loading, or one of its documents came with another load (then nothing of this one stays).  LM_EINVAL: the
 * table holds tokens of another tokenizer. */
enum { LM_PG_STEP_BYTES = 8 << 20 };   // a good size of a step
enum lm_rc lm_token_pg_load(const char *db_path, const char *where, size_t step_bytes, struct lm_pg_load *ret,
                            struct lm_err *err);

/* What lm_token_find and lm_token_phrases say, from the server; documents come with their ids. */
struct lm_pg_hits {
    struct lm_buf ids;   // terminated, one behind the other
    struct lm_phrase_hits hits;
};
enum lm_rc lm_token_pg_find(const char *where, const char *text, struct lm_pg_hits *ret, struct lm_err *err);
enum lm_rc lm_token_pg_phrases(const char *where, const struct lm_phrase *phrases, size_t count,
                               struct lm_pg_hits *ret, struct lm_err *err);
void lm_pg_hits_release(struct lm_pg_hits *h);

#endif
