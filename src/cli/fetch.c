#include "cli/fetch.h"

#include "base/file.h"
#include "base/sys.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 5, CONNECT_SECONDS = 30, IDLE_SECONDS = 60, REDIRECTS_MAX = 8, ETAG_BYTES_MAX = 1024 };

/* One request and what has come of it so far. */
struct transfer {
    const struct lm_fetch *fetch;
    const char *url;
    CURL *curl;
    /* Of the last answer, since redirects are followed. */
    char etag[ETAG_BYTES_MAX];
    char linked[LM_SHA256_HEX];   // X-Linked-Etag of any answer on the way
    uint64_t range_start;         // of Content-Range; UINT64_MAX: none
    /* Where the body goes: a file, or a buffer. */
    FILE *stream;
    const char *etag_path;
    struct lm_buf *text;
    uint64_t begin, at, bytes_max;   // begin: where the request resumes; at: bytes of the file that are there
    bool started;
    long code;       // of the last answer
    enum lm_rc rc;   // why the body was refused
    struct lm_err why;
    struct lm_progress *progress;
};

/* ---- addresses ---- */

static bool is_this_machine(struct lm_str rest)
{
    static const char *const hosts[] = { "localhost", "127.0.0.1", "[::1]" };
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        const size_t len = strlen(hosts[i]);
        if (lm_str_starts(rest, lm_str(hosts[i])) && (rest.len == len || strchr(":/", rest.ptr[len])))
            return true;
    }
    return false;
}

static enum lm_rc check_url(const char *url, struct lm_err *err)
{
    const struct lm_str http = LM_STR("http://"), s = lm_str(url);
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            return lm_fail(err, LM_EINVAL, "'%s' is no address: it has a blank or a character beyond ASCII",
                           url);
    if (lm_str_starts(s, LM_STR("https://")))
        return LM_OK;
    if (lm_str_starts(s, http) && is_this_machine((struct lm_str){ s.ptr + http.len, s.len - http.len }))
        return LM_OK;
    return lm_fail(err, LM_EINVAL, "'%s' does not begin with https://", url);
}

/* ---- callbacks of libcurl ---- */

/* The value of a header line, without blanks and quotes; "" when it is another header. */
static struct lm_str header_value(struct lm_str line, const char *name)
{
    const size_t len = strlen(name);
    if (line.len < len || strncasecmp(line.ptr, name, len) != 0)
        return LM_STR("");
    return lm_str_trim((struct lm_str){ line.ptr + len, line.len - len });
}

static void keep(struct lm_str value, char *ret, size_t bytes)
{
    if (value.len == 0 || value.len >= bytes)
        return;
    memcpy(ret, value.ptr, value.len);
    ret[value.len] = '\0';
}

static bool is_sha256(struct lm_str s)
{
    size_t i = 0;
    while (i < s.len && strchr("0123456789abcdef", s.ptr[i]))
        i++;
    return s.len == LM_SHA256_HEX - 1 && i == s.len;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *user)
{
    struct transfer *t = user;
    const struct lm_str line = { bytes, size * count };
    if (lm_str_starts(line, LM_STR("HTTP/"))) {   // another answer begins
        t->etag[0] = '\0';
        t->range_start = UINT64_MAX;
    }
    keep(header_value(line, "etag:"), t->etag, sizeof t->etag);
    struct lm_str linked = header_value(line, "x-linked-etag:"), range = header_value(line, "content-range:");
    if (linked.len > 2 && linked.ptr[0] == '"' && linked.ptr[linked.len - 1] == '"')
        linked = (struct lm_str){ linked.ptr + 1, linked.len - 2 };
    if (is_sha256(linked))
        keep(linked, t->linked, sizeof t->linked);
    if (lm_str_starts(range, LM_STR("bytes "))) {
        int64_t start;
        struct lm_str rest = { range.ptr + 6, range.len - 6 }, first;
        if (lm_str_split(&rest, '-', &first) && lm_str_to_i64(first, &start) && start >= 0)
            t->range_start = (uint64_t)start;
    }
    return line.len;
}

