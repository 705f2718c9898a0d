/* Users and their keys.  A key is random enough (256 bits) that a fast keyed hash is the right way to store
 * it: there is nothing to guess.  The hash key is made per project, so equal keys of two projects differ. */
#include "base/sys.h"
#include "govern/govern.h"

#include <sodium.h>

enum { PREFIX_LEN = 8, SECRET_LEN = 43, TAG_LEN = 5, HASH_BYTES = 32 };
_Static_assert(TAG_LEN + PREFIX_LEN + 1 + SECRET_LEN + 1 == LM_API_KEY_TEXT, "form of a key");

/* `username`, because `user` is a word of SQL.  Lists are comma-separated text. */
enum lm_rc lm_users_schema(struct lm_db *db, struct lm_err *err)
{
    static const char *const steps[] = {
        "CREATE TABLE users (username TEXT PRIMARY KEY, role TEXT NOT NULL, partitions TEXT NOT NULL,"
        " accounts TEXT NOT NULL, agreement_version BIGINT NOT NULL DEFAULT 0,"
        " quota_tokens BIGINT NOT NULL DEFAULT 0, used_tokens BIGINT NOT NULL DEFAULT 0,"
        " blocked BIGINT NOT NULL DEFAULT 0)",
        "CREATE TABLE api_keys (prefix TEXT PRIMARY KEY, hash BLOB NOT NULL,"
        " username TEXT NOT NULL REFERENCES users (username) ON DELETE CASCADE, role TEXT NOT NULL,"
        " created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, revoked BIGINT NOT NULL DEFAULT 0)",
        "CREATE TABLE govern_secret (id BIGINT PRIMARY KEY, secret BLOB NOT NULL)",
        "CREATE TABLE agreements (version BIGINT PRIMARY KEY, digest TEXT NOT NULL, content TEXT NOT NULL,"
        " published_ms BIGINT NOT NULL)",
        "CREATE TABLE acceptances (username TEXT NOT NULL REFERENCES users (username) ON DELETE CASCADE,"
        " version BIGINT NOT NULL REFERENCES agreements (version), digest TEXT NOT NULL,"
        " accepted_ms BIGINT NOT NULL, PRIMARY KEY (username, version))",
    };
    LM_TRY(lm_db_schema(db, "govern.users", steps, sizeof(steps) / sizeof(steps[0]), err));

    if (sodium_init() < 0)
        return lm_fail(err, LM_EIO, "libsodium finds no source of random numbers");
    uint8_t secret[crypto_generichash_KEYBYTES];
    randombytes_buf(secret, sizeof(secret));
    const enum lm_rc rc = lm_db_run(db, err, "INSERT INTO govern_secret VALUES (1, ?) ON CONFLICT DO NOTHING",
                                    "b", (struct lm_str){ (const char *)secret, sizeof(secret) });
    sodium_memzero(secret, sizeof(secret));
    return rc;
}

/* ---- users ---- */

/* Names stand in logs, lists and on the command line: no blanks, commas or quotes. */
static enum lm_rc check_name(const char *what, const char *name, struct lm_err *err)
{
    enum { NAME_MAX_LEN = 64 };

    const size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_LEN)
        return lm_fail(err, LM_EINVAL, "a %s has 1 to %d characters", what, NAME_MAX_LEN);
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)name[i] <= ' ' || (uint8_t)name[i] == 0x7f || strchr(",\"'\\", name[i]))
            return lm_fail(err, LM_EINVAL, "the %s '%s' contains a blank, comma, quote or backslash", what,
                           name);
    return LM_OK;
}

/* What touches no row has named nobody. */
static enum lm_rc need_change(struct lm_db *db, const char *what, const char *name, struct lm_err *err)
{
    return lm_db_changes(db) > 0 ? LM_OK : lm_fail(err, LM_ENOENT, "there is no %s '%s'", what, name);
}

