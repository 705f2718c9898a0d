/* What a user has agreed to, and what a user may still spend. */
#include "base/hash.h"
#include "base/sys.h"
#include "govern/govern.h"

/* ---- agreements ---- */

static enum lm_rc find_digest(struct lm_db *db, int64_t version, char ret[LM_SHA256_HEX], struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_query(db, &rows, err, "SELECT digest FROM agreements WHERE version = ?", "i", version));
    enum lm_rc rc = lm_db_next(rows, err);
    if (rc == LM_OK)
        snprintf(ret, LM_SHA256_HEX, "%s", lm_db_text(rows, 0).ptr);
    lm_db_end(rows);
    return rc == LM_ENOTHING
               ? lm_fail(err, LM_ENOENT, "version %lld of the agreement is not published", (long long)version)
               : rc;
}

enum lm_rc lm_agreement_publish(struct lm_db *db, int64_t version, struct lm_str text, struct lm_err *err)
{
    if (version < 1)
        return lm_fail(err, LM_EINVAL, "versions of the agreement count from 1");
    char digest[LM_SHA256_HEX], published[LM_SHA256_HEX];
    lm_sha256_hex(text, digest);
    LM_TRY(lm_db_run(db, err, "INSERT INTO agreements VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", "isti",
                     version, digest, text, lm_wall_ms()));
    LM_TRY(find_digest(db, version, published, err));
    if (strcmp(digest, published) != 0)
        return lm_fail(err, LM_EEXIST, "version %lld of the agreement was published with another text",
                       (long long)version);
    return LM_OK;
}

static enum lm_rc accept(struct lm_db *db, const char *user, int64_t version, struct lm_err *err)
{
    char digest[LM_SHA256_HEX];
    LM_TRY(find_digest(db, version, digest, err));
    LM_TRY(lm_db_run(db, err,
                     "UPDATE users SET agreement_version = CASE WHEN agreement_version < ? THEN ?"
                     " ELSE agreement_version END WHERE username = ?",
                     "iis", version, version, user));
    if (lm_db_changes(db) == 0)
        return lm_fail(err, LM_ENOENT, "there is no user '%s'", user);
    return lm_db_run(db, err, "INSERT INTO acceptances VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", "sisi",
                     user, version, digest, lm_wall_ms());
}

enum lm_rc lm_agreement_accept(struct lm_db *db, const char *user, int64_t version, struct lm_err *err)
{
    LM_TRY(lm_db_begin(db, err));
    const enum lm_rc rc = accept(db, user, version, err);
    if (rc == LM_OK)
        return lm_db_commit(db, err);
    lm_db_rollback(db);
    return rc;
}

/* ---- budget ---- */

/* One statement decides and books: between a look and a booking another request could slip in. */
enum lm_rc lm_usage_reserve(struct lm_db *db, const char *user, int64_t tokens, struct lm_err *err)
{
    LM_ASSERT(tokens >= 0);

    LM_TRY(lm_db_run(db, err,
                     "UPDATE users SET used_tokens = used_tokens + ? WHERE username = ?"
                     " AND (quota_tokens = 0 OR used_tokens + ? <= quota_tokens)",
                     "isi", tokens, user, tokens));
    return lm_db_changes(db) > 0 ? LM_OK
                                 : lm_fail(err, LM_EDENIED, "the quota of '%s' has no room for %lld tokens",
                                           user, (long long)tokens);
}

enum lm_rc lm_usage_add(struct lm_db *db, const char *user, int64_t tokens, struct lm_err *err)
{
    LM_TRY(lm_db_run(db, err, "UPDATE users SET used_tokens = used_tokens + ? WHERE username = ?", "is",
                     tokens, user));
    return lm_db_changes(db) > 0 ? LM_OK : lm_fail(err, LM_ENOENT, "there is no user '%s'", user);
}