static long code_of(const struct transfer *t)
{
    long code = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

/* First bytes of a good answer: the rest that was asked for, or everything from the start. */
static enum lm_rc begin_body(struct transfer *t)
{
    t->started = true;
    t->at = code_of(t) == 206 ? t->begin : 0;
    if (!t->stream)
        return LM_OK;
    if (code_of(t) == 206 && t->range_start != t->begin)
        return lm_fail(&t->why, LM_EFORMAT, "%s: the server sent another part than the one asked for",
                       t->url);
    if (ftruncate(fileno(t->stream), (off_t)t->at) != 0 || fseeko(t->stream, (off_t)t->at, SEEK_SET) != 0)
        return lm_fail_errno(&t->why, LM_EIO, "cannot write what comes from %s", t->url);
    if (t->etag[0] && strncmp(t->etag, "W/", 2) != 0)
        return lm_file_write(t->etag_path, lm_str(t->etag), &t->why);
    return lm_path_remove(t->etag_path, &t->why);
}

static enum lm_rc take_bytes(struct transfer *t, const char *bytes, size_t len)
{
    if (!t->started)
        LM_TRY(begin_body(t));
    if (len > t->bytes_max - t->at)
        return lm_fail(&t->why, LM_ELIMIT, "%s has more than the %llu bytes expected or allowed", t->url,
                       (unsigned long long)t->bytes_max);
    t->at += len;
    if (t->text)
        lm_buf_add(t->text, bytes, len);
    else if (fwrite(bytes, 1, len, t->stream) != len)
        return lm_fail_errno(&t->why, LM_EIO, "cannot write what comes from %s", t->url);
    return LM_OK;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *user)
{
    struct transfer *t = user;
    const long code = code_of(t);
    if (code != 200 && code != 206)
        return size * count;   // an error page: its code says enough
    t->rc = take_bytes(t, bytes, size * count);
    return t->rc == LM_OK ? size * count : 0;
}

static int look(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
    struct transfer *t = user;
    (void)total, (void)now, (void)up_total, (void)up;
    if (t->progress)
        lm_progress_at(t->progress, t->at, NULL);
    return lm_stop_asked();
}

/* ---- one request ---- */

/* *ret_again: worth another try. */
static enum lm_rc judge(const struct transfer *t, CURLcode result, bool *ret_again, struct lm_err *err)
{
    const long code = t->code;
    *ret_again = false;
    if (t->rc != LM_OK)
        return lm_fail(err, t->rc, "%s", t->why.text);
    if (lm_stop_asked())
        return lm_fail(err, LM_ESTOP, "stopped; the same command goes on with %s", t->url);
    if (result != CURLE_OK) {
        *ret_again = result != CURLE_PEER_FAILED_VERIFICATION && result != CURLE_TOO_MANY_REDIRECTS &&
                     result != CURLE_UNSUPPORTED_PROTOCOL && result != CURLE_COULDNT_RESOLVE_HOST;
        return lm_fail(err, LM_EIO, "cannot get %s: %s", t->url, curl_easy_strerror(result));
    }
    if (code == 200 || code == 206)
        return LM_OK;
    if (code == 404 || code == 410)
        return lm_fail(err, LM_ENOENT, "%s does not exist (answer %ld)", t->url, code);
    if (code == 401 || code == 403)
        return lm_fail(
            err, LM_EDENIED,
            "%s is not open to everybody (answer %ld): give --token-file, and accept the terms of the "
            "model on its page",
            t->url, code);
    *ret_again = code == 429 || code >= 500 || code == 416;
    return lm_fail(err, LM_EIO, "cannot get %s: the server answered %ld", t->url, code);
}

static void configure(struct transfer *t, struct curl_slist *headers, const char *range)
{
    CURL *c = t->curl;
    curl_easy_setopt(c, CURLOPT_URL, t->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR,
                     strncmp(t->url, "https", 5) == 0 ? "https" : "https,http");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)IDLE_SECONDS);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "loom/" LOOM_VERSION);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_RANGE, range);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, look);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
    if (t->fetch->token) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, t->fetch->token);
    }
}

