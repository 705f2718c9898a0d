/* Reading a policy.  Each map of the file has a table of its keys; a row says where the value goes and which
 * function reads it.  To add a field: a member in policy.h and a row here. */
#include "govern/policy.h"
#include "base/file.h"
#include "base/yaml.h"
#include "govern/forbidden.h"
#include "govern/normalize.h"

struct loader {
    struct lm_policy *p;
    const char *name;   // of the file, for messages
    struct lm_err *err;
};

typedef enum lm_rc read_fn(struct loader *l, const struct lm_yaml *node, void *target);

struct key {
    const char *name;
    read_fn *read;
    size_t offset;   // in the target
    bool required;
};

/* ---- messages ---- */

static enum lm_rc fail_node(const struct loader *l, const struct lm_yaml *node, const char *problem)
{
    return lm_fail(l->err, LM_EFORMAT, "%s:%zu: '%.*s' %s", l->name, node->line, (int)node->key.len,
                   node->key.ptr, problem);
}

/* "'rols' is not known; did you mean 'roles'?" */
static enum lm_rc fail_unknown(const struct loader *l, const struct lm_yaml *node, const char *what,
                               struct lm_str word, const char *nearest)
{
    return lm_fail(l->err, LM_EFORMAT, "%s:%zu: unknown %s '%.*s'%s%s%s", l->name, node->line, what,
                   (int)word.len, word.ptr, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                   nearest ? "'?" : "");
}

/* Remembers the name that is fewest changes away from a word; names far from it are no help. */
struct nearest {
    const char *word, *name;
    size_t distance;
};

static struct nearest nearest_to(const struct loader *l, struct lm_str word)
{
    const char *copy = lm_arena_strndup(&l->p->arena, word.ptr, word.len);
    return (struct nearest){ .word = copy, .distance = word.len / 2 + 1 };
}

static void nearest_try(struct nearest *n, const char *name)
{
    const size_t distance = lm_str_distance(n->word, name);
    if (distance < n->distance) {
        n->distance = distance;
        n->name = name;
    }
}

/* ---- values ---- */

static enum lm_rc need(const struct loader *l, const struct lm_yaml *node, enum lm_yaml_kind kind)
{
    static const char *const problems[] = { "must be a single value", "must be a map", "must be a list" };
    if (node->kind == kind || (kind != LM_YAML_SCALAR && lm_yaml_is_null(node)))
        return LM_OK;
    return fail_node(l, node, problems[kind]);
}

static size_t count_children(const struct lm_yaml *node)
{
    size_t count = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next)
        count++;
    return count;
}

/* An array for the children of a node; *ret_len is set to their number. */
static void *make_items(struct loader *l, const struct lm_yaml *node, size_t size, size_t *ret_len)
{
    *ret_len = count_children(node);
    return lm_arena_alloc(&l->p->arena, (*ret_len ? *ret_len : 1) * size);
}

static enum lm_rc read_int(struct loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(need(l, node, LM_YAML_SCALAR));
    int64_t value;
    if (!lm_str_to_i64(node->value, &value) || value < 0)
        return fail_node(l, node, "must be a whole number of 0 or more");
    *(int64_t *)target = value;
    return LM_OK;
}

static enum lm_rc read_bool(struct loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(need(l, node, LM_YAML_SCALAR));
    const bool yes = lm_str_eq(node->value, LM_STR("true"));
    if (!yes && !lm_str_eq(node->value, LM_STR("false")))
        return fail_node(l, node, "must be true or false");
    *(bool *)target = yes;
    return LM_OK;
}

static enum lm_rc read_string(struct loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(need(l, node, LM_YAML_SCALAR));
    *(const char **)target = node->value.ptr;
    return LM_OK;
}

static enum lm_rc read_strings(struct loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(need(l, node, LM_YAML_LIST));
    struct lm_strings list;
    list.items = make_items(l, node, sizeof(*list.items), &list.len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next)
        LM_TRY(read_string(l, c, &list.items[i++]));
    *(struct lm_strings *)target = list;
    return LM_OK;
}

static enum lm_rc read_pairs(struct loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(need(l, node, LM_YAML_MAP));
    struct lm_pairs pairs;
    pairs.items = make_items(l, node, sizeof(*pairs.items), &pairs.len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next, i++) {
        pairs.items[i].key = c->key.ptr;
        LM_TRY(read_string(l, c, &pairs.items[i].value));
    }
    *(struct lm_pairs *)target = pairs;
    return LM_OK;
}

static enum lm_rc read_any_pattern(struct loader *l, const struct lm_yaml *node, bool ignore_case,
                                   struct lm_pattern *ret)
{
    LM_TRY(need(l, node, LM_YAML_SCALAR));
    const char *where = lm_arena_printf(&l->p->arena, "%s:%zu", l->name, node->line);
    return lm_pattern_compile(ret, node->value, ignore_case, where, l->err);
}

