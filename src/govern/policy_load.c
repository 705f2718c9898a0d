/* Reading a policy.  To add a field: a member in policy.h and a row in the table of its map. */
#include "base/file.h"
#include "govern/forbidden.h"
#include "govern/normalize.h"
#include "govern/policy_values.h"

static enum lm_rc read_default(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    (void)target;
    return node->kind == LM_YAML_SCALAR && lm_str_eq(node->value, LM_STR("deny"))
               ? LM_OK
               : lm_policy_fail_node(l, node, "must be deny: what no rule allows is refused");
}

/* ---- roles and routes ---- */

static const char *const scopes[] = { "self", "other", "aggregate", "system", "help", "knowledge" };

static enum lm_rc read_scopes(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(lm_policy_read_strings(l, node, target));
    size_t index;
    for (const struct lm_yaml *c = node->child; c; c = c->next)
        LM_TRY(READ_WORD(l, c, "scope", c->value, scopes, &index));
    return LM_OK;
}

static enum lm_rc read_verbs(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    static const char *const verbs[] = { "read", "write" };
    LM_TRY(lm_policy_need(l, node, LM_YAML_LIST));
    for (const struct lm_yaml *c = node->child; c; c = c->next) {
        size_t index;
        LM_TRY(lm_policy_need(l, c, LM_YAML_SCALAR));
        LM_TRY(READ_WORD(l, c, "verb", c->value, verbs, &index));
        *(unsigned *)target |= 1u << index;
    }
    return LM_OK;
}

/* [scope, resource] */
static enum lm_rc read_class(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    struct lm_policy_route *route = target;
    size_t index;
    if (node->kind != LM_YAML_LIST || lm_policy_count_children(node) != 2)
        return lm_policy_fail_node(l, node, "must be [scope, resource]");
    LM_TRY(lm_policy_read_string(l, node->child, &route->scope));
    LM_TRY(lm_policy_read_string(l, node->child->next, &route->resource));
    return READ_WORD(l, node->child, "scope", node->child->value, scopes, &index);
}

static enum lm_rc read_roles(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    static const struct lm_policy_key keys[] = {
        { "routes", lm_policy_read_strings, offsetof(struct lm_policy_role, routes), true },
        { "scopes", read_scopes, offsetof(struct lm_policy_role, scopes), true },
        { "obligations", lm_policy_read_strings, offsetof(struct lm_policy_role, obligations), false },
    };
    struct lm_policy *p = target;
    LM_TRY(lm_policy_need(l, node, LM_YAML_MAP));
    p->roles.items = lm_policy_make_items(l, node, sizeof(*p->roles.items), &p->roles.len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next, i++) {
        p->roles.items[i].name = c->key.ptr;
        LM_TRY(READ_MAP(l, c, keys, &p->roles.items[i]));
    }
    return LM_OK;
}

static enum lm_rc read_routes(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    static const struct lm_policy_key keys[] = {
        { "verbs", read_verbs, offsetof(struct lm_policy_route, verbs), false },
        { "resources", lm_policy_read_strings, offsetof(struct lm_policy_route, resources), false },
        { "class", read_class, 0, false },
        { "open", lm_policy_read_bool, offsetof(struct lm_policy_route, open), false },
        { "as", lm_policy_read_pairs, offsetof(struct lm_policy_route, as), false },
    };
    struct lm_policy *p = target;
    LM_TRY(lm_policy_need(l, node, LM_YAML_MAP));
    p->routes.items = lm_policy_make_items(l, node, sizeof(*p->routes.items), &p->routes.len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next, i++) {
        struct lm_policy_route *route = &p->routes.items[i];
        route->name = c->key.ptr;
        LM_TRY(READ_MAP(l, c, keys, route));
        if (route->as.len && (route->verbs || route->resources.len || route->scope || route->open))
            return lm_policy_fail_node(l, c,
                                       "has 'as', so it may have nothing else: the other route decides");
        if (!route->as.len && !(route->verbs && route->resources.len))
            return lm_policy_fail_node(l, c, "needs verbs and resources, or 'as'");
    }
    return LM_OK;
}

