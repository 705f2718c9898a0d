#ifndef LM_SERVE_ROUTE_H
#define LM_SERVE_ROUTE_H
/* serve/route.h - which requests there are.  One row is one method of one path; what has no row is not
 * served. */

#include "serve/fault.h"

struct lm_exchange;

/* What the body of a request is. */
enum lm_body_kind {
    LM_BODY_NONE,
    LM_BODY_CHAT,         // OpenAI's chat completion
    LM_BODY_COMPLETION,   // OpenAI's completion
    LM_BODY_QUERY,        // a question, of the role routes
    LM_BODY_FEEDBACK,
    LM_BODY_ACCESS,   // an action on users and keys
    LM_BODY_COUNT,
};

enum lm_gate {
    LM_GATE_KEY,        // a valid key, a decision and a record of it: the rule
    LM_GATE_LOOPBACK,   // nothing from this machine, a valid key from elsewhere
    LM_GATE_OPEN,       // nothing: for balancers, which are told one word
};

struct lm_route {
    const char *method, *path;   // a path may end in "{id}", which stands for one or more bytes
    enum lm_body_kind body;
    enum lm_gate gate;
    bool generates;   // a model answers
    bool writes;      // without text for a model, it changes something
    void (*handler)(struct lm_exchange *x);
};

extern const struct lm_route lm_routes[];
extern const size_t lm_route_count;

/* HEAD finds the row of GET.  *ret_id is what stood for {id}.  NULL: 404, or 405 with the methods there are.
 */
const struct lm_route *lm_route_find(struct lm_str method, struct lm_str path, struct lm_str *ret_id,
                                     struct lm_fault *fault);

/* Content type and length against the row, before any of the body is kept. */
bool lm_route_check_body(const struct lm_route *route, const char *content_type, uint64_t body_bytes,
                         uint64_t body_bytes_max, struct lm_fault *fault);

#endif