enum lm_rc lm_user_add(struct lm_db *db, const char *user, const char *role, const char *partitions_csv,
                       const char *accounts_csv, struct lm_err *err)
{
    LM_TRY(check_name("user", user, err));
    LM_TRY(check_name("role", role, err));
    LM_TRY(lm_db_run(db, err,
                     "INSERT INTO users (username, role, partitions, accounts) VALUES (?, ?, ?, ?)"
                     " ON CONFLICT DO NOTHING",
                     "ssss", user, role, partitions_csv ? partitions_csv : "",
                     accounts_csv ? accounts_csv : ""));
    return lm_db_changes(db) > 0 ? LM_OK : lm_fail(err, LM_EEXIST, "the user '%s' exists already", user);
}

enum lm_rc lm_user_remove(struct lm_db *db, const char *user, struct lm_err *err)
{
    LM_TRY(lm_db_run(db, err, "DELETE FROM users WHERE username = ?", "s", user));
    return need_change(db, "user", user, err);
}

enum lm_rc lm_user_block(struct lm_db *db, const char *user, bool blocked, struct lm_err *err)
{
    LM_TRY(
        lm_db_run(db, err, "UPDATE users SET blocked = ? WHERE username = ?", "is", (int64_t)blocked, user));
    return need_change(db, "user", user, err);
}

enum lm_rc lm_user_quota(struct lm_db *db, const char *user, int64_t tokens, struct lm_err *err)
{
    if (tokens < 0)
        return lm_fail(err, LM_EINVAL, "a quota of %lld tokens is below 0", (long long)tokens);
    LM_TRY(lm_db_run(db, err, "UPDATE users SET quota_tokens = ? WHERE username = ?", "is", tokens, user));
    return need_change(db, "user", user, err);
}

/* ---- keys ---- */

static enum lm_rc hash_key(struct lm_db *db, struct lm_str key, uint8_t ret[HASH_BYTES], struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_query(db, &rows, err, "SELECT secret FROM govern_secret WHERE id = 1", ""));
    enum lm_rc rc = lm_db_next(rows, err);
    if (rc == LM_OK) {
        const struct lm_str secret = lm_db_text(rows, 0);
        if (secret.len == crypto_generichash_KEYBYTES)
            crypto_generichash(ret, HASH_BYTES, (const uint8_t *)key.ptr, key.len,
                               (const uint8_t *)secret.ptr, secret.len);
        else
            rc = LM_ENOTHING;
    }
    lm_db_end(rows);
    return rc == LM_ENOTHING ? lm_fail(err, LM_EFORMAT, "the database has no secret for API keys") : rc;
}

static void random_base62(char *ret, size_t len)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (size_t i = 0; i < len; i++)
        ret[i] = digits[randombytes_uniform(62)];   // 43 of them are 256 bits
    ret[len] = '\0';
}

static enum lm_rc user_role(struct lm_db *db, const char *user, struct lm_buf *ret, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_query(db, &rows, err, "SELECT role FROM users WHERE username = ?", "s", user));
    enum lm_rc rc = lm_db_next(rows, err);
    if (rc == LM_OK)
        lm_buf_add_str(ret, lm_db_text(rows, 0));
    lm_db_end(rows);
    return rc == LM_ENOTHING ? lm_fail(err, LM_ENOENT, "there is no user '%s'", user) : rc;
}

enum lm_rc lm_key_create(struct lm_db *db, const char *user, const char *role, int64_t expires_ms,
                         char ret_key[LM_API_KEY_TEXT], struct lm_err *err)
{
    char prefix[PREFIX_LEN + 1], secret[SECRET_LEN + 1], key[LM_API_KEY_TEXT];
    random_base62(prefix, PREFIX_LEN);
    random_base62(secret, SECRET_LEN);
    snprintf(key, sizeof(key), "loom_%s_%s", prefix, secret);
    sodium_memzero(secret, sizeof(secret));

    uint8_t hash[HASH_BYTES];
    struct lm_buf own_role = { 0 };
    enum lm_rc rc = user_role(db, user, &own_role, err);
    if (rc == LM_OK)
        rc = check_name("role", role ? role : own_role.ptr, err);
    if (rc == LM_OK)
        rc = hash_key(db, lm_str(key), hash, err);
    if (rc == LM_OK)   // a prefix that is taken (1 in 10^14) is an error of the database: try again
        rc = lm_db_run(db, err,
                       "INSERT INTO api_keys (prefix, hash, username, role, created_ms, expires_ms)"
                       " VALUES (?, ?, ?, ?, ?, ?)",
                       "sbssii", prefix, (struct lm_str){ (const char *)hash, sizeof(hash) }, user,
                       role ? role : own_role.ptr, lm_wall_ms(), expires_ms);
    if (rc == LM_OK)
        memcpy(ret_key, key, sizeof(key));
    sodium_memzero(key, sizeof(key));
    lm_buf_release(&own_role);
    return rc;
}

