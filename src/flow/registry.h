#ifndef LM_FLOW_REGISTRY_H
#define LM_FLOW_REGISTRY_H
/* flow/registry.h - which model is which version, and which version answers.
 *
 * A model ("sql") has versions 1, 2, ...; each is an artifact and the review that judged it.  An alias
 * ("champion", "challenger") points to a version; every change is kept: who, when, from, to, why.
 * Nothing becomes champion whose review did not pass its gates. */

#include "base/mem.h"
#include "store/artifact.h"
#include "store/db.h"

struct lm_model_version {
    const char *model;
    int64_t version;
    const char *artifact, *review;   // artifact ids
    bool passed;                     // all gates of the review
    const char *aliases;             // "champion,challenger" or ""
    int64_t registered_ms;
};

struct lm_alias_change {
    const char *model, *alias, *who, *reason;
    int64_t from_version, to_version;   // 0: none
    int64_t time_ms;
};

enum lm_rc lm_registry_schema(struct lm_db *db, struct lm_err *err);

/* The same artifact and review again gives the version it has. */
enum lm_rc lm_registry_add(struct lm_db *db, const char *model, const struct lm_artifact *artifact,
                           const struct lm_artifact *review, int64_t now_ms, int64_t *ret_version,
                           struct lm_err *err);

/* Ordered by model, then newest first; model NULL: all.  In the arena. */
enum lm_rc lm_registry_list(struct lm_db *db, const char *model, struct lm_arena *arena,
                            struct lm_model_version **ret, size_t *ret_count, struct lm_err *err);
/* By version number, or by alias when version is 0.  LM_ENOENT names what there is. */
enum lm_rc lm_registry_get(struct lm_db *db, const char *model, int64_t version, const char *alias,
                           struct lm_arena *arena, struct lm_model_version *ret, struct lm_err *err);

/* version 0: the newest.  LM_EDENIED when its gates did not pass. */
enum lm_rc lm_registry_promote(struct lm_db *db, const char *model, int64_t version, const char *alias,
                               const char *who, const char *reason, int64_t now_ms, struct lm_err *err);
/* Back to the version the alias had before; LM_ENOENT when it never had another. */
enum lm_rc lm_registry_rollback(struct lm_db *db, const char *model, const char *alias, const char *who,
                                const char *reason, int64_t now_ms, int64_t *ret_version, struct lm_err *err);
enum lm_rc lm_registry_history(struct lm_db *db, const char *model, struct lm_arena *arena,
                               struct lm_alias_change **ret, size_t *ret_count, struct lm_err *err);

/* A model card in Markdown: what it is, what made it, how it was judged. */
enum lm_rc lm_registry_card(struct lm_db *db, const char *store_dir, const struct lm_model_version *version,
                            struct lm_buf *ret, struct lm_err *err);

#endif
