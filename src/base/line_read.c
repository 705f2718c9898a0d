#include "base/line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum packing { PLAIN, GZIP, ZSTD };

enum { INPUT_BYTES = 256 << 10, OUTPUT_BYTES = 256 << 10 };

struct lm_line_reader {
    char *path;
    int fd;
    enum packing packing;
    size_t line_bytes_max;
    uint64_t number;

    /* Bytes of the file, as they are: input[input_at..input_len) is not yet consumed. */
    char *input;
    size_t input_at, input_len;
    uint64_t read_bytes;
    bool input_over;

    z_stream gzip;
    ZSTD_DCtx *zstd;
    bool inside;   // a compressed member or frame has begun and is not complete

    /* Text: text[text_at..text_len) is not yet returned; [text_at..scanned) holds no line end. */
    char *text;
    size_t text_at, scanned, text_len, text_cap;
};

uint64_t lm_line_number(const struct lm_line_reader *r)
{
    return r->number;
}

uint64_t lm_line_bytes_read(const struct lm_line_reader *r)
{
    return r->read_bytes - (r->input_len - r->input_at);
}

/* ---- bytes of the file ---- */

static enum lm_rc read_into(struct lm_line_reader *r, char *ret, size_t cap, size_t *ret_len,
                            struct lm_err *err)
{
    ssize_t got;
    do {
        got = read(r->fd, ret, cap);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return lm_fail_errno(err, LM_EIO, "cannot read '%s'", r->path);
    r->input_over = got == 0;
    r->read_bytes += (size_t)got;
    *ret_len = (size_t)got;
    return LM_OK;
}

static enum lm_rc refill_input(struct lm_line_reader *r, struct lm_err *err)
{
    LM_ASSERT(r->input_at == r->input_len);

    r->input_at = r->input_len = 0;
    return read_into(r, r->input, INPUT_BYTES, &r->input_len, err);
}

/* A pipe may give the first four bytes one by one. */
static enum lm_rc read_magic(struct lm_line_reader *r, struct lm_err *err)
{
    while (r->input_len < 4 && !r->input_over) {
        size_t got;
        LM_TRY(read_into(r, r->input + r->input_len, INPUT_BYTES - r->input_len, &got, err));
        r->input_len += got;
    }
    return LM_OK;
}

static enum packing packing_of(const char *bytes, size_t len)
{
    const uint8_t *b = (const uint8_t *)bytes;
    if (len >= 2 && b[0] == 0x1f && b[1] == 0x8b)
        return GZIP;
    if (len >= 4 && (b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd))
        return ZSTD;
    if (len >= 4 && (b[0] >> 4 == 5 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18))
        return ZSTD;   // begins with a skippable frame, RFC 8878 section 3.1.2
    return PLAIN;
}

/* ---- unpacking: one step consumes some input and makes some text; either may be nothing ---- */

static enum lm_rc fail_damaged(const struct lm_line_reader *r, const char *reason, struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "'%s' is damaged at byte %llu: %s", r->path,
                   (unsigned long long)lm_line_bytes_read(r), reason);
}

static enum lm_rc unpack_gzip(struct lm_line_reader *r, char *out, size_t cap, size_t *ret_len,
                              struct lm_err *err)
{
    const size_t left = r->input_len - r->input_at;
    if (!r->inside && left) {   // the next of several concatenated members (RFC 1952 section 2.2)
        inflateReset(&r->gzip);
        r->inside = true;
    }
    r->gzip.next_in = (Bytef *)r->input + r->input_at;
    r->gzip.avail_in = (uInt)left;
    r->gzip.next_out = (Bytef *)out;
    r->gzip.avail_out = (uInt)cap;
    const int result = r->inside ? inflate(&r->gzip, Z_NO_FLUSH) : Z_OK;
    r->input_at = r->input_len - r->gzip.avail_in;
    *ret_len = cap - r->gzip.avail_out;
    if (result == Z_STREAM_END)
        r->inside = false;
    else if (result != Z_OK && result != Z_BUF_ERROR)   // Z_BUF_ERROR: no input, no harm
        return fail_damaged(r, r->gzip.msg ? r->gzip.msg : "no gzip data", err);
    return LM_OK;
}

static enum lm_rc unpack_zstd(struct lm_line_reader *r, char *out, size_t cap, size_t *ret_len,
                              struct lm_err *err)
{
    ZSTD_inBuffer from = { r->input, r->input_len, r->input_at };
    ZSTD_outBuffer to = { out, cap, 0 };
    if (r->inside || from.pos < from.size) {
        const size_t result = ZSTD_decompressStream(r->zstd, &to, &from);
        r->input_at = from.pos;
        if (ZSTD_isError(result))
            return fail_damaged(r, ZSTD_getErrorName(result), err);
        r->inside = result != 0;   // 0: a frame is complete and flushed
    }
    *ret_len = to.pos;
    return LM_OK;
}

