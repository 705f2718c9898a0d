#ifndef LM_GOVERN_GOVERN_H
#define LM_GOVERN_GOVERN_H
/* govern/govern.h - who may do what: policy, users and keys, the decision on a request, the output filter.
 *
 * The boundary is data, not words: row filters and partitions are checked before a prompt is built; text
 * rules are defence in depth.  Deny by default, the first matching rule decides, in the order of enum
 * lm_rule.
 *
 * Threads: a policy is immutable after loading and shared by all; users and keys live in the project database
 * (one handle per thread); an output filter belongs to one answer. */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/db.h"

/* In the order in which they are tried; LM_RULE_ALLOW is what is left. */
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

/* ---- policy: govern/policy.c ---- */

enum { LM_POLICY_BYTES_MAX = 4 << 20 };

struct lm_policy;

/* A policy in YAML or JSON (src/govern/README.md); NULL path: the built-in one.  A key nobody knows is an
 * error that names the nearest known one: a right that is misspelled must not be a right that is silently
 * absent. */
enum lm_rc lm_policy_load(const char *path, struct lm_policy **ret, struct lm_err *err);
enum lm_rc lm_policy_parse(struct lm_str text, const char *name, struct lm_policy **ret, struct lm_err *err);
void lm_policy_free(struct lm_policy *p);
struct lm_str lm_policy_default_text(void);   // the built-in policy, to start an own one from

const char *lm_policy_message(const struct lm_policy *p, enum lm_rule rule);   // public sentence; "" for A
const char *lm_policy_digest(const struct lm_policy *p);   // SHA-256 hex of the policy text
bool lm_policy_has_role(const struct lm_policy *p, struct lm_str role);

/* The caller.  Lives in the arena of the request. */
struct lm_subject {
    const char *user, *role;
    const char *key_prefix;        // for the log; never the key
    const char *const *accounts;   // owned by the caller
    size_t account_count;
    const char *const *partitions;   // clearances
    size_t partition_count;
    int64_t agreement_version;           // accepted by the user; 0 = none
    int64_t agreement_required;          // newest published one; the policy may ask for more
    int64_t quota_tokens, used_tokens;   // quota 0 = none
    const char *key_state;               // "active", "expired", "revoked", "blocked", "unknown"
};

/* One of the policy's own example users, by its key in `users`; for `loom policy test`.  LM_ENOENT. */
enum lm_rc lm_policy_subject(const struct lm_policy *p, const char *name, struct lm_arena *arena,
                             struct lm_subject *ret, struct lm_err *err);

/* ---- decision: govern/decide.c, govern/classify.c ---- */

struct lm_request_facts {
    const char *route;       // "/simpleQuery", "/v1/chat/completions"
    struct lm_str text;      // what the user wrote; empty for a request that carries no text for the model
    bool write;              // only when the text is empty: the request changes something
    const char *partition;   // NULL: the subject's first
    int64_t cohort;          // persons behind an aggregate, from the data layer; -1 = large
};

struct lm_decision {
    enum lm_rule rule;
    const char *route;                       // the role's own route that decided (an alias is resolved)
    const char *intent, *scope, *resource;   // class of the text; "" when the rule came before it
    const char *detail;                      // for the log only: what matched
    const char *const *subjects;   // "self", "account:61347", "person:Maria Lopez", "user:u-12", "all"
    size_t subject_count;
    const char *const *obligations;   // of an allowed request
    size_t obligation_count;
};

/* Pure: no clock, no database.  Never fails: what cannot be decided is denied. */
void lm_decide(const struct lm_policy *p, const struct lm_subject *subject,
               const struct lm_request_facts *facts, struct lm_arena *arena, struct lm_decision *ret);

/* ---- users and keys: govern/users.c (tables users, api_keys), govern/agreement.c ---- */

enum { LM_API_KEY_TEXT = 58 };   // "loom_" + 8 characters prefix + "_" + 43 characters secret, and NUL

