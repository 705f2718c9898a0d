#include "train/tfevents.h"

#include "base/file.h"
#include "base/sys.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- CRC-32C (Castagnoli), reflected polynomial 0x82f63b78 ---- */

uint32_t lm_crc32c(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78 & -(crc & 1));
    }
    return ~crc;
}

uint32_t lm_crc32c_masked(const void *bytes, size_t len)
{
    const uint32_t crc = lm_crc32c(bytes, len);
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

/* ---- records ---- */

static void put_fixed(struct lm_buf *ret, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        lm_buf_putc(ret, (char)(value >> 8 * i));
}

static uint64_t get_fixed(const char *p, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;)
        value = value << 8 | (uint8_t)p[i];
    return value;
}

void lm_tfrecord_write(struct lm_str data, struct lm_buf *ret)
{
    const size_t start = ret->len;
    put_fixed(ret, data.len, 8);
    put_fixed(ret, lm_crc32c_masked(ret->ptr + start, 8), 4);
    lm_buf_add_str(ret, data);
    put_fixed(ret, lm_crc32c_masked(data.ptr, data.len), 4);
}

bool lm_tfrecord_next(struct lm_str *rest, struct lm_str *ret)
{
    enum { AROUND = 16 };
    if (rest->len < AROUND || get_fixed(rest->ptr + 8, 4) != lm_crc32c_masked(rest->ptr, 8))
        return false;
    const uint64_t len = get_fixed(rest->ptr, 8);
    if (len > LM_TFEVENT_BYTES_MAX || len > rest->len - AROUND)
        return false;
    const struct lm_str data = { rest->ptr + 12, (size_t)len };
    if (get_fixed(data.ptr + data.len, 4) != lm_crc32c_masked(data.ptr, data.len))
        return false;
    *rest = (struct lm_str){ rest->ptr + data.len + AROUND, rest->len - data.len - AROUND };
    *ret = data;
    return true;
}

/* ---- protobuf: a key is field number times 8 plus the kind of what follows ---- */

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2 };

static void put_varint(struct lm_buf *ret, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        lm_buf_putc(ret, (char)(value | 0x80));
    lm_buf_putc(ret, (char)value);
}

static void put_key(struct lm_buf *ret, unsigned field, unsigned kind)
{
    put_varint(ret, field << 3 | kind);
}

static void put_bytes(struct lm_buf *ret, unsigned field, struct lm_str bytes)
{
    put_key(ret, field, BYTES);
    put_varint(ret, bytes.len);
    lm_buf_add_str(ret, bytes);
}

static void put_wall(struct lm_buf *ret, double wall)
{
    uint64_t bits;
    memcpy(&bits, &wall, sizeof bits);
    put_key(ret, EVENT_WALL_TIME, FIXED64);
    put_fixed(ret, bits, 8);
}

void lm_tfevent_version(double wall, struct lm_buf *ret)
{
    struct lm_buf event = { 0 };
    put_wall(&event, wall);
    put_bytes(&event, EVENT_FILE_VERSION, LM_STR("brain.Event:2"));
    lm_tfrecord_write(lm_buf_str(&event), ret);
    lm_buf_release(&event);
}

void lm_tfevent_scalars(double wall, const struct lm_track_point *points, size_t count, struct lm_buf *ret)
{
    struct lm_buf event = { 0 }, summary = { 0 }, value = { 0 };
    for (size_t i = 0; i < count; i++) {
        const float simple = (float)points[i].value;
        uint32_t bits;
        memcpy(&bits, &simple, sizeof bits);
        lm_buf_reset(&value);
        put_bytes(&value, VALUE_TAG, points[i].name);
        put_key(&value, VALUE_SIMPLE, FIXED32);
        put_fixed(&value, bits, 4);
        put_bytes(&summary, SUMMARY_VALUE, lm_buf_str(&value));
    }
    put_wall(&event, wall);
    put_key(&event, EVENT_STEP, VARINT);
    put_varint(&event, count ? (uint64_t)points[0].step : 0);
    put_bytes(&event, EVENT_SUMMARY, lm_buf_str(&summary));
    lm_tfrecord_write(lm_buf_str(&event), ret);
    lm_buf_release(&event);
    lm_buf_release(&summary);
    lm_buf_release(&value);
}

/* ---- reading ---- */

