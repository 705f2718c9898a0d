/* Card and telephone numbers: a run of digits and separators is cut into groups, and groups are tried one
 * after the other as the start of a card (known issuer, length, Luhn) or of a telephone number (form). */
#include "text/pii_find.h"
#include "text/utf8.h"

enum {
    GROUPS_MAX = 24,
    GAP_BYTES_MAX = 3,
    CARD_DIGITS_MIN = 13,
    CARD_DIGITS_MAX = 19,
    PHONE_DIGITS_MAX = 15
};

static const char card_context[] = " card cards credit debit visa mastercard amex discover payment cc ";
static const char phone_context[] =
    " phone phones telephone tel call calls called calling fax mobile cell contact "
    "whatsapp sms dial reach number telefon ";
static const char not_phone_context[] =
    " isbn issn doi id order invoice serial version oid lsn pid pmid rfc ";

struct group {
    size_t start, len;
    char before;   // first separator in front of it, NUL for the first group
};

/* A window of groups, with the digits in one string. */
struct number {
    struct group groups[GROUPS_MAX];
    size_t len;
    size_t end;
};

bool lm_pii_luhn(const char *digits, size_t len)
{
    unsigned sum = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned d = (unsigned)(digits[len - 1 - i] - '0');
        if (i % 2 == 1)
            d = d < 5 ? 2 * d : 2 * d - 9;
        sum += d;
    }
    return len > 0 && sum % 10 == 0;
}

/* Issuers: numbers that start within first..last, compared over `digits` digits, have these lengths. */
static const struct {
    unsigned first, last, digits, len_min, len_max;
} issuers[] = {
    { 4, 4, 1, 13, 19 },       { 51, 55, 2, 16, 16 },     { 2221, 2720, 4, 16, 16 },
    { 34, 34, 2, 15, 15 },     { 37, 37, 2, 15, 15 },     { 300, 305, 3, 14, 19 },
    { 36, 36, 2, 14, 19 },     { 38, 39, 2, 14, 19 },     { 3528, 3589, 4, 16, 19 },
    { 6011, 6011, 4, 16, 19 }, { 62, 62, 2, 16, 19 },     { 644, 649, 3, 16, 19 },
    { 65, 65, 2, 16, 19 },     { 50, 50, 2, 13, 19 },     { 56, 58, 2, 13, 19 },
    { 60, 61, 2, 13, 19 },     { 63, 63, 2, 13, 19 },     { 67, 69, 2, 13, 19 },
    { 1800, 1800, 4, 15, 15 }, { 2131, 2131, 4, 15, 15 },
};

static bool card_form(const char *digits, size_t len)
{
    bool same = true;
    for (size_t i = 1; i < len; i++)
        same &= digits[i] == digits[0];
    if (same)
        return false;
    for (size_t i = 0; i < sizeof issuers / sizeof *issuers; i++) {
        unsigned prefix = 0;
        for (unsigned k = 0; k < issuers[i].digits; k++)
            prefix = prefix * 10 + (unsigned)(digits[k] - '0');
        if (prefix >= issuers[i].first && prefix <= issuers[i].last && len >= issuers[i].len_min &&
            len <= issuers[i].len_max)
            return true;
    }
    return false;
}

/* Groups used by a card that starts with group i, 0 for none; the longest that passes. */
static size_t card_at(const struct lm_pii_scan *scan, const struct number *n, size_t i)
{
    char digits[CARD_DIGITS_MAX];
    size_t len = 0, used = 0;
    for (size_t k = i; k < n->len; k++) {
        const struct group *g = &n->groups[k];
        if (k > i && ((g->before != ' ' && g->before != '-') || g->before != n->groups[i + 1].before))
            break;
        if (len + g->len > CARD_DIGITS_MAX)
            break;
        if (g->len < 3 || (k > i && g->len > 6))   // 4-4-4-4, 4-6-5 and the like, or no groups at all
            break;
        memcpy(digits + len, scan->text.ptr + g->start, g->len);
        len += g->len;
        if (len >= CARD_DIGITS_MIN && card_form(digits, len) && lm_pii_luhn(digits, len))
            used = k - i + 1;
    }
    return used;
}

