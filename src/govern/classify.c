/* From text to class: whose data is asked for, which, to read or to write.  README.md has the order.
 *
 * Ownership decides, not wording: a number is the caller's only if the caller owns it.  A pattern that runs
 * into its limit ends everything with "nothing is known". */
#include "govern/normalize.h"
#include "govern/policy.h"

#include <ctype.h>

struct reading {
    const struct lm_policy *p;
    const struct lm_subject *subject;
    struct lm_str plain, lower, joined;   // normalised; in lower case; with digits put together
    struct lm_arena *arena;
    struct lm_text_class *ret;
    size_t subject_cap;
    bool limit;   // a pattern gave up
    bool has_self, has_foreign, has_account;
};

static bool is_found(struct reading *r, const struct lm_pattern *p, struct lm_str text)
{
    const enum lm_match match = lm_pattern_test(p, text);
    r->limit |= match == LM_MATCH_LIMIT;
    return match == LM_MATCH_FOUND;
}

/* The name of the first pattern that matches, or NULL. */
static const char *first_name(struct reading *r, struct lm_named_patterns list)
{
    for (size_t i = 0; i < list.len; i++)
        if (is_found(r, &list.items[i].pattern, r->lower))
            return list.items[i].name;
    return NULL;
}

/* ---- subjects ---- */

static void add_subject(struct reading *r, const char *kind, struct lm_str name)
{
    struct lm_text_class *class = r->ret;
    const char *text = lm_arena_printf(r->arena, "%s%.*s", kind, (int)name.len, name.ptr);
    for (size_t i = 0; i < class->subject_count; i++)
        if (strcmp(class->subjects[i], text) == 0)
            return;
    if (class->subject_count == r->subject_cap) {
        r->subject_cap = 2 * r->subject_cap + 4;
        const char **grown = lm_arena_alloc(r->arena, r->subject_cap * sizeof(*grown));
        if (class->subject_count)
            memcpy(grown, class->subjects, class->subject_count * sizeof(*grown));
        class->subjects = grown;
    }
    class->subjects[class->subject_count++] = text;
}

static void add_self(struct reading *r)
{
    r->has_self = true;
    add_subject(r, "self", LM_STR(""));
}

static void add_foreign(struct reading *r, const char *kind, struct lm_str name)
{
    r->has_foreign = true;
    add_subject(r, kind, name);
}

static bool owns(const struct lm_subject *s, struct lm_str account)
{
    for (size_t i = 0; i < s->account_count; i++)
        if (lm_str_eq(account, lm_str(s->accounts[i])))
            return true;
    return false;
}

/* Both with and without joined digits: neither spelling may hide what the other shows. */
static void find_accounts(struct reading *r, struct lm_str text)
{
    struct lm_match_span span;
    for (size_t at = 0; at < text.len; at = span.end) {
        const enum lm_match match = lm_pattern_find(&r->p->classifier.account, text, at, &span);
        r->limit |= match == LM_MATCH_LIMIT;
        if (match != LM_MATCH_FOUND)
            return;
        r->has_account = true;
        if (owns(r->subject, span.word))
            add_self(r);
        else
            add_foreign(r, "account:", span.word);
    }
}

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || (c & 0x80) || c == '_';
}

static bool has_whole_words(struct lm_str text, struct lm_str words)
{
    for (size_t at = 0; at + words.len <= text.len;) {
        const ptrdiff_t found = lm_str_find((struct lm_str){ text.ptr + at, text.len - at }, words);
        if (found < 0)
            return false;
        const size_t start = at + (size_t)found, end = start + words.len;
        if ((start == 0 || !is_word_byte(text.ptr[start - 1])) &&
            (end == text.len || !is_word_byte(text.ptr[end])))
            return true;
        at = start + 1;
    }
    return false;
}

static void find_persons(struct reading *r)
{
    for (size_t i = 0; i < r->p->directory.len; i++) {
        const struct lm_policy_person *person = &r->p->directory.items[i];
        if (!has_whole_words(r->lower, lm_str(person->lower)))
            continue;
        if (strcmp(person->id, r->subject->user) == 0)
            add_self(r);
        else
            add_foreign(r, "person:", lm_str(person->name));
    }
}

