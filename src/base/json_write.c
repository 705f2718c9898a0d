#include "base/json.h"
#include "base/json_utf8.h"

#include <inttypes.h>
#include <math.h>

static void escape(struct lm_buf *buf, char c)
{
    switch (c) {
    case '"':
        lm_buf_add(buf, "\\\"", 2);
        return;
    case '\\':
        lm_buf_add(buf, "\\\\", 2);
        return;
    case '\b':
        lm_buf_add(buf, "\\b", 2);
        return;
    case '\f':
        lm_buf_add(buf, "\\f", 2);
        return;
    case '\n':
        lm_buf_add(buf, "\\n", 2);
        return;
    case '\r':
        lm_buf_add(buf, "\\r", 2);
        return;
    case '\t':
        lm_buf_add(buf, "\\t", 2);
        return;
    default:
        lm_buf_printf(buf, "\\u%04x", (unsigned)(uint8_t)c);
    }
}

/* A run without escapes: copied as a whole, but for ill-formed bytes. */
static void add_run(struct lm_buf *buf, const char *at, const char *end)
{
    while (at < end) {
        const char *good = lm_json_utf8_end(at, end);
        lm_buf_add(buf, at, (size_t)(good - at));
        at = good;
        if (at < end) {
            lm_buf_add(buf, "\xef\xbf\xbd", 3);   // U+FFFD
            at += lm_json_utf8_bad_len(at, end);
        }
    }
}

void lm_json_str(struct lm_buf *buf, struct lm_str s)
{
    lm_buf_putc(buf, '"');
    const char *at = s.ptr, *end = s.ptr + s.len;
    while (at < end) {
        const char *stop = lm_json_run_end(at, end);
        add_run(buf, at, stop);
        if (stop == end)
            break;
        escape(buf, *stop);
        at = stop + 1;
    }
    lm_buf_putc(buf, '"');
}

void lm_json_sep(struct lm_buf *buf)
{
    /* A value never ends with one of these, so the last byte tells: directly after an opening bracket or a
     * colon, or at the start of a line of JSON Lines. */
    if (buf->len && !memchr("[{:\n", buf->ptr[buf->len - 1], 4))
        lm_buf_putc(buf, ',');
}

void lm_json_key(struct lm_buf *buf, const char *key)
{
    lm_json_sep(buf);
    lm_json_str(buf, lm_str(key));
    lm_buf_putc(buf, ':');
}

void lm_json_num(struct lm_buf *buf, double value)
{
    if (!isfinite(value)) {
        lm_buf_add(buf, "null", 4);
        return;
    }
    char text[LM_F64_TEXT];
    lm_buf_add(buf, text, lm_f64_text(value, text));
}

void lm_json_int(struct lm_buf *buf, int64_t value)
{
    lm_buf_printf(buf, "%" PRId64, value);
}

void lm_json_key_str(struct lm_buf *buf, const char *key, struct lm_str s)
{
    lm_json_key(buf, key);
    lm_json_str(buf, s);
}

void lm_json_key_int(struct lm_buf *buf, const char *key, int64_t value)
{
    lm_json_key(buf, key);
    lm_json_int(buf, value);
}

void lm_json_key_num(struct lm_buf *buf, const char *key, double value)
{
    lm_json_key(buf, key);
    lm_json_num(buf, value);
}

void lm_json_key_bool(struct lm_buf *buf, const char *key, bool value)
{
    lm_json_key(buf, key);
    lm_buf_puts(buf, value ? "true" : "false");
}
