#ifndef LM_CLI_FETCH_H
#define LM_CLI_FETCH_H
/* cli/fetch.h - files from the web (libcurl), whole or absent.
 *
 * Only the command line fetches: nothing that trains or serves opens a connection of its own.
 *
 * https only; plain http just to this machine (localhost, 127.0.0.1, [::1]).  What was interrupted lies in
 * "<path>.part" with the ETag of the answer in "<path>.part.etag", and the next call asks for the rest of it
 * (Range, If-Range).  Broken connections and answers 429 and 5xx are tried again, five times in all. */

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

struct lm_fetch {
    const char *token;    // access token for the first host, or NULL; not sent to hosts it redirects to
    uint64_t bytes_max;   // of one file
};

struct lm_fetch_file {
    const char *url, *path;
    uint64_t bytes;               // expected, UINT64_MAX: not known
    char sha256[LM_SHA256_HEX];   // expected, "": not known; a header X-Linked-Etag of the server counts too
};

/* LM_EINVAL: the address is not allowed.  LM_ENOENT: 404.  LM_EDENIED: 401, 403.  LM_EFORMAT: other content
 * than expected, which is removed.  LM_ELIMIT: larger than bytes_max.  LM_ESTOP: asked to stop; the part
 * stays. */
enum lm_rc lm_fetch_file(const struct lm_fetch *f, const struct lm_fetch_file *file, struct lm_err *err);

/* A small answer into memory. */
enum lm_rc lm_fetch_text(const struct lm_fetch *f, const char *url, size_t bytes_max, struct lm_buf *ret,
                         struct lm_err *err);

#endif
