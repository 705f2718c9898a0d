/* One form for equal text: NFC, LF, single blanks.  Lines are cut first, so that ICU sees only those lines
 * that can need it; what is ASCII, Latin or ordinary punctuation is known to be in NFC already. */
#include "text/text.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

enum char_class {
    CHAR_KEEP,
    CHAR_DROP,    // controls and what has no width
    CHAR_BLANK,   // becomes a space
    CHAR_LINE,    // becomes LF
};

static enum char_class class_of(uint32_t cp)
{
    if (cp == '\n' || cp == '\v' || cp == '\f' || cp == 0x85 || cp == 0x2028 || cp == 0x2029)
        return CHAR_LINE;
    if (lm_utf8_is_blank(cp))
        return CHAR_BLANK;
    if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
        return CHAR_DROP;
    /* Soft hyphen, zero width space, word joiner, byte order mark; the joiners U+200C and U+200D have a
     * meaning. */
    return cp == 0xad || cp == 0x200b || cp == 0x2060 || cp == 0xfeff ? CHAR_DROP : CHAR_KEEP;
}

/* The text with line ends, blanks and controls mapped; TAB stays for code. */
static void clean(struct lm_str text, struct lm_buf *ret)
{
    size_t at = 0;
    while (at < text.len) {
        const size_t start = at;
        while (at < text.len && (unsigned char)text.ptr[at] >= 0x20 && (unsigned char)text.ptr[at] < 0x7f)
            at++;
        lm_buf_add(ret, text.ptr + start, at - start);
        if (at == text.len)
            return;
        uint32_t cp;
        const size_t used = lm_utf8_next(text, at, &cp);
        at += used;
        if (cp == '\t' || (cp == '\r' && at < text.len && text.ptr[at] != '\n')) {
            lm_buf_putc(ret, cp == '\t' ? '\t' : '\n');   // a lone CR ends a line too
            continue;
        }
        switch (class_of(cp)) {
        case CHAR_LINE:
            lm_buf_putc(ret, '\n');
            break;
        case CHAR_BLANK:
            if (cp != '\r')
                lm_buf_putc(ret, ' ');
            break;
        case CHAR_KEEP:
            lm_utf8_add(ret, cp);
            break;
        case CHAR_DROP:
            break;
        }
    }
}

/* True when every character is below U+0300 or in U+2010..U+20BF: none of them changes under NFC. */
static bool surely_nfc(struct lm_str s)
{
    for (size_t i = lm_utf8_ascii_run(s); i < s.len; i++) {
        const unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0xcc)
            continue;
        const bool punctuation = c == 0xe2 && i + 2 < s.len && (unsigned char)s.ptr[i + 1] >= 0x80 &&
                                 (unsigned char)s.ptr[i + 1] <= 0x82;
        if (!punctuation)
            return false;
    }
    return true;
}

/* UTF-16 work space of one call; grows to the longest line. */
struct wide {
    UChar *from, *to;
    size_t from_cap, to_cap;
};

static enum lm_rc add_folded(struct wide *w, struct lm_str s, bool lowercase, struct lm_buf *ret,
                             struct lm_err *err)
{
    enum { GROWTH_MAX = 3 };   // of NFC and of lower case in UTF-16 units, by the stability tables of UAX 15
    if (s.len > INT32_MAX / 8)
        return lm_fail(err, LM_ELIMIT, "normalize: a line of %zu bytes is too long", s.len);
    lm_grow(&w->from, &w->from_cap, s.len * GROWTH_MAX + 16, sizeof *w->from);
    lm_grow(&w->to, &w->to_cap, s.len * GROWTH_MAX + 16, sizeof *w->to);

    UErrorCode status = U_ZERO_ERROR;
    int32_t len = 0;
    u_strFromUTF8(w->from, (int32_t)w->from_cap, &len, s.ptr, (int32_t)s.len, &status);
    if (lowercase) {
        len = u_strToLower(w->to, (int32_t)w->to_cap, w->from, len, "", &status);
        UChar *swap = w->from;
        const size_t swap_cap = w->from_cap;
        w->from = w->to, w->from_cap = w->to_cap;
        w->to = swap, w->to_cap = swap_cap;
    }
    const UNormalizer2 *nfc = unorm2_getNFCInstance(&status);
    len = unorm2_normalize(nfc, w->from, len, w->to, (int32_t)w->to_cap, &status);
    if (U_FAILURE(status))
        return lm_fail(err, LM_EFORMAT, "normalize: ICU refuses a line: %s", u_errorName(status));

    const size_t room = (size_t)len * 3 + 1;
    char *out = lm_buf_space(ret, room);
    int32_t out_len = 0;
    if (out) {
        u_strToUTF8(out, (int32_t)room, &out_len, w->to, len, &status);
        ret->len += (size_t)out_len;
    }
    if (U_FAILURE(status))
        return lm_fail(err, LM_EFORMAT, "normalize: ICU refuses a line: %s", u_errorName(status));
    return LM_OK;
}

