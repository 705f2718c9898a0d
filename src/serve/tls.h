#ifndef LM_SERVE_TLS_H
#define LM_SERVE_TLS_H
/* serve/tls.h - the certificate of the server: given, or made once and kept.
 *
 * A pair of our own is ECDSA P-256, self-signed, valid for 825 days, for localhost, 127.0.0.1, ::1 and the
 * address that is listened on: <state>/tls/cert.pem and key.pem (mode 0600).  One that has run out is made
 * anew. */

#include "base/err.h"

enum { LM_FINGERPRINT_TEXT = 96 };   // "AB:CD:...", 32 bytes, and NUL

/* cert and key: PEM files, or both NULL for a pair of our own.  The texts are to be freed. */
enum lm_rc lm_tls_load(const char *cert, const char *key, const char *state_dir, const char *host,
                       char **ret_cert, char **ret_key, struct lm_err *err);

/* SHA-256 over the certificate, as browsers and `openssl x509 -fingerprint` show it. */
enum lm_rc lm_tls_fingerprint(const char *cert_pem, char ret[LM_FINGERPRINT_TEXT], struct lm_err *err);

#endif
