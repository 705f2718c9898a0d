/* A policy in memory: what it is asked, and its end. */
#include "govern/policy.h"
#include "govern/forbidden.h"

static void release_patterns(struct lm_patterns list)
{
    for (size_t i = 0; i < list.len; i++)
        lm_pattern_release(&list.items[i]);
}

static void release_named(struct lm_named_patterns list)
{
    for (size_t i = 0; i < list.len; i++)
        lm_pattern_release(&list.items[i].pattern);
}

void lm_policy_free(struct lm_policy *p)
{
    if (!p)
        return;
    struct lm_policy_classifier *c = &p->classifier;
    struct lm_pattern *const single[] = { &c->write_verbs,      &c->account,         &c->user,
                                          &c->self_words,       &c->all_individuals, &c->aggregate_words,
                                          &p->output_identifier };
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
        lm_pattern_release(single[i]);
    release_patterns(p->input_deny);
    release_patterns(p->knowledge_topics);
    release_named(c->system);
    release_named(c->aggregate_resources);
    lm_forbidden_free(p->forbidden_words);
    if (p->pii)
        lm_pii_free(p->pii);
    lm_arena_release(&p->arena);
    free(p);
}

/* ---- questions ---- */

bool lm_strings_have(struct lm_strings list, const char *item)
{
    for (size_t i = 0; i < list.len; i++)
        if (strcmp(list.items[i], item) == 0)
            return true;
    return false;
}

const char *lm_pairs_get(struct lm_pairs pairs, const char *key)
{
    for (size_t i = 0; i < pairs.len; i++)
        if (strcmp(pairs.items[i].key, key) == 0)
            return pairs.items[i].value;
    return NULL;
}

const struct lm_policy_role *lm_policy_find_role(const struct lm_policy *p, const char *name)
{
    for (size_t i = 0; i < p->roles.len; i++)
        if (strcmp(p->roles.items[i].name, name) == 0)
            return &p->roles.items[i];
    return NULL;
}

const struct lm_policy_route *lm_policy_find_route(const struct lm_policy *p, const char *name)
{
    for (size_t i = 0; i < p->routes.len; i++)
        if (strcmp(p->routes.items[i].name, name) == 0)
            return &p->routes.items[i];
    return NULL;
}

bool lm_policy_has_role(const struct lm_policy *p, struct lm_str role)
{
    for (size_t i = 0; i < p->roles.len; i++)
        if (lm_str_eq(role, lm_str(p->roles.items[i].name)))
            return true;
    return false;
}

const char *lm_policy_message(const struct lm_policy *p, enum lm_rule rule)
{
    LM_ASSERT(rule < LM_RULE_COUNT);
    return p->messages[rule] ? p->messages[rule] : "";
}

const char *lm_policy_digest(const struct lm_policy *p)
{
    return p->digest;
}

enum lm_rc lm_policy_subject(const struct lm_policy *p, const char *name, struct lm_arena *arena,
                             struct lm_subject *ret, struct lm_err *err)
{
    for (size_t i = 0; i < p->users.len; i++) {
        const struct lm_policy_user *u = &p->users.items[i];
        if (strcmp(u->key, name) != 0)
            continue;
        *ret = (struct lm_subject){
            .user = lm_arena_strdup(arena, u->id),
            .role = lm_arena_strdup(arena, u->role),
            .key_prefix = "",
            .accounts = (const char *const *)u->accounts.items,
            .account_count = u->accounts.len,
            .partitions = (const char *const *)u->partitions.items,
            .partition_count = u->partitions.len,
            .agreement_version = u->agreement < 0 ? p->agreement_version : u->agreement,
            .quota_tokens = u->quota,
            .used_tokens = u->used,
            .key_state = lm_arena_strdup(arena, u->key_state),
        };
        return LM_OK;
    }
    return lm_fail(err, LM_ENOENT, "the policy has no user '%s'", name);
}
