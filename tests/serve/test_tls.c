/* The certificate of our own: what is in it, who may read its key, and that it stays. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/tls.h"

#include "base/file.h"
#include "serve/listen.h"

#include <gnutls/x509.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static gnutls_x509_crt_t import(const char *pem)
{
    const gnutls_datum_t data = { (unsigned char *)pem, (unsigned)strlen(pem) };
    gnutls_x509_crt_t certificate;
    assert_int_equal(gnutls_x509_crt_init(&certificate), 0);
    assert_int_equal(gnutls_x509_crt_import(certificate, &data, GNUTLS_X509_FMT_PEM), 0);
    return certificate;
}

static void a_pair_is_made_once_and_kept(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    assert_int_equal(lm_path_remove("made", &err), LM_OK);
    char *cert = NULL, *key = NULL, *again = NULL, *key_again = NULL;
    assert_int_equal(lm_tls_load(NULL, NULL, "made", "192.0.2.7", &cert, &key, &err), LM_OK);
    assert_int_equal(lm_tls_load(NULL, NULL, "made", "192.0.2.7", &again, &key_again, &err), LM_OK);
    assert_string_equal(cert, again);
    assert_string_equal(key, key_again);

    struct stat st;
    assert_int_equal(stat("made/tls/key.pem", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    free(cert), free(key), free(again), free(key_again);
}

static void it_is_for_this_machine_and_the_address_given(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    assert_int_equal(lm_path_remove("named", &err), LM_OK);
    char *cert = NULL, *key = NULL;
    assert_int_equal(lm_tls_load(NULL, NULL, "named", "model.example", &cert, &key, &err), LM_OK);
    gnutls_x509_crt_t certificate = import(cert);
    static const char *const names[] = { "localhost", "127.0.0.1", "::1", "model.example" };
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(gnutls_x509_crt_check_hostname(certificate, names[i]), 1);
    assert_int_equal(gnutls_x509_crt_check_hostname(certificate, "other.example"), 0);
    unsigned bits = 0;
    assert_int_equal(gnutls_x509_crt_get_pk_algorithm(certificate, &bits), GNUTLS_PK_ECDSA);
    assert_int_equal(bits, 256);
    const time_t days = (gnutls_x509_crt_get_expiration_time(certificate) -
                         gnutls_x509_crt_get_activation_time(certificate)) /
                        86400;
    assert_int_equal(days, 825);
    gnutls_x509_crt_deinit(certificate);
    free(cert), free(key);
}

static void a_fingerprint_is_that_of_the_certificate(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    char *cert = NULL, *key = NULL, text[LM_FINGERPRINT_TEXT];
    assert_int_equal(lm_tls_load(NULL, NULL, "named", "model.example", &cert, &key, &err), LM_OK);
    assert_int_equal(lm_tls_fingerprint(cert, text, &err), LM_OK);
    assert_int_equal(strlen(text), 95);
    assert_int_equal(lm_tls_fingerprint("no certificate", text, &err), LM_EFORMAT);
    free(cert), free(key);
}

static void half_a_pair_is_refused(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    char *cert = NULL, *key = NULL;
    assert_int_equal(lm_tls_load("cert.pem", NULL, "x", "localhost", &cert, &key, &err), LM_EINVAL);
    assert_non_null(strstr(err.text, "--key"));
}

static void addresses_are_read_and_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        enum lm_rc rc;
        bool loopback;
    } cases[] = {
        { "127.0.0.1:0", LM_OK, true },
        { "[::1]:0", LM_OK, true },
        { "0.0.0.0:0", LM_OK, false },
        { "127.0.0.1", LM_EINVAL, false },
        { ":80", LM_EINVAL, false },
        { "127.0.0.1:", LM_EINVAL, false },
        { "127.0.0.1:x", LM_EINVAL, false },
        { "127.0.0.1:65536", LM_EINVAL, false },
        { "", LM_EINVAL, false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_listen l = { .fd = -1 };
        struct lm_err err = { 0 };
        const enum lm_rc rc = lm_listen_open(cases[i].address, &l, &err);
        if (rc == LM_EIO && strcmp(cases[i].address, "[::1]:0") == 0)
            continue;   // a machine without IPv6
        assert_int_equal(rc, cases[i].rc);
        if (rc == LM_OK) {
            assert_true(l.port > 0);
            assert_int_equal(l.loopback, cases[i].loopback);
            close(l.fd);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_is_made_once_and_kept),
        cmocka_unit_test(it_is_for_this_machine_and_the_address_given),
        cmocka_unit_test(a_fingerprint_is_that_of_the_certificate),
        cmocka_unit_test(half_a_pair_is_refused),
        cmocka_unit_test(addresses_are_read_and_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
