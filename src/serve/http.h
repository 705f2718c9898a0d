#ifndef LM_SERVE_HTTP_H
#define LM_SERVE_HTTP_H
/* serve/http.h - between libmicrohttpd and an exchange; the only place that knows the library.
 *
 * A thread for each connection, which may block: it waits for tokens and for the client at once
 * (generation.h). The other way, suspended connections, would leave a client that hangs up unnoticed, because
 * the library does not watch a suspended socket. */

#include "serve/exchange.h"

enum lm_rc lm_http_start(struct lm_server *s, struct lm_err *err);   // on s->listen_fd, which it takes over
void lm_http_stop(struct lm_server *s);                              // waits for every connection to end

#endif
