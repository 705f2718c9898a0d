#include "base/json.h"
#include "base/json_utf8.h"

/* What may come next at a depth. */
enum expect {
    VALUE,          // top level, or after a key
    ARRAY_FIRST,    // value or ]
    ARRAY_NEXT,     // , value or ]
    OBJECT_FIRST,   // key or }
    OBJECT_NEXT,    // , key or }
    OBJECT_VALUE,   // value (the colon is read with the key)
    NOTHING,        // the top-level value is complete
};

void lm_json_open(struct lm_json_reader *r, struct lm_str input, const char *name, struct lm_arena *arena)
{
    LM_ASSERT(name);

    *r = (struct lm_json_reader){
        .at = input.ptr,
        .start = input.ptr,
        .end = input.ptr + input.len,
        .name = name,
        .arena = arena,
        .state[0] = VALUE,
    };
}

size_t lm_json_offset(const struct lm_json_reader *r)
{
    return (size_t)(r->at - r->start);
}

/* ---- messages ---- */

static enum lm_rc fail_at(const struct lm_json_reader *r, const char *at, const char *problem,
                          struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: byte %zu: %s", r->name, (size_t)(at - r->start), problem);
}

static enum lm_rc fail_expected(const struct lm_json_reader *r, const char *what, struct lm_err *err)
{
    const size_t offset = lm_json_offset(r);
    if (r->at == r->end)
        return lm_fail(err, LM_EFORMAT, "%s: byte %zu: expected %s, found the end of the text", r->name,
                       offset, what);
    const uint8_t c = (uint8_t)*r->at;
    if (c > 0x20 && c < 0x7f)
        return lm_fail(err, LM_EFORMAT, "%s: byte %zu: expected %s, found '%c'", r->name, offset, what, c);
    return lm_fail(err, LM_EFORMAT, "%s: byte %zu: expected %s, found byte 0x%02x", r->name, offset, what, c);
}

/* ---- strings ---- */

/* Four hex digits; -1 if they are not. */
static int32_t hex4(const char *at, const char *end)
{
    if (end - at < 4)
        return -1;
    int32_t code = 0;
    for (size_t i = 0; i < 4; i++) {
        const char c = at[i], lower = c | 0x20;
        if (c >= '0' && c <= '9')
            code = code << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            code = code << 4 | (lower - 'a' + 10);
        else
            return -1;
    }
    return code;
}

/* \uXXXX at *at (behind the u), with its second half if it is the first of a pair. */
static enum lm_rc read_unicode(const struct lm_json_reader *r, const char **at, const char *end,
                               uint32_t *ret_code, struct lm_err *err)
{
    const int32_t first = hex4(*at, end);
    if (first < 0)
        return fail_at(r, *at, "expected four hex digits after \\u", err);
    *at += 4;
    *ret_code = (uint32_t)first;
    if (first < 0xd800 || first > 0xdfff)
        return LM_OK;
    if (first < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        const int32_t second = hex4(*at + 2, end);
        if (second >= 0xdc00 && second <= 0xdfff) {
            *at += 6;
            *ret_code = 0x10000 + (((uint32_t)first & 0x3ff) << 10) + ((uint32_t)second & 0x3ff);
            return LM_OK;
        }
    }
    if (!r->lax)
        return fail_at(r, *at - 6, "half of a surrogate pair stands alone", err);
    *ret_code = 0xfffd;
    return LM_OK;
}

/* The escape at *at (on the backslash); writes 1 to 4 bytes, never more than it reads. */
static enum lm_rc read_escape(const struct lm_json_reader *r, const char **at, const char *end, char **out,
                              struct lm_err *err)
{
    static const char plain[128] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };
    const uint8_t c = (uint8_t)(*at)[1];   // there is one: the closing quote comes later
    if (c < sizeof(plain) && plain[c]) {
        *(*out)++ = plain[c];
        *at += 2;
        return LM_OK;
    }
    if (c != 'u')
        return fail_at(r, *at, "unknown escape in a string", err);
    *at += 2;
    uint32_t code = 0;
    LM_TRY(read_unicode(r, at, end, &code, err));
    *out += lm_json_utf8_put(code, *out);
    return LM_OK;
}

/* The closing quote of the string whose text starts at `at`; NULL with a message if there is none. */
static const char *find_quote(const struct lm_json_reader *r, const char *at, bool *ret_escaped,
                              struct lm_err *err)
{
    for (;;) {
        at = lm_json_run_end(at, r->end);
        if (at == r->end) {
            fail_at(r, at, "the text ends inside a string", err);
            return NULL;
        }
        if (*at == '"')
            return at;
        if (*at != '\\') {
            fail_at(r, at, "control character in a string (write it as \\u00XX)", err);
            return NULL;
        }
        *ret_escaped = true;
        at += r->end - at >= 2 ? 2 : 1;
    }
}