enum lm_rc lm_users_schema(struct lm_db *db, struct lm_err *err);
/* LM_EEXIST when the name is taken; the lists may be NULL or empty. */
enum lm_rc lm_user_add(struct lm_db *db, const char *user, const char *role, const char *partitions_csv,
                       const char *accounts_csv, struct lm_err *err);
enum lm_rc lm_user_remove(struct lm_db *db, const char *user, struct lm_err *err);   // and the keys
enum lm_rc lm_user_block(struct lm_db *db, const char *user, bool blocked, struct lm_err *err);
enum lm_rc lm_user_quota(struct lm_db *db, const char *user, int64_t tokens,
                         struct lm_err *err);   // 0 = none

/* Shown once, stored as a keyed hash only.  role NULL: the user's; expires_ms 0: never. */
enum lm_rc lm_key_create(struct lm_db *db, const char *user, const char *role, int64_t expires_ms,
                         char ret_key[LM_API_KEY_TEXT], struct lm_err *err);
enum lm_rc lm_key_revoke(struct lm_db *db, const char *prefix, struct lm_err *err);
/* Constant-time check; an unknown key gives key_state "unknown", not an error. */
enum lm_rc lm_key_lookup(struct lm_db *db, struct lm_str key, int64_t now_ms, struct lm_arena *arena,
                         struct lm_subject *ret, struct lm_err *err);

/* For lists on screen, ordered by name and prefix; strings live in the arena. */
struct lm_user_row {
    const char *user, *role, *partitions, *accounts;
    int64_t agreement_version, quota_tokens, used_tokens;
    bool blocked;
};
struct lm_key_row {
    const char *prefix, *user, *role;
    int64_t created_ms, expires_ms;
    bool revoked;
};
enum lm_rc lm_user_list(struct lm_db *db, struct lm_arena *arena, struct lm_user_row **ret, size_t *ret_count,
                        struct lm_err *err);
enum lm_rc lm_key_list(struct lm_db *db, struct lm_arena *arena, struct lm_key_row **ret, size_t *ret_count,
                       struct lm_err *err);

/* Versions are published once: LM_EEXIST for other text under the same number. */
enum lm_rc lm_agreement_publish(struct lm_db *db, int64_t version, struct lm_str text, struct lm_err *err);
enum lm_rc lm_agreement_accept(struct lm_db *db, const char *user, int64_t version, struct lm_err *err);

/* Budget in three steps, so that requests in parallel cannot overspend: reserve the most a request may use
 * (LM_EDENIED when that does not fit), run it, settle with (used - reserved), which may be negative. */
enum lm_rc lm_usage_reserve(struct lm_db *db, const char *user, int64_t tokens, struct lm_err *err);
enum lm_rc lm_usage_add(struct lm_db *db, const char *user, int64_t tokens, struct lm_err *err);

/* ---- output filter: govern/filter.c; one code path for streamed and whole answers ----
 * Forbidden strings, personal data and identifiers of others are masked or stop the answer.  What comes out
 * does not depend on how the text was cut into chunks.  Text is held back as long as a match could still
 * cover it: for forbidden strings exactly that long, for personal data LM_FILTER_HOLD bytes. */

enum { LM_FILTER_HOLD = 96 };   // longest match with blanks in it; a run without blanks is held to its end

struct lm_output_filter;
enum lm_rc lm_output_filter_new(const struct lm_policy *p, const struct lm_subject *subject,
                                struct lm_output_filter **ret, struct lm_err *err);
/* Appends what may be released.  LM_EDENIED: something that stops the answer was found; nothing that belongs
 * to it has been or will be released, and every later call says the same. */
enum lm_rc lm_output_filter_add(struct lm_output_filter *f, struct lm_str chunk, struct lm_buf *ret,
                                struct lm_err *err);
enum lm_rc lm_output_filter_end(struct lm_output_filter *f, struct lm_buf *ret, struct lm_err *err);
void lm_output_filter_free(struct lm_output_filter *f);   // NULL is fine

#endif