static size_t digits_in(const struct number *n, size_t i, size_t count)
{
    size_t digits = 0;
    for (size_t k = i; k < i + count; k++)
        digits += n->groups[k].len;
    return digits;
}

/* "+49 30 1234567", "0049 30 ...": groups up to 15 digits. */
static size_t international(const struct number *n, size_t i)
{
    size_t count = 0, digits = 0;
    while (i + count < n->len && digits + n->groups[i + count].len <= PHONE_DIGITS_MAX && count < 7) {
        digits += n->groups[i + count].len;
        count++;
    }
    return digits >= 8 ? count : 0;
}

/* 3-3-4 of the North American plan, a "1" in front or not. */
static size_t north_american(const struct lm_pii_scan *scan, const struct number *n, size_t i)
{
    const size_t lead = n->groups[i].len == 1 && scan->text.ptr[n->groups[i].start] == '1';
    if (i + lead + 3 > n->len)
        return 0;
    const struct group *g = &n->groups[i + lead];
    const bool form = g[0].len == 3 && g[1].len == 3 && g[2].len == 4 && g[1].before != '/' &&
                      (g[1].before == g[2].before || g[1].before == ')' || g[1].before == '-');
    return form ? lead + 3 : 0;
}

/* A national number: a leading 0, then two to five groups of nine to eleven digits in all. */
static size_t national(const struct lm_pii_scan *scan, const struct number *n, size_t i)
{
    if (scan->text.ptr[n->groups[i].start] != '0' || n->groups[i].len < 2 || n->groups[i].len > 5)
        return 0;
    size_t best = 0;
    for (size_t count = 2; count <= 5 && i + count <= n->len; count++) {
        const size_t digits = digits_in(n, i, count);
        if (n->groups[i + count - 1].before == '.' || digits > 12)
            break;
        if (digits >= 9)
            best = count;
    }
    return best;
}

static bool plus_before(const struct lm_pii_scan *scan, size_t start)
{
    return lm_pii_before(scan, start) == '+' ||
           (lm_pii_before(scan, start) == '(' && lm_pii_before(scan, start - 1) == '+');
}

/* Groups used by a telephone number at group i, and how sure its form is. */
static size_t phone_at(const struct lm_pii_scan *scan, const struct number *n, size_t i, double *ret_score)
{
    const struct group *g = &n->groups[i];
    const char *first = scan->text.ptr + g->start;
    size_t used;
    if (plus_before(scan, g->start) && (used = international(n, i)) > 0) {
        *ret_score = used > 1 ? 0.8 : g->len > 10 ? 0.7 : 0.45;   // "+2147483647" is more often a number
    } else if (g->len >= 3 && memcmp(first, "00", 2) == 0 && i + 2 < n->len &&
               (used = international(n, i)) > 2) {
        *ret_score = 0.55;
    } else if ((used = north_american(scan, n, i)) > 0) {
        const char separator = n->groups[i + used - 1].before;
        const bool brackets = n->groups[i + used - 2].before == ')';
        *ret_score = brackets ? 0.75 : separator == '-' ? 0.65 : 0.5;
    } else if ((used = national(scan, n, i)) > 0) {
        *ret_score = 0.45;
    } else if (i + 1 < n->len && g->len == 3 && g[1].len == 4 && g[1].before == '-') {
        used = 2;
        *ret_score = 0.3;
    } else if (g->len >= 9 && g->len <= 12) {
        used = 1;
        *ret_score = 0.1;
    } else {
        used = 0;
    }
    return used;
}

/* " x123", "x123", " ext. 123" behind the number. */
static size_t extension_end(const struct lm_pii_scan *scan, size_t end)
{
    static const char *const marks[] = { "x", " x", " ext. ", " ext ", ",ext." };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const size_t len = strlen(marks[i]);
        if (scan->text.len - end <= len || memcmp(scan->text.ptr + end, marks[i], len) != 0)
            continue;
        size_t at = end + len;
        while (at < scan->text.len && lm_is_digit(scan->text.ptr[at]) && at - end - len < 6)
            at++;
        if (at > end + len && !lm_is_alnum(lm_pii_at(scan, at)))
            return at;
    }
    return end;
}

