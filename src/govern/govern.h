#ifndef LM_GOVERN_GOVERN_H
#define LM_GOVERN_GOVERN_H
/* govern/govern.h - who may do what: policy, users and keys, the decision on a request.
 *
 * The boundary is data, not words: row filters and partitions are checked before a prompt is built; text rules
 * are defence in depth.  Deny by default, first matching rule decides (D0..D13, A: see notes in policy.c).
 *
 * Threads: a policy is immutable after loading; users live in the project database. */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/db.h"

enum lm_rule {
    LM_RULE_ALLOW,   // "A"
    LM_RULE_AUTHN,   // "D0.authn"
    LM_RULE_AGREEMENT,
    LM_RULE_QUOTA,
    LM_RULE_ROUTE,
    LM_RULE_INPUT_FILTER,
    LM_RULE_VERB,
    LM_RULE_OTHER_SUBJECT,
    LM_RULE_INDIVIDUAL,
    LM_RULE_SCOPE_UNKNOWN,
    LM_RULE_SCOPE_NOT_GRANTED,
    LM_RULE_RESOURCE,
    LM_RULE_SMALL_COHORT,
    LM_RULE_PARTITION,
    LM_RULE_OUTPUT_FILTER,
    LM_RULE_COUNT,
};
extern const char *const lm_rule_names[LM_RULE_COUNT];   // "A", "D0.authn", "D1.agreement", ...
extern const int lm_rule_status[LM_RULE_COUNT];          // 200, 401, 403, 429, ...

struct lm_policy;

/* policy.yaml or the JSON form of the oracle file; NULL path: the built-in policy (four roles, their routes). */
enum lm_rc lm_policy_load(const char *path, struct lm_policy **ret, struct lm_err *err);
void lm_policy_free(struct lm_policy *p);
const char *lm_policy_message(const struct lm_policy *p, enum lm_rule rule);   // the public sentence of a rule
const char *lm_policy_digest(const struct lm_policy *p);                       // SHA-256 hex of the policy text
bool lm_policy_has_role(const struct lm_policy *p, struct lm_str role);

/* The caller.  Lives in the arena of the request. */
struct lm_subject {
    const char *user, *role;
    const char *key_prefix;             // for the log; never the key
    const char *const *accounts;        // owned by the caller
    size_t account_count;
    const char *const *partitions;      // clearances
    size_t partition_count;
    int64_t agreement_version;
    int64_t quota_tokens, used_tokens;  // quota 0 = none
    const char *key_state;              // "active", "expired", "revoked", "blocked", "unknown"
};

struct lm_request_facts {
    const char *route;        // "/simpleQuery", "/v1/chat/completions"
    struct lm_str text;       // what the user wrote
    const char *partition;    // NULL: the subject's first
    int64_t cohort;           // persons behind an aggregate, from the data layer; -1 = large
};

struct lm_decision {
    enum lm_rule rule;
    const char *intent, *scope, *resource;   // class of the text; "" when the rule came before it
    const char *detail;                      // for the log only: what matched
    const char *const *subjects;
    size_t subject_count;
    const char *const *obligations;
    size_t obligation_count;
};

/* Pure: no clock, no database.  Never fails: what cannot be decided is denied. */
void lm_decide(const struct lm_policy *p, const struct lm_subject *subject, const struct lm_request_facts *facts,
               struct lm_arena *arena, struct lm_decision *ret);

/* ---- users and keys: govern/users.c (tables users, api_keys, agreements) ---- */

enum { LM_API_KEY_TEXT = 56 };   // "loom_" + 8 characters prefix + "_" + 40 characters secret, and NUL

enum lm_rc lm_users_schema(struct lm_db *db, struct lm_err *err);
enum lm_rc lm_user_add(struct lm_db *db, const char *user, const char *role, const char *partitions_csv,
                       const char *accounts_csv, struct lm_err *err);
enum lm_rc lm_user_remove(struct lm_db *db, const char *user, struct lm_err *err);
/* Shown once, stored as a keyed hash only. */
enum lm_rc lm_key_create(struct lm_db *db, const char *user, const char *role, int64_t expires_ms,
                         char ret_key[LM_API_KEY_TEXT], struct lm_err *err);
enum lm_rc lm_key_revoke(struct lm_db *db, const char *prefix, struct lm_err *err);
/* Constant-time check; an unknown key gives key_state "unknown", not an error. */
enum lm_rc lm_key_lookup(struct lm_db *db, struct lm_str key, int64_t now_ms, struct lm_arena *arena,
                         struct lm_subject *ret, struct lm_err *err);
enum lm_rc lm_agreement_publish(struct lm_db *db, int64_t version, struct lm_str text, struct lm_err *err);
enum lm_rc lm_agreement_accept(struct lm_db *db, const char *user, int64_t version, struct lm_err *err);
enum lm_rc lm_usage_add(struct lm_db *db, const char *user, int64_t tokens, struct lm_err *err);

/* ---- output filter: govern/filter.c; one code path for streamed and whole answers ----
 * Forbidden strings and personal-data classes are masked or stop the stream; text is held back exactly as long
 * as a pending match could still cover it. */
struct lm_output_filter;
enum lm_rc lm_output_filter_new(const struct lm_policy *p, const struct lm_subject *subject,
                                struct lm_output_filter **ret, struct lm_err *err);
/* Appends what may be released.  LM_EDENIED: a class that stops the answer was found. */
enum lm_rc lm_output_filter_add(struct lm_output_filter *f, struct lm_str chunk, struct lm_buf *ret,
                                struct lm_err *err);
enum lm_rc lm_output_filter_end(struct lm_output_filter *f, struct lm_buf *ret, struct lm_err *err);
void lm_output_filter_free(struct lm_output_filter *f);

#endif
