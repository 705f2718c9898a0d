#ifndef LM_CORPUS_SHARD_H
#define LM_CORPUS_SHARD_H
/* corpus/shard.h - token shards: memory-mapped token ids with document boundaries.
 *
 * Little endian.  Offsets are 64 bit everywhere.
 *
 *     offset  size  field
 *     0       8     magic "LOOMTOK2"
 *     8       4     token width in bytes: 2 or 4
 *     12      4     vocabulary size
 *     16      8     token count N
 *     24      8     document count D
 *     32      8     text bytes the tokens stand for (for bits per byte)
 *     40      32    SHA-256 of the tokenizer.json that made them
 *     72      4     source count S
 *     76      4     bytes of the sources' names
 *     80      8     XXH3 of everything behind the header: damage is found, forgery is the manifest's matter
 *     88      N*w   token ids; every document ends with the end-of-text token; padded to 8 bytes
 *     ...     D*8   document ends, in tokens (cumulative)
 *     ...     D*8   text bytes per document
 *     ...     D*32  document ids, 32 hex digits each
 *     ...     D*4   source of each document, numbered by first appearance
 *     ...           names of the sources, each with its final NUL; none is empty or there twice */

#include "base/err.h"
#include "base/file.h"

#include <string.h>

struct lm_shard {
    struct lm_map map;
    uint32_t token_bytes, vocab_size;
    uint64_t token_count, document_count, text_bytes;
    uint8_t tokenizer_sha256[32];
    const void *tokens;                 // uint16_t or uint32_t by token_bytes
    const uint64_t *ends, *doc_bytes;   // [document_count]
    const char *ids;                    // [document_count][32], not terminated
    const uint32_t *sources;            // [document_count]
    uint32_t source_count;
    const char *names;   // of the sources, one behind the other
};

enum lm_rc lm_shard_open(struct lm_shard *shard, const char *path,
                         struct lm_err *err);   // checks everything, every token id too
/* For looking at a few documents: the header is checked, ends and ids are not; whoever reads them must. */
enum lm_rc lm_shard_open_header(struct lm_shard *shard, const char *path, struct lm_err *err);
void lm_shard_close(struct lm_shard *shard);

/* Copies tokens [at, at + count) widened to 32 bit; the range must lie in the shard. */
void lm_shard_get(const struct lm_shard *shard, uint64_t at, size_t count, uint32_t *ret);
uint64_t lm_shard_doc_start(const struct lm_shard *shard, uint64_t document);
uint64_t lm_shard_doc_at(const struct lm_shard *shard, uint64_t token);   // document that holds the token
/* The first of rising ends that lies behind `at`; there is one. */
uint64_t lm_ends_find(const uint64_t *ends, uint64_t count, uint64_t at);

/* The name behind this one; start with shard->names. */
static inline const char *lm_shard_next_name(const char *name)
{
    return name + strlen(name) + 1;
}

struct lm_shard_document {
    struct lm_str id;       // 32 hex digits
    struct lm_str source;   // name of the collection it belongs to, not empty
    uint64_t text_bytes;
    const uint32_t *tokens;
    size_t count;
};

struct lm_shard_writer;
enum lm_rc lm_shard_create(const char *path, uint32_t vocab_size, const uint8_t tokenizer_sha256[32],
                           struct lm_shard_writer **ret, struct lm_err *err);
enum lm_rc lm_shard_add(struct lm_shard_writer *w, const struct lm_shard_document *document,
                        struct lm_err *err);
enum lm_rc lm_shard_commit(struct lm_shard_writer *w, struct lm_err *err);   // frees w in every case
void lm_shard_abort(struct lm_shard_writer *w);

#endif
