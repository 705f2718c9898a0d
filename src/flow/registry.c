/* flow/registry.c - versions, aliases and their history in the project database. */

#include "flow/registry.h"

#include "base/sys.h"

#include <jansson.h>
#include <stdlib.h>

static const char *const schema[] = {
    "CREATE TABLE model_version ("
    " model TEXT NOT NULL, version INTEGER NOT NULL, artifact TEXT NOT NULL, review TEXT NOT NULL,"
    " passed INTEGER NOT NULL, registered_ms INTEGER NOT NULL,"
    " PRIMARY KEY (model, version), UNIQUE (model, artifact, review));"
    "CREATE TABLE model_alias ("
    " model TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL,"
    " PRIMARY KEY (model, alias), FOREIGN KEY (model, version) REFERENCES model_version (model, version));"
    "CREATE TABLE model_alias_change ("
    " id INTEGER PRIMARY KEY, model TEXT NOT NULL, alias TEXT NOT NULL, from_version INTEGER NOT NULL,"
    " to_version INTEGER NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL, time_ms INTEGER NOT NULL);",
};

enum lm_rc lm_registry_schema(struct lm_db *db, struct lm_err *err)
{
    return lm_db_schema(db, "registry", schema, sizeof(schema) / sizeof(schema[0]), err);
}

/* The review's verdict is among the metrics of its manifest. */
static bool review_passed(const struct lm_artifact *review)
{
    json_t *metrics = json_loadb(review->metrics.ptr, review->metrics.len, 0, NULL);
    const bool passed = json_is_true(json_object_get(metrics, "passed"));
    json_decref(metrics);
    return passed;
}

enum lm_rc lm_registry_add(struct lm_db *db, const char *model, const struct lm_artifact *artifact,
                           const struct lm_artifact *review, int64_t now_ms, int64_t *ret_version,
                           struct lm_err *err)
{
    static const char find[] =
        "SELECT version FROM model_version WHERE model = ? AND artifact = ? AND review = ?";
    LM_TRY(lm_db_begin(db, err));
    enum lm_rc rc = lm_db_get_int(db, ret_version, err, find, "sss", model, artifact->id, review->id);
    if (rc == LM_ENOENT) {
        rc = lm_db_run(
            db, err,
            "INSERT INTO model_version (model, version, artifact, review, passed, registered_ms)"
            " SELECT ?, 1 + coalesce(max(version), 0), ?, ?, ?, ? FROM model_version WHERE model = ?",
            "sssiis", model, artifact->id, review->id, (int64_t)review_passed(review), now_ms, model);
        if (rc == LM_OK)
            rc = lm_db_get_int(db, ret_version, err, find, "sss", model, artifact->id, review->id);
    }
    if (rc == LM_OK)
        rc = lm_db_commit(db, err);
    if (rc != LM_OK)
        lm_db_rollback(db);
    return rc;
}

static const char *text_of(struct lm_db_rows *rows, int column, struct lm_arena *arena)
{
    const struct lm_str s = lm_db_text(rows, column);
    return lm_arena_strndup(arena, s.ptr, s.len);
}

static struct lm_model_version version_of(struct lm_db_rows *rows, struct lm_arena *arena)
{
    return (struct lm_model_version){
        .model = text_of(rows, 0, arena),
        .version = lm_db_int(rows, 1),
        .artifact = text_of(rows, 2, arena),
        .review = text_of(rows, 3, arena),
        .passed = lm_db_int(rows, 4) != 0,
        .registered_ms = lm_db_int(rows, 5),
        .aliases = text_of(rows, 6, arena),
    };
}

enum lm_rc lm_registry_list(struct lm_db *db, const char *model, struct lm_arena *arena,
                            struct lm_model_version **ret, size_t *ret_count, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    struct lm_model_version *list = NULL;
    size_t count = 0, cap = 0;
    LM_TRY(
        lm_db_query(db, &rows, err,
                    "SELECT v.model, v.version, v.artifact, v.review, v.passed, v.registered_ms,"
                    " coalesce((SELECT group_concat(alias, ',') FROM (SELECT alias FROM model_alias a"
                    " WHERE a.model = v.model AND a.version = v.version ORDER BY alias)), '')"
                    " FROM model_version v WHERE ? IS NULL OR v.model = ? ORDER BY v.model, v.version DESC",
                    "ss", model, model));
    enum lm_rc rc;
    while ((rc = lm_db_next(rows, err)) == LM_OK) {
        lm_grow(&list, &cap, count + 1, sizeof(*list));
        list[count++] = version_of(rows, arena);
    }
    lm_db_end(rows);
    if (rc == LM_ENOTHING) {
        *ret = lm_arena_alloc(arena, (count + 1) * sizeof(*list));
        if (count)
            memcpy(*ret, list, count * sizeof(*list));
        *ret_count = count;
        rc = LM_OK;
    }
    free(list);
    return rc;
}

