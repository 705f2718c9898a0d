/* The decision: stages in the order of enum lm_rule, each may deny, the first that does has decided. */
#include "govern/policy.h"

const char *const lm_rule_names[LM_RULE_COUNT] = {
    [LM_RULE_ALLOW] = "A",
    [LM_RULE_AUTHN] = "D0.authn",
    [LM_RULE_AGREEMENT] = "D1.agreement",
    [LM_RULE_QUOTA] = "D2.quota",
    [LM_RULE_ROUTE] = "D3.route",
    [LM_RULE_INPUT_FILTER] = "D4.input_filter",
    [LM_RULE_VERB] = "D5.verb",
    [LM_RULE_OTHER_SUBJECT] = "D6.other_subject",
    [LM_RULE_INDIVIDUAL] = "D7.individual",
    [LM_RULE_SCOPE_UNKNOWN] = "D8.scope_unknown",
    [LM_RULE_SCOPE_NOT_GRANTED] = "D9.scope_not_granted",
    [LM_RULE_RESOURCE] = "D10.resource",
    [LM_RULE_SMALL_COHORT] = "D11.small_cohort",
    [LM_RULE_PARTITION] = "D12.partition",
    [LM_RULE_OUTPUT_FILTER] = "D13.output_filter",
};

const int lm_rule_status[LM_RULE_COUNT] = {
    [LM_RULE_ALLOW] = 200,
    [LM_RULE_AUTHN] = 401,
    [LM_RULE_AGREEMENT] = 403,
    [LM_RULE_QUOTA] = 429,
    [LM_RULE_ROUTE] = 403,
    [LM_RULE_INPUT_FILTER] = 403,
    [LM_RULE_VERB] = 403,
    [LM_RULE_OTHER_SUBJECT] = 403,
    [LM_RULE_INDIVIDUAL] = 403,
    [LM_RULE_SCOPE_UNKNOWN] = 403,
    [LM_RULE_SCOPE_NOT_GRANTED] = 403,
    [LM_RULE_RESOURCE] = 403,
    [LM_RULE_SMALL_COHORT] = 403,
    [LM_RULE_PARTITION] = 403,
    [LM_RULE_OUTPUT_FILTER] = 403,
};

/* A request on its way through the stages. */
struct request {
    const struct lm_policy *p;
    const struct lm_subject *subject;
    const struct lm_request_facts *facts;
    const struct lm_policy_role *role;
    const struct lm_policy_route *route;
    struct lm_text_class class;
    struct lm_arena *arena;
    struct lm_decision *ret;
};

static bool is_one_of(const char *const *list, size_t count, const char *item)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], item) == 0)
            return true;
    return false;
}

/* ---- stages ---- */

static enum lm_rule check_caller(struct request *q)
{
    const struct lm_subject *s = q->subject;
    const int64_t required =
        s->agreement_required > q->p->agreement_version ? s->agreement_required : q->p->agreement_version;
    if (strcmp(s->key_state, "active") != 0) {
        q->ret->detail = lm_arena_printf(q->arena, "key is %s", s->key_state);
        return LM_RULE_AUTHN;
    }
    if (s->agreement_version < required) {
        q->ret->detail = lm_arena_printf(q->arena, "accepted version %lld of %lld",
                                         (long long)s->agreement_version, (long long)required);
        return LM_RULE_AGREEMENT;
    }
    if (s->quota_tokens > 0 && s->used_tokens >= s->quota_tokens) {
        q->ret->detail = lm_arena_printf(q->arena, "used %lld of %lld tokens", (long long)s->used_tokens,
                                         (long long)s->quota_tokens);
        return LM_RULE_QUOTA;
    }
    return LM_RULE_ALLOW;
}

/* Finds role and route; a door with `as` leads to the route of the role that decides. */
static enum lm_rule check_route(struct request *q)
{
    q->role = lm_policy_find_role(q->p, q->subject->role);
    q->route = lm_policy_find_route(q->p, q->facts->route);
    if (!q->role || !q->route) {
        q->ret->detail = q->role ? "no such route" : "no such role";
        return LM_RULE_ROUTE;
    }
    if (q->route->as.len) {
        const char *own = lm_pairs_get(q->route->as, q->role->name);
        q->route = own ? lm_policy_find_route(q->p, own) : NULL;
    }
    if (!q->route || !(q->route->open || lm_strings_have(q->role->routes, q->route->name))) {
        q->ret->detail = "route is not the role's";
        return LM_RULE_ROUTE;
    }
    q->ret->route = q->route->name;
    return LM_RULE_ALLOW;
}

