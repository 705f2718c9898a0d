#ifndef LM_CORPUS_SHARD_FORMAT_H
#define LM_CORPUS_SHARD_FORMAT_H
/* corpus/shard_format.h - the layout of shard.h, for its reader and its writer. */

#include <stddef.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "shards are read in place");

enum { SHARD_ID = 32, SHARD_FIELDS = 8 + 8 + SHARD_ID + 4 };   // bytes of one document, behind the tokens
#define SHARD_MAGIC "LOOMTOK2"

struct shard_header {
    char magic[8];
    uint32_t token_bytes, vocab_size;
    uint64_t token_count, document_count, text_bytes;
    uint8_t tokenizer_sha256[32];
    uint32_t source_count, name_bytes;
    uint64_t hash;
};
_Static_assert(sizeof(struct shard_header) == 88, "as in shard.h");

static inline uint32_t shard_width(uint32_t vocab_size)
{
    return vocab_size <= 1 << 16 ? 2 : 4;
}

/* Bytes to add behind the tokens so that what follows is aligned. */
static inline size_t shard_padding(uint64_t token_bytes)
{
    return (8 - token_bytes % 8) % 8;
}

#endif