static bool has_alias(const struct lm_model_version *v, const char *alias)
{
    struct lm_str rest = lm_str(v->aliases), one;
    while (lm_str_split(&rest, ',', &one))
        if (lm_str_eq(one, lm_str(alias)))
            return true;
    return false;
}

enum lm_rc lm_registry_get(struct lm_db *db, const char *model, int64_t version, const char *alias,
                           struct lm_arena *arena, struct lm_model_version *ret, struct lm_err *err)
{
    struct lm_model_version *list;
    size_t count;
    LM_TRY(lm_registry_list(db, model, arena, &list, &count, err));
    if (count == 0)
        return lm_fail(err, LM_ENOENT,
                       "there is no model '%s' in the registry; 'loom registry list' shows what there is",
                       model);
    for (size_t i = 0; i < count; i++)
        if (version ? list[i].version == version : has_alias(&list[i], alias)) {
            *ret = list[i];
            return LM_OK;
        }
    if (version)
        return lm_fail(err, LM_ENOENT, "model '%s' has no version %lld; the newest is %lld", model,
                       (long long)version, (long long)list[0].version);
    return lm_fail(err, LM_ENOENT, "model '%s' has no %s yet; 'loom registry promote %s' makes one", model,
                   alias, model);
}

/* The version an alias points to now, 0 if none. */
static enum lm_rc current(struct lm_db *db, const char *model, const char *alias, int64_t *ret,
                          struct lm_err *err)
{
    *ret = 0;
    const enum lm_rc rc = lm_db_get_int(
        db, ret, err, "SELECT version FROM model_alias WHERE model = ? AND alias = ?", "ss", model, alias);
    return rc == LM_ENOENT ? LM_OK : rc;
}

