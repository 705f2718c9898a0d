/* Personal data: Hyperscan reads the text once and proposes places, checks decide, overlaps are settled. */
#include "text/pii_find.h"
#include "text/utf8.h"

#include <hs/hs.h>
#include <pthread.h>
#include <stdlib.h>

const char *const lm_pii_names[LM_PII_TYPE_COUNT] = {
    [LM_PII_EMAIL] = "email", [LM_PII_PHONE] = "phone", [LM_PII_CARD] = "card",     [LM_PII_IBAN] = "iban",
    [LM_PII_IP] = "ip",       [LM_PII_DATE] = "date",   [LM_PII_PERSON] = "person",
};

const char *const lm_pii_placeholders[LM_PII_TYPE_COUNT] = {
    [LM_PII_EMAIL] = "[Email]", [LM_PII_PHONE] = "[Phone]", [LM_PII_CARD] = "[Card]",
    [LM_PII_IBAN] = "[IBAN]",   [LM_PII_IP] = "[IP]",       [LM_PII_DATE] = "[Date]",
    [LM_PII_PERSON] = "[Name]",
};

#define MONTH                                                                                                \
    "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"       \
    "oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\\.?"
#define DAY "(?:0?[1-9]|[12][0-9]|3[01])"
#define YEAR "(?:1[6-9]|20)[0-9]{2}"
#define BIT(type) (1u << LM_PII_##type)

/* Where to look.  Bytes, not characters.  To add a kind of data: a row, its check, a case in the tests. */
static const struct pattern {
    unsigned types;   // that the check may find
    const char *expression;
    unsigned flags;
    lm_pii_check *check;
} patterns[] = {
    { BIT(EMAIL), "[a-z0-9_]@[a-z0-9]", HS_FLAG_CASELESS, lm_pii_check_email },
    { BIT(PHONE) | BIT(CARD), "[0-9](?:[ ().\\/-]{0,3}[0-9]){6}", 0, lm_pii_check_number },
    { BIT(IBAN), "\\b[A-Z]{2}[0-9]{2}[ -]?[A-Z0-9]{4}", HS_FLAG_CASELESS, lm_pii_check_iban },
    { BIT(IP), "\\b[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}", 0, lm_pii_check_ipv4 },
    { BIT(IP), "[0-9a-f]{1,4}:[0-9a-f]{0,4}:[0-9a-f]{0,4}", HS_FLAG_CASELESS, lm_pii_check_ipv6 },
    { BIT(DATE), "\\b" YEAR "-(?:0[1-9]|1[0-2])-" DAY "\\b", 0, lm_pii_check_date },
    { BIT(DATE), "\\b" DAY "(?:st|nd|rd|th|\\.)? (?:of )?" MONTH ",? " YEAR "\\b", HS_FLAG_CASELESS,
      lm_pii_check_date },
    { BIT(DATE), "\\b" MONTH " " DAY "(?:st|nd|rd|th)?,? " YEAR "\\b", HS_FLAG_CASELESS, lm_pii_check_date },
    { BIT(DATE), "\\b[0-9]{1,2}[/.-][0-9]{1,2}[/.-](?:" YEAR "|[0-9]{2})\\b", 0, lm_pii_check_date_numeric },
    { BIT(PERSON), "\\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Herr|Frau|Mme|Sr|Sra)\\.? [A-Z\\xc3-\\xd5]",
      0, lm_pii_check_title },
    { BIT(PERSON), "(?:^|[^A-Za-z0-9\\x80-\\xff])(?:[A-Z]|[\\xc3-\\xd5][\\x80-\\xbf])[a-z\\x80-\\xff]",
      HS_FLAG_MULTILINE, lm_pii_check_name },
};

enum { PATTERN_COUNT = sizeof patterns / sizeof *patterns };
_Static_assert((int)PATTERN_COUNT <= (int)LM_PII_CHECK_COUNT, "struct lm_pii_scan has room for every row");

/* Hyperscan's work space: one for each scan under way, kept for the next. */
struct scratch {
    struct scratch *next;
    hs_scratch_t *hs;
};

struct pool {
    pthread_mutex_t lock;   // guards free
    struct scratch *free;
};

