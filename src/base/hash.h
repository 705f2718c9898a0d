#ifndef LM_BASE_HASH_H
#define LM_BASE_HASH_H
/* base/hash.h - SHA-256 for identity (nettle, with SHA instructions where present), XXH3 for tables. */

#include "base/err.h"
#include "base/str.h"

#include <nettle/sha2.h>

enum { LM_SHA256_BYTES = 32, LM_SHA256_HEX = 65 };   // LM_SHA256_HEX counts the final NUL

struct lm_sha256 {
    struct sha256_ctx ctx;
};

void lm_sha256_init(struct lm_sha256 *h);
void lm_sha256_add(struct lm_sha256 *h, const void *bytes, size_t len);
/* Length-prefixed: two different sequences of fields never hash alike. */
void lm_sha256_add_field(struct lm_sha256 *h, struct lm_str field);
void lm_sha256_end(struct lm_sha256 *h, uint8_t ret[LM_SHA256_BYTES]);
void lm_sha256_end_hex(struct lm_sha256 *h, char ret[LM_SHA256_HEX]);

void lm_sha256_hex(struct lm_str bytes, char ret[LM_SHA256_HEX]);
enum lm_rc lm_sha256_file(const char *path, char ret[LM_SHA256_HEX], struct lm_err *err);

uint64_t lm_hash64(const void *bytes, size_t len);   // XXH3; stable across machines; not for adversaries

struct lm_hash64_stream;   // the same over pieces
struct lm_hash64_stream *lm_hash64_start(void);
void lm_hash64_add(struct lm_hash64_stream *h, const void *bytes, size_t len);
uint64_t lm_hash64_value(const struct lm_hash64_stream *h);   // of all so far
void lm_hash64_free(struct lm_hash64_stream *h);

#endif
