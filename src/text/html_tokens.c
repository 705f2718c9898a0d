#include "text/html_tokens.h"
#include "text/utf8.h"

/* Elements whose content is text up to their own end tag. */
static const char *const raw_elements[] = { "script", "style",  "title",   "textarea",
                                            "xmp",    "iframe", "noembed", "noframes" };

bool lm_html_is(struct lm_str name, const char *lower)
{
    size_t i = 0;
    while (i < name.len && lower[i] != '\0' && lm_to_lower(name.ptr[i]) == lower[i])
        i++;
    return i == name.len && lower[i] == '\0';
}

static size_t find_byte(struct lm_str in, size_t at, char c)
{
    const char *hit = at < in.len ? memchr(in.ptr + at, c, in.len - at) : NULL;
    return hit ? (size_t)(hit - in.ptr) : in.len;
}

/* Offset behind the '>' of the tag whose attributes start at `at`; quoted values may hold a '>'. */
static size_t tag_end(struct lm_str in, size_t at)
{
    bool value = false;   // right behind a '=': only there a quote opens a value
    for (; at < in.len; at++) {
        const char c = in.ptr[at];
        if (c == '>')
            return at + 1;
        if (value && (c == '"' || c == '\'')) {
            at = find_byte(in, at + 1, c);
            value = false;
        } else if (!lm_is_space(c)) {
            value = c == '=';
        }
    }
    return in.len;
}

/* Offset behind a comment, declaration or processing instruction at `at` ("<!" or "<?"). */
static size_t markup_end(struct lm_str in, size_t at)
{
    if (in.len - at < 4 || memcmp(in.ptr + at, "<!--", 4) != 0) {
        const size_t end = find_byte(in, at, '>');
        return end < in.len ? end + 1 : in.len;
    }
    at += 4;
    if (at < in.len && in.ptr[at] == '>')   // "<!-->" is a whole comment
        return at + 1;
    for (;;) {
        at = find_byte(in, at, '>');
        if (at == in.len)
            return at;
        at++;
        if (memcmp(in.ptr + at - 3, "-->", 3) == 0 || memcmp(in.ptr + at - 4, "--!>", 4) == 0)
            return at;
    }
}

static size_t name_end(struct lm_str in, size_t at)
{
    while (at < in.len && !lm_is_space(in.ptr[at]) && in.ptr[at] != '/' && in.ptr[at] != '>')
        at++;
    return at;
}

/* Where the end tag of the raw element begins; the end of the input if there is none. */
static size_t raw_end(struct lm_str in, size_t at, const char *name)
{
    const size_t len = strlen(name);
    for (at = find_byte(in, at, '<'); at < in.len; at = find_byte(in, at + 1, '<')) {
        if (in.len - at < len + 2 || in.ptr[at + 1] != '/')
            continue;
        const size_t end = at + 2 + len;
        if (lm_html_is((struct lm_str){ in.ptr + at + 2, len }, name) &&
            (end == in.len || lm_is_space(in.ptr[end]) || in.ptr[end] == '/' || in.ptr[end] == '>'))
            return at;
    }
    return in.len;
}

static void read_tag(struct lm_html_scanner *s, struct lm_html_token *ret)
{
    const bool end_tag = s->in.ptr[s->at + 1] == '/';
    const size_t name = s->at + 1 + end_tag;
    const size_t attrs = name_end(s->in, name);
    s->at = tag_end(s->in, attrs);
    ret->type = end_tag ? LM_HTML_END : LM_HTML_START;
    ret->text = (struct lm_str){ s->in.ptr + name, attrs - name };
    const size_t attrs_end = s->at > attrs && s->in.ptr[s->at - 1] == '>' ? s->at - 1 : s->at;
    ret->attrs = (struct lm_str){ s->in.ptr + attrs, attrs_end - attrs };
    if (end_tag)
        return;
    for (size_t i = 0; i < sizeof raw_elements / sizeof *raw_elements; i++)
        if (lm_html_is(ret->text, raw_elements[i]))
            s->raw = raw_elements[i];
}

static bool is_tag(struct lm_str in, size_t at)
{
    if (in.len - at < 3)
        return false;
    return lm_is_alpha(in.ptr[at + 1]) || (in.ptr[at + 1] == '/' && lm_is_alpha(in.ptr[at + 2]));
}

bool lm_html_next(struct lm_html_scanner *s, struct lm_html_token *ret)
{
    *ret = (struct lm_html_token){ .type = LM_HTML_TEXT };
    if (s->raw) {
        const size_t start = s->at;
        s->at = raw_end(s->in, start, s->raw);
        s->raw = NULL;
        ret->text = (struct lm_str){ s->in.ptr + start, s->at - start };
        return true;
    }
    while (s->at < s->in.len) {
        const size_t start = s->at;
        if (s->in.ptr[start] == '<' && is_tag(s->in, start)) {
            read_tag(s, ret);
            return true;
        }
        const char after = start + 1 < s->in.len ? s->in.ptr[start + 1] : '\0';
        if (s->in.ptr[start] == '<' && (after == '!' || after == '?' || after == '/')) {
            s->at = markup_end(s->in, start);
            continue;
        }
        s->at = find_byte(s->in, start + 1, '<');   // a '<' that opens nothing is text
        ret->text = (struct lm_str){ s->in.ptr + start, s->at - start };
        return true;
    }
    return false;
}

bool lm_html_attr_next(struct lm_str *attrs, struct lm_str *ret_name, struct lm_str *ret_value)
{
    const struct lm_str s = *attrs;
    size_t at = 0;
    while (at < s.len && (lm_is_space(s.ptr[at]) || s.ptr[at] == '/'))
        at++;
    if (at == s.len)
        return false;
    const size_t name = at++;   // the first character belongs to the name, even if it is '='
    while (at < s.len && !lm_is_space(s.ptr[at]) && s.ptr[at] != '/' && s.ptr[at] != '=')
        at++;
    *ret_name = (struct lm_str){ s.ptr + name, at - name };
    *ret_value = (struct lm_str){ s.ptr + at, 0 };
    size_t sign = at;
    while (sign < s.len && lm_is_space(s.ptr[sign]))
        sign++;
    if (sign < s.len && s.ptr[sign] == '=') {
        at = sign + 1;
        while (at < s.len && lm_is_space(s.ptr[at]))
            at++;
        const char quote = at < s.len ? s.ptr[at] : '\0';
        const bool quoted = quote == '"' || quote == '\'';
        const size_t value = at + quoted;
        if (quoted) {
            at = find_byte(s, value, quote);
        } else {
            while (at < s.len && !lm_is_space(s.ptr[at]))
                at++;
        }
        *ret_value = (struct lm_str){ s.ptr + value, at - value };
        at += quoted && at < s.len;
    }
    *attrs = (struct lm_str){ s.ptr + at, s.len - at };
    return true;
}

bool lm_html_attr(struct lm_str attrs, const char *name, struct lm_str *ret_value)
{
    struct lm_str found, value;
    while (lm_html_attr_next(&attrs, &found, &value)) {
        if (lm_html_is(found, name)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}