static enum lm_rc read_pattern(struct loader *l, const struct lm_yaml *node, void *target)
{
    return read_any_pattern(l, node, false, target);
}

/* For texts that are not in lower case. */
static enum lm_rc read_patterns(struct loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(need(l, node, LM_YAML_LIST));
    struct lm_patterns *list = target;
    list->items = make_items(l, node, sizeof(*list->items), &list->len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next)
        LM_TRY(read_any_pattern(l, c, true, &list->items[i++]));
    return LM_OK;
}

/* [[name, pattern], ...] */
static enum lm_rc read_named_patterns(struct loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(need(l, node, LM_YAML_LIST));
    struct lm_named_patterns *list = target;
    list->items = make_items(l, node, sizeof(*list->items), &list->len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next, i++) {
        if (c->kind != LM_YAML_LIST || count_children(c) != 2)
            return fail_node(l, node, "must be a list of [name, pattern]");
        LM_TRY(read_string(l, c->child, &list->items[i].name));
        LM_TRY(read_pattern(l, c->child->next, &list->items[i].pattern));
    }
    return LM_OK;
}

/* ---- maps ---- */

static enum lm_rc read_map(struct loader *l, const struct lm_yaml *node, const struct key *keys, size_t count,
                           void *target)
{
    LM_TRY(need(l, node, LM_YAML_MAP));
    for (const struct lm_yaml *c = node->child; c; c = c->next) {
        const struct key *key = NULL;
        struct nearest nearest = nearest_to(l, c->key);
        for (size_t i = 0; i < count && !key; i++) {
            nearest_try(&nearest, keys[i].name);
            key = lm_str_eq(c->key, lm_str(keys[i].name)) ? &keys[i] : NULL;
        }
        if (!key)
            return fail_unknown(l, c, "key", c->key, nearest.name);
        LM_TRY(key->read(l, c, (char *)target + key->offset));
    }
    for (size_t i = 0; i < count; i++)
        if (keys[i].required && !lm_yaml_get(node, keys[i].name))
            return lm_fail(l->err, LM_EFORMAT, "%s:%zu: the key '%s' is missing", l->name, node->line,
                           keys[i].name);
    return LM_OK;
}

#define READ_MAP(l, node, keys, target) read_map(l, node, keys, sizeof(keys) / sizeof((keys)[0]), target)

/* One of a list of words; its index. */
static enum lm_rc read_word(struct loader *l, const struct lm_yaml *node, const char *what,
                            struct lm_str value, const char *const *words, size_t count, size_t *ret)
{
    struct nearest nearest = nearest_to(l, value);
    for (size_t i = 0; i < count; i++) {
        if (lm_str_eq(value, lm_str(words[i]))) {
            *ret = i;
            return LM_OK;
        }
        nearest_try(&nearest, words[i]);
    }
    return fail_unknown(l, node, what, value, nearest.name);
}

#define READ_WORD(l, node, what, value, words, ret)                                                          \
    read_word(l, node, what, value, words, sizeof(words) / sizeof((words)[0]), ret)

static enum lm_rc read_default(struct loader *l, const struct lm_yaml *node, void *target)
{
    (void)target;
    return node->kind == LM_YAML_SCALAR && lm_str_eq(node->value, LM_STR("deny"))
               ? LM_OK
               : fail_node(l, node, "must be deny: what no rule allows is refused");
}

/* ---- roles and routes ---- */

static const char *const scopes[] = { "self", "other", "aggregate", "system", "help", "knowledge" };

static enum lm_rc read_scopes(struct loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(read_strings(l, node, target));
    size_t index;
    for (const struct lm_yaml *c = node->child; c; c = c->next)
        LM_TRY(READ_WORD(l, c, "scope", c->value, scopes, &index));
    return LM_OK;
}

static enum lm_rc read_verbs(struct loader *l, const struct lm_yaml *node, void *target)
{
    static const char *const verbs[] = { "read", "write" };
    LM_TRY(need(l, node, LM_YAML_LIST));
    for (const struct lm_yaml *c = node->child; c; c = c->next) {
        size_t index;
        LM_TRY(need(l, c, LM_YAML_SCALAR));
        LM_TRY(READ_WORD(l, c, "verb", c->value, verbs, &index));
        *(unsigned *)target |= 1u << index;
    }
    return LM_OK;
}

/* [scope, resource] */
static enum lm_rc read_class(struct loader *l, const struct lm_yaml *node, void *target)
{
    struct lm_policy_route *route = target;
    size_t index;
    if (node->kind != LM_YAML_LIST || count_children(node) != 2)
        return fail_node(l, node, "must be [scope, resource]");
    LM_TRY(read_string(l, node->child, &route->scope));
    LM_TRY(read_string(l, node->child->next, &route->resource));
    return READ_WORD(l, node->child, "scope", node->child->value, scopes, &index);
}

