/* The output filter is two stages behind each other.  Forbidden strings come first and hold back exactly what
 * could still become one.  Personal data and identifiers come second: their finders look at whole texts, so
 * the stage keeps a window.  A step of the window happens after a fixed number of bytes, whatever the chunks
 * were, and settles what has LM_FILTER_HOLD bytes behind it; so the same text always gives the same answer.
 */
#include "govern/forbidden.h"

#include <stdlib.h>

enum {
    STEP = 32,       // bytes between two looks
    CONTEXT = 128,   // released bytes that stay in the window, for finders that look back
    RUN_MAX = 512,   // longest run without blanks that is kept together
};

struct span {
    size_t start, end;
    enum lm_filter_action action;
    const char *placeholder;
};

struct lm_output_filter {
    const struct lm_policy *policy;
    const struct lm_pii *pii;              // NULL: the role's answers are not searched
    const struct lm_pattern *identifier;   // NULL: likewise
    const char **accounts;
    size_t account_count;
    struct lm_arena arena;
    struct lm_forbidden_scan forbidden;
    struct lm_buf passed;   // by the first stage
    struct lm_buf window;   // `released` bytes that are gone, then those held back
    size_t released, unseen;
    struct span *spans;
    size_t span_count, span_cap;
    struct lm_pii_spans found;
    enum lm_rc failed;   // LM_OK while text may leave
};

enum lm_rc lm_output_filter_new(const struct lm_policy *p, const struct lm_subject *subject,
                                struct lm_output_filter **ret, struct lm_err *err)
{
    const struct lm_policy_role *role = lm_policy_find_role(p, subject->role);
    if (!role)
        return lm_fail(err, LM_EINVAL, "the policy has no role '%s'", subject->role);
    struct lm_output_filter *f = lm_zalloc(1, sizeof(*f));
    f->policy = p;
    f->forbidden.words = p->forbidden_words;
    f->pii = lm_strings_have(role->obligations, "redact.pii") ? p->pii : NULL;
    const bool others = lm_strings_have(role->obligations, "redact.foreign_ids");
    f->identifier = others && p->output_identifier.code && p->identifier_action != LM_FILTER_PASS
                        ? &p->output_identifier
                        : NULL;
    f->accounts = lm_arena_alloc(&f->arena, (subject->account_count + 1) * sizeof(*f->accounts));
    f->account_count = subject->account_count;
    for (size_t i = 0; i < subject->account_count; i++)
        f->accounts[i] = lm_arena_strdup(&f->arena, subject->accounts[i]);
    *ret = f;
    return LM_OK;
}

void lm_output_filter_free(struct lm_output_filter *f)
{
    if (!f)
        return;
    lm_forbidden_release(&f->forbidden);
    lm_buf_release(&f->passed);
    lm_buf_release(&f->window);
    lm_pii_spans_release(&f->found);
    lm_arena_release(&f->arena);
    free(f->spans);
    free(f);
}

/* ---- finding ---- */

static void add_span(struct lm_output_filter *f, struct span span)
{
    lm_grow(&f->spans, &f->span_cap, f->span_count + 1, sizeof(*f->spans));
    f->spans[f->span_count++] = span;
}

static enum lm_rc find_pii(struct lm_output_filter *f, struct lm_str text, struct lm_err *err)
{
    f->found.len = 0;
    LM_TRY(lm_pii_find(f->pii, text, &f->found, err));
    for (size_t i = 0; i < f->found.len; i++) {
        const struct lm_pii_span *s = &f->found.items[i];
        add_span(f, (struct span){ s->start, s->end, f->policy->pii_actions[s->type],
                                   lm_pii_placeholders[s->type] });
    }
    return LM_OK;
}

static bool is_own(const struct lm_output_filter *f, struct lm_str account)
{
    for (size_t i = 0; i < f->account_count; i++)
        if (lm_str_eq(account, lm_str(f->accounts[i])))
            return true;
    return false;
}

static enum lm_rc find_identifiers(struct lm_output_filter *f, struct lm_str text, struct lm_err *err)
{
    struct lm_match_span m;
    for (size_t at = 0; at < text.len; at = m.end) {
        const enum lm_match match = lm_pattern_find(f->identifier, text, at, &m);
        if (match == LM_MATCH_LIMIT)
            return lm_fail(err, LM_EDENIED, "the search for identifiers ran into its limit");
        if (match == LM_MATCH_NONE)
            break;
        if (!is_own(f, m.word))
            add_span(f, (struct span){ m.start, m.end, f->policy->identifier_action, "[Identifier]" });
    }
    return LM_OK;
}

static int by_start(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return x->start != y->start ? (x->start < y->start ? -1 : 1) : (x->end > y->end) - (x->end < y->end);
}

/* Overlapping spans become one, with the stricter action. */
static void merge_spans(struct lm_output_filter *f)
{
    if (f->span_count == 0)
        return;
    qsort(f->spans, f->span_count, sizeof(*f->spans), by_start);
    size_t last = 0;
    for (size_t i = 1; i < f->span_count; i++) {
        struct span *into = &f->spans[last];
        const struct span *s = &f->spans[i];
        if (s->start >= into->end) {
            f->spans[++last] = *s;
            continue;
        }
        into->end = s->end > into->end ? s->end : into->end;
        into->action = s->action > into->action ? s->action : into->action;
    }
    f->span_count = last + 1;
}

/* ---- the window ---- */

