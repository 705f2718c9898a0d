#ifndef LM_SERVE_PARSE_H
#define LM_SERVE_PARSE_H
/* serve/parse.h - the bytes of a body become a request whose every value is within its bounds, or a fault.
 *
 * One table says which parameters there are, in which bodies, with which bounds.  A parameter nobody knows is
 * a fault, too: what is silently ignored is silently wrong.  null means "not given", as clients use it. */

#include "base/mem.h"
#include "infer/engine.h"
#include "serve/route.h"
#include "token/tokenizer.h"

enum {
    LM_MESSAGES_MAX = 1024,
    LM_API_STOPS_MAX = 4,
    LM_API_STOP_BYTES_MAX = 256,
    LM_NAME_BYTES_MAX = 256,
    LM_TOKENS_MAX = 1 << 20,   // of a prompt given as ids, and of max_tokens
    LM_API_TOP_LOGPROBS_MAX = 20,
    LM_API_SCHEMA_BYTES_MAX = 1 << 18,
    LM_LIST_MAX = 256,   // accounts, partitions
};

/* Lives in the arena it was parsed into; what is not given has its default. */
struct lm_api_request {
    enum lm_body_kind kind;
    struct lm_str model;   // "" when not given

    /* CHAT: messages; COMPLETION: text, or ids when id_count > 0; QUERY: one message of the user. */
    struct lm_chat_message *messages;
    size_t message_count;
    struct lm_str text;
    uint32_t *ids;
    size_t id_count;

    int64_t max_tokens;   // 0: not given
    int64_t n, best_of;
    double temperature, top_p, min_p, presence_penalty, frequency_penalty, repetition_penalty;
    int64_t top_k, seed;
    bool has_seed;
    struct lm_str stops[LM_API_STOPS_MAX];
    size_t stop_count;
    bool stream, include_usage, has_stream_options;
    bool logprobs;
    int64_t top_logprobs;
    struct lm_logit_bias *bias;
    size_t bias_count;
    bool constrained;   // by response_format
    enum lm_constraint_kind constraint_kind;
    struct lm_str schema;   // compact, keys in their order; "" for any JSON

    /* FEEDBACK */
    struct lm_str answer, reason, correction;
    int64_t rating;

    /* ACCESS; partitions and accounts as words joined by commas */
    struct lm_str action, user, role, prefix, partitions, accounts;
    int64_t expires_ms, tokens;
};

/* False and a fault when the body is not a request of this kind. */
bool lm_api_parse(enum lm_body_kind kind, struct lm_str body, struct lm_arena *arena,
                  struct lm_api_request *ret, struct lm_fault *fault);

/* What the caller wrote, for the decision: the user's last message first, because its verb says what is
 * wanted, then the others, because a subject may stand in any of them. */
struct lm_str lm_api_text(const struct lm_api_request *request, struct lm_arena *arena);

/* The user's last message, or the prompt. */
struct lm_str lm_api_question(const struct lm_api_request *request);

#endif