static enum lm_rc read_roles(struct loader *l, const struct lm_yaml *node, void *target)
{
    static const struct key keys[] = {
        { "routes", read_strings, offsetof(struct lm_policy_role, routes), true },
        { "scopes", read_scopes, offsetof(struct lm_policy_role, scopes), true },
        { "obligations", read_strings, offsetof(struct lm_policy_role, obligations), false },
    };
    struct lm_policy *p = target;
    LM_TRY(need(l, node, LM_YAML_MAP));
    p->roles.items = make_items(l, node, sizeof(*p->roles.items), &p->roles.len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next, i++) {
        p->roles.items[i].name = c->key.ptr;
        LM_TRY(READ_MAP(l, c, keys, &p->roles.items[i]));
    }
    return LM_OK;
}

static enum lm_rc read_routes(struct loader *l, const struct lm_yaml *node, void *target)
{
    static const struct key keys[] = {
        { "verbs", read_verbs, offsetof(struct lm_policy_route, verbs), false },
        { "resources", read_strings, offsetof(struct lm_policy_route, resources), false },
        { "class", read_class, 0, false },
        { "open", read_bool, offsetof(struct lm_policy_route, open), false },
        { "as", read_pairs, offsetof(struct lm_policy_route, as), false },
    };
    struct lm_policy *p = target;
    LM_TRY(need(l, node, LM_YAML_MAP));
    p->routes.items = make_items(l, node, sizeof(*p->routes.items), &p->routes.len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next, i++) {
        struct lm_policy_route *route = &p->routes.items[i];
        route->name = c->key.ptr;
        LM_TRY(READ_MAP(l, c, keys, route));
        if (route->as.len && (route->verbs || route->resources.len || route->scope || route->open))
            return fail_node(l, c, "has 'as', so it may have nothing else: the other route decides");
        if (!route->as.len && !(route->verbs && route->resources.len))
            return fail_node(l, c, "needs verbs and resources, or 'as'");
    }
    return LM_OK;
}

/* ---- users, words, output ---- */

static enum lm_rc read_users(struct loader *l, const struct lm_yaml *node, void *target)
{
    static const struct key keys[] = {
        { "id", read_string, offsetof(struct lm_policy_user, id), true },
        { "name", read_string, offsetof(struct lm_policy_user, name), false },
        { "role", read_string, offsetof(struct lm_policy_user, role), true },
        { "accounts", read_strings, offsetof(struct lm_policy_user, accounts), false },
        { "partitions", read_strings, offsetof(struct lm_policy_user, partitions), false },
        { "agreement", read_int, offsetof(struct lm_policy_user, agreement), false },
        { "quota", read_int, offsetof(struct lm_policy_user, quota), false },
        { "used", read_int, offsetof(struct lm_policy_user, used), false },
        { "key_state", read_string, offsetof(struct lm_policy_user, key_state), false },
    };
    struct lm_policy *p = target;
    LM_TRY(need(l, node, LM_YAML_MAP));
    p->users.items = make_items(l, node, sizeof(*p->users.items), &p->users.len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next, i++) {
        struct lm_policy_user *user = &p->users.items[i];
        *user = (struct lm_policy_user){ .key = c->key.ptr, .key_state = "active", .agreement = -1 };
        LM_TRY(READ_MAP(l, c, keys, user));
    }
    return LM_OK;
}

static enum lm_rc read_directory(struct loader *l, const struct lm_yaml *node, void *target)
{
    struct lm_policy *p = target;
    LM_TRY(need(l, node, LM_YAML_MAP));
    p->directory.items = make_items(l, node, sizeof(*p->directory.items), &p->directory.len);
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
        LM_TRY(read_string(l, c, &person->id));
        if (!person->lower[0])
            return fail_node(l, c, "is no name");
    }
    return LM_OK;
}

static enum lm_rc read_classifier(struct loader *l, const struct lm_yaml *node, void *target)
{
    static const struct key keys[] = {
        { "write_verbs", read_pattern, offsetof(struct lm_policy_classifier, write_verbs), true },
        { "account_re", read_pattern, offsetof(struct lm_policy_classifier, account), true },
        { "user_re", read_pattern, offsetof(struct lm_policy_classifier, user), true },
        { "self_words", read_pattern, offsetof(struct lm_policy_classifier, self_words), true },
        { "all_individuals", read_pattern, offsetof(struct lm_policy_classifier, all_individuals), true },
        { "aggregate_words", read_pattern, offsetof(struct lm_policy_classifier, aggregate_words), true },
        { "system", read_named_patterns, offsetof(struct lm_policy_classifier, system), true },
        { "aggregate_resources", read_named_patterns,
          offsetof(struct lm_policy_classifier, aggregate_resources), true },
    };
    return READ_MAP(l, node, keys, target);
}