static enum lm_rc request(struct transfer *t, const char *if_range, bool *ret_again, struct lm_err *err)
{
    struct lm_buf line = { 0 };
    struct curl_slist *headers = NULL;
    char range[32];
    *ret_again = false;
    t->curl = curl_easy_init();
    if (!t->curl)
        return lm_fail(err, LM_ENOMEM, "libcurl does not start");
    snprintf(range, sizeof range, "%llu-", (unsigned long long)t->begin);
    if (t->begin > 0) {
        lm_buf_printf(&line, "If-Range: %s", if_range);
        headers = curl_slist_append(NULL, line.ptr);
    }
    configure(t, headers, t->begin > 0 ? range : NULL);
    const CURLcode result = curl_easy_perform(t->curl);
    t->code = code_of(t);
    enum lm_rc rc = judge(t, result, ret_again, err);
    if (rc == LM_OK && !t->started && (rc = begin_body(t)) != LM_OK)   // an empty file
        lm_fail(err, rc, "%s", t->why.text);
    curl_easy_cleanup(t->curl);
    curl_slist_free_all(headers);
    lm_buf_release(&line);
    return rc;
}

/* 1/4, 1, 4, 16 seconds; a stop is noticed within a quarter. */
static void wait_before(int attempt)
{
    for (int quarters = 1 << (2 * (attempt - 1)); quarters > 0 && !lm_stop_asked(); quarters--)
        usleep(250000);
}

static void start_curl(void)
{
    static bool started;
    if (!started)
        curl_global_init(CURL_GLOBAL_DEFAULT);
    started = true;
}

/* ---- text ---- */

enum lm_rc lm_fetch_text(const struct lm_fetch *f, const char *url, size_t bytes_max, struct lm_buf *ret,
                         struct lm_err *err)
{
    LM_TRY(check_url(url, err));
    start_curl();
    enum lm_rc rc = LM_OK;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        bool again;
        struct transfer t = { .fetch = f, .url = url, .text = ret, .bytes_max = bytes_max };
        if (attempt > 0)
            wait_before(attempt);
        lm_buf_reset(ret);
        rc = request(&t, NULL, &again, err);
        if (!again)
            break;
    }
    return rc;
}

/* ---- files ---- */

struct part {
    char *path, *etag_path;
    struct lm_buf etag;
    uint64_t bytes;   // that are there and may be kept
};

static bool is_header_text(struct lm_str s)
{
    size_t i = 0;
    while (i < s.len && s.ptr[i] >= ' ' && s.ptr[i] <= '~')
        i++;
    return s.len > 0 && i == s.len;
}

