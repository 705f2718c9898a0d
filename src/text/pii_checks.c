/* Checks for e-mail, IBAN, IP addresses and dates, and what all checks share. */
#include "text/pii_find.h"
#include "text/utf8.h"

#include <arpa/inet.h>
#include <stdio.h>

/* ---- shared ---- */

void lm_pii_add(struct lm_pii_scan *scan, enum lm_pii_type type, size_t start, size_t end, double score)
{
    LM_ASSERT(start < end && end <= scan->text.len);
    struct lm_pii_spans *s = scan->found;
    lm_grow(&s->items, &s->cap, s->len + 1, sizeof *s->items);
    s->items[s->len++] = (struct lm_pii_span){ (uint32_t)start, (uint32_t)end, type, (float)score };
}

char lm_pii_before(const struct lm_pii_scan *scan, size_t at)
{
    return at > 0 ? scan->text.ptr[at - 1] : '\0';
}

char lm_pii_at(const struct lm_pii_scan *scan, size_t at)
{
    return at < scan->text.len ? scan->text.ptr[at] : '\0';
}

bool lm_pii_has_context(const struct lm_pii_scan *scan, size_t start, const char *words)
{
    enum { WORD_BYTES_MAX = 16, LOOK_BACK_BYTES_MAX = 120 };
    const size_t stop = start > LOOK_BACK_BYTES_MAX ? start - LOOK_BACK_BYTES_MAX : 0;
    size_t at = start;
    for (int token = 0; token < LM_PII_CONTEXT_TOKENS; token++) {
        while (at > stop && !lm_is_alnum(scan->text.ptr[at - 1]))
            at--;
        const size_t end = at;
        while (at > stop && lm_is_alnum(scan->text.ptr[at - 1]))
            at--;
        const size_t len = end - at;
        if (len == 0)
            return false;
        if (len > WORD_BYTES_MAX)
            continue;
        char word[WORD_BYTES_MAX + 3] = " ";
        for (size_t i = 0; i < len; i++)
            word[1 + i] = lm_to_lower(scan->text.ptr[at + i]);
        word[1 + len] = ' ';
        word[2 + len] = '\0';
        if (strstr(words, word))
            return true;
    }
    return false;
}

double lm_pii_with_context(const struct lm_pii_scan *scan, size_t start, double base, const char *words)
{
    if (!lm_pii_has_context(scan, start, words))
        return base;
    const double more = base + 0.35;
    return more < 0.4 ? 0.4 : more > 1 ? 1 : more;
}

bool lm_pii_in_code(struct lm_pii_scan *scan, size_t at)
{
    while (scan->fence_at < at) {
        const char *line = scan->text.ptr + scan->fence_at;
        const size_t left = scan->text.len - scan->fence_at;
        const char *lf = memchr(line, '\n', left);
        const size_t len = lf ? (size_t)(lf - line) + 1 : left;
        if (scan->fence_at + len > at && lf)
            break;   // the line at hand is looked at when it is over
        if (len >= 3 && memcmp(line, "```", 3) == 0)
            scan->fence_open = !scan->fence_open;
        scan->fence_at += len;
    }
    return scan->fence_open;
}

/* "### 24.2.2.4. Title": the number of a section. */
static bool is_heading_number(const struct lm_pii_scan *scan, size_t start)
{
    return start >= 2 && scan->text.ptr[start - 1] == ' ' && scan->text.ptr[start - 2] == '#';
}

/* ---- e-mail ---- */

static bool is_local(char c)
{
    return lm_is_alnum(c) || (c != '\0' && strchr("._%+'-!#$&*/=?^`{|}~", c));
}