/* Appends text; *ret_end when there is no more. */
static enum lm_rc unpack(struct lm_line_reader *r, char *out, size_t cap, size_t *ret_len, struct lm_err *err)
{
    for (;;) {
        if (r->input_at == r->input_len && !r->input_over)
            LM_TRY(refill_input(r, err));
        const size_t at_before = r->input_at;
        const bool inside_before = r->inside;
        if (r->packing == GZIP)
            LM_TRY(unpack_gzip(r, out, cap, ret_len, err));
        else
            LM_TRY(unpack_zstd(r, out, cap, ret_len, err));
        const bool moved = *ret_len || r->input_at != at_before || r->inside != inside_before;
        if (*ret_len)
            return LM_OK;
        if (moved || !r->input_over)
            continue;
        if (r->inside)
            return lm_fail(err, LM_EFORMAT, "'%s' is cut: the compressed stream has no end at byte %llu",
                           r->path, (unsigned long long)r->read_bytes);
        return LM_OK;   // nothing left, and nothing open
    }
}

/* ---- lines ---- */

/* Makes room behind the text; moves what is left of it to the front when that frees half of the space. */
static void make_room(struct lm_line_reader *r)
{
    if (r->text_at == r->text_len || r->text_at >= r->text_cap / 2) {
        const size_t left = r->text_len - r->text_at;
        if (left)
            memmove(r->text, r->text + r->text_at, left);
        r->scanned -= r->text_at;
        r->text_len = left;
        r->text_at = 0;
    }
    if (r->text_cap - r->text_len < OUTPUT_BYTES)
        lm_grow(&r->text, &r->text_cap, r->text_len + OUTPUT_BYTES, 1);
}

/* Adds text; *ret_len 0 at the end. */
static enum lm_rc fill(struct lm_line_reader *r, size_t *ret_len, struct lm_err *err)
{
    make_room(r);
    char *out = r->text + r->text_len;
    const size_t cap = r->text_cap - r->text_len;
    size_t got = 0;
    if (r->packing != PLAIN) {
        LM_TRY(unpack(r, out, cap < INT32_MAX ? cap : INT32_MAX, &got, err));
    } else if (r->input_at < r->input_len) {   // what the magic was looked for in
        got = r->input_len - r->input_at;
        memcpy(out, r->input + r->input_at, got);
        r->input_at = r->input_len;
    } else if (!r->input_over) {
        LM_TRY(read_into(r, out, cap, &got, err));
    }
    r->text_len += got;
    *ret_len = got;
    return LM_OK;
}

static enum lm_rc fail_long(const struct lm_line_reader *r, struct lm_err *err)
{
    return lm_fail(err, LM_ELIMIT, "%s:%llu: the line is longer than %zu bytes", r->path,
                   (unsigned long long)r->number + 1, r->line_bytes_max);
}

/* Hands out text[text_at..end); the next line starts at `next`. */
static enum lm_rc give(struct lm_line_reader *r, size_t end, size_t next, struct lm_str *ret,
                       struct lm_err *err)
{
    const struct lm_str line = { r->text + r->text_at, end - r->text_at };
    if (line.len > r->line_bytes_max)
        return fail_long(r, err);
    r->text_at = r->scanned = next;
    r->number++;
    *ret = line;
    return LM_OK;
}

enum lm_rc lm_line_next(struct lm_line_reader *r, struct lm_str *ret, struct lm_err *err)
{
    for (;;) {
        const size_t unseen = r->text_len - r->scanned;
        const char *lf = unseen ? memchr(r->text + r->scanned, '\n', unseen) : NULL;
        if (lf) {
            const size_t at = (size_t)(lf - r->text);
            const bool cr = at > r->text_at && r->text[at - 1] == '\r';
            return give(r, at - cr, at + 1, ret, err);
        }
        r->scanned = r->text_len;
        if (r->text_len - r->text_at > r->line_bytes_max + 1)   // 1: a CR that may turn out to be a line end
            return fail_long(r, err);
        size_t got;
        LM_TRY(fill(r, &got, err));
        if (got)
            continue;
        if (r->text_at == r->text_len)
            return LM_ENOTHING;
        return give(r, r->text_len, r->text_len, ret, err);   // the last line has no LF
    }
}

enum lm_rc lm_line_open(const char *path, size_t line_bytes_max, struct lm_line_reader **ret,
                        struct lm_err *err)
{
    const bool standard_input = strcmp(path, "-") == 0;
    const int fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return lm_fail_errno(err, errno == ENOENT ? LM_ENOENT : LM_EIO, "cannot open '%s'", path);
    struct lm_line_reader *r = lm_zalloc(1, sizeof(*r));
    r->fd = fd;
    r->path = lm_strdup(standard_input ? "standard input" : path);
    r->line_bytes_max = line_bytes_max ? line_bytes_max : LM_LINE_BYTES_MAX;
    r->input = lm_alloc(INPUT_BYTES);
    const enum lm_rc rc = read_magic(r, err);
    if (rc != LM_OK) {
        lm_line_close(r);
        return rc;
    }
    r->packing = packing_of(r->input, r->input_len);
    if (r->packing == GZIP)
        LM_ASSERT(inflateInit2(&r->gzip, 15 + 16) == Z_OK);   // 15: window, 16: gzip header
    else if (r->packing == ZSTD)
        LM_ASSERT(r->zstd = ZSTD_createDCtx());
    *ret = r;
    return LM_OK;
}

void lm_line_close(struct lm_line_reader *r)
{
    if (!r)
        return;
    if (r->packing == GZIP)
        inflateEnd(&r->gzip);
    ZSTD_freeDCtx(r->zstd);
    if (r->fd != STDIN_FILENO)
        close(r->fd);
    free(r->input);
    free(r->text);
    free(r->path);
    free(r);
}