static void find_users(struct reading *r)
{
    struct lm_match_span span;
    for (size_t at = 0; at < r->lower.len; at = span.end) {
        const enum lm_match match = lm_pattern_find(&r->p->classifier.user, r->lower, at, &span);
        r->limit |= match == LM_MATCH_LIMIT;
        if (match != LM_MATCH_FOUND)
            return;
        if (lm_str_eq(span.word, lm_str(r->subject->user)))
            add_self(r);
        else
            add_foreign(r, "user:", span.word);
    }
}

static void find_subjects(struct reading *r, bool is_aggregate)
{
    find_accounts(r, r->lower);
    find_accounts(r, r->joined);
    find_persons(r);
    find_users(r);
    if (is_found(r, &r->p->classifier.self_words, r->lower))
        add_self(r);
    if (!is_aggregate && is_found(r, &r->p->classifier.all_individuals, r->lower))
        add_foreign(r, "all", LM_STR(""));
}

/* ---- class ---- */

static void set_class(struct reading *r, const char *scope, const char *resource)
{
    r->ret->scope = scope;
    r->ret->resource = resource ? resource : "unknown";
}

static bool is_knowledge(struct reading *r)
{
    const struct lm_policy *p = r->p;
    if (!p->knowledge || r->ret->verb != LM_VERB_READ || r->ret->subject_count || r->lower.len == 0)
        return false;
    for (size_t i = 0; i < p->knowledge_topics.len; i++)
        if (is_found(r, &p->knowledge_topics.items[i], r->plain))
            return true;
    return p->knowledge_topics.len == 0;
}

/* Static strings where the rule itself names scope and resource; the first that applies decides. */
static void classify(struct reading *r, const struct lm_policy_route *route)
{
    const struct lm_policy_classifier *c = &r->p->classifier;
    r->ret->verb = is_found(r, &c->write_verbs, r->lower) ? LM_VERB_WRITE : LM_VERB_READ;
    const char *system = first_name(r, c->system);
    if (r->ret->verb == LM_VERB_WRITE && system) {
        set_class(r, "system", system);
        return;
    }
    const bool is_aggregate = is_found(r, &c->aggregate_words, r->lower);
    find_subjects(r, is_aggregate);
    if (r->has_foreign && is_aggregate && !r->has_account)
        set_class(r, "aggregate", first_name(r, c->aggregate_resources));
    else if (r->has_foreign)
        set_class(r, "other", "record");
    else if (lm_strings_have(route->resources, "help"))
        set_class(r, "help", "help");
    else if (r->has_self)
        set_class(r, "self", "record");
    else if (is_aggregate)
        set_class(r, "aggregate", first_name(r, c->aggregate_resources));
    else if (system)
        set_class(r, "system", system);
    else if (is_knowledge(r))
        set_class(r, "knowledge", "documentation");
    else
        set_class(r, "unknown", "unknown");
}

static const char *find_denied(struct reading *r)
{
    const struct lm_patterns list = r->p->input_deny;
    for (size_t i = 0; i < list.len; i++)
        if (is_found(r, &list.items[i], r->plain) || is_found(r, &list.items[i], r->joined))
            return list.items[i].source.ptr;
    return NULL;
}

bool lm_policy_classify(const struct lm_policy *p, const struct lm_subject *subject,
                        const struct lm_policy_route *route, struct lm_str text, struct lm_arena *arena,
                        const char **ret_denied, struct lm_text_class *ret)
{
    *ret = (struct lm_text_class){ .scope = "", .resource = "" };
    *ret_denied = NULL;
    struct lm_buf plain = { 0 }, lower = { 0 }, joined = { 0 };
    bool known = lm_request_normalize(text, &plain, NULL) == LM_OK &&
                 lm_request_lower(lm_buf_str(&plain), &lower, NULL) == LM_OK;
    if (known) {
        lm_request_join_digits(lm_buf_str(&lower), &joined);
        struct reading r = { .p = p,
                             .subject = subject,
                             .arena = arena,
                             .ret = ret,
                             .plain = lm_buf_str(&plain),
                             .lower = lm_buf_str(&lower),
                             .joined = lm_buf_str(&joined) };
        *ret_denied = find_denied(&r);
        if (!*ret_denied)
            classify(&r, route);
        known = !r.limit;
    }
    lm_buf_release(&plain);
    lm_buf_release(&lower);
    lm_buf_release(&joined);
    return known;
}