enum lm_rc lm_key_revoke(struct lm_db *db, const char *prefix, struct lm_err *err)
{
    LM_TRY(lm_db_run(db, err, "UPDATE api_keys SET revoked = 1 WHERE prefix = ?", "s", prefix));
    return need_change(db, "key", prefix, err);
}

/* ---- lookup ---- */

static const char *const *split_csv(struct lm_str csv, struct lm_arena *arena, size_t *ret_count)
{
    size_t commas = 0, count = 0;
    for (size_t i = 0; i < csv.len; i++)
        commas += csv.ptr[i] == ',';
    const char **items = lm_arena_alloc(arena, (commas + 1) * sizeof(*items));
    struct lm_str field;
    while (lm_str_split(&csv, ',', &field)) {
        field = lm_str_trim(field);
        if (field.len)
            items[count++] = lm_arena_strndup(arena, field.ptr, field.len);
    }
    *ret_count = count;
    return items;
}

static const char *keep(struct lm_db_rows *rows, int column, struct lm_arena *arena)
{
    const struct lm_str s = lm_db_text(rows, column);
    return lm_arena_strndup(arena, s.ptr, s.len);
}

enum { HASH, USER, ROLE, EXPIRES, REVOKED, BLOCKED, PARTITIONS, ACCOUNTS, AGREEMENT, REQUIRED, QUOTA, USED };
static const char lookup_sql[] =
    "SELECT k.hash, k.username, k.role, k.expires_ms, k.revoked, u.blocked, u.partitions, u.accounts,"
    " u.agreement_version, (SELECT COALESCE(MAX(version), 0) FROM agreements), u.quota_tokens, u.used_tokens"
    " FROM api_keys k JOIN users u ON u.username = k.username WHERE k.prefix = ?";

static void fill_subject(struct lm_db_rows *rows, int64_t now_ms, struct lm_arena *arena,
                         struct lm_subject *s)
{
    const int64_t expires_ms = lm_db_int(rows, EXPIRES);
    s->key_state = lm_db_int(rows, REVOKED)                 ? "revoked"
                   : lm_db_int(rows, BLOCKED)               ? "blocked"
                   : expires_ms > 0 && expires_ms <= now_ms ? "expired"
                                                            : "active";
    s->user = keep(rows, USER, arena);
    s->role = keep(rows, ROLE, arena);
    s->partitions = split_csv(lm_db_text(rows, PARTITIONS), arena, &s->partition_count);
    s->accounts = split_csv(lm_db_text(rows, ACCOUNTS), arena, &s->account_count);
    s->agreement_version = lm_db_int(rows, AGREEMENT);
    s->agreement_required = lm_db_int(rows, REQUIRED);
    s->quota_tokens = lm_db_int(rows, QUOTA);
    s->used_tokens = lm_db_int(rows, USED);
}

/* "loom_<prefix>_<secret>"; false for any other form. */
static bool find_prefix(struct lm_str key, char ret_prefix[PREFIX_LEN + 1])
{
    if (key.len != LM_API_KEY_TEXT - 1 || !lm_str_starts(key, LM_STR("loom_")) ||
        key.ptr[TAG_LEN + PREFIX_LEN] != '_')
        return false;
    memcpy(ret_prefix, key.ptr + TAG_LEN, PREFIX_LEN);
    ret_prefix[PREFIX_LEN] = '\0';
    return ret_prefix[strspn(ret_prefix, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                         "abcdefghijklmnopqrstuvwxyz")] == '\0';
}

