#ifndef LM_SERVE_FAULT_H
#define LM_SERVE_FAULT_H
/* serve/fault.h - what a client is told when its request is not answered.
 *
 *     {"error":{"message":"...","type":"...","param":"..."|null,"code":"..."}}
 *
 * Status, type and code come from one table; a fault that may not be repeated says so (x-should-retry),
 * because common clients repeat every 429 and 5xx unless told.  Messages name what the client sent and
 * nothing of ours. */

#include "base/str.h"

enum lm_fault_kind {
    LM_FAULT_NONE,
    LM_FAULT_JSON,          // 400: not JSON
    LM_FAULT_VALUE,         // 400: of another type, or out of bounds
    LM_FAULT_MISSING,       // 400
    LM_FAULT_UNKNOWN,       // 400: no such parameter
    LM_FAULT_UNSUPPORTED,   // 400: known to the API, not done here
    LM_FAULT_CONTEXT,       // 400: prompt and answer do not fit the model
    LM_FAULT_STUCK,         // 400: the vocabulary cannot write what the response format demands
    LM_FAULT_KEY,           // 401
    LM_FAULT_DENIED,        // 403
    LM_FAULT_PATH,          // 404
    LM_FAULT_MODEL,         // 404
    LM_FAULT_SUBJECT,       // 404: answer, user or key that is not there
    LM_FAULT_METHOD,        // 405
    LM_FAULT_EXISTS,        // 409
    LM_FAULT_TOO_LARGE,     // 413
    LM_FAULT_MEDIA,         // 415
    LM_FAULT_QUOTA,         // 429: waiting does not help
    LM_FAULT_QUEUE,         // 429: waiting helps
    LM_FAULT_GONE,          // 499: for our figures only, nobody is there to read it
    LM_FAULT_INTERNAL,      // 500
    LM_FAULT_DRAINING,      // 503: nothing was begun
    LM_FAULT_AUDIT,         // 503: the decision could not be written down
    LM_FAULT_COUNT,
};

struct lm_fault_info {
    int status;
    const char *type, *code;
    const char *should_retry;   // "true", "false"; NULL: clients do right by themselves
    int retry_after_s;          // 0: no header
};
extern const struct lm_fault_info lm_fault_table[LM_FAULT_COUNT];

enum { LM_FAULT_MESSAGE_MAX = 512, LM_FAULT_PARAM_MAX = 64, LM_FAULT_ALLOW_MAX = 32 };

struct lm_fault {
    enum lm_fault_kind kind;
    char message[LM_FAULT_MESSAGE_MAX];
    char param[LM_FAULT_PARAM_MAX];   // "": none
    char allow[LM_FAULT_ALLOW_MAX];   // of a 405: "GET, POST"
};

/* Always false, so that checks can write `return lm_fault_set(...)`.  param NULL: none. */
bool lm_fault_set(struct lm_fault *fault, enum lm_fault_kind kind, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Appends the JSON of a body. */
void lm_fault_body(const struct lm_fault *fault, struct lm_buf *ret);

#endif