/* Escapes become bytes.  Text is copied a word at a time while it is looked through: `out` is never ahead of
 * `at`, so the word that is stored fits, and what is wrong of it is overwritten. */
static enum lm_rc decode(struct lm_json_reader *r, const char *at, const char *end, struct lm_err *err)
{
    char *text = lm_arena_alloc(r->arena, (size_t)(end - at) + 1), *out = text;
    while (at < end) {
        if (end - at >= 8) {
            const uint64_t word = lm_json_load8(at), stops = lm_json_stops(word);
            const size_t len = stops ? (size_t)__builtin_ctzll(stops) / 8 : 8;
            memcpy(out, &word, sizeof(word));
            out += len;
            at += len;
            if (!stops)
                continue;
        } else if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        LM_TRY(read_escape(r, &at, end, &out, err));
    }
    r->text = (struct lm_str){ text, (size_t)(out - text) };
    text[r->text.len] = '\0';
    return LM_OK;
}

/* A skipped string is checked, but not kept. */
static enum lm_rc check_escapes(const struct lm_json_reader *r, const char *at, const char *end,
                                struct lm_err *err)
{
    while ((at = lm_json_run_end(at, end)) < end) {
        char unwanted[4], *out = unwanted;
        LM_TRY(read_escape(r, &at, end, &out, err));
    }
    return LM_OK;
}

/* On the opening quote. */
static enum lm_rc read_string(struct lm_json_reader *r, struct lm_err *err)
{
    const char *first = r->at + 1;
    bool escaped = false;
    const char *quote = find_quote(r, first, &escaped, err);
    if (!quote)
        return LM_EFORMAT;
    /* Escapes are ASCII and decode to well-formed UTF-8, so checking the raw text is enough. */
    const char *good = lm_json_utf8_end(first, quote);
    if (good != quote)
        return fail_at(r, good, "the string is not valid UTF-8", err);
    r->text = (struct lm_str){ first, (size_t)(quote - first) };
    if (escaped)
        LM_TRY(r->arena ? decode(r, first, quote, err) : check_escapes(r, first, quote, err));
    r->at = quote + 1;
    return LM_OK;
}

/* ---- numbers and words ---- */

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? */
static enum lm_rc read_number(struct lm_json_reader *r, struct lm_err *err)
{
    const char *first = r->at, *end = r->end;
    r->at += *r->at == '-';
    const char *whole = skip_digits(r->at, end);
    if (whole == r->at)
        return fail_expected(r, "a digit", err);
    if (*r->at == '0' && whole - r->at > 1)
        return fail_at(r, r->at, "a number does not start with 0", err);
    r->at = whole;
    if (r->at < end && *r->at == '.') {
        const char *digits = skip_digits(++r->at, end);
        if (digits == r->at)
            return fail_expected(r, "a digit after the decimal point", err);
        r->at = digits;
    }
    if (r->at < end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        r->at += r->at < end && (*r->at == '+' || *r->at == '-');
        const char *digits = skip_digits(r->at, end);
        if (digits == r->at)
            return fail_expected(r, "a digit in the exponent", err);
        r->at = digits;
    }
    r->text = (struct lm_str){ first, (size_t)(r->at - first) };
    return LM_OK;
}

static enum lm_rc read_word(struct lm_json_reader *r, struct lm_str word, struct lm_err *err)
{
    if (!lm_str_starts((struct lm_str){ r->at, (size_t)(r->end - r->at) }, word))
        return fail_expected(r, "a value (true, false or null are written in full)", err);
    r->at += word.len;
    return LM_OK;
}

/* ---- structure ---- */

