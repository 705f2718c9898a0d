/* A policy and a request: the input up to the first NUL is a policy, what follows is what a user wrote.  A
 * policy that is not accepted is refused with a sentence, and the request goes to the built-in one.  A
 * decision is complete, and the same when it is made again. */

#include "govern/govern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_complete(const struct lm_decision *d)
{
    return d->rule < LM_RULE_COUNT && d->route && d->intent && d->scope && d->resource && d->detail;
}

static void check_decision(const struct lm_policy *p, const char *role, const char *route, struct lm_str text)
{
    struct lm_arena arena = { 0 };
    static const char *const accounts[] = { "55120" };
    const struct lm_subject subject = {
        .user = "u-11", .role = role, .accounts = accounts, .account_count = 1, .key_state = "active"
    };
    const struct lm_request_facts facts = { .route = route, .text = text, .cohort = -1 };
    struct lm_decision first, again;
    lm_decide(p, &subject, &facts, &arena, &first);
    lm_decide(p, &subject, &facts, &arena, &again);
    LM_ASSERT(is_complete(&first) && first.rule == again.rule && strcmp(first.scope, again.scope) == 0);
    LM_ASSERT(first.subject_count == again.subject_count);
    LM_ASSERT(first.rule == LM_RULE_ALLOW || first.obligation_count == 0);
    /* The role owns this route, so nothing before the text denies; and others' data is never the caller's. */
    LM_ASSERT(first.rule != LM_RULE_ALLOW || strcmp(first.scope, "other") != 0);
    lm_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lm_policy *built_in;
    if (!built_in)
        LM_ASSERT(lm_policy_load(NULL, &built_in, NULL) == LM_OK);
    const char *nul = size ? memchr(data, '\0', size) : NULL;
    const size_t policy_len = nul ? (size_t)(nul - (const char *)data) : size;
    const struct lm_str request = { (const char *)data + policy_len, size - policy_len };

    struct lm_policy *p = NULL;
    struct lm_err err = { 0 };
    if (lm_policy_parse((struct lm_str){ (const char *)data, policy_len }, "fuzz", &p, &err) == LM_OK) {
        LM_ASSERT(strlen(lm_policy_digest(p)) == 64);
        struct lm_arena arena = { 0 };
        struct lm_decision d;
        lm_decide(p, &(struct lm_subject){ .user = "u", .role = "end-user", .key_state = "active" },
                  &(struct lm_request_facts){ .route = "/simpleQuery", .text = request }, &arena, &d);
        LM_ASSERT(is_complete(&d));
        lm_arena_release(&arena);
        lm_policy_free(p);
    } else {
        LM_ASSERT(err.text[0]);
    }
    check_decision(built_in, "end-user", "/v1/chat/completions", request);
    check_decision(built_in, "developer", "/debuggingTools", request);
    return 0;
}
