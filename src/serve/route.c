#include "serve/route.h"

#include "serve/handlers.h"

#include <inttypes.h>
#include <strings.h>

/* To add one: a row here and a handler; a path of a role needs a line in the policy, too. */
// clang-format off
const struct lm_route lm_routes[] = {
    { "GET",  "/health",  LM_BODY_NONE, LM_GATE_OPEN,     false, false, lm_handle_health },
    { "GET",  "/livez",   LM_BODY_NONE, LM_GATE_OPEN,     false, false, lm_handle_livez },
    { "GET",  "/metrics", LM_BODY_NONE, LM_GATE_LOOPBACK, false, false, lm_handle_metrics },

    { "GET",  "/v1/models",           LM_BODY_NONE,       LM_GATE_KEY, false, false, lm_handle_models },
    { "GET",  "/v1/models/{id}",      LM_BODY_NONE,       LM_GATE_KEY, false, false, lm_handle_model },
    { "POST", "/v1/chat/completions", LM_BODY_CHAT,       LM_GATE_KEY, true,  false, lm_handle_generate },
    { "POST", "/v1/completions",      LM_BODY_COMPLETION, LM_GATE_KEY, true,  false, lm_handle_generate },
    { "POST", "/v1/feedback",         LM_BODY_FEEDBACK,   LM_GATE_KEY, false, true,  lm_handle_feedback },

    { "GET",  "/modelManagement",      LM_BODY_NONE,   LM_GATE_KEY, false, false, lm_handle_model_management },
    { "GET",  "/userAccessControl",    LM_BODY_NONE,   LM_GATE_KEY, false, false, lm_handle_access_list },
    { "POST", "/userAccessControl",    LM_BODY_ACCESS, LM_GATE_KEY, false, true,  lm_handle_access_change },
    { "GET",  "/systemSettings",       LM_BODY_NONE,   LM_GATE_KEY, false, false, lm_handle_settings },
    { "GET",  "/modelDetails",         LM_BODY_NONE,   LM_GATE_KEY, false, false, lm_handle_model_details },
    { "GET",  "/trainingDataInsights", LM_BODY_NONE,   LM_GATE_KEY, false, false, lm_handle_training },
    { "GET",  "/debuggingTools",       LM_BODY_NONE,   LM_GATE_KEY, false, false, lm_handle_debugging },
    { "POST", "/queryModel",           LM_BODY_QUERY,  LM_GATE_KEY, true,  false, lm_handle_generate },
    { "GET",  "/resultAnalysis",       LM_BODY_NONE,   LM_GATE_KEY, false, false, lm_handle_results },
    { "POST", "/simpleQuery",          LM_BODY_QUERY,  LM_GATE_KEY, true,  false, lm_handle_generate },
    { "GET",  "/help",                 LM_BODY_NONE,   LM_GATE_KEY, false, false, lm_handle_help },
};
// clang-format on
const size_t lm_route_count = sizeof(lm_routes) / sizeof(lm_routes[0]);

static bool matches(const char *pattern, struct lm_str path, struct lm_str *ret_id)
{
    const struct lm_str whole = lm_str(pattern), open = LM_STR("{id}");
    if (!lm_str_ends(whole, open))
        return lm_str_eq(whole, path);
    const struct lm_str prefix = { whole.ptr, whole.len - open.len };
    if (path.len <= prefix.len || !lm_str_starts(path, prefix))
        return false;
    *ret_id = (struct lm_str){ path.ptr + prefix.len, path.len - prefix.len };
    return true;
}

const struct lm_route *lm_route_find(struct lm_str method, struct lm_str path, struct lm_str *ret_id,
                                     struct lm_fault *fault)
{
    const struct lm_str wanted = lm_str_eq(method, LM_STR("HEAD")) ? LM_STR("GET") : method;
    char allow[LM_FAULT_ALLOW_MAX] = "";
    size_t len = 0;
    for (size_t i = 0; i < lm_route_count; i++) {
        struct lm_str id = { "", 0 };
        if (!matches(lm_routes[i].path, path, &id))
            continue;
        if (lm_str_eq(lm_str(lm_routes[i].method), wanted)) {
            *ret_id = id;
            return &lm_routes[i];
        }
        const bool is_get = strcmp(lm_routes[i].method, "GET") == 0;
        len += (size_t)snprintf(allow + len, sizeof(allow) - len, "%s%s", len ? ", " : "",
                                is_get ? "GET, HEAD" : lm_routes[i].method);
    }
    const int path_len = path.len < 200 ? (int)path.len : 200;
    if (len == 0)
        (void)lm_fault_set(fault, LM_FAULT_PATH, NULL, "there is nothing at %.*s", path_len, path.ptr);
    else
        (void)lm_fault_set(fault, LM_FAULT_METHOD, NULL, "%.*s takes %s", path_len, path.ptr, allow);
    memcpy(fault->allow, allow, sizeof(allow));
    return NULL;
}

/* "application/json", in any case, alone or with parameters behind a semicolon. */
static bool is_json(const char *content_type)
{
    static const char json[] = "application/json";
    if (!content_type || strncasecmp(content_type, json, sizeof(json) - 1) != 0)
        return false;
    const char after = content_type[sizeof(json) - 1];
    return after == '\0' || after == ';' || after == ' ';
}

bool lm_route_check_body(const struct lm_route *route, const char *content_type, uint64_t body_bytes,
                         uint64_t body_bytes_max, struct lm_fault *fault)
{
    if (body_bytes > body_bytes_max)
        return lm_fault_set(fault, LM_FAULT_TOO_LARGE, NULL, "a body may have %" PRIu64 " bytes",
                            body_bytes_max);
    if (route->body != LM_BODY_NONE && !is_json(content_type))
        return lm_fault_set(fault, LM_FAULT_MEDIA, NULL,
                            "the body must be JSON: Content-Type: application/json");
    return true;
}
