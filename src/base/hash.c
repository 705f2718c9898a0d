#define XXH_INLINE_ALL
#include "base/hash.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

void lm_sha256_init(struct lm_sha256 *h)
{
    sha256_init(&h->ctx);
}

void lm_sha256_add(struct lm_sha256 *h, const void *bytes, size_t len)
{
    if (len)
        sha256_update(&h->ctx, len, bytes);
}

void lm_sha256_add_field(struct lm_sha256 *h, struct lm_str field)
{
    uint8_t len[8];   // little-endian
    for (size_t i = 0; i < sizeof(len); i++)
        len[i] = (uint8_t)((uint64_t)field.len >> (8 * i));
    lm_sha256_add(h, len, sizeof(len));
    lm_sha256_add(h, field.ptr, field.len);
}

void lm_sha256_end(struct lm_sha256 *h, uint8_t ret[LM_SHA256_BYTES])
{
    sha256_digest(&h->ctx, LM_SHA256_BYTES, ret);
}

void lm_sha256_end_hex(struct lm_sha256 *h, char ret[LM_SHA256_HEX])
{
    uint8_t digest[LM_SHA256_BYTES];
    lm_sha256_end(h, digest);
    lm_hex(digest, sizeof(digest), ret);
}

void lm_sha256_hex(struct lm_str bytes, char ret[LM_SHA256_HEX])
{
    struct lm_sha256 h;
    lm_sha256_init(&h);
    lm_sha256_add(&h, bytes.ptr, bytes.len);
    lm_sha256_end_hex(&h, ret);
}

enum lm_rc lm_sha256_file(const char *path, char ret[LM_SHA256_HEX], struct lm_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return lm_fail_errno(err, errno == ENOENT ? LM_ENOENT : LM_EIO, "cannot open '%s'", path);
    struct lm_sha256 h;
    lm_sha256_init(&h);
    enum lm_rc rc = LM_OK;
    for (;;) {
        char chunk[64 << 10];
        const ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            rc = lm_fail_errno(err, LM_EIO, "cannot read '%s'", path);
            break;
        }
        lm_sha256_add(&h, chunk, (size_t)got);
    }
    close(fd);
    if (rc == LM_OK)
        lm_sha256_end_hex(&h, ret);
    return rc;
}

uint64_t lm_hash64(const void *bytes, size_t len)
{
    return XXH3_64bits(bytes, len);
}

struct lm_hash64_stream {
    XXH3_state_t *state;
};

struct lm_hash64_stream *lm_hash64_start(void)
{
    struct lm_hash64_stream *h = lm_alloc(sizeof(*h));
    h->state = XXH3_createState();
    LM_ASSERT(h->state);
    XXH3_64bits_reset(h->state);
    return h;
}

void lm_hash64_add(struct lm_hash64_stream *h, const void *bytes, size_t len)
{
    XXH3_64bits_update(h->state, bytes, len);
}

uint64_t lm_hash64_value(const struct lm_hash64_stream *h)
{
    return XXH3_64bits_digest(h->state);
}

void lm_hash64_free(struct lm_hash64_stream *h)
{
    if (!h)
        return;
    XXH3_freeState(h->state);
    free(h);
}
