#include "serve/tls.h"

#include "base/file.h"
#include "base/sys.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEM_BYTES_MAX = 1 << 20, DAYS_VALID = 825, SECONDS_A_DAY = 86400 };

static enum lm_rc fail_tls(struct lm_err *err, enum lm_rc rc, const char *what, int code)
{
    return lm_fail(err, rc, "%s: %s", what, gnutls_strerror(code));
}

/* ---- reading ---- */

static enum lm_rc read_text(const char *path, char **ret, struct lm_err *err)
{
    struct lm_buf text = { 0 };
    const enum lm_rc rc = lm_file_read(path, PEM_BYTES_MAX, &text, err);
    if (rc == LM_OK)
        *ret = lm_buf_take(&text);
    lm_buf_release(&text);
    return rc;
}

static enum lm_rc import_certificate(const char *pem, gnutls_x509_crt_t *ret, struct lm_err *err)
{
    const gnutls_datum_t data = { (unsigned char *)pem, (unsigned)strlen(pem) };
    gnutls_x509_crt_t certificate;
    int code = gnutls_x509_crt_init(&certificate);
    if (code < 0)
        return fail_tls(err, LM_EIO, "cannot read the certificate", code);
    code = gnutls_x509_crt_import(certificate, &data, GNUTLS_X509_FMT_PEM);
    if (code < 0) {
        gnutls_x509_crt_deinit(certificate);
        return fail_tls(err, LM_EFORMAT, "the certificate is not PEM", code);
    }
    *ret = certificate;
    return LM_OK;
}

enum lm_rc lm_tls_fingerprint(const char *cert_pem, char ret[LM_FINGERPRINT_TEXT], struct lm_err *err)
{
    gnutls_x509_crt_t certificate;
    LM_TRY(import_certificate(cert_pem, &certificate, err));
    unsigned char digest[32];
    size_t len = sizeof(digest);
    const int code = gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, digest, &len);
    gnutls_x509_crt_deinit(certificate);
    if (code < 0)
        return fail_tls(err, LM_EFORMAT, "the certificate has no fingerprint", code);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret + 3 * i, 4, i + 1 < sizeof(digest) ? "%02X:" : "%02X", digest[i]);
    return LM_OK;
}

static bool is_still_valid(const char *pem)
{
    gnutls_x509_crt_t certificate;
    if (import_certificate(pem, &certificate, NULL) != LM_OK)
        return false;
    const time_t end = gnutls_x509_crt_get_expiration_time(certificate);
    gnutls_x509_crt_deinit(certificate);
    return end != (time_t)-1 && lm_wall_ms() / 1000 < (int64_t)end;
}

/* ---- making ---- */

/* Addresses go in as bytes, names as text. */
static int add_name(gnutls_x509_crt_t certificate, const char *name)
{
    struct in6_addr address;
    if (inet_pton(AF_INET, name, &address) == 1)
        return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, &address, 4,
                                                    GNUTLS_FSAN_APPEND);
    if (inet_pton(AF_INET6, name, &address) == 1)
        return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, &address, 16,
                                                    GNUTLS_FSAN_APPEND);
    return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name),
                                                GNUTLS_FSAN_APPEND);
}

static int add_names(gnutls_x509_crt_t certificate, const char *host)
{
    static const char *const own[] = { "localhost", "127.0.0.1", "::1" };
    bool is_own = false;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        const int code = add_name(certificate, own[i]);
        if (code < 0)
            return code;
        is_own |= strcmp(own[i], host) == 0;
    }
    return is_own ? 0 : add_name(certificate, host);
}