static void add_phone(struct lm_pii_scan *scan, const struct number *n, size_t i, size_t used, double score)
{
    const struct group *last = &n->groups[i + used - 1];
    size_t start = n->groups[i].start, end = extension_end(scan, last->start + last->len);
    while (start > 0 && (scan->text.ptr[start - 1] == '+' || scan->text.ptr[start - 1] == '('))
        start--;
    const char before = lm_pii_before(scan, start), after = lm_pii_at(scan, end);
    const bool joined = lm_is_alnum(before) || !lm_is_ascii(before) || before == '_' || before == '#' ||
                        before == '$' || before == '.' || before == '/' || before == '-' || before == '=' ||
                        lm_is_alnum(after) || after == '_' || after == '%' ||
                        ((after == '.' || after == '-' || after == '/' || after == ':') &&
                         lm_is_digit(lm_pii_at(scan, end + 1)));
    if (joined || lm_pii_has_context(scan, start, not_phone_context))
        return;
    score = lm_pii_with_context(scan, start, score, phone_context);
    if (lm_pii_in_code(scan, start))
        score -= 0.3;
    lm_pii_add(scan, LM_PII_PHONE, start, end, score < 0 ? 0 : score);
}

static bool is_separator(char c)
{
    return c == ' ' || c == '-' || c == '.' || c == '(' || c == ')' || c == '/';
}

/* Reads the groups from `start` on, as many as there is room for. */
static void read_groups(const struct lm_pii_scan *scan, size_t start, struct number *ret)
{
    size_t at = start;
    char before = '\0';
    ret->len = 0;
    while (at < scan->text.len && ret->len < GROUPS_MAX) {
        struct group *g = &ret->groups[ret->len++];
        *g = (struct group){ .start = at, .before = before };
        while (at < scan->text.len && lm_is_digit(scan->text.ptr[at]))
            at++;
        g->len = at - g->start;
        ret->end = at;
        const size_t gap = at;
        while (at < scan->text.len && at - gap < GAP_BYTES_MAX && is_separator(scan->text.ptr[at]))
            at++;
        before = gap < scan->text.len ? scan->text.ptr[gap] : '\0';
        if (at == gap || at == scan->text.len || !lm_is_digit(scan->text.ptr[at]))
            break;
    }
}

void lm_pii_check_number(struct lm_pii_scan *scan, size_t start, size_t end)
{
    (void)end;
    if (start < scan->done[scan->row])
        return;
    struct number n = { 0 };
    const bool edge = !lm_is_alnum(lm_pii_before(scan, start)) && lm_pii_before(scan, start) != '_';
    read_groups(scan, start, &n);
    /* Full: there may be more groups; the last ones are looked at again as the start of the next window. */
    const size_t usable = n.len == GROUPS_MAX ? n.len - 8 : n.len;
    scan->done[scan->row] = n.len == GROUPS_MAX ? n.groups[usable].start : n.end;
    bool after_hit = false;
    for (size_t i = 0; i < usable;) {
        double score = 0;
        const bool fraction = i > 0 ? n.groups[i].before == '.' : lm_pii_before(scan, start) == '.';
        const size_t card = (edge || i > 0) && !fraction ? card_at(scan, &n, i) : 0;
        const size_t stop = card ? n.groups[i + card - 1].start + n.groups[i + card - 1].len : 0;
        const char after = lm_pii_at(scan, stop);
        if (card && !lm_is_alnum(after) && after != '_') {
            lm_pii_add(scan, LM_PII_CARD, n.groups[i].start, stop,
                       lm_pii_with_context(scan, n.groups[i].start, card > 1 ? 0.9 : 0.7, card_context));
            i += card;
            after_hit = true;
            continue;
        }
        /* A telephone number does not begin amid other digits, unless they were one. */
        const bool fresh = i == 0 ? edge : after_hit || plus_before(scan, n.groups[i].start);
        const size_t used = fresh ? phone_at(scan, &n, i, &score) : 0;
        after_hit = used > 0;
        if (used > 0)
            add_phone(scan, &n, i, used, score);
        i += used > 0 ? used : 1;
    }
}
