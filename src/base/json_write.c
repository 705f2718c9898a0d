#include "base/json.h"
#include "base/json_utf8.h"

#include <inttypes.h>
#include <math.h>

enum { ESCAPE_MAX = 6 };   // \u001f

/* Writes the escape of a quote, a backslash or a control character; returns its length. */
static size_t escape(char c, char ret[ESCAPE_MAX])
{
    static const char letters[128] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    };
    const char letter = letters[(uint8_t)c];
    ret[0] = '\\';
    if (letter) {
        ret[1] = letter;
        return 2;
    }
    memcpy(ret + 1, "u00", 3);
    ret[4] = "0123456789abcdef"[(uint8_t)c >> 4];
    ret[5] = "0123456789abcdef"[(uint8_t)c & 15];
    return ESCAPE_MAX;
}

/* Well-formed text, with short pieces gathered so that dense escapes do not cost a call each. */
static void add_escaped(struct lm_buf *buf, const char *at, const char *end)
{
    char pieces[256];
    size_t len = 0;
    while (at < end) {
        const char *stop = lm_json_run_end(at, end);
        const size_t run = (size_t)(stop - at);
        if (run + ESCAPE_MAX > sizeof(pieces) - len) {
            lm_buf_add(buf, pieces, len);
            len = 0;
        }
        if (run + ESCAPE_MAX > sizeof(pieces)) {
            lm_buf_add(buf, at, run);
        } else {
            memcpy(pieces + len, at, run);
            len += run;
        }
        if (stop < end)
            len += escape(*stop++, pieces + len);
        at = stop;
    }
    lm_buf_add(buf, pieces, len);
}

void lm_json_str(struct lm_buf *buf, struct lm_str s)
{
    lm_buf_putc(buf, '"');
    const char *at = s.len > 0 ? s.ptr : "", *end = at + s.len;
    while (at < end) {
        const char *good = lm_json_utf8_end(at, end);
        add_escaped(buf, at, good);
        at = good;
        if (at < end) {
            lm_buf_add(buf, "\xef\xbf\xbd", 3);   // U+FFFD
            at += lm_json_utf8_bad_len(at, end);
        }
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