static void skip_blanks(struct lm_json_reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

static bool accept(struct lm_json_reader *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* A value has been read at this depth: what may follow? */
static void value_done(struct lm_json_reader *r)
{
    uint8_t *state = &r->state[r->depth];
    *state = r->depth == 0 ? NOTHING : *state == OBJECT_VALUE ? OBJECT_NEXT : ARRAY_NEXT;
}

static enum lm_rc go_down(struct lm_json_reader *r, enum expect expect, struct lm_err *err)
{
    if (r->depth == LM_JSON_DEPTH_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: byte %zu: nested deeper than %d", r->name, lm_json_offset(r),
                       LM_JSON_DEPTH_MAX);
    r->at++;
    value_done(r);
    r->state[++r->depth] = (uint8_t)expect;
    return LM_OK;
}

static enum lm_rc read_value(struct lm_json_reader *r, enum lm_json_kind *ret, struct lm_err *err)
{
    enum lm_json_kind kind;
    enum lm_rc rc;
    switch (r->at < r->end ? *r->at : '\0') {
    case '{':
        *ret = LM_JSON_OBJECT;
        return go_down(r, OBJECT_FIRST, err);
    case '[':
        *ret = LM_JSON_ARRAY;
        return go_down(r, ARRAY_FIRST, err);
    case '"':
        kind = LM_JSON_STRING;
        rc = read_string(r, err);
        break;
    case 't':
        kind = LM_JSON_TRUE;
        rc = read_word(r, LM_STR("true"), err);
        break;
    case 'f':
        kind = LM_JSON_FALSE;
        rc = read_word(r, LM_STR("false"), err);
        break;
    case 'n':
        kind = LM_JSON_NULL;
        rc = read_word(r, LM_STR("null"), err);
        break;
    case '-':
    case '0' ... '9':
        kind = LM_JSON_NUMBER;
        rc = read_number(r, err);
        break;
    default:
        return fail_expected(r, "a value", err);
    }
    LM_TRY(rc);
    value_done(r);
    *ret = kind;
    return LM_OK;
}

static enum lm_rc read_key(struct lm_json_reader *r, enum lm_json_kind *ret, struct lm_err *err)
{
    if (r->at == r->end || *r->at != '"')
        return fail_expected(r, "a key in quotes", err);
    LM_TRY(read_string(r, err));
    skip_blanks(r);
    if (!accept(r, ':'))
        return fail_expected(r, "':'", err);
    r->state[r->depth] = OBJECT_VALUE;
    *ret = LM_JSON_KEY;
    return LM_OK;
}

static enum lm_rc go_up(struct lm_json_reader *r, enum lm_json_kind kind, enum lm_json_kind *ret)
{
    r->depth--;
    *ret = kind;
    return LM_OK;
}

enum lm_rc lm_json_next(struct lm_json_reader *r, enum lm_json_kind *ret, struct lm_err *err)
{
    r->text = LM_STR("");
    skip_blanks(r);
    switch ((enum expect)r->state[r->depth]) {
    case NOTHING:
        if (r->at != r->end)
            return fail_expected(r, "the end of the text", err);
        *ret = LM_JSON_END;
        return LM_OK;
    case ARRAY_FIRST:
        return accept(r, ']') ? go_up(r, LM_JSON_ARRAY_END, ret) : read_value(r, ret, err);
    case ARRAY_NEXT:
        if (accept(r, ']'))
            return go_up(r, LM_JSON_ARRAY_END, ret);
        if (!accept(r, ','))
            return fail_expected(r, "',' or ']'", err);
        skip_blanks(r);
        return read_value(r, ret, err);
    case OBJECT_FIRST:
        return accept(r, '}') ? go_up(r, LM_JSON_OBJECT_END, ret) : read_key(r, ret, err);
    case OBJECT_NEXT:
        if (accept(r, '}'))
            return go_up(r, LM_JSON_OBJECT_END, ret);
        if (!accept(r, ','))
            return fail_expected(r, "',' or '}'", err);
        skip_blanks(r);
        return read_key(r, ret, err);
    case VALUE:
    case OBJECT_VALUE:
        break;
    }
    return read_value(r, ret, err);
}

/* ---- helpers for callers ---- */

enum lm_rc lm_json_skip(struct lm_json_reader *r, struct lm_err *err)
{
    struct lm_arena *arena = r->arena;
    r->arena = NULL;   // checks strings without keeping them
    const size_t depth = r->depth;
    enum lm_json_kind kind = LM_JSON_END;
    enum lm_rc rc = lm_json_next(r, &kind, err);
    if (rc == LM_OK && (kind == LM_JSON_END || r->depth < depth))
        rc = fail_at(r, r->at, "expected a value, found the end of its container", err);
    while (rc == LM_OK && r->depth > depth)
        rc = lm_json_next(r, &kind, err);
    r->arena = arena;
    r->text = LM_STR("");
    return rc;
}

enum lm_rc lm_json_want(struct lm_json_reader *r, enum lm_json_kind kind, struct lm_err *err)
{
    static const char *const names[] = {
        [LM_JSON_END] = "the end",     [LM_JSON_OBJECT] = "an object", [LM_JSON_OBJECT_END] = "'}'",
        [LM_JSON_ARRAY] = "an array",  [LM_JSON_ARRAY_END] = "']'",    [LM_JSON_KEY] = "a key",
        [LM_JSON_STRING] = "a string", [LM_JSON_NUMBER] = "a number",  [LM_JSON_TRUE] = "true",
        [LM_JSON_FALSE] = "false",     [LM_JSON_NULL] = "null",
    };
    skip_blanks(r);
    const size_t offset = lm_json_offset(r);
    enum lm_json_kind found;
    LM_TRY(lm_json_next(r, &found, err));
    if (found != kind)
        return lm_fail(err, LM_EFORMAT, "%s: byte %zu: expected %s, found %s", r->name, offset, names[kind],
                       names[found]);
    return LM_OK;
}