static bool get_varint(struct lm_str *rest, uint64_t *ret)
{
    *ret = 0;
    for (int shift = 0; shift < 64 && rest->len > 0; shift += 7) {
        const uint8_t byte = (uint8_t)*rest->ptr;
        *rest = (struct lm_str){ rest->ptr + 1, rest->len - 1 };
        *ret |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

struct field {
    uint64_t number;
    unsigned kind;
    uint64_t value;        // VARINT, FIXED32, FIXED64
    struct lm_str bytes;   // BYTES
};

/* False at the end, and where the message is damaged: then *rest is not empty. */
static bool next_field(struct lm_str *rest, struct field *ret)
{
    struct lm_str at = *rest;
    uint64_t key, len;
    if (!get_varint(&at, &key))
        return false;
    *ret = (struct field){ .number = key >> 3, .kind = key & 7 };
    if (ret->kind == VARINT) {
        if (!get_varint(&at, &ret->value))
            return false;
    } else if (ret->kind == FIXED32 || ret->kind == FIXED64) {
        const int bytes = ret->kind == FIXED32 ? 4 : 8;
        if (at.len < (size_t)bytes)
            return false;
        ret->value = get_fixed(at.ptr, bytes);
        at = (struct lm_str){ at.ptr + bytes, at.len - (size_t)bytes };
    } else if (ret->kind == BYTES) {
        if (!get_varint(&at, &len) || len > at.len)
            return false;
        ret->bytes = (struct lm_str){ at.ptr, (size_t)len };
        at = (struct lm_str){ at.ptr + len, at.len - (size_t)len };
    } else {
        return false;
    }
    *rest = at;
    return true;
}

static bool parse_value(struct lm_str data, struct lm_track_point *ret)
{
    struct field f;
    while (next_field(&data, &f)) {
        if (f.number == VALUE_TAG && f.kind == BYTES)
            ret->name = f.bytes;
        if (f.number == VALUE_SIMPLE && f.kind == FIXED32) {
            const uint32_t bits = (uint32_t)f.value;
            float value;
            memcpy(&value, &bits, sizeof value);
            ret->value = (double)value;
        }
    }
    return data.len == 0;
}

static bool parse_summary(struct lm_str data, struct lm_track_point *ret, size_t *count)
{
    struct field f;
    while (next_field(&data, &f))
        if (f.number == SUMMARY_VALUE && f.kind == BYTES && *count < LM_TRACK_NAMES_MAX) {
            ret[*count] = (struct lm_track_point){ .name = LM_STR("") };
            if (!parse_value(f.bytes, &ret[(*count)++]))
                return false;
        }
    return data.len == 0;
}

enum lm_rc lm_tfevent_parse(struct lm_str data, struct lm_track_point ret[LM_TRACK_NAMES_MAX],
                            size_t *ret_count, struct lm_err *err)
{
    struct field f;
    int64_t step = 0;
    size_t count = 0;
    bool sound = true;
    while (sound && next_field(&data, &f)) {
        if (f.number == EVENT_STEP && f.kind == VARINT)
            step = (int64_t)f.value;
        if (f.number == EVENT_SUMMARY && f.kind == BYTES)
            sound = parse_summary(f.bytes, ret, &count);
    }
    if (!sound || data.len > 0)
        return lm_fail(err, LM_EFORMAT, "an event is damaged");
    for (size_t i = 0; i < count; i++)
        ret[i].step = step;
    *ret_count = count;
    return LM_OK;
}

/* ---- a file ---- */

static double wall_now(void)
{
    return (double)lm_wall_ms() / 1000;
}

/* Bytes of whole records from the start; what is in them goes into the marks. */
static enum lm_rc read_marks(const char *path, struct lm_track_marks *marks, size_t *ret_len,
                             struct lm_err *err)
{
    struct lm_map map = { 0 };
    LM_TRY(lm_map_open(&map, path, err));
    struct lm_str rest = { map.ptr, map.len }, data;
    enum lm_rc rc = LM_OK;
    while (rc == LM_OK && lm_tfrecord_next(&rest, &data)) {
        struct lm_track_point points[LM_TRACK_NAMES_MAX];
        size_t count = 0;
        rc = lm_tfevent_parse(data, points, &count, err);
        for (size_t i = 0; rc == LM_OK && i < count; i++)
            lm_track_marks_add(marks, points[i].name, 1);
    }
    *ret_len = map.len - rest.len;
    if (rc == LM_OK && *ret_len == 0 && map.len > 0)
        rc = lm_fail(err, LM_EFORMAT, "it does not begin with an event");
    lm_map_close(&map);
    return rc == LM_OK ? rc : lm_err_prefix(err, rc, "'%s'", path);
}

enum lm_rc lm_tfevents_open(struct lm_tfevents *f, const char *dir, struct lm_track_marks *marks,
                            struct lm_err *err)
{
    size_t len = 0;
    LM_TRY(lm_dir_make(dir, err));
    LM_FREE char *path = lm_path_join(dir, "events.out.tfevents.0000000000.loom");
    if (lm_path_exists(path))
        LM_TRY(read_marks(path, marks, &len, err));
    FILE *stream = fopen(path, len > 0 ? "r+b" : "wb");
    if (!stream || ftruncate(fileno(stream), (off_t)len) != 0 || fseeko(stream, (off_t)len, SEEK_SET) != 0) {
        if (stream)
            fclose(stream);
        return lm_fail_errno(err, LM_EIO, "cannot write '%s'", path);
    }
    *f = (struct lm_tfevents){ stream, lm_strdup(path) };
    if (len > 0)
        return LM_OK;
    struct lm_buf record = { 0 };
    lm_tfevent_version(wall_now(), &record);
    fwrite(record.ptr, 1, record.len, stream);
    lm_buf_release(&record);
    return lm_tfevents_flush(f, err);
}

enum lm_rc lm_tfevents_add(struct lm_tfevents *f, const struct lm_track_point *points, size_t count,
                           struct lm_err *err)
{
    struct lm_buf record = { 0 };
    lm_tfevent_scalars(wall_now(), points, count, &record);
    const bool written = fwrite(record.ptr, 1, record.len, f->stream) == record.len;
    lm_buf_release(&record);
    return written ? LM_OK : lm_fail_errno(err, LM_EIO, "cannot write '%s'", f->path);
}

enum lm_rc lm_tfevents_flush(struct lm_tfevents *f, struct lm_err *err)
{
    return fflush(f->stream) == 0 && !ferror(f->stream)
               ? LM_OK
               : lm_fail_errno(err, LM_EIO, "cannot write '%s'", f->path);
}

void lm_tfevents_close(struct lm_tfevents *f)
{
    if (f->stream)
        fclose(f->stream);
    free(f->path);
    *f = (struct lm_tfevents){ 0 };
}
