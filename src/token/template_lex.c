/* token/template_lex.c - template source to tokens: tags cut out of text, white space around tags,
 * expressions.
 *
 * White space as jinja2's lexer with trim_blocks and lstrip_blocks: `-` takes all of it on its side; a block
 * or comment tag alone on its line takes the blanks before it and the line end behind it, unless it says `+`.
 */
#include "token/template_impl.h"

#include <stdio.h>

struct lexer {
    struct lm_template *t;
    struct lm_err *err;
    struct lm_tpl_tokens *tokens;
    const char *at, *end;
    const char *source, *counted;   // lines before `counted` are in `line`
    uint32_t line;
    bool line_starts;   // what came before ended with a line end
    size_t open_count;
    char open[LM_TEMPLATE_DEPTH_MAX];   // the closing brackets that are due
};

/* Tokens come in order; errors may look back. */
static uint32_t line_at(struct lexer *x, const char *at)
{
    if (at < x->counted) {
        x->counted = x->source;
        x->line = 1;
    }
    for (; x->counted < at; x->counted++)
        x->line += *x->counted == '\n';
    return x->line;
}

#define refuse(x, rc, at, format, ...)                                                                       \
    lm_fail((x)->err, rc, "%s, line %u: " format, (x)->t->name, line_at(x, at) __VA_OPT__(, ) __VA_ARGS__)

static struct lm_tpl_token *add(struct lexer *x, enum lm_tpl_token_kind kind, const char *start, size_t len)
{
    struct lm_tpl_tokens *t = x->tokens;
    lm_grow(&t->items, &t->cap, t->len + 1, sizeof(*t->items));
    t->items[t->len] =
        (struct lm_tpl_token){ .kind = kind, .line = line_at(x, start), .text = { start, len } };
    return &t->items[t->len++];
}

static const char *skip_blanks(const char *at, const char *end)
{
    uint32_t cp;
    while (at < end) {
        const size_t len = lm_tpl_char(at, end, &cp);
        if (!lm_tpl_is_blank(cp))
            break;
        at += len;
    }
    return at;
}

static bool starts(const struct lexer *x, const char *at, const char *text)
{
    const size_t len = strlen(text);
    return (size_t)(x->end - at) >= len && memcmp(at, text, len) == 0;
}

/* ---- text between tags ---- */

/* The text start..end in front of a tag with this sign, without the white space that the tag takes. */
static void add_data(struct lexer *x, const char *start, const char *end, char sign, bool is_print)
{
    uint32_t cp;
    if (sign == '-') {
        while (end > start) {
            const size_t len = lm_tpl_char_back(start, end, &cp);
            if (!lm_tpl_is_blank(cp))
                break;
            end -= len;
        }
    } else if (sign != '+' && !is_print) {
        const char *line = end;
        while (line > start && line[-1] != '\n')
            line--;
        if ((line > start || x->line_starts) && skip_blanks(line, end) == end)
            end = line;
    }
    if (end > start)
        add(x, LM_TPL_T_DATA, start, (size_t)(end - start));
}

/* Behind a closing tag: `-` takes the blanks, a block or comment one line end. */
static void close_tag(struct lexer *x, const char *after, char sign, bool is_print)
{
    x->at = after;
    if (sign == '-')
        x->at = skip_blanks(after, x->end);
    else if (!is_print && sign != '+' && after < x->end && *after == '\n')
        x->at++;
    x->line_starts = x->at > after && x->at[-1] == '\n';
}

static char sign_at(const struct lexer *x, const char *at)
{
    return at < x->end && (*at == '-' || *at == '+') ? *at : 0;
}

static enum lm_rc skip_comment(struct lexer *x, const char *tag)
{
    for (const char *p = tag; p + 2 <= x->end; p++)
        if (p[0] == '#' && p[1] == '}') {
            const char sign = p > tag && (p[-1] == '-' || p[-1] == '+') ? p[-1] : 0;
            close_tag(x, p + 2, sign, false);
            return LM_OK;
        }
    return refuse(x, LM_EFORMAT, tag, "the comment is not closed");
}