static enum lm_rule classify_text(struct request *q)
{
    const char *denied;
    if (!lm_policy_classify(q->p, q->subject, q->route, q->facts->text, q->arena, &denied, &q->class)) {
        q->ret->detail = "text could not be read within the limits";
        return LM_RULE_INPUT_FILTER;
    }
    if (denied) {
        q->ret->detail = lm_arena_printf(q->arena, "input pattern %s", denied);
        return LM_RULE_INPUT_FILTER;
    }
    return LM_RULE_ALLOW;
}

/* A request without text is of the class of its route, if the route has one. */
static void classify_by_route(struct request *q)
{
    q->class.verb = q->facts->write ? LM_VERB_WRITE : LM_VERB_READ;
    q->class.scope = q->route->scope ? q->route->scope : "unknown";
    q->class.resource = q->route->resource ? q->route->resource : "unknown";
}

static void report_class(struct request *q)
{
    q->ret->intent = q->class.verb == LM_VERB_WRITE ? "write" : "read";
    q->ret->scope = q->class.scope;
    q->ret->resource = q->class.resource;
    q->ret->subjects = q->class.subjects;
    q->ret->subject_count = q->class.subject_count;
}

static bool is_granted(const struct request *q, const char *scope)
{
    return lm_strings_have(q->role->scopes, scope) || (q->route->open && strcmp(scope, "help") == 0);
}

static enum lm_rule check_class(struct request *q)
{
    const bool is_other = strcmp(q->class.scope, "other") == 0;
    if (!(q->route->verbs & q->class.verb))
        return LM_RULE_VERB;
    if (is_other && !is_granted(q, "other"))
        return is_granted(q, "self") ? LM_RULE_OTHER_SUBJECT : LM_RULE_INDIVIDUAL;
    if (strcmp(q->class.scope, "unknown") == 0)
        return LM_RULE_SCOPE_UNKNOWN;
    if (!is_granted(q, q->class.scope))
        return LM_RULE_SCOPE_NOT_GRANTED;
    if (!lm_strings_have(q->route->resources, q->class.resource))
        return LM_RULE_RESOURCE;
    if (strcmp(q->class.scope, "aggregate") == 0 && q->facts->cohort >= 0 &&
        q->facts->cohort < q->p->min_cohort)
        return LM_RULE_SMALL_COHORT;
    return LM_RULE_ALLOW;
}

static enum lm_rule check_partition(struct request *q)
{
    const struct lm_subject *s = q->subject;
    if (!q->facts->partition || is_one_of(s->partitions, s->partition_count, q->facts->partition))
        return LM_RULE_ALLOW;
    q->ret->detail = lm_arena_printf(q->arena, "partition %s", q->facts->partition);
    return LM_RULE_PARTITION;
}

static enum lm_rule decide(struct request *q)
{
    enum lm_rule rule = check_caller(q);
    if (rule == LM_RULE_ALLOW)
        rule = check_route(q);
    if (rule == LM_RULE_ALLOW && q->facts->text.len)
        rule = classify_text(q);
    else if (rule == LM_RULE_ALLOW)
        classify_by_route(q);
    if (rule != LM_RULE_ALLOW)
        return rule;
    report_class(q);
    rule = check_class(q);
    return rule == LM_RULE_ALLOW ? check_partition(q) : rule;
}

void lm_decide(const struct lm_policy *p, const struct lm_subject *subject,
               const struct lm_request_facts *facts, struct lm_arena *arena, struct lm_decision *ret)
{
    LM_ASSERT(subject->user && subject->role && subject->key_state);
    LM_ASSERT(facts->route);

    *ret = (struct lm_decision){
        .route = facts->route, .intent = "", .scope = "", .resource = "", .detail = ""
    };
    struct request q = { .p = p, .subject = subject, .facts = facts, .arena = arena, .ret = ret };
    ret->rule = decide(&q);
    if (ret->rule == LM_RULE_ALLOW) {
        ret->obligations = (const char *const *)q.role->obligations.items;
        ret->obligation_count = q.role->obligations.len;
    }
}
