/* The administrator's routes: what is served, who may come in, how the server is set. */
#include "serve/handlers.h"

#include "base/json.h"
#include "base/sys.h"
#include "serve/exchange.h"

/* ---- /modelManagement ---- */

void lm_handle_model_management(struct lm_exchange *x)
{
    struct lm_buf *ret = &x->reply.body;
    lm_buf_puts(ret, "{\"models\":[");
    for (size_t i = 0; i < x->server->model_count; i++) {
        const struct lm_served *m = &x->server->models[i];
        const struct lm_engine_stats stats = lm_engine_stats(m->engine);
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_str(ret, "name", lm_str(m->name));
        lm_json_key_str(ret, "artifact", lm_str(m->artifact));
        lm_json_key_str(ret, "dir", lm_str(m->dir));
        lm_json_key_str(ret, "partition", lm_str(m->partition));
        lm_json_key_int(ret, "running", (int64_t)stats.running);
        lm_json_key_int(ret, "waiting", (int64_t)stats.waiting);
        lm_buf_putc(ret, '}');
    }
    lm_buf_puts(ret, "]}");
}

/* ---- /systemSettings ---- */

void lm_handle_settings(struct lm_exchange *x)
{
    struct lm_buf *ret = &x->reply.body;
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "version", lm_str(lm_version));
    lm_json_key_str(ret, "policy_sha256", lm_str(lm_policy_digest(x->server->policy)));
    lm_json_key(ret, "serve");
    lm_opt_to_json(&lm_serve_options, &x->server->config, false, ret);
    lm_buf_putc(ret, '}');
}

/* ---- /userAccessControl ---- */

static void put_users(struct lm_buf *ret, const struct lm_user_row *users, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_str(ret, "user", lm_str(users[i].user));
        lm_json_key_str(ret, "role", lm_str(users[i].role));
        lm_json_key_str(ret, "partitions", lm_str(users[i].partitions));
        lm_json_key_int(ret, "agreement_version", users[i].agreement_version);
        lm_json_key_int(ret, "quota_tokens", users[i].quota_tokens);
        lm_json_key_int(ret, "used_tokens", users[i].used_tokens);
        lm_json_key_bool(ret, "blocked", users[i].blocked);
        lm_buf_putc(ret, '}');
    }
}

static void put_keys(struct lm_buf *ret, const struct lm_key_row *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_str(ret, "prefix", lm_str(keys[i].prefix));
        lm_json_key_str(ret, "user", lm_str(keys[i].user));
        lm_json_key_str(ret, "role", lm_str(keys[i].role));
        lm_json_key_int(ret, "created_ms", keys[i].created_ms);
        lm_json_key_int(ret, "expires_ms", keys[i].expires_ms);
        lm_json_key_bool(ret, "revoked", keys[i].revoked);
        lm_buf_putc(ret, '}');
    }
}

void lm_handle_access_list(struct lm_exchange *x)
{
    struct lm_err err = { 0 };
    struct lm_user_row *users = NULL;
    struct lm_key_row *keys = NULL;
    size_t user_count = 0, key_count = 0;
    struct lm_db *db = lm_server_db(x->server, &err);
    enum lm_rc rc = db ? lm_user_list(db, &x->arena, &users, &user_count, &err) : err.rc;
    if (rc == LM_OK)
        rc = lm_key_list(db, &x->arena, &keys, &key_count, &err);
    if (db)
        lm_server_db_give(x->server, db);
    if (rc != LM_OK) {
        (void)lm_exchange_failed(x, &err);
        return;
    }
    lm_buf_puts(&x->reply.body, "{\"users\":[");
    put_users(&x->reply.body, users, user_count);
    lm_buf_puts(&x->reply.body, "],\"keys\":[");
    put_keys(&x->reply.body, keys, key_count);
    lm_buf_puts(&x->reply.body, "]}");
}

/* A role of no policy would be a right that is silently absent. */
static enum lm_rc check_role(struct lm_exchange *x, struct lm_err *err)
{
    const struct lm_str role = x->request.role;
    if (role.len == 0 || lm_policy_has_role(x->server->policy, role))
        return LM_OK;
    return lm_fail(err, LM_EINVAL, "the policy has no role '%.*s'", (int)(role.len < 100 ? role.len : 100),
                   role.ptr);
}

static enum lm_rc add_user(struct lm_exchange *x, struct lm_db *db, struct lm_err *err)
{
    const struct lm_api_request *r = &x->request;
    LM_TRY(check_role(x, err));
    return lm_user_add(db, r->user.ptr, r->role.ptr, r->partitions.ptr, r->accounts.ptr, err);
}