static void lower_ascii(char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        s[i] = lm_to_lower(s[i]);
}

/* s with runs of blanks as one space, none at the end; `indent` leading blanks are left as they are. */
static struct lm_str collapse(struct lm_str s, struct lm_buf *scratch, bool keep_indent)
{
    lm_buf_reset(scratch);
    size_t at = 0;
    while (at < s.len && (s.ptr[at] == ' ' || s.ptr[at] == '\t'))
        at++;
    if (keep_indent)
        for (size_t i = 0; i < at; i++)
            lm_buf_putc(scratch, ' ');
    bool blank = false;
    for (; at < s.len; at++) {
        if (s.ptr[at] == ' ' || s.ptr[at] == '\t') {
            blank = true;
            continue;
        }
        if (blank)
            lm_buf_putc(scratch, ' ');
        blank = false;
        lm_buf_putc(scratch, s.ptr[at]);
    }
    return lm_buf_str(scratch);
}

static struct lm_str trim_end(struct lm_str s)
{
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Length of the run of ` that opens or closes a fence, 0 for another line. */
static size_t fence_len(struct lm_str line)
{
    line = lm_str_trim(line);
    size_t len = 0;
    while (len < line.len && line.ptr[len] == '`')
        len++;
    return len >= 3 ? len : 0;
}

/* A list marker, a quote or a definition: the lines whose indentation says how deep they are nested. */
static bool is_indentable(struct lm_str line)
{
    static const char marks[] = "-*+>:";
    line = lm_str_trim(line);
    if (line.len > 1 && memchr(marks, line.ptr[0], sizeof marks - 1) && line.ptr[1] == ' ')
        return true;
    size_t digits = 0;
    while (digits < line.len && lm_is_digit(line.ptr[digits]))
        digits++;
    return digits > 0 && digits < 10 && digits + 1 < line.len && line.ptr[digits] == '.' &&
           line.ptr[digits + 1] == ' ';
}

/* Where the walk over the lines stands. */
struct lines {
    struct lm_normalize how;
    struct wide wide;
    struct lm_buf line;
    size_t fence;         // of the open code block, 0 = outside
    size_t blank_lines;   // not written yet
    bool any, in_list;
};

static enum lm_rc add_line(struct lines *l, struct lm_str line, struct lm_buf *ret, struct lm_err *err)
{
    const size_t fence = fence_len(line);
    const bool verbatim = l->how.keep_lines && l->fence != 0;
    if (fence >= (l->fence ? l->fence : 3) && (l->fence == 0 || lm_str_trim(line).len == fence))
        l->fence = l->fence ? 0 : fence;

    if (!verbatim) {
        const bool marked = is_indentable(line);
        const bool indented = line.len > 0 && line.ptr[0] == ' ';
        line = collapse(line, &l->line, l->how.keep_lines && (marked || (indented && l->in_list)));
        if (trim_end(line).len > 0)
            l->in_list = marked || (indented && l->in_list);
    }
    line = trim_end(line);
    if (line.len == 0 && (!verbatim || !l->any)) {
        l->blank_lines++;
        return LM_OK;
    }
    if (l->any && !l->how.keep_lines)
        lm_buf_putc(ret, ' ');
    else if (l->any)
        lm_buf_puts(ret, l->blank_lines ? "\n\n" : "\n");
    l->any = true;
    l->blank_lines = 0;

    const size_t start = ret->len;
    if (!surely_nfc(line) || (l->how.lowercase && lm_utf8_ascii_run(line) < line.len))
        return add_folded(&l->wide, line, l->how.lowercase, ret, err);
    lm_buf_add_str(ret, line);
    if (l->how.lowercase)
        lower_ascii(ret->ptr + start, ret->len - start);
    return LM_OK;
}

enum lm_rc lm_normalize(struct lm_str text, struct lm_normalize how, struct lm_buf *ret, struct lm_err *err)
{
    LM_ASSERT(ret);
    struct lm_buf cleaned = { 0 };
    clean(text, &cleaned);
    struct lines l = { .how = how };
    struct lm_str rest = lm_buf_str(&cleaned), line;
    enum lm_rc rc = LM_OK;
    while (rc == LM_OK && lm_str_split(&rest, '\n', &line))
        rc = add_line(&l, line, ret, err);
    if (rc == LM_OK && ret->overflow)
        rc = lm_fail(err, LM_ELIMIT, "normalize: the text is longer than %zu bytes", ret->len_max);
    free(l.wide.from);
    free(l.wide.to);
    lm_buf_release(&l.line);
    lm_buf_release(&cleaned);
    return rc;
}