/* true, false, or the topics the documents are about. */
static enum lm_rc read_knowledge(struct loader *l, const struct lm_yaml *node, void *target)
{
    struct lm_policy *p = target;
    if (node->kind == LM_YAML_SCALAR)
        return read_bool(l, node, &p->knowledge);
    p->knowledge = true;
    return read_patterns(l, node, &p->knowledge_topics);
}

static const char *const actions[] = { "pass", "mask", "stop" };   // in the order of enum lm_filter_action

static enum lm_rc read_action(struct loader *l, const struct lm_yaml *node, void *target)
{
    size_t index;
    LM_TRY(need(l, node, LM_YAML_SCALAR));
    LM_TRY(READ_WORD(l, node, "action", node->value, actions, &index));
    *(enum lm_filter_action *)target = (enum lm_filter_action)index;
    return LM_OK;
}

static enum lm_rc read_forbidden(struct loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(read_pairs(l, node, target));
    for (const struct lm_yaml *c = node->child; c; c = c->next) {
        enum lm_filter_action action;
        LM_TRY(read_action(l, c, &action));
    }
    return LM_OK;
}

/* Classes that are not named pass: the file that has the section says all of it. */
static enum lm_rc read_pii(struct loader *l, const struct lm_yaml *node, void *target)
{
    enum lm_filter_action *by_type = target;
    LM_TRY(need(l, node, LM_YAML_MAP));
    for (size_t i = 0; i < LM_PII_TYPE_COUNT; i++)
        by_type[i] = LM_FILTER_PASS;
    for (const struct lm_yaml *c = node->child; c; c = c->next) {
        size_t type;
        LM_TRY(read_word(l, c, "class of personal data", c->key, lm_pii_names, LM_PII_TYPE_COUNT, &type));
        LM_TRY(read_action(l, c, &by_type[type]));
    }
    return LM_OK;
}

static enum lm_rc read_output(struct loader *l, const struct lm_yaml *node, void *target)
{
    static const struct key keys[] = {
        { "forbidden", read_forbidden, offsetof(struct lm_policy, forbidden), false },
        { "pii", read_pii, offsetof(struct lm_policy, pii_actions), false },
        { "identifiers", read_action, offsetof(struct lm_policy, identifier_action), false },
    };
    return READ_MAP(l, node, keys, target);
}

static enum lm_rc read_messages(struct loader *l, const struct lm_yaml *node, void *target)
{
    const char **messages = target;
    LM_TRY(need(l, node, LM_YAML_MAP));
    for (const struct lm_yaml *c = node->child; c; c = c->next) {
        size_t rule;
        LM_TRY(read_word(l, c, "rule", c->key, lm_rule_names + 1, LM_RULE_COUNT - 1, &rule));
        LM_TRY(read_string(l, c, &messages[rule + 1]));
    }
    for (size_t rule = 1; rule < LM_RULE_COUNT; rule++)
        if (!messages[rule])
            return lm_fail(l->err, LM_EFORMAT, "%s:%zu: the message of '%s' is missing", l->name, node->line,
                           lm_rule_names[rule]);
    return LM_OK;
}

/* ---- the whole file ---- */

static const struct key policy_keys[] = {
    { "version", read_int, offsetof(struct lm_policy, version), true },
    { "default", read_default, 0, true },
    { "agreement_version", read_int, offsetof(struct lm_policy, agreement_version), false },
    { "min_cohort", read_int, offsetof(struct lm_policy, min_cohort), true },
    { "roles", read_roles, 0, true },
    { "routes", read_routes, 0, true },
    { "users", read_users, 0, false },
    { "directory", read_directory, 0, false },
    { "input_deny", read_patterns, offsetof(struct lm_policy, input_deny), false },
    { "classifier", read_classifier, offsetof(struct lm_policy, classifier), true },
    { "knowledge", read_knowledge, 0, false },
    { "output_identifier_re", read_pattern, offsetof(struct lm_policy, output_identifier), false },
    { "output", read_output, 0, false },
    { "messages", read_messages, offsetof(struct lm_policy, messages), true },
};

static enum lm_rc fail_route(const struct loader *l, const char *who, const char *route)
{
    struct nearest nearest = nearest_to(l, lm_str(route));
    for (size_t i = 0; i < l->p->routes.len; i++)
        nearest_try(&nearest, l->p->routes.items[i].name);
    return lm_fail(l->err, LM_EFORMAT, "%s: '%s' names the route '%s', which is not there%s%s%s", l->name,
                   who, route, nearest.name ? "; did you mean '" : "", nearest.name ? nearest.name : "",
                   nearest.name ? "'?" : "");
}

/* Names that point into other parts of the file point at something. */
static enum lm_rc check_names(const struct loader *l)
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
    struct loader l = { p, name, err };
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