static enum lm_rc remove_user(struct lm_exchange *x, struct lm_db *db, struct lm_err *err)
{
    return lm_user_remove(db, x->request.user.ptr, err);
}

static enum lm_rc block_user(struct lm_exchange *x, struct lm_db *db, struct lm_err *err)
{
    return lm_user_block(db, x->request.user.ptr, true, err);
}

static enum lm_rc unblock_user(struct lm_exchange *x, struct lm_db *db, struct lm_err *err)
{
    return lm_user_block(db, x->request.user.ptr, false, err);
}

static enum lm_rc set_quota(struct lm_exchange *x, struct lm_db *db, struct lm_err *err)
{
    return lm_user_quota(db, x->request.user.ptr, x->request.tokens, err);
}

/* The one time the key is shown. */
static enum lm_rc create_key(struct lm_exchange *x, struct lm_db *db, struct lm_err *err)
{
    const struct lm_api_request *r = &x->request;
    char key[LM_API_KEY_TEXT];
    LM_TRY(check_role(x, err));
    LM_TRY(lm_key_create(db, r->user.ptr, r->role.len ? r->role.ptr : NULL, r->expires_ms, key, err));
    lm_json_key_str(&x->reply.body, "key", lm_str(key));
    return LM_OK;
}

static enum lm_rc revoke_key(struct lm_exchange *x, struct lm_db *db, struct lm_err *err)
{
    return lm_key_revoke(db, x->request.prefix.ptr, err);
}

/* To add an action: a function above and a row with the parameters it cannot do without. */
static const struct action {
    const char *name;
    const char *needs[2];
    enum lm_rc (*run)(struct lm_exchange *x, struct lm_db *db, struct lm_err *err);
} actions[] = {
    { "add_user", { "user", "role" }, add_user }, { "remove_user", { "user" }, remove_user },
    { "block_user", { "user" }, block_user },     { "unblock_user", { "user" }, unblock_user },
    { "set_quota", { "user" }, set_quota },       { "create_key", { "user" }, create_key },
    { "revoke_key", { "prefix" }, revoke_key },
};
enum { ACTION_COUNT = sizeof(actions) / sizeof(actions[0]) };

static const struct action *find_action(struct lm_exchange *x)
{
    for (size_t i = 0; i < ACTION_COUNT; i++)
        if (lm_str_eq(x->request.action, lm_str(actions[i].name)))
            return &actions[i];
    struct lm_buf names = { 0 };
    for (size_t i = 0; i < ACTION_COUNT; i++)
        lm_buf_printf(&names, "%s%s", i ? ", " : "", actions[i].name);
    (void)lm_fault_set(&x->fault, LM_FAULT_VALUE, "action", "'action' is one of %s", names.ptr);
    lm_buf_release(&names);
    return NULL;
}

static bool has_needs(struct lm_exchange *x, const struct action *action)
{
    const struct lm_api_request *r = &x->request;
    for (size_t i = 0; i < 2 && action->needs[i]; i++) {
        const char *name = action->needs[i];
        const struct lm_str value = strcmp(name, "user") == 0   ? r->user
                                    : strcmp(name, "role") == 0 ? r->role
                                                                : r->prefix;
        if (value.len == 0)
            return lm_fault_set(&x->fault, LM_FAULT_MISSING, name, "%s needs '%s'", action->name, name);
    }
    return true;
}

static void set_access_fault(struct lm_exchange *x, enum lm_rc rc, const struct lm_err *err)
{
    if (rc == LM_EINVAL)
        (void)lm_fault_set(&x->fault, LM_FAULT_VALUE, NULL, "%s", err->text);
    else if (rc == LM_ENOENT)
        (void)lm_fault_set(&x->fault, LM_FAULT_SUBJECT, NULL, "%s", err->text);
    else if (rc == LM_EEXIST)
        (void)lm_fault_set(&x->fault, LM_FAULT_EXISTS, NULL, "%s", err->text);
    else
        (void)lm_exchange_failed(x, err);
}

void lm_handle_access_change(struct lm_exchange *x)
{
    const struct action *action = find_action(x);
    if (!action || !has_needs(x, action))
        return;
    struct lm_err err = { 0 };
    struct lm_db *db = lm_server_db(x->server, &err);
    lm_buf_putc(&x->reply.body, '{');
    lm_json_key_str(&x->reply.body, "action", x->request.action);
    const enum lm_rc rc = db ? action->run(x, db, &err) : err.rc;
    if (db)
        lm_server_db_give(x->server, db);
    lm_buf_putc(&x->reply.body, '}');
    if (rc != LM_OK)
        set_access_fault(x, rc, &err);
}