/* ---- users, words, output ---- */

static enum lm_rc read_users(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    static const struct lm_policy_key keys[] = {
        { "id", lm_policy_read_string, offsetof(struct lm_policy_user, id), true },
        { "name", lm_policy_read_string, offsetof(struct lm_policy_user, name), false },
        { "role", lm_policy_read_string, offsetof(struct lm_policy_user, role), true },
        { "accounts", lm_policy_read_strings, offsetof(struct lm_policy_user, accounts), false },
        { "partitions", lm_policy_read_strings, offsetof(struct lm_policy_user, partitions), false },
        { "agreement", lm_policy_read_int, offsetof(struct lm_policy_user, agreement), false },
        { "quota", lm_policy_read_int, offsetof(struct lm_policy_user, quota), false },
        { "used", lm_policy_read_int, offsetof(struct lm_policy_user, used), false },
        { "key_state", lm_policy_read_string, offsetof(struct lm_policy_user, key_state), false },
    };
    struct lm_policy *p = target;
    LM_TRY(lm_policy_need(l, node, LM_YAML_MAP));
    p->users.items = lm_policy_make_items(l, node, sizeof(*p->users.items), &p->users.len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next, i++) {
        struct lm_policy_user *user = &p->users.items[i];
        *user = (struct lm_policy_user){ .key = c->key.ptr, .key_state = "active", .agreement = -1 };
        LM_TRY(READ_MAP(l, c, keys, user));
    }
    return LM_OK;
}

static enum lm_rc read_directory(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    struct lm_policy *p = target;
    LM_TRY(lm_policy_need(l, node, LM_YAML_MAP));
    p->directory.items = lm_policy_make_items(l, node, sizeof(*p->directory.items), &p->directory.len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next, i++) {
        struct lm_policy_person *person = &p->directory.items[i];
        struct lm_buf normal = { 0 }, lower = { 0 };
        enum lm_rc rc = lm_request_normalize(c->key, &normal, l->err);
        if (rc == LM_OK)
            rc = lm_request_lower(lm_buf_str(&normal), &lower, l->err);
        person->name = c->key.ptr;
        person->lower = lm_arena_strndup(&p->arena, lower.ptr ? lower.ptr : "", lower.len);
        lm_buf_release(&normal);
        lm_buf_release(&lower);
        LM_TRY(rc);
        LM_TRY(lm_policy_read_string(l, c, &person->id));
        if (!person->lower[0])
            return lm_policy_fail_node(l, c, "is no name");
    }
    return LM_OK;
}

static enum lm_rc read_classifier(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    static const struct lm_policy_key keys[] = {
        { "write_verbs", lm_policy_read_pattern, offsetof(struct lm_policy_classifier, write_verbs), true },
        { "account_re", lm_policy_read_pattern, offsetof(struct lm_policy_classifier, account), true },
        { "user_re", lm_policy_read_pattern, offsetof(struct lm_policy_classifier, user), true },
        { "self_words", lm_policy_read_pattern, offsetof(struct lm_policy_classifier, self_words), true },
        { "all_individuals", lm_policy_read_pattern, offsetof(struct lm_policy_classifier, all_individuals),
          true },
        { "aggregate_words", lm_policy_read_pattern, offsetof(struct lm_policy_classifier, aggregate_words),
          true },
        { "system", lm_policy_read_named_patterns, offsetof(struct lm_policy_classifier, system), true },
        { "aggregate_resources", lm_policy_read_named_patterns,
          offsetof(struct lm_policy_classifier, aggregate_resources), true },
    };
    return READ_MAP(l, node, keys, target);
}

/* true, false, or the topics the documents are about. */
static enum lm_rc read_knowledge(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    struct lm_policy *p = target;
    if (node->kind == LM_YAML_SCALAR)
        return lm_policy_read_bool(l, node, &p->knowledge);
    p->knowledge = true;
    return lm_policy_read_patterns(l, node, &p->knowledge_topics);
}

static const char *const actions[] = { "pass", "mask", "stop" };   // in the order of enum lm_filter_action

