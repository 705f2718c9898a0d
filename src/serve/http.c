#include "serve/http.h"

#include "serve/listen.h"

#include <microhttpd.h>
#include <stdlib.h>

/* ---- what came ---- */

static const char *header(struct lm_exchange *x, struct MHD_Connection *connection, const char *name)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    return value ? lm_arena_strdup(&x->arena, value) : NULL;
}

/* The library has refused a length that is not a number. */
static uint64_t announced_bytes(struct lm_exchange *x, struct MHD_Connection *connection)
{
    const char *length = header(x, connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    int64_t bytes = 0;
    if (!length || (lm_str_to_i64(lm_str(length), &bytes) && bytes >= 0))
        return (uint64_t)bytes;
    return UINT64_MAX;
}

static struct lm_exchange *open_exchange(struct lm_server *s, struct MHD_Connection *connection,
                                         const char *url, const char *method)
{
    struct lm_exchange *x = lm_exchange_new(s);
    const union MHD_ConnectionInfo *address =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    x->from_loopback = address && lm_listen_is_loopback(address->client_addr);
    x->socket_fd = fd ? (int)fd->connect_fd : -1;
    x->path = lm_arena_strdup(&x->arena, url);
    x->method = lm_arena_strdup(&x->arena, method);
    x->authorization = header(x, connection, MHD_HTTP_HEADER_AUTHORIZATION);
    x->media = header(x, connection, MHD_HTTP_HEADER_CONTENT_TYPE);
    x->announced_bytes = announced_bytes(x, connection);
    lm_exchange_open(x);
    return x;
}

/* Keeps what is allowed and lets a refused body run out, so that the client reads the refusal; but not for
 * ever. */
static bool take_body(struct lm_exchange *x, const char *data, size_t len, uint64_t *seen)
{
    enum { PATIENCE = 4 };
    const uint64_t max = (uint64_t)x->server->config.body_bytes_max;
    *seen += len;
    if (*seen > max && x->fault.kind == LM_FAULT_NONE)
        (void)lm_route_check_body(x->route, x->media, *seen, max, &x->fault);
    if (x->fault.kind == LM_FAULT_NONE && x->route->body != LM_BODY_NONE)
        lm_buf_add(&x->body, data, len);
    return *seen <= PATIENCE * max;
}

/* ---- what goes ---- */

static void add_headers(struct lm_exchange *x, struct MHD_Response *response)
{
    const struct lm_fault_info *fault = &lm_fault_table[x->reply.stream ? LM_FAULT_NONE : x->fault.kind];
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, x->reply.content_type);
    (void)MHD_add_response_header(response, "X-Request-Id", x->id);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
                                  x->reply.stream ? "no-cache" : "no-store");
    if (x->reply.stream)
        (void)MHD_add_response_header(response, "X-Accel-Buffering", "no");
    if (fault->status == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (x->fault.allow[0])
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, x->fault.allow);
    if (fault->should_retry)
        (void)MHD_add_response_header(response, "X-Should-Retry", fault->should_retry);
    char seconds[12];
    snprintf(seconds, sizeof(seconds), "%d", fault->retry_after_s);
    if (fault->retry_after_s)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    if (atomic_load(&x->server->phase) >= LM_PHASE_REFUSING)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

static ssize_t read_stream(void *user, uint64_t position, char *buf, size_t max)
{
    (void)position;
    const size_t len = lm_generate_read(user, buf, max);
    return len ? (ssize_t)len : MHD_CONTENT_READER_END_OF_STREAM;
}

static enum MHD_Result send_reply(struct lm_exchange *x, struct MHD_Connection *connection)
{
    enum { BLOCK_BYTES = 16384 };
    struct MHD_Response *response =
        x->reply.stream
            ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, x, NULL)
            : MHD_create_response_from_buffer(x->reply.body.len, (void *)lm_buf_str(&x->reply.body).ptr,
                                              MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    add_headers(x, response);
    const enum MHD_Result result = MHD_queue_response(connection, (unsigned)x->reply.status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- the library's calls ---- */

/* What the library keeps for us between its calls. */
struct visit {
    struct lm_exchange *exchange;
    uint64_t seen_bytes;
};

/* The library's own clock must not run while we think: it would close the connection when we are done. */
static void set_idle_limit(struct MHD_Connection *connection, unsigned seconds)
{
    (void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

/* Called once after the headers, again for each piece of the body, and a last time without data. */
static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data, size_t *data_len,
                                  void **state)
{
    (void)version;
    struct visit *visit = *state;
    if (!visit) {
        visit = *state = lm_zalloc(1, sizeof(*visit));
        visit->exchange = open_exchange(user, connection, url, method);
        if (visit->exchange->fault.kind != LM_FAULT_TOO_LARGE)
            return MHD_YES;
        lm_exchange_run(visit->exchange);   // the body is not even read
        return send_reply(visit->exchange, connection);
    }
    struct lm_exchange *x = visit->exchange;
    if (*data_len) {
        const bool go_on = take_body(x, data, *data_len, &visit->seen_bytes);
        *data_len = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    set_idle_limit(connection, 0);
    lm_exchange_run(x);
    const int64_t silence = x->reply.stream ? x->server->config.ping_seconds : 0;   // ours, not the client's
    set_idle_limit(connection, (unsigned)(x->server->config.idle_seconds + silence));
    return send_reply(x, connection);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    (void)why;
    struct visit *visit = *state;
    set_idle_limit(connection, (unsigned)((struct lm_server *)user)->config.idle_seconds);
    if (visit)
        lm_exchange_free(visit->exchange);
    free(visit);
    *state = NULL;
}

enum lm_rc lm_http_start(struct lm_server *s, struct lm_err *err)
{
    enum { OPTIONS_MAX = 4 };
    struct MHD_OptionItem tls[OPTIONS_MAX] = { { MHD_OPTION_END, 0, NULL } };
    if (s->tls) {
        tls[0] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, s->cert_pem };
        tls[1] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, s->key_pem };
        tls[2] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0,
                                          "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" };
        tls[3] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
    }
    const unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
                           (s->tls ? MHD_USE_TLS : 0);
    s->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)s->config.connections_max,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)s->config.idle_seconds,
                         MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (!s->daemon)
        return lm_fail(err, LM_EINVAL, "the HTTP server does not start on %s%s", s->config.listen,
                       s->tls ? "; do certificate and key belong together?" : "");
    s->listen_fd = -1;   // the library closes it
    return LM_OK;
}

void lm_http_stop(struct lm_server *s)
{
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
}