/* The end of `{% word %}` at `tag`, which is behind `{%` and its sign; NULL when it is another tag. */
static const char *word_tag(const struct lexer *x, const char *tag, const char *word, char *ret_sign)
{
    tag = skip_blanks(tag, x->end);
    if (!starts(x, tag, word))
        return NULL;
    tag = skip_blanks(tag + strlen(word), x->end);
    *ret_sign = sign_at(x, tag);
    tag += *ret_sign != 0;
    return starts(x, tag, "%}") ? tag + 2 : NULL;
}

static enum lm_rc lex_raw(struct lexer *x, const char *tag, const char *after, char sign)
{
    const char *start = sign == '-' ? skip_blanks(after, x->end) : after;
    x->line_starts = start > after && start[-1] == '\n';
    for (const char *p = start; p + 2 <= x->end; p++) {
        if (p[0] != '{' || p[1] != '%')
            continue;
        const char before = sign_at(x, p + 2);
        char behind = 0;
        const char *end = word_tag(x, p + 2 + (before != 0), "endraw", &behind);
        if (!end)
            continue;
        add_data(x, start, p, before, false);
        close_tag(x, end, behind, false);
        return LM_OK;
    }
    return refuse(x, LM_EFORMAT, tag, "{%% raw %%} is not closed");
}

/* ---- inside tags ---- */

static size_t digits(const char *at, const char *end)
{
    size_t n = 0;
    while (at + n < end && ((at[n] >= '0' && at[n] <= '9') || (n > 0 && at[n] == '_')))
        n++;
    while (n > 0 && at[n - 1] == '_')
        n--;
    return n;
}

static enum lm_rc lex_number(struct lexer *x)
{
    enum { NUMBER_MAX = 64 };
    const char *at = x->at;
    size_t len = digits(at, x->end);
    bool real = false;
    if (at + len + 1 < x->end && at[len] == '.' && at[len + 1] >= '0' && at[len + 1] <= '9') {
        real = true;
        len += 1 + digits(at + len + 1, x->end);
    }
    if (at + len + 1 < x->end && (at[len] == 'e' || at[len] == 'E')) {
        const size_t sign = at[len + 1] == '-' || at[len + 1] == '+';
        const size_t power = digits(at + len + 1 + sign, x->end);
        real |= power > 0;
        len += power > 0 ? 1 + sign + power : 0;
    }
    char text[NUMBER_MAX];
    size_t n = 0;
    for (size_t i = 0; i < len && n < NUMBER_MAX; i++)
        if (at[i] != '_')
            text[n++] = at[i];
    struct lm_tpl_token *token = add(x, real ? LM_TPL_T_FLOAT : LM_TPL_T_INT, at, len);
    const struct lm_str number = { text, n };
    if (n == NUMBER_MAX ||
        !(real ? lm_str_to_f64(number, &token->real) : lm_str_to_i64(number, &token->integer)))
        return refuse(x, LM_EFORMAT, at, "the number %.*s is too large", len < 40 ? (int)len : 40, at);
    x->at += len;
    return LM_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \xhh \uhhhh \Uhhhhhhhh at `at`, behind the letter; false when it is cut or no character. */
static bool read_hex(const char *at, const char *end, size_t len, uint32_t *ret)
{
    uint32_t cp = 0;
    if ((size_t)(end - at) < len)
        return false;
    for (size_t i = 0; i < len; i++) {
        const int digit = hex_digit(at[i]);
        if (digit < 0)
            return false;
        cp = cp << 4 | (uint32_t)digit;
    }
    *ret = cp;
    return cp < 0x110000 && (cp < 0xd800 || cp > 0xdfff);
}

/* One escape of Python's string literals; at[0] is the letter behind the backslash.  Returns what was read.
 */
static size_t read_escape(const char *at, const char *end, char *out, size_t *out_len)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    static const struct {
        char letter;
        uint8_t len;
    } hex[] = { { 'x', 2 }, { 'u', 4 }, { 'U', 8 } };
    const char *simple = *at ? strchr(from, *at) : NULL;
    uint32_t cp = 0;
    if (simple) {
        out[(*out_len)++] = to[simple - from];
        return 1;
    }
    if (*at == '\n')
        return 1;
    for (size_t i = 0; i < sizeof(hex) / sizeof(hex[0]); i++)
        if (*at == hex[i].letter) {
            if (!read_hex(at + 1, end, hex[i].len, &cp))
                return 0;
            *out_len += lm_tpl_put_char(cp, out + *out_len);
            return 1 + (size_t)hex[i].len;
        }
    size_t n = 0;
    for (; n < 3 && at + n < end && at[n] >= '0' && at[n] <= '7'; n++)
        cp = cp << 3 | (uint32_t)(at[n] - '0');
    if (n > 0) {
        *out_len += lm_tpl_put_char(cp, out + *out_len);
        return n;
    }
    if (*at == 'N')
        return 0;
    out[(*out_len)++] = '\\';   // Python keeps the backslash of an escape it does not know
    return SIZE_MAX;
}

