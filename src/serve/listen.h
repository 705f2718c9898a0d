#ifndef LM_SERVE_LISTEN_H
#define LM_SERVE_LISTEN_H
/* serve/listen.h - "127.0.0.1:8443", "[::1]:8443", "localhost:0" become a listening socket. */

#include "base/err.h"

#include <stdbool.h>
#include <sys/socket.h>

enum { LM_HOST_MAX = 256 };

struct lm_listen {
    int fd;                   // bound; not yet listening
    int port;                 // the one the system chose when 0 was asked for
    bool loopback;            // nobody but this machine can reach it
    char host[LM_HOST_MAX];   // as written, without brackets
};

bool lm_listen_is_loopback(const struct sockaddr *address);

/* LM_EINVAL: not an address; LM_EEXIST: the port is taken; LM_EIO: the system refuses. */
enum lm_rc lm_listen_open(const char *address, struct lm_listen *ret, struct lm_err *err);
/* From now on clients can connect. */
enum lm_rc lm_listen_start(const struct lm_listen *l, struct lm_err *err);

#endif
