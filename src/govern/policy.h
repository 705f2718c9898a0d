#ifndef LM_GOVERN_POLICY_H
#define LM_GOVERN_POLICY_H
/* govern/policy.h - a policy in memory; only govern looks inside.  Everything lives in its arena. */

#include "base/hash.h"
#include "govern/govern.h"
#include "govern/pattern.h"
#include "text/text.h"

struct lm_forbidden;

struct lm_strings {
    const char **items;
    size_t len;
};

struct lm_patterns {
    struct lm_pattern *items;
    size_t len;
};

/* A word and what it stands for, in the order of the file: first match wins. */
struct lm_named_pattern {
    const char *name;
    struct lm_pattern pattern;
};

struct lm_named_patterns {
    struct lm_named_pattern *items;
    size_t len;
};

struct lm_pair {
    const char *key, *value;
};

struct lm_pairs {
    struct lm_pair *items;
    size_t len;
};

enum lm_verb { LM_VERB_READ = 1, LM_VERB_WRITE = 2 };
enum lm_filter_action { LM_FILTER_PASS, LM_FILTER_MASK, LM_FILTER_STOP };

struct lm_policy_role {
    const char *name;
    struct lm_strings routes, scopes, obligations;
};

struct lm_policy_route {
    const char *name;
    unsigned verbs;   // LM_VERB_* bits
    struct lm_strings resources;
    const char *scope, *resource;   // class of a request without text; NULL: there is no such request
    bool open;                      // for every role, with scope help
    struct lm_pairs as;             // role -> its own route that decides; else empty
};

struct lm_policy_user {
    const char *key, *id, *name, *role, *key_state;
    struct lm_strings accounts, partitions;
    int64_t agreement, quota, used;
};

struct lm_policy_classifier {
    struct lm_pattern write_verbs, account, user, self_words, all_individuals, aggregate_words;
    struct lm_named_patterns system, aggregate_resources;
};

struct lm_policy_person {
    const char *name, *lower, *id;   // lower: normalised and lower-case, as texts are compared
};

struct lm_policy {
    struct lm_arena arena;
    char digest[LM_SHA256_HEX];
    int64_t version, agreement_version, min_cohort;
    struct {
        struct lm_policy_role *items;
        size_t len;
    } roles;
    struct {
        struct lm_policy_route *items;
        size_t len;
    } routes;
    struct {
        struct lm_policy_user *items;
        size_t len;
    } users;
    struct {
        struct lm_policy_person *items;
        size_t len;
    } directory;
    struct lm_patterns input_deny;
    struct lm_policy_classifier classifier;
    bool knowledge;                        // questions without subjects may be about documents
    struct lm_patterns knowledge_topics;   // none: about any
    struct lm_pattern output_identifier;
    enum lm_filter_action identifier_action;
    struct lm_pairs forbidden;              // text -> "mask" or "stop"
    struct lm_forbidden *forbidden_words;   // made of them
    enum lm_filter_action pii_actions[LM_PII_TYPE_COUNT];
    struct lm_pii *pii;   // finds the classes that do not pass; NULL: all pass
    const char *messages[LM_RULE_COUNT];
};

const struct lm_policy_role *lm_policy_find_role(const struct lm_policy *p, const char *name);   // NULL: none
const struct lm_policy_route *lm_policy_find_route(const struct lm_policy *p,
                                                   const char *name);   // NULL: none
bool lm_strings_have(struct lm_strings list, const char *item);
const char *lm_pairs_get(struct lm_pairs pairs, const char *key);   // NULL: none

/* What a text is about.  Strings are static, the policy's, or in the arena. */
struct lm_text_class {
    unsigned verb;   // one LM_VERB_*
    const char *scope, *resource;
    const char **subjects;
    size_t subject_count;
};

/* False when a pattern ran into its limit: nothing is known of the text.  *ret_denied is the source of the
 * input pattern that hit, or NULL. */
bool lm_policy_classify(const struct lm_policy *p, const struct lm_subject *subject,
                        const struct lm_policy_route *route, struct lm_str text, struct lm_arena *arena,
                        const char **ret_denied, struct lm_text_class *ret);

#endif