static enum lm_rc lex_text(struct lexer *x)
{
    const char *start = x->at, quote = *start;
    const char *end = start + 1;
    while (end < x->end && *end != quote)
        end += *end == '\\' && end + 1 < x->end ? 2 : 1;
    if (end >= x->end)
        return refuse(x, LM_EFORMAT, start, "the text that begins with %c is not closed", quote);
    char *value = lm_arena_alloc(&x->t->arena, (size_t)(end - start));
    size_t len = 0;
    for (const char *p = start + 1; p < end;) {
        if (*p != '\\') {
            value[len++] = *p++;
            continue;
        }
        const size_t read = read_escape(p + 1, end, value, &len);
        if (read == 0)
            return refuse(x, LM_EFORMAT, p, "the escape \\%c in a text is not supported or is cut", p[1]);
        p += read == SIZE_MAX ? 1 : 1 + read;
    }
    add(x, LM_TPL_T_TEXT, start, 0)->text = (struct lm_str){ value, len };
    x->at = end + 1;
    return LM_OK;
}

static bool is_name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static enum lm_rc lex_bracket(struct lexer *x, char c)
{
    static const char opens[] = "([{", closes[] = ")]}";
    const char *open = strchr(opens, c);
    if (open) {
        if (x->open_count == LM_TEMPLATE_DEPTH_MAX)
            return refuse(x, LM_ELIMIT, x->at, "brackets are nested deeper than %d", LM_TEMPLATE_DEPTH_MAX);
        x->open[x->open_count++] = closes[open - opens];
    } else if (strchr(closes, c)) {
        if (x->open_count == 0 || x->open[x->open_count - 1] != c)
            return refuse(x, LM_EFORMAT, x->at, "unexpected '%c'", c);
        x->open_count--;
    }
    return LM_OK;
}

static enum lm_rc lex_op(struct lexer *x)
{
    static const char *const ops[] = { "//", "**", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<",
                                       ">",  "=",  "(",  ")",  "[",  "]",  "{", "}", ",", ":", ".", "|" };
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (starts(x, x->at, ops[i])) {
            const size_t len = strlen(ops[i]);
            if (len == 1)
                LM_TRY(lex_bracket(x, *ops[i]));
            if (strcmp(ops[i], "**") == 0)
                return refuse(x, LM_EFORMAT, x->at, "the operator ** is not supported");
            add(x, LM_TPL_T_OP, x->at, len);
            x->at += len;
            return LM_OK;
        }
    uint32_t cp;
    const size_t len = lm_tpl_char(x->at, x->end, &cp);
    if (cp < 0x20 || cp == 0x7f)
        return refuse(x, LM_EFORMAT, x->at, "unexpected control character %u", cp);
    return refuse(x, LM_EFORMAT, x->at, "unexpected '%.*s'", (int)len, x->at);
}

