#include "serve/listen.h"

#include "base/str.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

bool lm_listen_is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    if (address->sa_family != AF_INET6)
        return false;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

static enum lm_rc taken(const struct lm_listen *l, int port, struct lm_err *err)
{
    return lm_fail(
        err, LM_EEXIST,
        "port %d on %s is taken by another program ('ss -ltnp' names it): stop that, or choose another "
        "port with --listen=%s:PORT",
        port, l->host, l->host);
}

/* "[::1]:8443" or "host:8443". */
static enum lm_rc split(const char *address, struct lm_listen *l, int *ret_port, struct lm_err *err)
{
    const char *colon = strrchr(address, ':');
    const char *start = address, *end = colon;
    int64_t port = -1;
    if (colon && start[0] == '[' && end > start && end[-1] == ']')
        start++, end--;
    if (!colon || end <= start || (size_t)(end - start) >= sizeof(l->host) ||
        !lm_str_to_i64(lm_str(colon + 1), &port) || port < 0 || port > 65535)
        return lm_fail(err, LM_EINVAL,
                       "'%s' is not an address to listen on; write it like 127.0.0.1:8443 or [::1]:8443",
                       address);
    snprintf(l->host, sizeof(l->host), "%.*s", (int)(end - start), start);
    *ret_port = (int)port;
    return LM_OK;
}

static int port_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof(v6));
    return ntohs(v6.sin6_port);
}

static enum lm_rc bind_socket(struct lm_listen *l, const struct addrinfo *where, int port, struct lm_err *err)
{
    l->fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return lm_fail_errno(err, LM_EIO, "cannot make a socket for %s", l->host);
    const int on = 1;   // a port whose last connections are still fading is free
    (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(l->fd, where->ai_addr, where->ai_addrlen) < 0)
        return errno == EADDRINUSE ? taken(l, port, err)
                                   : lm_fail_errno(err, LM_EIO, "cannot listen on %s port %d", l->host, port);
    struct sockaddr_storage bound = { 0 };
    socklen_t len = sizeof(bound);
    if (getsockname(l->fd, (struct sockaddr *)&bound, &len) < 0)
        return lm_fail_errno(err, LM_EIO, "cannot read the port of %s", l->host);
    l->port = port_of(&bound);
    l->loopback = lm_listen_is_loopback((const struct sockaddr *)&bound);
    return LM_OK;
}

enum lm_rc lm_listen_open(const char *address, struct lm_listen *ret, struct lm_err *err)
{
    struct lm_listen l = { .fd = -1 };
    int port = 0;
    LM_TRY(split(address, &l, &port, err));
    char service[8];
    snprintf(service, sizeof(service), "%d", port);
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    const int code = getaddrinfo(l.host, service, &hints, &found);
    if (code != 0)
        return lm_fail(err, LM_EINVAL, "'%s' is no address of this machine: %s", l.host, gai_strerror(code));
    const enum lm_rc rc = bind_socket(&l, found, port, err);
    freeaddrinfo(found);
    if (rc == LM_OK)
        *ret = l;
    else if (l.fd >= 0)
        close(l.fd);
    return rc;
}

enum lm_rc lm_listen_start(const struct lm_listen *l, struct lm_err *err)
{
    if (listen(l->fd, SOMAXCONN) == 0)
        return LM_OK;
    return errno == EADDRINUSE ? taken(l, l->port, err)
                               : lm_fail_errno(err, LM_EIO, "cannot listen on %s port %d", l->host, l->port);
}