/* Text without a character that is not yet whole at its end. */
static struct lm_str whole_characters(struct lm_str text)
{
    size_t len = text.len;
    while (len > 0 && text.len - len < 3 && (text.ptr[len - 1] & 0xc0) == 0x80)
        len--;
    if (len == 0 || !(text.ptr[len - 1] & 0x80))
        return text;
    uint32_t cp;
    const bool whole = lm_utf8_next(text, len - 1, &cp) == text.len - len + 1;
    return whole ? text : (struct lm_str){ text.ptr, len - 1 };
}

/* The last place at or before `at`, after `from`, that no match without blanks can span: before a blank or a
 * character beyond ASCII.  Within a longer run than RUN_MAX any place will do. */
static size_t settled_end(struct lm_str text, size_t from, size_t at)
{
    for (size_t cut = at; cut > from; cut--) {
        const uint8_t c = (uint8_t)text.ptr[cut];
        if (c <= ' ' || c >= 0xc0 || (at - from > RUN_MAX && (c & 0xc0) != 0x80))
            return cut;
    }
    return from;
}

/* Appends window[released, cut) with what was found replaced; LM_EDENIED at what stops. */
static enum lm_rc release_until(struct lm_output_filter *f, size_t cut, struct lm_buf *ret,
                                struct lm_err *err)
{
    size_t at = f->released;
    for (size_t i = 0; i < f->span_count && f->spans[i].start < cut; i++) {
        const struct span *s = &f->spans[i];
        if (s->end <= at || s->action == LM_FILTER_PASS)
            continue;
        if (s->start > at)
            lm_buf_add(ret, f->window.ptr + at, s->start - at);
        if (s->action == LM_FILTER_STOP)
            return lm_fail(err, LM_EDENIED, "the answer contains %s", s->placeholder);
        lm_buf_puts(ret, s->placeholder);
        at = s->end;
    }
    lm_buf_add(ret, f->window.ptr + at, cut - at);

    const size_t drop = cut > CONTEXT ? cut - CONTEXT : 0;
    size_t keep_from = drop;
    while (keep_from < cut && (f->window.ptr[keep_from] & 0xc0) == 0x80)
        keep_from++;
    memmove(f->window.ptr, f->window.ptr + keep_from, f->window.len - keep_from);
    f->window.len -= keep_from;
    f->released = cut - keep_from;
    return LM_OK;
}

static enum lm_rc look(struct lm_output_filter *f, bool last, struct lm_buf *ret, struct lm_err *err)
{
    const struct lm_str text = whole_characters(lm_buf_str(&f->window));
    f->span_count = 0;
    if (f->pii)
        LM_TRY(find_pii(f, text, err));
    if (f->identifier)
        LM_TRY(find_identifiers(f, text, err));
    merge_spans(f);

    size_t cut = f->window.len;
    if (!last) {
        if (text.len < f->released + LM_FILTER_HOLD)
            return LM_OK;
        cut = settled_end(text, f->released, text.len - LM_FILTER_HOLD);
        for (size_t i = f->span_count; i-- > 0;)   // nothing found is cut in two
            if (f->spans[i].start < cut && f->spans[i].end > cut && f->spans[i].start >= f->released)
                cut = f->spans[i].start;
    }
    return cut > f->released ? release_until(f, cut, ret, err) : LM_OK;
}

static enum lm_rc second_stage(struct lm_output_filter *f, bool last, struct lm_buf *ret, struct lm_err *err)
{
    struct lm_str text = lm_buf_str(&f->passed);
    if (!f->pii && !f->identifier) {
        lm_buf_add_str(ret, text);
        lm_buf_reset(&f->passed);
        return LM_OK;
    }
    while (text.len) {
        const size_t n = text.len < STEP - f->unseen ? text.len : STEP - f->unseen;
        lm_buf_add(&f->window, text.ptr, n);
        text = (struct lm_str){ text.ptr + n, text.len - n };
        f->unseen = (f->unseen + n) % STEP;
        if (f->unseen == 0)
            LM_TRY(look(f, false, ret, err));
    }
    lm_buf_reset(&f->passed);
    return last ? look(f, true, ret, err) : LM_OK;
}

/* ---- both ---- */

static enum lm_rc fail_for_good(struct lm_output_filter *f, enum lm_rc rc)
{
    f->failed = rc;
    return rc;
}

enum lm_rc lm_output_filter_add(struct lm_output_filter *f, struct lm_str chunk, struct lm_buf *ret,
                                struct lm_err *err)
{
    if (f->failed != LM_OK)
        return lm_fail(err, f->failed, "the answer has been stopped");
    const enum lm_rc first = lm_forbidden_add(&f->forbidden, chunk, &f->passed, err);
    const enum lm_rc second = first == LM_OK ? second_stage(f, false, ret, err) : first;
    return second == LM_OK ? LM_OK : fail_for_good(f, second);
}

enum lm_rc lm_output_filter_end(struct lm_output_filter *f, struct lm_buf *ret, struct lm_err *err)
{
    if (f->failed != LM_OK)
        return lm_fail(err, f->failed, "the answer has been stopped");
    const enum lm_rc first = lm_forbidden_end(&f->forbidden, &f->passed, err);
    const enum lm_rc second = first == LM_OK ? second_stage(f, true, ret, err) : first;
    if (second == LM_OK)
        f->failed = LM_ESTOP;   // an ended stream takes no more
    return second == LM_OK ? LM_OK : fail_for_good(f, second);
}