static enum lm_rc read_action(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    size_t index;
    LM_TRY(lm_policy_need(l, node, LM_YAML_SCALAR));
    LM_TRY(READ_WORD(l, node, "action", node->value, actions, &index));
    *(enum lm_filter_action *)target = (enum lm_filter_action)index;
    return LM_OK;
}

static enum lm_rc read_forbidden(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(lm_policy_read_pairs(l, node, target));
    for (const struct lm_yaml *c = node->child; c; c = c->next) {
        enum lm_filter_action action;
        LM_TRY(read_action(l, c, &action));
    }
    return LM_OK;
}

/* Classes that are not named pass: the file that has the section says all of it. */
static enum lm_rc read_pii(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    enum lm_filter_action *by_type = target;
    LM_TRY(lm_policy_need(l, node, LM_YAML_MAP));
    for (size_t i = 0; i < LM_PII_TYPE_COUNT; i++)
        by_type[i] = LM_FILTER_PASS;
    for (const struct lm_yaml *c = node->child; c; c = c->next) {
        size_t type;
        LM_TRY(lm_policy_read_word(l, c, "class of personal data", c->key, lm_pii_names, LM_PII_TYPE_COUNT,
                                   &type));
        LM_TRY(read_action(l, c, &by_type[type]));
    }
    return LM_OK;
}

static enum lm_rc read_output(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    static const struct lm_policy_key keys[] = {
        { "forbidden", read_forbidden, offsetof(struct lm_policy, forbidden), false },
        { "pii", read_pii, offsetof(struct lm_policy, pii_actions), false },
        { "identifiers", read_action, offsetof(struct lm_policy, identifier_action), false },
    };
    return READ_MAP(l, node, keys, target);
}

static enum lm_rc read_messages(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    const char **messages = target;
    LM_TRY(lm_policy_need(l, node, LM_YAML_MAP));
    for (const struct lm_yaml *c = node->child; c; c = c->next) {
        size_t rule;
        LM_TRY(lm_policy_read_word(l, c, "rule", c->key, lm_rule_names + 1, LM_RULE_COUNT - 1, &rule));
        LM_TRY(lm_policy_read_string(l, c, &messages[rule + 1]));
    }
    for (size_t rule = 1; rule < LM_RULE_COUNT; rule++)
        if (!messages[rule])
            return lm_fail(l->err, LM_EFORMAT, "%s:%zu: the message of '%s' is missing", l->name, node->line,
                           lm_rule_names[rule]);
    return LM_OK;
}

/* ---- the whole file ---- */

static const struct lm_policy_key policy_keys[] = {
    { "version", lm_policy_read_int, offsetof(struct lm_policy, version), true },
    { "default", read_default, 0, true },
    { "agreement_version", lm_policy_read_int, offsetof(struct lm_policy, agreement_version), false },
    { "min_cohort", lm_policy_read_int, offsetof(struct lm_policy, min_cohort), true },
    { "roles", read_roles, 0, true },
    { "routes", read_routes, 0, true },
    { "users", read_users, 0, false },
    { "directory", read_directory, 0, false },
    { "input_deny", lm_policy_read_patterns, offsetof(struct lm_policy, input_deny), false },
    { "classifier", read_classifier, offsetof(struct lm_policy, classifier), true },
    { "knowledge", read_knowledge, 0, false },
    { "output_identifier_re", lm_policy_read_pattern, offsetof(struct lm_policy, output_identifier), false },
    { "output", read_output, 0, false },
    { "messages", read_messages, offsetof(struct lm_policy, messages), true },
};

static enum lm_rc fail_route(const struct lm_policy_loader *l, const char *who, const char *route)
{
    struct lm_policy_nearest nearest = lm_policy_nearest_to(l, lm_str(route));
    for (size_t i = 0; i < l->p->routes.len; i++)
        lm_policy_nearest_try(&nearest, l->p->routes.items[i].name);
    return lm_fail(l->err, LM_EFORMAT, "%s: '%s' names the route '%s', which is not there%s%s%s", l->name,
                   who, route, nearest.name ? "; did you mean '" : "", nearest.name ? nearest.name : "",
                   nearest.name ? "'?" : "");
}