void lm_pii_check_email(struct lm_pii_scan *scan, size_t start, size_t end)
{
    enum { LOCAL_BYTES_MAX = 64, DOMAIN_BYTES_MAX = 253 };
    const size_t sign = start + 1;
    size_t from = sign, to = sign + 1, dot = 0;
    while (from > 0 && sign - from < LOCAL_BYTES_MAX && is_local(scan->text.ptr[from - 1]))
        from--;
    while (from < sign && !lm_is_alnum(scan->text.ptr[from]) && scan->text.ptr[from] != '_')
        from++;   // quotes and brackets in front of it
    while (to < scan->text.len && to - sign <= DOMAIN_BYTES_MAX) {
        const char c = scan->text.ptr[to];
        if (c == '.' && (lm_pii_before(scan, to) == '.' || !lm_is_alnum(lm_pii_at(scan, to + 1))))
            break;
        if (c == '.')
            dot = to;
        else if (!lm_is_alnum(c) && c != '-')
            break;
        to++;
    }
    bool letters = dot > 0 && to - dot > 2 && from < sign;
    for (size_t i = dot + 1; letters && i < to; i++)
        letters = lm_is_alpha(scan->text.ptr[i]) || (i > dot + 1 && scan->text.ptr[i] == '-');
    (void)end;
    if (letters)
        lm_pii_add(scan, LM_PII_EMAIL, from, to, 0.95);
}

/* ---- IBAN ---- */

/* Length per country; from the registry of SWIFT. */
static const struct {
    char country[3];
    uint8_t len;
} iban_rows[] = {
    { "AD", 24 }, { "AE", 23 }, { "AL", 28 }, { "AT", 20 }, { "AZ", 28 }, { "BA", 20 }, { "BE", 16 },
    { "BG", 22 }, { "BH", 22 }, { "BI", 27 }, { "BR", 29 }, { "BY", 28 }, { "CH", 21 }, { "CR", 22 },
    { "CY", 28 }, { "CZ", 24 }, { "DE", 22 }, { "DJ", 27 }, { "DK", 18 }, { "DO", 28 }, { "EE", 20 },
    { "EG", 29 }, { "ES", 24 }, { "FI", 18 }, { "FK", 18 }, { "FO", 18 }, { "FR", 27 }, { "GB", 22 },
    { "GE", 22 }, { "GI", 23 }, { "GL", 18 }, { "GR", 27 }, { "GT", 28 }, { "HR", 21 }, { "HU", 28 },
    { "IE", 22 }, { "IL", 23 }, { "IQ", 23 }, { "IS", 26 }, { "IT", 27 }, { "JO", 30 }, { "KW", 30 },
    { "KZ", 20 }, { "LB", 28 }, { "LC", 32 }, { "LI", 21 }, { "LT", 20 }, { "LU", 20 }, { "LV", 21 },
    { "LY", 25 }, { "MC", 27 }, { "MD", 24 }, { "ME", 22 }, { "MK", 19 }, { "MN", 20 }, { "MR", 27 },
    { "MT", 31 }, { "MU", 30 }, { "NI", 28 }, { "NL", 18 }, { "NO", 15 }, { "OM", 23 }, { "PK", 24 },
    { "PL", 28 }, { "PS", 29 }, { "PT", 25 }, { "QA", 29 }, { "RO", 24 }, { "RS", 22 }, { "RU", 33 },
    { "SA", 24 }, { "SC", 31 }, { "SD", 18 }, { "SE", 24 }, { "SI", 19 }, { "SK", 24 }, { "SM", 27 },
    { "SO", 23 }, { "ST", 25 }, { "SV", 28 }, { "TL", 23 }, { "TN", 24 }, { "TR", 26 }, { "UA", 29 },
    { "VA", 22 }, { "VG", 24 }, { "XK", 20 }, { "YE", 30 },
};

static size_t iban_len(const char *country)
{
    for (size_t i = 0; i < sizeof iban_rows / sizeof *iban_rows; i++)
        if (memcmp(iban_rows[i].country, country, 2) == 0)
            return iban_rows[i].len;
    return 0;
}

/* ISO 13616: the first four characters go to the end, A = 10 ... Z = 35, the number mod 97 is 1. */
bool lm_pii_iban_ok(const char *chars, size_t len)
{
    if (len < 15 || iban_len(chars) != len)
        return false;
    unsigned rest = 0;
    for (size_t i = 0; i < len; i++) {
        const char c = chars[(i + 4) % len];
        if (lm_is_digit(c))
            rest = (rest * 10 + (unsigned)(c - '0')) % 97;
        else if (lm_is_upper(c))
            rest = (rest * 100 + (unsigned)(c - 'A' + 10)) % 97;
        else
            return false;
    }
    return rest == 1;
}

