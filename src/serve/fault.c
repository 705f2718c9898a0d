#include "serve/fault.h"

#include "base/err.h"
#include "base/json.h"

#include <stdarg.h>

#define REQUEST "invalid_request_error"

// clang-format off
/* To add one: a name in enum lm_fault_kind and a row here. */
const struct lm_fault_info lm_fault_table[LM_FAULT_COUNT] = {
    [LM_FAULT_NONE]        = { 200, "", "", NULL, 0 },
    [LM_FAULT_JSON]        = { 400, REQUEST, "invalid_json", NULL, 0 },
    [LM_FAULT_VALUE]       = { 400, REQUEST, "invalid_value", NULL, 0 },
    [LM_FAULT_MISSING]     = { 400, REQUEST, "missing_required_parameter", NULL, 0 },
    [LM_FAULT_UNKNOWN]     = { 400, REQUEST, "unknown_parameter", NULL, 0 },
    [LM_FAULT_UNSUPPORTED] = { 400, REQUEST, "unsupported_parameter", NULL, 0 },
    [LM_FAULT_CONTEXT]     = { 400, REQUEST, "context_length_exceeded", NULL, 0 },
    [LM_FAULT_STUCK]       = { 400, REQUEST, "no_token_fits", NULL, 0 },
    [LM_FAULT_KEY]         = { 401, REQUEST, "invalid_api_key", NULL, 0 },
    [LM_FAULT_DENIED]      = { 403, "permission_error", "permission_denied", NULL, 0 },
    [LM_FAULT_PATH]        = { 404, REQUEST, "unknown_url", NULL, 0 },
    [LM_FAULT_MODEL]       = { 404, REQUEST, "model_not_found", NULL, 0 },
    [LM_FAULT_SUBJECT]     = { 404, REQUEST, "not_found", NULL, 0 },
    [LM_FAULT_METHOD]      = { 405, REQUEST, "method_not_allowed", NULL, 0 },
    [LM_FAULT_EXISTS]      = { 409, REQUEST, "already_exists", "false", 0 },
    [LM_FAULT_TOO_LARGE]   = { 413, REQUEST, "request_too_large", NULL, 0 },
    [LM_FAULT_MEDIA]       = { 415, REQUEST, "unsupported_media_type", NULL, 0 },
    [LM_FAULT_QUOTA]       = { 429, "rate_limit_error", "rate_limit_exceeded", "false", 60 },
    [LM_FAULT_QUEUE]       = { 429, "rate_limit_error", "queue_full", "true", 1 },
    [LM_FAULT_GONE]        = { 499, REQUEST, "client_closed_request", NULL, 0 },
    [LM_FAULT_INTERNAL]    = { 500, "server_error", "internal_error", "false", 0 },
    [LM_FAULT_DRAINING]    = { 503, "server_error", "draining", "true", 5 },
    [LM_FAULT_AUDIT]       = { 503, "server_error", "audit_unavailable", "false", 60 },
};
// clang-format on

bool lm_fault_set(struct lm_fault *fault, enum lm_fault_kind kind, const char *param, const char *format, ...)
{
    LM_ASSERT(kind > LM_FAULT_NONE && kind < LM_FAULT_COUNT);
    *fault = (struct lm_fault){ .kind = kind };
    snprintf(fault->param, sizeof(fault->param), "%s", param ? param : "");
    va_list args;
    va_start(args, format);
    (void)vsnprintf(fault->message, sizeof(fault->message), format, args);
    va_end(args);
    return false;
}

void lm_fault_body(const struct lm_fault *fault, struct lm_buf *ret)
{
    LM_ASSERT(fault->kind != LM_FAULT_NONE);
    const struct lm_fault_info *info = &lm_fault_table[fault->kind];
    lm_buf_puts(ret, "{\"error\":{");
    lm_json_key_str(ret, "message", lm_str(fault->message));
    lm_json_key_str(ret, "type", lm_str(info->type));
    lm_json_key(ret, "param");
    if (fault->param[0])
        lm_json_str(ret, lm_str(fault->param));
    else
        lm_buf_puts(ret, "null");
    lm_json_key_str(ret, "code", lm_str(info->code));
    lm_buf_puts(ret, "}}");
}