/* The closing tag is only looked for outside of brackets: {{ {'a': {}} }}. */
static bool lex_tag_end(struct lexer *x, bool is_print)
{
    if (x->open_count > 0)
        return false;
    const char sign = sign_at(x, x->at);
    const char *tag = x->at + (sign == '-' || (sign == '+' && !is_print));
    if (!starts(x, tag, is_print ? "}}" : "%}"))
        return false;
    add(x, is_print ? LM_TPL_T_PRINT_END : LM_TPL_T_BLOCK_END, tag, 2);
    close_tag(x, tag + 2, tag > x->at ? sign : 0, is_print);
    return true;
}

static enum lm_rc lex_tag(struct lexer *x, const char *tag, bool is_print)
{
    for (;;) {
        x->at = skip_blanks(x->at, x->end);
        if (x->at >= x->end)
            return refuse(x, LM_EFORMAT, tag, "%s is not closed", is_print ? "{{" : "{%");
        if (lex_tag_end(x, is_print))
            return LM_OK;
        const char c = *x->at;
        if (is_name_char(c, true)) {
            size_t len = 1;
            while (x->at + len < x->end && is_name_char(x->at[len], false))
                len++;
            add(x, LM_TPL_T_NAME, x->at, len);
            x->at += len;
        } else if (c >= '0' && c <= '9') {
            LM_TRY(lex_number(x));
        } else if (c == '\'' || c == '"') {
            LM_TRY(lex_text(x));
        } else {
            LM_TRY(lex_op(x));
        }
    }
}

/* ---- the whole ---- */

static const char *next_tag(const struct lexer *x)
{
    for (const char *p = x->at; p + 2 <= x->end; p++)
        if (p[0] == '{' && (p[1] == '{' || p[1] == '%' || p[1] == '#'))
            return p;
    return NULL;
}

static enum lm_rc lex_next(struct lexer *x)
{
    const char *tag = next_tag(x);
    if (!tag) {
        add_data(x, x->at, x->end, '+', true);
        x->at = x->end;
        return LM_OK;
    }
    const bool is_print = tag[1] == '{';
    const char sign = sign_at(x, tag + 2);
    const char *inside = tag + 2 + (sign != 0);
    add_data(x, x->at, tag, sign, is_print);
    if (tag[1] == '#')
        return skip_comment(x, inside);
    if (!is_print) {
        char raw_sign = 0;
        const char *after = word_tag(x, inside, "raw", &raw_sign);
        if (after && raw_sign != '+')
            return lex_raw(x, tag, after, raw_sign);
    }
    add(x, is_print ? LM_TPL_T_PRINT : LM_TPL_T_BLOCK, tag, 2);
    x->at = inside;
    return lex_tag(x, tag, is_print);
}

/* CR LF and CR become LF; the last line end goes, as in jinja2. */
static size_t normalise(char *source, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (source[i] == '\r' && i + 1 < len && source[i + 1] == '\n')
            continue;
        source[n++] = source[i] == '\r' ? '\n' : source[i];
    }
    return n > 0 && source[n - 1] == '\n' ? n - 1 : n;
}

enum lm_rc lm_tpl_lex(struct lm_template *t, char *source, size_t len, struct lm_tpl_tokens *ret,
                      struct lm_err *err)
{
    len = normalise(source, len);
    struct lexer x = { .t = t,
                       .err = err,
                       .tokens = ret,
                       .at = source,
                       .end = source + len,
                       .source = source,
                       .counted = source,
                       .line = 1,
                       .line_starts = true };
    for (const char *p = source; p < x.end;) {
        uint32_t cp;
        p += lm_tpl_char(p, x.end, &cp);
        if (cp >= LM_TPL_BAD_BYTE)
            return refuse(&x, LM_EFORMAT, p - 1, "byte 0x%02x is not UTF-8", cp - LM_TPL_BAD_BYTE);
    }
    while (x.at < x.end)
        LM_TRY(lex_next(&x));
    add(&x, LM_TPL_T_END, x.end, 0);
    return LM_OK;
}