/* The prefix is public (it stands in logs), so finding it may take its time; the rest is compared in constant
 * time, and a prefix nobody has costs the same hash. */
enum lm_rc lm_key_lookup(struct lm_db *db, struct lm_str key, int64_t now_ms, struct lm_arena *arena,
                         struct lm_subject *ret, struct lm_err *err)
{
    struct lm_subject subject = { .user = "", .role = "", .key_prefix = "", .key_state = "unknown" };
    char prefix[PREFIX_LEN + 1];
    if (!find_prefix(key, prefix)) {
        *ret = subject;
        return LM_OK;
    }
    subject.key_prefix = lm_arena_strdup(arena, prefix);
    uint8_t hash[HASH_BYTES];
    LM_TRY(hash_key(db, key, hash, err));

    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_query(db, &rows, err, lookup_sql, "s", prefix));
    const enum lm_rc rc = lm_db_next(rows, err);
    if (rc == LM_OK) {
        const struct lm_str stored = lm_db_text(rows, HASH);
        if (stored.len == HASH_BYTES && sodium_memcmp(stored.ptr, hash, HASH_BYTES) == 0)
            fill_subject(rows, now_ms, arena, &subject);
    }
    lm_db_end(rows);
    if (rc != LM_OK && rc != LM_ENOTHING)
        return rc;
    *ret = subject;
    return LM_OK;
}

/* ---- lists ---- */

enum lm_rc lm_user_list(struct lm_db *db, struct lm_arena *arena, struct lm_user_row **ret, size_t *ret_count,
                        struct lm_err *err)
{
    int64_t count = 0;
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_get_int(db, &count, err, "SELECT COUNT(*) FROM users", ""));
    LM_TRY(lm_db_query(db, &rows, err,
                       "SELECT username, role, partitions, accounts, agreement_version, quota_tokens,"
                       " used_tokens, blocked FROM users ORDER BY username LIMIT ?",
                       "i", count));
    struct lm_user_row *items = lm_arena_alloc(arena, (size_t)count * sizeof(*items));
    size_t n = 0;
    enum lm_rc rc;
    while ((rc = lm_db_next(rows, err)) == LM_OK)
        items[n++] = (struct lm_user_row){
            .user = keep(rows, 0, arena),
            .role = keep(rows, 1, arena),
            .partitions = keep(rows, 2, arena),
            .accounts = keep(rows, 3, arena),
            .agreement_version = lm_db_int(rows, 4),
            .quota_tokens = lm_db_int(rows, 5),
            .used_tokens = lm_db_int(rows, 6),
            .blocked = lm_db_int(rows, 7) != 0,
        };
    lm_db_end(rows);
    if (rc != LM_ENOTHING)
        return rc;
    *ret = items;
    *ret_count = n;
    return LM_OK;
}

enum lm_rc lm_key_list(struct lm_db *db, struct lm_arena *arena, struct lm_key_row **ret, size_t *ret_count,
                       struct lm_err *err)
{
    int64_t count = 0;
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_get_int(db, &count, err, "SELECT COUNT(*) FROM api_keys", ""));
    LM_TRY(lm_db_query(db, &rows, err,
                       "SELECT prefix, username, role, created_ms, expires_ms, revoked FROM api_keys"
                       " ORDER BY prefix LIMIT ?",
                       "i", count));
    struct lm_key_row *items = lm_arena_alloc(arena, (size_t)count * sizeof(*items));
    size_t n = 0;
    enum lm_rc rc;
    while ((rc = lm_db_next(rows, err)) == LM_OK)
        items[n++] = (struct lm_key_row){
            .prefix = keep(rows, 0, arena),
            .user = keep(rows, 1, arena),
            .role = keep(rows, 2, arena),
            .created_ms = lm_db_int(rows, 3),
            .expires_ms = lm_db_int(rows, 4),
            .revoked = lm_db_int(rows, 5) != 0,
        };
    lm_db_end(rows);
    if (rc != LM_ENOTHING)
        return rc;
    *ret = items;
    *ret_count = n;
    return LM_OK;
}
