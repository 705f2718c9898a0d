/* Bytes of any legacy encoding to UTF-8.  Labels and their meaning:
 * https://encoding.spec.whatwg.org/#names-and-labels; the tables behind them are ICU's. */
#include "text/text.h"
#include "text/utf8.h"

#include <unicode/ucnv.h>
#include <unicode/ucnv_err.h>

enum { META_BYTES_MAX = 1024, LABEL_BYTES_MAX = 40 };

/* One encoding of the standard: its name, what ICU calls it, and its labels.  To add one: a row. */
struct encoding {
    const char *name, *icu;   // icu NULL: UTF-8, needs no converter
    const char *labels;       // each followed by a space; the name itself is among them
};

static const struct encoding encodings[] = {
    { "utf-8", NULL, "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8 " },
    { "windows-1252", "windows-1252",
      "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 "
      "iso_8859-1 "
      "iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252 " },
    { "ibm866", "ibm-866", "866 cp866 csibm866 ibm866 " },
    { "iso-8859-2", "iso-8859-2",
      "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2 " },
    { "iso-8859-3", "iso-8859-3",
      "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3 " },
    { "iso-8859-4", "iso-8859-4",
      "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4 " },
    { "iso-8859-5", "iso-8859-5",
      "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988 " },
    { "iso-8859-6", "iso-8859-6",
      "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e "
      "iso-8859-6-i "
      "iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987 " },
    { "iso-8859-7", "iso-8859-7",
      "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 "
      "iso_8859-7:1987 sun_eu_greek " },
    { "iso-8859-8", "iso-8859-8",
      "csiso88598e csiso88598i csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-8859-8-i iso-ir-138 "
      "iso8859-8 "
      "iso88598 iso_8859-8 iso_8859-8:1988 logical visual " },
    { "iso-8859-10", "iso-8859-10", "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6 " },
    { "iso-8859-13", "iso-8859-13", "iso-8859-13 iso8859-13 iso885913 " },
    { "iso-8859-14", "iso-8859-14", "iso-8859-14 iso8859-14 iso885914 " },
    { "iso-8859-15", "iso-8859-15", "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9 " },
    { "koi8-r", "koi8-r", "cskoi8r koi koi8 koi8-r koi8_r " },
    { "koi8-u", "koi8-u", "koi8-ru koi8-u " },
    { "macintosh", "macintosh", "csmacintosh mac macintosh x-mac-roman " },
    { "windows-874", "windows-874", "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874 " },
    { "windows-1250", "windows-1250", "cp1250 windows-1250 x-cp1250 " },
    { "windows-1251", "windows-1251", "cp1251 windows-1251 x-cp1251 " },
    { "windows-1253", "windows-1253", "cp1253 windows-1253 x-cp1253 " },
    { "windows-1254", "windows-1254",
      "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 "
      "windows-1254 x-cp1254 " },
    { "windows-1255", "windows-1255", "cp1255 windows-1255 x-cp1255 " },
    { "windows-1256", "windows-1256", "cp1256 windows-1256 x-cp1256 " },
    { "windows-1257", "windows-1257", "cp1257 windows-1257 x-cp1257 " },
    { "windows-1258", "windows-1258", "cp1258 windows-1258 x-cp1258 " },
    { "x-mac-cyrillic", "x-mac-cyrillic", "x-mac-cyrillic x-mac-ukrainian " },
    { "gbk", "gb18030", "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk " },
    { "gb18030", "gb18030", "gb18030 " },
    { "big5", "big5-hkscs", "big5 big5-hkscs cn-big5 csbig5 x-x-big5 " },
    { "euc-jp", "euc-jp", "cseucpkdfmtjapanese euc-jp x-euc-jp " },
    { "iso-2022-jp", "iso-2022-jp", "csiso2022jp iso-2022-jp " },
    { "shift_jis", "windows-31j", "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis " },
    { "euc-kr", "windows-949",
      "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 "
      "windows-949 " },
    { "utf-16be", "utf-16be", "unicodefffe utf-16be " },
    { "utf-16le", "utf-16le", "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le " },
};

static const struct encoding *const utf8 = &encodings[0];
static const struct encoding *const windows_1252 = &encodings[1];

static const struct encoding *encoding_of_name(const char *name)
{
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
        if (strcmp(encodings[i].name, name) == 0)
            return &encodings[i];
    return NULL;
}

static const struct encoding *encoding_of_label(struct lm_str label)
{
    label = lm_str_trim(label);
    if (label.len == 0 || label.len >= LABEL_BYTES_MAX)
        return NULL;
    char word[LABEL_BYTES_MAX + 2];   // with the space behind it, as in the table
    for (size_t i = 0; i < label.len; i++) {
        if (label.ptr[i] == ' ' || label.ptr[i] == '\0')
            return NULL;
        word[i] = lm_to_lower(label.ptr[i]);
    }
    word[label.len] = ' ';
    word[label.len + 1] = '\0';
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        const char *hit = encodings[i].labels;
        while ((hit = strstr(hit, word)) != NULL) {
            if (hit == encodings[i].labels || hit[-1] == ' ')
                return &encodings[i];
            hit++;
        }
    }
    return NULL;
}