struct lm_pii {
    hs_database_t *database;
    hs_scratch_t *prototype;
    struct lm_pii_given *given_names;
    unsigned type_mask;
    double score_min;
    struct pool *pool;
};

enum lm_rc lm_pii_new(uint32_t type_mask, double score_min, struct lm_pii **ret, struct lm_err *err)
{
    LM_ASSERT(ret);
    const char *expressions[PATTERN_COUNT];
    unsigned flags[PATTERN_COUNT], ids[PATTERN_COUNT], count = 0;
    for (unsigned i = 0; i < PATTERN_COUNT; i++) {
        if (!(patterns[i].types & type_mask))
            continue;
        expressions[count] = patterns[i].expression;
        flags[count] = patterns[i].flags | HS_FLAG_SOM_LEFTMOST;
        ids[count++] = i;
    }
    if (count == 0)
        return lm_fail(err, LM_EINVAL, "pii: no known type is set in the mask 0x%x", (unsigned)type_mask);
    if (!(score_min >= 0 && score_min <= 1))
        return lm_fail(err, LM_EINVAL, "pii: the least score %g is outside 0..1", score_min);

    struct lm_pii *pii = lm_zalloc(1, sizeof *pii);
    pii->pool = lm_zalloc(1, sizeof *pii->pool);
    pthread_mutex_init(&pii->pool->lock, NULL);
    pii->type_mask = type_mask;
    pii->score_min = score_min;
    pii->given_names = lm_pii_given_new();
    hs_compile_error_t *why = NULL;
    const hs_error_t rc =
        hs_compile_multi(expressions, flags, ids, count, HS_MODE_BLOCK, NULL, &pii->database, &why);
    if (rc != HS_SUCCESS || hs_alloc_scratch(pii->database, &pii->prototype) != HS_SUCCESS) {
        lm_fail(err, LM_EINVAL, "pii: Hyperscan cannot compile the patterns: %s",
                why ? why->message : "no memory");
        hs_free_compile_error(why);
        lm_pii_free(pii);
        return LM_EINVAL;
    }
    *ret = pii;
    return LM_OK;
}

void lm_pii_free(struct lm_pii *pii)
{
    if (!pii)
        return;
    while (pii->pool->free) {
        struct scratch *first = pii->pool->free;
        pii->pool->free = first->next;
        hs_free_scratch(first->hs);
        free(first);
    }
    pthread_mutex_destroy(&pii->pool->lock);
    free(pii->pool);
    hs_free_scratch(pii->prototype);
    hs_free_database(pii->database);
    lm_pii_given_free(pii->given_names);
    free(pii);
}

/* NULL if there is no memory. */
static struct scratch *scratch_take(const struct lm_pii *pii)
{
    pthread_mutex_lock(&pii->pool->lock);
    struct scratch *s = pii->pool->free;
    if (s)
        pii->pool->free = s->next;
    pthread_mutex_unlock(&pii->pool->lock);
    if (s)
        return s;
    s = lm_zalloc(1, sizeof *s);
    if (hs_clone_scratch(pii->prototype, &s->hs) == HS_SUCCESS)
        return s;
    free(s);
    return NULL;
}

static void scratch_give(const struct lm_pii *pii, struct scratch *s)
{
    pthread_mutex_lock(&pii->pool->lock);
    s->next = pii->pool->free;
    pii->pool->free = s;
    pthread_mutex_unlock(&pii->pool->lock);
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                    void *context)
{
    (void)flags;
    struct lm_pii_scan *scan = context;
    scan->row = id;
    patterns[id].check(scan, (size_t)from, (size_t)to);
    return 0;
}

/* ---- overlaps ---- */

static int by_place(const void *a, const void *b)
{
    const struct lm_pii_span *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return (int)x->type - (int)y->type;
}

/* Names with only blanks between them are one. */
static bool one_name(struct lm_str text, const struct lm_pii_span *a, const struct lm_pii_span *b)
{
    size_t at = a->end;
    while (at < b->start && text.ptr[at] == ' ')
        at++;
    return a->type == LM_PII_PERSON && at == b->start;
}