/* Takes as many characters as the country asks for, so that a word behind the number does no harm. */
void lm_pii_check_iban(struct lm_pii_scan *scan, size_t start, size_t end)
{
    enum { IBAN_LEN_MAX = 34 };
    (void)end;
    char chars[IBAN_LEN_MAX];
    size_t len = 0, at = start, want = 2;
    while (at < scan->text.len && len < want) {
        const char c = scan->text.ptr[at];
        if (lm_is_alnum(c))
            chars[len++] = lm_is_digit(c) || lm_is_upper(c) ? c : (char)(c - 32);
        else if ((c != ' ' && c != '-') || !lm_is_alnum(scan->text.ptr[at - 1]))
            return;
        at++;
        if (len == 2 && want == 2)
            want = iban_len(chars);
    }
    if (len == want && lm_pii_iban_ok(chars, len) && !lm_is_alnum(lm_pii_before(scan, start)) &&
        !lm_is_alnum(lm_pii_at(scan, at)))
        lm_pii_add(scan, LM_PII_IBAN, start, at, 1);
}

/* ---- IP addresses ---- */

static const char ip_context[] =
    " ip ipv4 ipv6 address addresses host hosts client server from peer login logged ";
static const char version_context[] = " version versions release v section chapter table figure rfc oid ";

/* Addresses that lead to somebody.  Private, loopback, documentation, multicast and reserved ones stay. */
static bool is_global_v4(const unsigned octet[4])
{
    const uint32_t a = octet[0] << 24 | octet[1] << 16 | octet[2] << 8 | octet[3];
    static const struct {
        uint32_t net;
        unsigned bits;
    } others[] = {
        { 0x00000000, 8 },  { 0x0a000000, 8 },  { 0x64400000, 10 }, { 0x7f000000, 8 },  { 0xa9fe0000, 16 },
        { 0xac100000, 12 }, { 0xc0000000, 24 }, { 0xc0000200, 24 }, { 0xc0586300, 24 }, { 0xc0a80000, 16 },
        { 0xc6120000, 15 }, { 0xc6336400, 24 }, { 0xcb007100, 24 }, { 0xe0000000, 3 },
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if ((a ^ others[i].net) >> (32 - others[i].bits) == 0)
            return false;
    return true;
}

void lm_pii_check_ipv4(struct lm_pii_scan *scan, size_t start, size_t end)
{
    const char before = lm_pii_before(scan, start), after = lm_pii_at(scan, end);
    if (lm_is_alnum(before) || (before != '\0' && strchr(".-_+", before)) || lm_is_alnum(after) ||
        after == '_' || ((after == '.' || after == '-') && lm_is_alnum(lm_pii_at(scan, end + 1))))
        return;
    if (is_heading_number(scan, start) || (after == '/' && lm_is_digit(lm_pii_at(scan, end + 1))))
        return;   // with a prefix length it is a network
    unsigned octet[4];
    char text[16];
    snprintf(text, sizeof text, "%.*s", (int)(end - start), scan->text.ptr + start);
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1)   // refuses octets above 255 and leading zeros
        return;
    const uint32_t a = ntohl(address.s_addr);
    bool small = true;   // 15.4.1.2: a version or a section rather than an address
    for (unsigned i = 0; i < 4; i++) {
        octet[i] = a >> (24 - 8 * i) & 255;
        small &= octet[i] < 32;
    }
    if (!is_global_v4(octet) || lm_pii_has_context(scan, start, version_context))
        return;
    lm_pii_add(scan, LM_PII_IP, start, end,
               lm_pii_with_context(scan, start, small ? 0.35 : 0.65, ip_context));
}

static bool is_hex(char c)
{
    return lm_is_digit(c) || (lm_to_lower(c) >= 'a' && lm_to_lower(c) <= 'f');
}