/* Skips the byte order mark in *bytes when there is one. */
static const struct encoding *encoding_of_bom(struct lm_str *bytes)
{
    static const struct {
        struct lm_str mark;
        const char *name;
    } marks[] = {
        { { "\xef\xbb\xbf", 3 }, "utf-8" },
        { { "\xfe\xff", 2 }, "utf-16be" },
        { { "\xff\xfe", 2 }, "utf-16le" },
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (!lm_str_starts(*bytes, marks[i].mark))
            continue;
        bytes->ptr += marks[i].mark.len;
        bytes->len -= marks[i].mark.len;
        return encoding_of_name(marks[i].name);
    }
    return NULL;
}

/* The label after `charset` `=` in s, from *at on; moves *at behind it.  Empty at the end. */
static struct lm_str next_charset(struct lm_str s, size_t *at)
{
    static const char key[] = "charset";
    for (; *at + sizeof key - 1 < s.len; (*at)++) {
        size_t i = 0;
        while (i < sizeof key - 1 && lm_to_lower(s.ptr[*at + i]) == key[i])
            i++;
        if (i < sizeof key - 1)
            continue;
        i += *at;
        while (i < s.len && lm_is_space(s.ptr[i]))
            i++;
        if (i == s.len || s.ptr[i] != '=')
            continue;
        i++;
        while (i < s.len && (lm_is_space(s.ptr[i]) || s.ptr[i] == '"' || s.ptr[i] == '\''))
            i++;
        const size_t start = i;
        while (i < s.len && !lm_is_space(s.ptr[i]) && !memchr("\"';>/", s.ptr[i], 5))
            i++;
        *at = i;
        return (struct lm_str){ s.ptr + start, i - start };
    }
    *at = s.len;
    return (struct lm_str){ s.ptr, 0 };
}

/* The declaration within the first bytes: <meta charset=...>, its http-equiv form, or <?xml encoding=...?>.
 * A UTF-16 label there is a lie, since we could read it: the standard says UTF-8. */
static const struct encoding *encoding_of_meta(struct lm_str bytes)
{
    if (bytes.len > META_BYTES_MAX)
        bytes.len = META_BYTES_MAX;
    size_t at = 0;
    while (at < bytes.len) {
        const size_t before = at;
        const struct encoding *found = encoding_of_label(next_charset(bytes, &at));
        if (!found)
            continue;
        size_t open = before;   // a <meta must come before it, and be the last tag opened
        bool in_meta = false;
        for (size_t i = before; i < at; i++)
            if (bytes.ptr[i] == '<')
                open = i;
        for (size_t i = 0; i < 5 && open + i < bytes.len; i++)
            in_meta = lm_to_lower(bytes.ptr[open + i]) == "<meta"[i] && (i == 0 || in_meta);
        if (in_meta)
            return strncmp(found->name, "utf-16", 6) == 0 ? utf8 : found;
    }
    return NULL;
}

static const struct encoding *detect(struct lm_str *bytes, struct lm_str declared, bool is_html)
{
    const struct encoding *found = encoding_of_bom(bytes);
    if (!found)
        found = encoding_of_label(declared);
    if (!found && is_html)
        found = encoding_of_meta(*bytes);
    if (!found)
        found = lm_utf8_valid(*bytes) ? utf8 : windows_1252;
    return found;
}

static enum lm_rc convert(struct lm_str bytes, const struct encoding *from, struct lm_buf *ret,
                          struct lm_err *err)
{
    UErrorCode status = U_ZERO_ERROR;
    UConverter *source = ucnv_open(from->icu, &status);
    UConverter *target = ucnv_open("utf-8", &status);
    if (U_FAILURE(status)) {
        ucnv_close(source);
        ucnv_close(target);
        return lm_fail(err, LM_EINVAL, "charset: ICU cannot open a converter for '%s': %s", from->name,
                       u_errorName(status));
    }
    UChar pivot[1024], *pivot_from = pivot, *pivot_to = pivot;
    const char *at = bytes.ptr, *end = bytes.ptr + bytes.len;
    bool first = true;
    do {
        char *out = lm_buf_space(ret, bytes.len + 64), *const out_start = out;
        if (!out)
            break;
        status = U_ZERO_ERROR;
        ucnv_convertEx(target, source, &out, out + bytes.len + 64, &at, end, pivot, &pivot_from, &pivot_to,
                       pivot + sizeof pivot / sizeof *pivot, first, true, &status);
        ret->len += (size_t)(out - out_start);
        first = false;
    } while (status == U_BUFFER_OVERFLOW_ERROR);
    ucnv_close(source);
    ucnv_close(target);
    if (U_FAILURE(status))
        return lm_fail(err, LM_EFORMAT, "charset: cannot convert from '%s': %s", from->name,
                       u_errorName(status));
    return LM_OK;
}

enum lm_rc lm_charset_to_utf8(struct lm_str bytes, struct lm_str declared, bool is_html, struct lm_buf *ret,
                              const char **ret_name, struct lm_err *err)
{
    LM_ASSERT(ret && ret_name);
    const struct encoding *from = detect(&bytes, declared, is_html);
    if (from->icu)
        LM_TRY(convert(bytes, from, ret, err));
    else
        lm_utf8_repair(bytes, ret);
    if (ret->overflow)
        return lm_fail(err, LM_ELIMIT, "charset: the text is longer than %zu bytes", ret->len_max);
    *ret_name = from->name;
    return LM_OK;
}