static enum lm_rc point(struct lm_db *db, const char *model, const char *alias, int64_t from, int64_t to,
                        const char *who, const char *reason, int64_t now_ms, struct lm_err *err)
{
    LM_TRY(lm_db_begin(db, err));
    enum lm_rc rc = lm_db_run(db, err,
                              "INSERT INTO model_alias (model, alias, version) VALUES (?, ?, ?)"
                              " ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version",
                              "ssi", model, alias, to);
    if (rc == LM_OK)
        rc = lm_db_run(
            db, err,
            "INSERT INTO model_alias_change (model, alias, from_version, to_version, who, reason, time_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            "ssiissi", model, alias, from, to, who, reason, now_ms);
    if (rc == LM_OK)
        rc = lm_db_commit(db, err);
    if (rc != LM_OK)
        lm_db_rollback(db);
    return rc;
}

enum lm_rc lm_registry_promote(struct lm_db *db, const char *model, int64_t version, const char *alias,
                               const char *who, const char *reason, int64_t now_ms, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct lm_model_version *list;
    size_t count;
    int64_t now = 0;
    enum lm_rc rc = lm_registry_list(db, model, &arena, &list, &count, err);
    if (rc == LM_OK && version == 0 && count)
        version = list[0].version;
    struct lm_model_version v;
    if (rc == LM_OK)
        rc = lm_registry_get(db, model, version, alias, &arena, &v, err);
    if (rc == LM_OK && !v.passed)
        rc = lm_fail(err, LM_EDENIED,
                     "version %lld of '%s' may not become %s: its review %.12s did not pass all gates",
                     (long long)v.version, model, alias, v.review);
    if (rc == LM_OK)
        rc = current(db, model, alias, &now, err);
    if (rc == LM_OK && now == v.version)
        rc = LM_ENOTHING;
    if (rc == LM_OK)
        rc = point(db, model, alias, now, v.version, who, reason, now_ms, err);
    lm_arena_release(&arena);
    return rc;
}

enum lm_rc lm_registry_rollback(struct lm_db *db, const char *model, const char *alias, const char *who,
                                const char *reason, int64_t now_ms, int64_t *ret_version, struct lm_err *err)
{
    int64_t now = 0, before = 0;
    LM_TRY(current(db, model, alias, &now, err));
    const enum lm_rc rc =
        lm_db_get_int(db, &before, err,
                      "SELECT from_version FROM model_alias_change"
                      " WHERE model = ? AND alias = ? AND to_version = ? AND from_version > 0"
                      " ORDER BY id DESC LIMIT 1",
                      "ssi", model, alias, now);
    if (rc == LM_ENOENT)
        return lm_fail(err, LM_ENOENT,
                       "model '%s' had no %s before version %lld: there is nothing to go back to", model,
                       alias, (long long)now);
    LM_TRY(rc);
    LM_TRY(point(db, model, alias, now, before, who, reason, now_ms, err));
    *ret_version = before;
    return LM_OK;
}

enum lm_rc lm_registry_history(struct lm_db *db, const char *model, struct lm_arena *arena,
                               struct lm_alias_change **ret, size_t *ret_count, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    int64_t total = 0;
    size_t count = 0;
    LM_TRY(lm_db_get_int(db, &total, err, "SELECT count(*) FROM model_alias_change", ""));
    struct lm_alias_change *list = lm_arena_alloc(arena, ((size_t)total + 1) * sizeof(*list));
    LM_TRY(lm_db_query(
        db, &rows, err,
        "SELECT model, alias, who, reason, from_version, to_version, time_ms FROM model_alias_change"
        " WHERE ? IS NULL OR model = ? ORDER BY id",
        "ss", model, model));
    enum lm_rc rc = LM_ENOTHING;
    while (count < (size_t)total && (rc = lm_db_next(rows, err)) == LM_OK)
        list[count++] = (struct lm_alias_change){
            .model = text_of(rows, 0, arena),
            .alias = text_of(rows, 1, arena),
            .who = text_of(rows, 2, arena),
            .reason = text_of(rows, 3, arena),
            .from_version = lm_db_int(rows, 4),
            .to_version = lm_db_int(rows, 5),
            .time_ms = lm_db_int(rows, 6),
        };
    lm_db_end(rows);
    if (rc != LM_OK && rc != LM_ENOTHING)
        return rc;
    *ret = list;
    *ret_count = count;
    return LM_OK;
}

/* ---- model card ---- */

static void card_artifact(const struct lm_artifact *a, struct lm_buf *ret)
{
    lm_buf_printf(ret, "| %s | `%.12s` | `%s` |\n", a->stage, a->id, a->options.ptr);
}

/* The artifact and everything it was made from, each once, nearest first. */
static enum lm_rc card_lineage(const char *store_dir, const struct lm_artifact *root, struct lm_arena *arena,
                               struct lm_buf *ret, struct lm_err *err)
{
    enum { LINEAGE_MAX = 256 };
    const char *seen[LINEAGE_MAX];
    size_t count = 0;
    seen[count++] = root->id;
    for (size_t at = 0; at < count; at++) {
        struct lm_artifact a;
        LM_TRY(lm_artifact_load(store_dir, seen[at], arena, &a, err));
        card_artifact(&a, ret);
        for (size_t i = 0; i < a.input_count; i++) {
            bool known = strcmp(a.inputs[i].role, "source") == 0;
            for (size_t k = 0; k < count && !known; k++)
                known = strcmp(seen[k], a.inputs[i].id) == 0;
            if (!known && count < LINEAGE_MAX)
                seen[count++] = a.inputs[i].id;
        }
    }
    return LM_OK;
}

enum lm_rc lm_registry_card(struct lm_db *db, const char *store_dir, const struct lm_model_version *version,
                            struct lm_buf *ret, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct lm_artifact model, review;
    struct lm_alias_change *changes = NULL;
    size_t change_count = 0;
    char when[LM_TIME_TEXT];
    lm_time_text(version->registered_ms, when);
    enum lm_rc rc = lm_artifact_load(store_dir, version->artifact, &arena, &model, err);
    if (rc == LM_OK)
        rc = lm_artifact_load(store_dir, version->review, &arena, &review, err);
    if (rc == LM_OK)
        rc = lm_registry_history(db, version->model, &arena, &changes, &change_count, err);
    if (rc == LM_OK) {
        lm_buf_printf(ret, "# %s, version %lld\n\n", version->model, (long long)version->version);
        lm_buf_printf(ret, "Artifact `%s`, registered %s, aliases: %s.\n\n", version->artifact, when,
                      version->aliases[0] ? version->aliases : "none");
        lm_buf_printf(ret, "## Training\n\n```json\n%s\n```\n\n", model.metrics.ptr);
        lm_buf_printf(ret, "## Review\n\nGates: %s. Review artifact `%s`.\n\n```json\n%s\n```\n\n",
                      version->passed ? "passed" : "not passed", version->review, review.metrics.ptr);
        lm_buf_puts(ret, "## Lineage\n\n| stage | artifact | options |\n|---|---|---|\n");
        rc = card_lineage(store_dir, &model, &arena, ret, err);
    }
    if (rc == LM_OK && change_count)
        lm_buf_puts(ret,
                    "\n## Releases\n\n| when | alias | from | to | who | why |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; rc == LM_OK && i < change_count; i++) {
        lm_time_text(changes[i].time_ms, when);
        lm_buf_printf(ret, "| %s | %s | %lld | %lld | %s | %s |\n", when, changes[i].alias,
                      (long long)changes[i].from_version, (long long)changes[i].to_version, changes[i].who,
                      changes[i].reason);
    }
    lm_arena_release(&arena);
    return rc;
}