static void part_look(struct part *p, uint64_t bytes_max)
{
    struct stat st;
    lm_buf_reset(&p->etag);
    p->bytes = 0;
    if (stat(p->path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
        (uint64_t)st.st_size > bytes_max)
        return;
    if (lm_path_exists(p->etag_path) && lm_file_read(p->etag_path, ETAG_BYTES_MAX, &p->etag, NULL) == LM_OK &&
        is_header_text(lm_buf_str(&p->etag)))
        p->bytes = (uint64_t)st.st_size;
}

static enum lm_rc fetch_once(const struct lm_fetch *f, const struct lm_fetch_file *file, struct part *p,
                             struct transfer *t, bool *ret_again, struct lm_err *err)
{
    *ret_again = false;
    FILE *stream = fopen(p->path, p->bytes > 0 ? "r+b" : "wb");
    if (!stream)
        return lm_fail_errno(err, LM_EIO, "cannot write '%s'", p->path);
    struct lm_progress progress =
        lm_progress_start(lm_path_base(file->path), "bytes", file->bytes == UINT64_MAX ? 0 : file->bytes);
    *t = (struct transfer){
        .fetch = f,
        .url = file->url,
        .stream = stream,
        .etag_path = p->etag_path,
        .begin = p->bytes,
        .bytes_max = file->bytes < f->bytes_max ? file->bytes : f->bytes_max,
        .progress = &progress,
    };
    enum lm_rc rc = request(t, p->etag.ptr, ret_again, err);
    const bool flushed = fflush(stream) == 0 && fsync(fileno(stream)) == 0;
    if ((fclose(stream) != 0 || !flushed) && rc == LM_OK)
        rc = lm_fail_errno(err, LM_EIO, "cannot write '%s'", p->path);
    if (rc == LM_OK && file->bytes != UINT64_MAX && t->at != file->bytes) {
        *ret_again = true;
        rc = lm_fail(err, LM_EIO, "%s: %llu of %llu bytes came", file->url, (unsigned long long)t->at,
                     (unsigned long long)file->bytes);
    }
    if (t->code == 416)   // the part is no part of what is there now
        (void)lm_path_remove(p->path, NULL);
    lm_progress_end(&progress, t->at);
    return rc;
}

/* What is there must be what was promised, or it goes. */
static enum lm_rc check_content(const struct lm_fetch_file *file, const struct part *p, const char *linked,
                                struct lm_err *err)
{
    const char *want = file->sha256[0] ? file->sha256 : linked;
    char got[LM_SHA256_HEX];
    if (!want[0])
        return LM_OK;
    LM_TRY(lm_sha256_file(p->path, got, err));
    if (strcmp(got, want) == 0)
        return LM_OK;
    (void)lm_path_remove(p->path, NULL);
    (void)lm_path_remove(p->etag_path, NULL);
    return lm_fail(err, LM_EFORMAT,
                   "%s: what came has SHA-256 %s, not %s as the server says; it was removed, try again",
                   file->url, got, want);
}

static enum lm_rc fetch_part(const struct lm_fetch *f, const struct lm_fetch_file *file, struct part *p,
                             struct lm_err *err)
{
    struct transfer t = { 0 };
    enum lm_rc rc = LM_OK;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        bool again;
        if (attempt > 0)
            wait_before(attempt);
        part_look(p, file->bytes < f->bytes_max ? file->bytes : f->bytes_max);
        if (p->bytes > 0 && p->bytes == file->bytes && file->sha256[0])
            return check_content(file, p, "", err);   // only the rename was missing
        if (p->bytes == file->bytes)
            p->bytes = 0;
        rc = fetch_once(f, file, p, &t, &again, err);
        if (!again)
            break;
    }
    return rc == LM_OK ? check_content(file, p, t.linked, err) : rc;
}

enum lm_rc lm_fetch_file(const struct lm_fetch *f, const struct lm_fetch_file *file, struct lm_err *err)
{
    LM_TRY(check_url(file->url, err));
    if (file->bytes != UINT64_MAX && file->bytes > f->bytes_max)
        return lm_fail(err, LM_ELIMIT, "%s has %llu bytes, more than the %llu allowed (--download-max)",
                       file->url, (unsigned long long)file->bytes, (unsigned long long)f->bytes_max);
    start_curl();
    struct lm_buf name = { 0 };
    struct part p = { 0 };
    lm_buf_printf(&name, "%s.part", file->path);
    p.path = lm_buf_take(&name);
    lm_buf_printf(&name, "%s.etag", p.path);
    p.etag_path = lm_buf_take(&name);
    enum lm_rc rc = fetch_part(f, file, &p, err);
    if (rc == LM_OK)
        rc = lm_path_rename(p.path, file->path, err);
    if (rc == LM_OK)
        rc = lm_path_remove(p.etag_path, err);
    free(p.path);
    free(p.etag_path);
    lm_buf_release(&p.etag);
    return rc;
}
