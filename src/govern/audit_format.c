#include "govern/audit_format.h"
#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>

const struct lm_audit_link lm_audit_link_start = { .seq = 0, .hash = LM_AUDIT_HASH_ZERO };

enum {
    HASH_LEN = LM_SHA256_HEX - 1,
    TIME_LEN = LM_TIME_TEXT - 1,
    TAIL_LEN = 9 + HASH_LEN + 2,   // ,"hash":"..."}
    FIELDS_MAX = 64,
};

/* ---- reading fixed forms: each takes its part off the front of *s ---- */

static bool take(struct lm_str *s, struct lm_str literal)
{
    if (!lm_str_starts(*s, literal))
        return false;
    *s = (struct lm_str){ s->ptr + literal.len, s->len - literal.len };
    return true;
}

static bool take_text(struct lm_str *s, char *ret, size_t len)
{
    if (s->len < len)
        return false;
    memcpy(ret, s->ptr, len);
    ret[len] = '\0';
    *s = (struct lm_str){ s->ptr + len, s->len - len };
    return true;
}

/* Decimal without leading zeros: one number, one form. */
static bool take_number(struct lm_str *s, uint64_t *ret)
{
    size_t len = 0;
    uint64_t value = 0;
    while (len < s->len && len < 19 && s->ptr[len] >= '0' && s->ptr[len] <= '9')
        value = 10 * value + (uint64_t)(s->ptr[len++] - '0');
    if (len == 0 || (len > 1 && s->ptr[0] == '0'))
        return false;
    *ret = value;
    *s = (struct lm_str){ s->ptr + len, s->len - len };
    return true;
}

/* ---- records ---- */

static bool is_own_key(struct lm_str key)
{
    static const char *const own[] = { "seq", "time", "prev", "type", "hash" };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (lm_str_eq(key, lm_str(own[i])))
            return true;
    return false;
}