/* Spans of one type that overlap become one with the higher score. */
static void merge_equal(struct lm_str text, struct lm_pii_spans *s)
{
    size_t kept = 0, latest[LM_PII_TYPE_COUNT];   // of each type: its last span, plus 1 in the array
    memset(latest, 0, sizeof latest);
    for (size_t i = 0; i < s->len; i++) {
        const struct lm_pii_span span = s->items[i];
        struct lm_pii_span *last = latest[span.type] ? &s->items[latest[span.type] - 1] : NULL;
        if (last && (span.start < last->end || one_name(text, last, &span))) {
            last->end = span.end > last->end ? span.end : last->end;
            last->score = span.score > last->score ? span.score : last->score;
        } else {
            s->items[kept++] = span;
            latest[span.type] = kept;
        }
    }
    s->len = kept;
}

static bool is_checksum(enum lm_pii_type type)
{
    return type == LM_PII_CARD || type == LM_PII_IBAN;
}

/* Which of two overlapping spans stays whole: proof before score before length. */
static bool wins(const struct lm_pii_span *a, const struct lm_pii_span *b)
{
    if (is_checksum(a->type) != is_checksum(b->type))
        return is_checksum(a->type);
    if (a->score != b->score)
        return a->score > b->score;
    return a->end - a->start > b->end - b->start;
}

/* A span within another goes, unless it is the only one of the two that is proven; of two that cross, the
 * weaker one loses what they share. */
static void settle_crossing(struct lm_pii_spans *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->len; i++) {
        struct lm_pii_span span = s->items[i];
        while (kept > 0 && span.start < span.end && s->items[kept - 1].end > span.start) {
            struct lm_pii_span *last = &s->items[kept - 1];
            const bool inside = span.end <= last->end, covers = span.start == last->start;
            const bool proven = is_checksum(span.type) && !is_checksum(last->type);
            if (inside && !proven && !(covers && wins(&span, last)))
                span.end = span.start;
            else if (covers)
                kept--;
            else if (!inside && !wins(&span, last))
                span.start = last->end;
            else
                last->end = span.start;
        }
        if (span.start < span.end)
            s->items[kept++] = span;
    }
    s->len = kept;
}

enum lm_rc lm_pii_find(const struct lm_pii *pii, struct lm_str text, struct lm_pii_spans *ret,
                       struct lm_err *err)
{
    LM_ASSERT(pii && ret && ret->len == 0);
    if (text.len > INT32_MAX)
        return lm_fail(err, LM_ELIMIT, "pii: a text of %zu bytes is too long to be checked", text.len);
    if (text.len == 0)
        return LM_OK;
    struct scratch *scratch = scratch_take(pii);
    if (!scratch)
        return lm_fail(err, LM_ENOMEM, "pii: no memory to check the text");
    struct lm_pii_scan scan = { .text = text, .given_names = pii->given_names, .found = ret };
    const hs_error_t rc =
        hs_scan(pii->database, text.ptr, (unsigned)text.len, 0, scratch->hs, on_match, &scan);
    scratch_give(pii, scratch);
    if (rc != HS_SUCCESS) {
        ret->len = 0;
        return lm_fail(err, LM_EINVAL, "pii: Hyperscan could not check the text (error %d)", rc);
    }

    size_t kept = 0;
    for (size_t i = 0; i < ret->len; i++)
        if (ret->items[i].score >= (float)pii->score_min && (pii->type_mask & 1u << ret->items[i].type))
            ret->items[kept++] = ret->items[i];
    ret->len = kept;
    if (kept > 0)
        qsort(ret->items, kept, sizeof *ret->items, by_place);
    merge_equal(text, ret);
    settle_crossing(ret);
    return LM_OK;
}

void lm_pii_spans_release(struct lm_pii_spans *spans)
{
    if (!spans)
        return;
    free(spans->items);
    *spans = (struct lm_pii_spans){ 0 };
}

void lm_pii_replace(struct lm_str text, const struct lm_pii_spans *spans, struct lm_buf *ret)
{
    size_t at = 0;
    for (size_t i = 0; i < spans->len; i++) {
        const struct lm_pii_span *s = &spans->items[i];
        LM_ASSERT(s->start >= at && s->start < s->end && s->end <= text.len);
        lm_buf_add(ret, text.ptr + at, s->start - at);
        lm_buf_puts(ret, lm_pii_placeholders[s->type]);
        at = s->end;
    }
    lm_buf_add(ret, text.ptr + at, text.len - at);
}