void lm_pii_check_ipv6(struct lm_pii_scan *scan, size_t start, size_t end)
{
    enum { TEXT_MAX = 46 };
    if (start < scan->done[scan->row])
        return;
    while (end < scan->text.len && (is_hex(scan->text.ptr[end]) || scan->text.ptr[end] == ':'))
        end++;
    scan->done[scan->row] = end;
    const char before = lm_pii_before(scan, start);
    while (end > start && scan->text.ptr[end - 1] == ':' && end - start > 2 && scan->text.ptr[end - 2] != ':')
        end--;   // a colon behind the address
    if (end - start >= TEXT_MAX || lm_is_alnum(before) || before == ':' || before == '.' || before == '_' ||
        lm_is_alnum(lm_pii_at(scan, end)) || lm_pii_at(scan, end) == '/')
        return;
    char text[TEXT_MAX];
    snprintf(text, sizeof text, "%.*s", (int)(end - start), scan->text.ptr + start);
    struct in6_addr a;
    if (inet_pton(AF_INET6, text, &a) != 1)
        return;
    const bool documentation =
        a.s6_addr[0] == 0x20 && a.s6_addr[1] == 0x01 && a.s6_addr[2] == 0x0d && a.s6_addr[3] == 0xb8;
    if ((a.s6_addr[0] & 0xe0) == 0x20 && !documentation)   // 2000::/3, global unicast
        lm_pii_add(scan, LM_PII_IP, start, end, lm_pii_with_context(scan, start, 0.7, ip_context));
}

/* ---- dates ---- */

static const char date_context[] =
    " born birth birthday birthdate dob died death date dated on since until from between "
    "expires expiry married hired joined ";

static bool in_literal(const struct lm_pii_scan *scan, size_t start)
{
    const char before = lm_pii_before(scan, start);
    return before == '\'' || before == '"' || before == '=' || before == '_' || before == '-' ||
           before == '/';
}

/* A date in code or in a literal is an example, rarely somebody's. */
void lm_pii_check_date(struct lm_pii_scan *scan, size_t start, size_t end)
{
    if (lm_is_alnum(lm_pii_before(scan, start)) || lm_is_alnum(lm_pii_at(scan, end)))
        return;
    const bool example = in_literal(scan, start) || lm_pii_in_code(scan, start);
    lm_pii_add(scan, LM_PII_DATE, start, end,
               example ? 0.3 : lm_pii_with_context(scan, start, 0.6, date_context));
}

void lm_pii_check_date_numeric(struct lm_pii_scan *scan, size_t start, size_t end)
{
    const char before = lm_pii_before(scan, start), after = lm_pii_at(scan, end);
    const bool joined =
        lm_is_alnum(before) || before == '.' || before == '-' || before == '/' || lm_is_alnum(after) ||
        ((after == '.' || after == '-' || after == '/') && lm_is_alnum(lm_pii_at(scan, end + 1)));
    size_t at = start;
    unsigned part[2] = { 0 };
    for (unsigned i = 0; i < 2; i++, at++)
        for (; lm_is_digit(scan->text.ptr[at]); at++)
            part[i] = part[i] * 10 + (unsigned)(scan->text.ptr[at] - '0');
    const char separator = scan->text.ptr[at - 1];
    const bool real =
        part[0] >= 1 && part[1] >= 1 && part[0] <= 31 && part[1] <= 31 && (part[0] <= 12 || part[1] <= 12);
    const bool long_year = end - at == 4;
    if (joined || !real ||
        scan->text.ptr[start + (lm_is_digit(scan->text.ptr[start + 1]) ? 2 : 1)] != separator)
        return;
    if (in_literal(scan, start) || is_heading_number(scan, start) || lm_pii_in_code(scan, start) ||
        lm_pii_has_context(scan, start, version_context))
        return;
    lm_pii_add(scan, LM_PII_DATE, start, end,
               lm_pii_with_context(scan, start, long_year ? 0.5 : 0.2, date_context));
}