static enum lm_rc check_keys(struct lm_json_reader *r, struct lm_err *err)
{
    struct lm_str keys[FIELDS_MAX];
    size_t count = 0;
    LM_TRY(lm_json_want(r, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(r, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            return lm_json_want(r, LM_JSON_END, err);
        const struct lm_str key = r->text;
        if (is_own_key(key))
            return lm_fail(err, LM_EINVAL, "audit record: the field '%.*s' belongs to the log itself",
                           (int)key.len, key.ptr);
        for (size_t i = 0; i < count; i++)
            if (lm_str_eq(keys[i], key))
                return lm_fail(err, LM_EINVAL, "audit record: the field '%.*s' is given twice", (int)key.len,
                               key.ptr);
        if (count == FIELDS_MAX)
            return lm_fail(err, LM_EINVAL, "audit record: more than %d fields", FIELDS_MAX);
        keys[count++] = key;
        LM_TRY(lm_json_skip(r, err));
    }
}

enum lm_rc lm_audit_fields_check(const char *type, struct lm_str fields, struct lm_err *err)
{
    if (!type[0] || type[strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789_.-")])
        return lm_fail(err, LM_EINVAL, "audit record: the type '%s' is not a plain lower-case word", type);
    for (size_t i = 0; i < fields.len; i++)
        if ((uint8_t)fields.ptr[i] < 0x20)
            return lm_fail(err, LM_EINVAL, "audit record: control character at byte %zu of the fields", i);

    struct lm_buf object = { 0 };
    lm_buf_putc(&object, '{');
    lm_buf_add_str(&object, fields);
    lm_buf_putc(&object, '}');
    struct lm_arena arena = { 0 };
    struct lm_json_reader reader;
    lm_json_open(&reader, lm_buf_str(&object), "audit record", &arena);
    enum lm_rc rc = check_keys(&reader, err);
    if (rc == LM_EFORMAT) {   // the text is the caller's, not a file's
        rc = LM_EINVAL;
        if (err)
            err->rc = rc;
    }
    lm_arena_release(&arena);
    lm_buf_release(&object);
    return rc;
}

void lm_audit_line_add(struct lm_buf *buf, struct lm_audit_link *link, const char time[LM_TIME_TEXT],
                       const char *type, struct lm_str fields)
{
    LM_ASSERT(strlen(time) == TIME_LEN);
    LM_ASSERT(link->seq < INT64_MAX);

    const size_t start = buf->len;
    link->seq++;
    lm_buf_printf(buf, "{\"seq\":%" PRIu64 ",\"time\":\"%s\",\"prev\":\"%s\",\"type\":\"%s\"", link->seq,
                  time, link->hash, type);
    if (fields.len)
        lm_buf_putc(buf, ',');
    lm_buf_add_str(buf, fields);
    lm_sha256_hex((struct lm_str){ buf->ptr + start, buf->len - start }, link->hash);
    lm_buf_printf(buf, ",\"hash\":\"%s\"}\n", link->hash);
}

/* The hash is checked first: if it is right, the line is a record, if perhaps not the one that belongs here.
 */
static const char *check_hash(struct lm_str line, char ret_hash[LM_SHA256_HEX])
{
    if (line.len < TAIL_LEN)
        return "is no record";
    const size_t body_len = line.len - TAIL_LEN;
    struct lm_str tail = { line.ptr + body_len, TAIL_LEN };
    char claimed[LM_SHA256_HEX];
    if (!take(&tail, LM_STR(",\"hash\":\"")) || !take_text(&tail, claimed, HASH_LEN) ||
        !take(&tail, LM_STR("\"}")))
        return "does not end with its hash";
    lm_sha256_hex((struct lm_str){ line.ptr, body_len }, ret_hash);
    return memcmp(claimed, ret_hash, HASH_LEN) == 0 ? NULL : "was changed: its bytes do not match its hash";
}

static bool take_front(struct lm_str *s, uint64_t *ret_seq, char ret_prev[LM_SHA256_HEX])
{
    char time[LM_TIME_TEXT];
    return take(s, LM_STR("{\"seq\":")) && take_number(s, ret_seq) && take(s, LM_STR(",\"time\":\"")) &&
           take_text(s, time, TIME_LEN) && take(s, LM_STR("\",\"prev\":\"")) &&
           take_text(s, ret_prev, HASH_LEN) && take(s, LM_STR("\",\"type\":\""));
}

const char *lm_audit_line_check(struct lm_str line, struct lm_audit_link *link)
{
    struct lm_audit_link next;
    const char *problem = check_hash(line, next.hash);
    if (problem)
        return problem;
    char prev[LM_SHA256_HEX];
    if (!take_front(&line, &next.seq, prev))
        return "is no record";
    if (next.seq != link->seq + 1)
        return "is another record: some were inserted, removed or reordered";
    if (memcmp(prev, link->hash, HASH_LEN) != 0)
        return "does not follow from the record before it";
    *link = next;
    return NULL;
}

const char *lm_audit_line_link(struct lm_str line, struct lm_audit_link *ret)
{
    struct lm_audit_link found;
    const char *problem = check_hash(line, found.hash);
    char prev[LM_SHA256_HEX];
    if (!problem && !take_front(&line, &found.seq, prev))
        problem = "is no record";
    if (!problem)
        *ret = found;
    return problem;
}

/* ---- head ---- */

static void add_head_body(struct lm_buf *buf, const struct lm_audit_head *head)
{
    lm_buf_printf(buf, "{\"records\":%" PRIu64 ",\"hash\":\"%s\",\"time\":\"%s\",\"public_key\":\"%s\"",
                  head->records, head->hash, head->time, head->public_key);
}

void lm_audit_head_add(struct lm_buf *buf, const struct lm_audit_head *head,
                       const uint8_t secret_key[crypto_sign_ed25519_SECRETKEYBYTES])
{
    const size_t start = buf->len;
    add_head_body(buf, head);
    uint8_t signature[crypto_sign_ed25519_BYTES];
    crypto_sign_ed25519_detached(signature, NULL, (const uint8_t *)buf->ptr + start, buf->len - start,
                                 secret_key);
    char hex[2 * sizeof(signature) + 1];
    lm_hex(signature, sizeof(signature), hex);
    lm_buf_printf(buf, ",\"signature\":\"%s\"}\n", hex);
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(const char *hex, uint8_t *ret, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const int high = hex_value(hex[2 * i]), low = high < 0 ? -1 : hex_value(hex[2 * i + 1]);
        if (low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

const char *lm_audit_head_check(struct lm_str text, struct lm_audit_head *ret)
{
    struct lm_audit_head head;
    char signature_hex[2 * crypto_sign_ed25519_BYTES + 1];
    struct lm_str s = text;
    if (!take(&s, LM_STR("{\"records\":")) || !take_number(&s, &head.records) ||
        !take(&s, LM_STR(",\"hash\":\"")) || !take_text(&s, head.hash, HASH_LEN) ||
        !take(&s, LM_STR("\",\"time\":\"")) || !take_text(&s, head.time, TIME_LEN) ||
        !take(&s, LM_STR("\",\"public_key\":\"")) ||
        !take_text(&s, head.public_key, sizeof(head.public_key) - 1) || !take(&s, LM_STR("\"")))
        return "is no head";
    const struct lm_str body = { text.ptr, text.len - s.len };
    if (!take(&s, LM_STR(",\"signature\":\"")) || !take_text(&s, signature_hex, sizeof(signature_hex) - 1) ||
        !take(&s, LM_STR("\"}\n")) || s.len)
        return "is no head";

    uint8_t key[crypto_sign_ed25519_PUBLICKEYBYTES], signature[crypto_sign_ed25519_BYTES];
    if (!from_hex(head.public_key, key, sizeof(key)) ||
        !from_hex(signature_hex, signature, sizeof(signature)))
        return "is no head";
    if (crypto_sign_ed25519_verify_detached(signature, (const uint8_t *)body.ptr, body.len, key) != 0)
        return "was changed: its signature is wrong";
    *ret = head;
    return NULL;
}

/* ---- files ---- */

void lm_audit_segment_name(uint64_t number, char ret[LM_AUDIT_NAME])
{
    LM_ASSERT(number < 1000000000);
    snprintf(ret, LM_AUDIT_NAME, "%06" PRIu64 ".log", number);
}

/* 0 for the name of any other file. */
static uint64_t segment_number(const char *name)
{
    const struct lm_str s = lm_str(name);
    int64_t number = 0;
    char canonical[LM_AUDIT_NAME];
    if (s.len < 5 || s.len >= LM_AUDIT_NAME || !lm_str_ends(s, LM_STR(".log")) ||
        !lm_str_to_i64((struct lm_str){ s.ptr, s.len - 4 }, &number) || number < 1 || number >= 1000000000)
        return 0;
    lm_audit_segment_name((uint64_t)number, canonical);
    return strcmp(canonical, name) == 0 ? (uint64_t)number : 0;
}

enum lm_rc lm_audit_segment_count(const char *dir, uint64_t *ret, struct lm_err *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return lm_fail_errno(err, errno == ENOENT ? LM_ENOENT : LM_EIO, "cannot open the audit log '%s'",
                             dir);
    uint64_t newest = 0, found = 0;
    for (struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        const uint64_t number = segment_number(entry->d_name);
        found += number != 0;
        newest = number > newest ? number : newest;
    }
    closedir(d);
    if (found != newest)   // names are unique, so only a gap can make the two differ
        return lm_fail(err, LM_EFORMAT, "audit log '%s': %" PRIu64 " of its %" PRIu64 " files are missing",
                       dir, newest - found, newest);
    *ret = newest;
    return LM_OK;
}