static int describe(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key, const char *host)
{
    unsigned char serial[16];
    int code = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
    serial[0] &= 0x7f;   // a positive number
    const time_t now = (time_t)(lm_wall_ms() / 1000);
    static const char name[] = "localhost";
    if (code >= 0)
        code = gnutls_x509_crt_set_version(certificate, 3);
    if (code >= 0)
        code = gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial));
    if (code >= 0)
        code = gnutls_x509_crt_set_activation_time(certificate, now - 3600);   // clocks differ
    if (code >= 0)
        code = gnutls_x509_crt_set_expiration_time(certificate, now + (time_t)DAYS_VALID * SECONDS_A_DAY);
    if (code >= 0)
        code = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                             sizeof(name) - 1);
    if (code >= 0)
        code = add_names(certificate, host);
    if (code >= 0)
        code = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (code >= 0)
        code = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
    return code < 0 ? code : gnutls_x509_crt_set_key(certificate, key);
}

static int make_pair(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key, const char *host,
                     gnutls_datum_t *ret_cert, gnutls_datum_t *ret_key)
{
    int code = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                            GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (code >= 0)
        code = describe(certificate, key, host);
    if (code >= 0)
        code = gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
    if (code >= 0)
        code = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, ret_key);
    return code < 0 ? code : gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, ret_cert);
}

/* An empty file of mode 0600 first: lm_file_write keeps the mode of what it replaces. */
static enum lm_rc write_private(const char *path, struct lm_str text, struct lm_err *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, 0600) < 0) {
        const enum lm_rc rc = lm_fail_errno(err, LM_EIO, "cannot write '%s'", path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    close(fd);
    return lm_file_write(path, text, err);
}

static enum lm_rc make_files(const char *dir, const char *cert_path, const char *key_path, const char *host,
                             struct lm_err *err)
{
    gnutls_x509_crt_t certificate = NULL;
    gnutls_x509_privkey_t key = NULL;
    gnutls_datum_t cert_pem = { 0 }, key_pem = { 0 };
    int code = gnutls_x509_crt_init(&certificate);
    if (code >= 0)
        code = gnutls_x509_privkey_init(&key);
    if (code >= 0)
        code = make_pair(certificate, key, host, &cert_pem, &key_pem);
    enum lm_rc rc =
        code < 0 ? fail_tls(err, LM_EIO, "cannot make a certificate", code) : lm_dir_make(dir, err);
    if (rc == LM_OK)
        rc = write_private(key_path, (struct lm_str){ (char *)key_pem.data, key_pem.size }, err);
    if (rc == LM_OK)   // last: a pair with a certificate is complete
        rc = lm_file_write(cert_path, (struct lm_str){ (char *)cert_pem.data, cert_pem.size }, err);
    if (key_pem.data)
        gnutls_memset(key_pem.data, 0, key_pem.size);
    gnutls_free(key_pem.data);
    gnutls_free(cert_pem.data);
    if (certificate)
        gnutls_x509_crt_deinit(certificate);
    if (key)
        gnutls_x509_privkey_deinit(key);
    return rc;
}

static enum lm_rc load_own(const char *state_dir, const char *host, char **ret_cert, char **ret_key,
                           struct lm_err *err)
{
    LM_FREE char *dir = lm_path_join(state_dir, "tls");
    LM_FREE char *cert_path = lm_path_join(dir, "cert.pem"), *key_path = lm_path_join(dir, "key.pem");
    LM_FREE char *kept = NULL;
    const bool is_there = lm_path_exists(cert_path) && lm_path_exists(key_path);
    if (is_there)
        LM_TRY(read_text(cert_path, &kept, err));
    if (!is_there || !is_still_valid(kept)) {
        LM_TRY(lm_path_remove(cert_path, err));   // an old one beside a new key would not fit
        LM_TRY(make_files(dir, cert_path, key_path, host, err));
    }
    LM_TRY(read_text(cert_path, ret_cert, err));
    return read_text(key_path, ret_key, err);
}

enum lm_rc lm_tls_load(const char *cert, const char *key, const char *state_dir, const char *host,
                       char **ret_cert, char **ret_key, struct lm_err *err)
{
    if (!cert != !key)
        return lm_fail(err, LM_EINVAL, "certificate and key go together: give --cert and --key, or neither");
    if (!cert)
        return load_own(state_dir, host, ret_cert, ret_key, err);
    LM_TRY(read_text(cert, ret_cert, err));
    return read_text(key, ret_key, err);
}
