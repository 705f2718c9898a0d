#include "base/line.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum { GZIP_LEVEL = 6, ZSTD_LEVEL = 3, CHUNK = 128 << 10 };

/* Equal lines make an equal file: one thread, fixed levels, no name and no time in the gzip header (zlib
 * writes 0 unless told otherwise), and the compressor is fed in chunks of fixed size. */
struct lm_line_writer {
    struct lm_writer file;
    bool gzip_on;
    z_stream gzip;
    ZSTD_CCtx *zstd;   // NULL: not zstd
    char *pending;     // text not yet compressed
    size_t pending_len;
    char *packed;
};

enum lm_rc lm_line_create(const char *path, struct lm_line_writer **ret, struct lm_err *err)
{
    struct lm_line_writer *w = lm_zalloc(1, sizeof(*w));
    const enum lm_rc rc = lm_writer_open(&w->file, path, err);
    if (rc != LM_OK) {
        free(w);
        return rc;
    }
    if (lm_str_ends(lm_str(path), LM_STR(".gz"))) {
        LM_ASSERT(deflateInit2(&w->gzip, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
        w->gzip_on = true;
    } else if (lm_str_ends(lm_str(path), LM_STR(".zst"))) {
        LM_ASSERT(w->zstd = ZSTD_createCCtx());
        LM_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)));
        LM_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1)));
    }
    w->pending = lm_alloc(CHUNK);
    w->packed = lm_alloc(CHUNK);
    *ret = w;
    return LM_OK;
}

static void put(struct lm_line_writer *w, const char *bytes, size_t len)
{
    fwrite(bytes, 1, len, w->file.stream);   // an error stays in the stream, for ferror and commit
}

static void pack_gzip(struct lm_line_writer *w, bool last)
{
    w->gzip.next_in = (Bytef *)w->pending;
    w->gzip.avail_in = (uInt)w->pending_len;
    do {
        w->gzip.next_out = (Bytef *)w->packed;
        w->gzip.avail_out = CHUNK;
        LM_ASSERT(deflate(&w->gzip, last ? Z_FINISH : Z_NO_FLUSH) != Z_STREAM_ERROR);
        put(w, w->packed, CHUNK - w->gzip.avail_out);
    } while (w->gzip.avail_out == 0);
    LM_ASSERT(w->gzip.avail_in == 0);
}

static void pack_zstd(struct lm_line_writer *w, bool last)
{
    ZSTD_inBuffer from = { w->pending, w->pending_len, 0 };
    size_t left;
    do {
        ZSTD_outBuffer to = { w->packed, CHUNK, 0 };
        left = ZSTD_compressStream2(w->zstd, &to, &from, last ? ZSTD_e_end : ZSTD_e_continue);
        LM_ASSERT(!ZSTD_isError(left));
        put(w, w->packed, to.pos);
    } while (from.pos < from.size || (last && left));
}

static void flush(struct lm_line_writer *w, bool last)
{
    if (w->gzip_on)
        pack_gzip(w, last);
    else if (w->zstd)
        pack_zstd(w, last);
    else
        put(w, w->pending, w->pending_len);
    w->pending_len = 0;
}

static void add(struct lm_line_writer *w, const char *bytes, size_t len)
{
    while (len) {
        const size_t room = CHUNK - w->pending_len;
        const size_t part = len < room ? len : room;
        memcpy(w->pending + w->pending_len, bytes, part);
        w->pending_len += part;
        bytes += part;
        len -= part;
        if (w->pending_len == CHUNK)
            flush(w, false);
    }
}

enum lm_rc lm_line_add(struct lm_line_writer *w, struct lm_str line, struct lm_err *err)
{
    LM_DASSERT(line.len == 0 || !memchr(line.ptr, '\n', line.len));

    add(w, line.ptr, line.len);
    add(w, "\n", 1);
    if (ferror(w->file.stream))
        return lm_fail(err, LM_EIO, "cannot write '%s' (is the disk full?)", w->file.path);
    return LM_OK;
}

static void release(struct lm_line_writer *w)
{
    if (w->gzip_on)
        deflateEnd(&w->gzip);
    ZSTD_freeCCtx(w->zstd);
    free(w->pending);
    free(w->packed);
    free(w);
}

enum lm_rc lm_line_commit(struct lm_line_writer *w, struct lm_err *err)
{
    flush(w, true);
    const enum lm_rc rc = lm_writer_commit(&w->file, err);
    release(w);
    return rc;
}

void lm_line_abort(struct lm_line_writer *w)
{
    if (!w)
        return;
    lm_writer_abort(&w->file);
    release(w);
}