/* Names that point into other parts of the file point at something. */
static enum lm_rc check_names(const struct lm_policy_loader *l)
{
    const struct lm_policy *p = l->p;
    for (size_t i = 0; i < p->roles.len; i++)
        for (size_t k = 0; k < p->roles.items[i].routes.len; k++)
            if (!lm_policy_find_route(p, p->roles.items[i].routes.items[k]))
                return fail_route(l, p->roles.items[i].name, p->roles.items[i].routes.items[k]);
    for (size_t i = 0; i < p->routes.len; i++)
        for (size_t k = 0; k < p->routes.items[i].as.len; k++) {
            const struct lm_pair as = p->routes.items[i].as.items[k];
            const struct lm_policy_role *role = lm_policy_find_role(p, as.key);
            const struct lm_policy_route *route = lm_policy_find_route(p, as.value);
            if (!route || route->as.len)
                return fail_route(l, p->routes.items[i].name, as.value);
            if (!role || !lm_strings_have(role->routes, as.value))
                return lm_fail(l->err, LM_EFORMAT,
                               "%s: '%s' lets '%s' in as '%s', which is no route of that role", l->name,
                               p->routes.items[i].name, as.key, as.value);
        }
    for (size_t i = 0; i < p->users.len; i++)
        if (!lm_policy_find_role(p, p->users.items[i].role))
            return lm_fail(l->err, LM_EFORMAT, "%s: the user '%s' has the role '%s', which is not there",
                           l->name, p->users.items[i].key, p->users.items[i].role);
    return p->version == 1
               ? LM_OK
               : lm_fail(l->err, LM_EFORMAT, "%s: this program reads policies of version 1", l->name);
}

/* What answers are searched with: made once, used by every stream. */
static enum lm_rc build_filters(struct lm_policy *p, struct lm_err *err)
{
    const double PII_SCORE_MIN = 0.5;

    LM_TRY(lm_forbidden_new(p->forbidden, &p->forbidden_words, err));
    uint32_t mask = 0;
    for (size_t i = 0; i < LM_PII_TYPE_COUNT; i++)
        mask |= (uint32_t)(p->pii_actions[i] != LM_FILTER_PASS) << i;
    return mask ? lm_pii_new(mask, PII_SCORE_MIN, &p->pii, err) : LM_OK;
}

enum lm_rc lm_policy_parse(struct lm_str text, const char *name, struct lm_policy **ret, struct lm_err *err)
{
    struct lm_policy *p = lm_zalloc(1, sizeof(*p));
    struct lm_policy_loader l = { p, name, err };
    /* Until the file says otherwise: what must be redacted and is not described is redacted everywhere. */
    for (size_t i = 0; i < LM_PII_TYPE_COUNT; i++)
        p->pii_actions[i] = LM_FILTER_MASK;
    p->identifier_action = LM_FILTER_STOP;
    lm_sha256_hex(text, p->digest);

    const struct lm_yaml *root = NULL;
    enum lm_rc rc = lm_yaml_parse(text, name, &p->arena, &root, err);
    if (rc == LM_OK)
        rc = READ_MAP(&l, root, policy_keys, p);
    if (rc == LM_OK)
        rc = check_names(&l);
    if (rc == LM_OK)
        rc = build_filters(p, err);
    if (rc != LM_OK) {
        lm_policy_free(p);
        return rc;
    }
    *ret = p;
    return LM_OK;
}

enum lm_rc lm_policy_load(const char *path, struct lm_policy **ret, struct lm_err *err)
{
    if (!path)
        return lm_policy_parse(lm_policy_default_text(), "built-in policy", ret, err);
    struct lm_buf text = { 0 };
    enum lm_rc rc = lm_file_read(path, LM_POLICY_BYTES_MAX, &text, err);
    if (rc == LM_OK)
        rc = lm_policy_parse(lm_buf_str(&text), path, ret, err);
    lm_buf_release(&text);
    return rc;
}
