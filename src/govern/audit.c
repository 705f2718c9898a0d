/* The writer.  One file is open at its end; appends gather in `waiting`, and whichever appender finds nobody
 * at the disk takes all that has gathered there, writes it with one write and one fdatasync, and wakes the
 * others. So the log is as fast as the disk is per group, not per record. */
#include "govern/audit.h"
#include "base/mem.h"
#include "govern/audit_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct lm_audit {
    /* constant after opening */
    char *dir;
    int lock_fd;
    uint64_t segment_bytes_max, head_every;
    uint8_t secret_key[crypto_sign_ed25519_SECRETKEYBYTES];
    char public_key[2 * crypto_sign_ed25519_PUBLICKEYBYTES + 1];

    /* under `lock` */
    pthread_mutex_t lock;
    pthread_cond_t turned;   // a group became durable, or the log broke
    struct lm_buf waiting;   // lines not yet given to the disk
    struct lm_audit_link newest, durable;
    bool writing;           // somebody is at the disk
    struct lm_err broken;   // rc LM_OK while the log takes records

    /* of the one who set `writing` */
    struct lm_buf group;
    int fd;
    uint64_t segment, segment_bytes;
    uint64_t head_records;
    int64_t head_ms;
};

/* ---- key ---- */

enum { SEED_HEX = 2 * crypto_sign_ed25519_SEEDBYTES };

static enum lm_rc write_all(int fd, const char *path, struct lm_str s, struct lm_err *err)
{
    for (size_t done = 0; done < s.len;) {
        const ssize_t wrote = write(fd, s.ptr + done, s.len - done);
        if (wrote < 0 && errno != EINTR)
            return lm_fail_errno(err, LM_EIO, "cannot write to '%s'", path);
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return LM_OK;
}

/* Not by base/file.h: this file must never exist with rights for others. */
static enum lm_rc write_private(const char *path, struct lm_str content, struct lm_err *err)
{
    LM_FREE char *tmp = lm_alloc(strlen(path) + 5);
    snprintf(tmp, strlen(path) + 5, "%s.tmp", path);
    const int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return lm_fail_errno(err, LM_EIO, "cannot create '%s'", tmp);
    enum lm_rc rc = fchmod(fd, 0600) == 0 ? write_all(fd, tmp, content, err)
                                          : lm_fail_errno(err, LM_EIO, "cannot protect '%s'", tmp);
    if (rc == LM_OK && fsync(fd) != 0)
        rc = lm_fail_errno(err, LM_EIO, "cannot sync '%s'", tmp);
    close(fd);
    return rc == LM_OK ? lm_path_rename(tmp, path, err) : rc;
}

static enum lm_rc make_key(const char *path, char ret_hex[SEED_HEX + 2], struct lm_err *err)
{
    uint8_t seed[crypto_sign_ed25519_SEEDBYTES];
    randombytes_buf(seed, sizeof(seed));
    lm_hex(seed, sizeof(seed), ret_hex);
    sodium_memzero(seed, sizeof(seed));
    ret_hex[SEED_HEX] = '\n';
    return write_private(path, (struct lm_str){ ret_hex, SEED_HEX + 1 }, err);
}

static enum lm_rc read_key(const char *path, char ret_hex[SEED_HEX + 2], struct lm_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return lm_fail_errno(err, LM_EIO, "cannot look at '%s'", path);
    if (st.st_mode & 077)
        return lm_fail(err, LM_EDENIED, "the signing key '%s' may be read by others: chmod 600 it", path);
    struct lm_buf text = { 0 };
    enum lm_rc rc = lm_file_read(path, SEED_HEX + 1, &text, err);
    if (rc == LM_OK && text.len != SEED_HEX + 1)
        rc = lm_fail(err, LM_EFORMAT, "the signing key '%s' is damaged", path);
    if (rc == LM_OK)
        memcpy(ret_hex, text.ptr, SEED_HEX + 1);
    if (text.ptr)
        sodium_memzero(text.ptr, text.len);
    lm_buf_release(&text);
    return rc;
}

static enum lm_rc load_key(struct lm_audit *a, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(a->dir, "signing.key");
    char hex[SEED_HEX + 2] = "";
    LM_TRY(lm_path_exists(path) ? read_key(path, hex, err) : make_key(path, hex, err));

    uint8_t seed[crypto_sign_ed25519_SEEDBYTES], public_key[crypto_sign_ed25519_PUBLICKEYBYTES];
    size_t seed_len = 0;
    const int bad = sodium_hex2bin(seed, sizeof(seed), hex, SEED_HEX, NULL, &seed_len, NULL);
    if (bad == 0 && seed_len == sizeof(seed)) {
        crypto_sign_ed25519_seed_keypair(public_key, a->secret_key, seed);
        lm_hex(public_key, sizeof(public_key), a->public_key);
    }
    sodium_memzero(hex, sizeof(hex));
    sodium_memzero(seed, sizeof(seed));
    return a->public_key[0] ? LM_OK : lm_fail(err, LM_EFORMAT, "the signing key '%s' is damaged", path);
}

/* ---- files ---- */

static enum lm_rc write_head(struct lm_audit *a, struct lm_audit_link at, struct lm_err *err)
{
    struct lm_audit_head head = { .records = at.seq };
    const int64_t now = lm_wall_ms();
    memcpy(head.hash, at.hash, sizeof(head.hash));
    memcpy(head.public_key, a->public_key, sizeof(head.public_key));
    lm_time_text(now, head.time);

    struct lm_buf text = { 0 };
    lm_audit_head_add(&text, &head, a->secret_key);
    LM_FREE char *path = lm_path_join(a->dir, "head.json");
    const enum lm_rc rc = lm_file_write(path, lm_buf_str(&text), err);
    lm_buf_release(&text);
    if (rc == LM_OK) {
        a->head_records = at.seq;
        a->head_ms = now;
    }
    return rc;
}

static char *segment_path(const struct lm_audit *a, uint64_t number)
{
    char name[LM_AUDIT_NAME];
    lm_audit_segment_name(number, name);
    return lm_path_join(a->dir, name);
}

static enum lm_rc open_segment(struct lm_audit *a, uint64_t number, bool create, struct lm_err *err)
{
    LM_FREE char *path = segment_path(a, number);
    const int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0), 0640);
    if (fd < 0)
        return lm_fail_errno(err, LM_EIO, "cannot open '%s'", path);
    const enum lm_rc rc = create ? lm_dir_sync(a->dir, err) : LM_OK;
    if (rc != LM_OK) {
        close(fd);
        return rc;
    }
    if (a->fd >= 0)
        close(a->fd);
    a->fd = fd;
    a->segment = number;
    a->segment_bytes = 0;
    return LM_OK;
}

/* The head first: so it always covers every file but the newest, and opening need not read the older ones. */
static enum lm_rc next_segment(struct lm_audit *a, struct lm_audit_link durable, struct lm_err *err)
{
    LM_TRY(write_head(a, durable, err));
    return open_segment(a, a->segment + 1, true, err);
}

static enum lm_rc write_group(struct lm_audit *a, struct lm_audit_link durable, struct lm_err *err)
{
    if (a->segment_bytes && a->segment_bytes + a->group.len > a->segment_bytes_max)
        LM_TRY(next_segment(a, durable, err));
    LM_FREE char *path = segment_path(a, a->segment);
    LM_TRY(write_all(a->fd, path, lm_buf_str(&a->group), err));
    if (fdatasync(a->fd) != 0)
        return lm_fail_errno(err, LM_EIO, "cannot sync '%s'", path);
    a->segment_bytes += a->group.len;
    return LM_OK;
}

/* ---- opening ---- */

/* Where the chain stands at the end of an older file; its last line is checked by itself. */
static enum lm_rc link_at_end(const struct lm_audit *a, uint64_t number, struct lm_audit_link *ret,
                              struct lm_err *err)
{
    LM_FREE char *path = segment_path(a, number);
    struct lm_map map;
    LM_TRY(lm_map_open(&map, path, err));
    struct lm_str line = { map.ptr, map.len };
    const char *problem = "does not end with a line feed";
    if (line.len && line.ptr[line.len - 1] == '\n') {
        line.len--;
        const char *before = line.len ? memrchr(line.ptr, '\n', line.len) : NULL;
        const size_t skip = before ? (size_t)(before + 1 - line.ptr) : 0;
        problem = lm_audit_line_link((struct lm_str){ line.ptr + skip, line.len - skip }, ret);
    }
    lm_map_close(&map);
    return problem ? lm_fail(err, LM_EFORMAT, "audit log: the last record in '%s' %s", path, problem) : LM_OK;
}

static enum lm_rc record_recovery(struct lm_audit *a, struct lm_str dropped, const char *path,
                                  struct lm_err *err)
{
    char hash[LM_SHA256_HEX];
    lm_sha256_hex(dropped, hash);
    struct lm_buf fields = { 0 };
    lm_buf_printf(&fields, "\"file\":\"%s\",\"bytes\":%zu,\"sha256\":\"%s\"", lm_path_base(path), dropped.len,
                  hash);
    if (ftruncate(a->fd, (off_t)a->segment_bytes) != 0 || fsync(a->fd) != 0) {
        lm_buf_release(&fields);
        return lm_fail_errno(err, LM_EIO, "cannot cut the half-written record off '%s'", path);
    }
    const enum lm_rc rc = lm_audit_append(a, "recovered", lm_buf_str(&fields), NULL, err);
    lm_buf_release(&fields);
    return rc;
}

static enum lm_rc check_newest(struct lm_audit *a, const struct lm_audit_head *head, struct lm_map *map,
                               struct lm_err *err)
{
    struct lm_audit_link link = lm_audit_link_start;
    size_t whole = 0;
    if (a->segment > 1)
        LM_TRY(link_at_end(a, a->segment - 1, &link, err));
    if (head->records < link.seq || (head->records == link.seq && strcmp(head->hash, link.hash) != 0))
        return lm_fail(err, LM_EFORMAT, "audit log '%s': record %" PRIu64 " is not the one that was signed",
                       a->dir, head->records < link.seq ? head->records + 1 : link.seq);
    LM_TRY(lm_audit_segment_check(a->dir, a->segment, head, &link, map, &whole, err));
    if (link.seq < head->records)
        return lm_fail(err, LM_EFORMAT,
                       "audit log '%s': record %" PRIu64 " is missing: the signed head counts %" PRIu64,
                       a->dir, link.seq + 1, head->records);
    a->newest = a->durable = link;
    a->segment_bytes = whole;
    return LM_OK;
}

static enum lm_rc continue_log(struct lm_audit *a, uint64_t count, struct lm_err *err)
{
    struct lm_audit_head head;
    const enum lm_rc found = lm_audit_head_read(a->dir, &head, err);
    if (found == LM_ENOENT)
        return lm_fail(err, LM_EFORMAT, "audit log '%s' has records, but no head.json", a->dir);
    LM_TRY(found);
    if (strcmp(head.public_key, a->public_key) != 0)
        return lm_fail(err, LM_EFORMAT, "audit log '%s' is signed by another key than its signing.key",
                       a->dir);
    a->head_records = head.records;

    struct lm_map map = { 0 };
    LM_TRY(open_segment(a, count, false, err));
    enum lm_rc rc = check_newest(a, &head, &map, err);
    if (rc == LM_OK && a->segment_bytes < map.len) {
        LM_FREE char *path = segment_path(a, count);
        const struct lm_str tail = { map.ptr + a->segment_bytes, map.len - a->segment_bytes };
        struct lm_str dropped = { lm_memdup(tail.ptr, tail.len),
                                  tail.len };   // the mapping is about to shrink
        lm_map_close(&map);
        rc = record_recovery(a, dropped, path, err);
        free((char *)dropped.ptr);
    }
    lm_map_close(&map);
    return rc;
}

static enum lm_rc start_log(struct lm_audit *a, struct lm_err *err)
{
    struct lm_audit_head head;
    const enum lm_rc found = lm_audit_head_read(a->dir, &head, err);
    if (found == LM_OK && head.records > 0)
        return lm_fail(err, LM_EFORMAT,
                       "audit log '%s': record 1 is missing: the signed head counts %" PRIu64, a->dir,
                       head.records);
    if (found != LM_OK && found != LM_ENOENT)
        return found;
    a->newest = a->durable = lm_audit_link_start;
    LM_TRY(write_head(a, a->durable, err));
    return open_segment(a, 1, true, err);
}

static enum lm_rc take_lock(struct lm_audit *a, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(a->dir, "lock");
    a->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (a->lock_fd < 0)
        return lm_fail_errno(err, LM_EIO, "cannot open '%s'", path);
    if (flock(a->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return LM_OK;
    if (errno != EWOULDBLOCK)
        return lm_fail_errno(err, LM_EIO, "cannot lock '%s'", path);
    return lm_fail(err, LM_EEXIST, "the audit log '%s' is in use by another process", a->dir);
}

static enum lm_rc open_log(struct lm_audit *a, struct lm_err *err)
{
    if (sodium_init() < 0)
        return lm_fail(err, LM_EIO, "libsodium finds no source of random numbers");
    LM_TRY(lm_dir_make(a->dir, err));
    LM_TRY(take_lock(a, err));
    LM_TRY(load_key(a, err));
    uint64_t count;
    LM_TRY(lm_audit_segment_count(a->dir, &count, err));
    return count ? continue_log(a, count, err) : start_log(a, err);
}

static void free_log(struct lm_audit *a)
{
    if (a->fd >= 0)
        close(a->fd);
    if (a->lock_fd >= 0)
        close(a->lock_fd);
    pthread_cond_destroy(&a->turned);
    pthread_mutex_destroy(&a->lock);
    sodium_memzero(a->secret_key, sizeof(a->secret_key));
    lm_buf_release(&a->waiting);
    lm_buf_release(&a->group);
    free(a->dir);
    free(a);
}

enum lm_rc lm_audit_open_sized(const char *dir, uint64_t segment_bytes_max, uint64_t head_every,
                               struct lm_audit **ret, struct lm_err *err)
{
    LM_ASSERT(head_every > 0);

    struct lm_audit *a = lm_zalloc(1, sizeof(*a));
    a->dir = lm_strdup(dir);
    a->fd = a->lock_fd = -1;
    a->segment_bytes_max = segment_bytes_max;
    a->head_every = head_every;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->turned, NULL);
    const enum lm_rc rc = open_log(a, err);
    if (rc != LM_OK) {
        free_log(a);
        return rc;
    }
    *ret = a;
    return LM_OK;
}

enum lm_rc lm_audit_open(const char *dir, struct lm_audit **ret, struct lm_err *err)
{
    return lm_audit_open_sized(dir, LM_AUDIT_SEGMENT_MAX, LM_AUDIT_HEAD_EVERY, ret, err);
}

void lm_audit_close(struct lm_audit *a)
{
    if (!a)
        return;
    LM_ASSERT(!a->writing);
    if (a->broken.rc == LM_OK && a->durable.seq > a->head_records)
        (void)write_head(a, a->durable, NULL);   // the older head stays true, only shorter
    free_log(a);
}

/* ---- appending ---- */

static bool head_is_due(const struct lm_audit *a, uint64_t durable_seq)
{
    return durable_seq - a->head_records >= a->head_every || lm_wall_ms() - a->head_ms >= LM_AUDIT_HEAD_MS;
}

/* Called with the lock, which it gives away while it is at the disk. */
static void write_what_waits(struct lm_audit *a)
{
    LM_ASSERT(!a->writing && a->waiting.len);

    a->writing = true;
    const struct lm_buf swap = a->group;
    a->group = a->waiting;
    a->waiting = swap;
    const struct lm_audit_link last = a->newest, before = a->durable;
    pthread_mutex_unlock(&a->lock);

    struct lm_err err = { 0 };
    enum lm_rc rc = write_group(a, before, &err);
    lm_buf_reset(&a->group);

    pthread_mutex_lock(&a->lock);
    if (rc == LM_OK) {
        a->durable = last;
        pthread_cond_broadcast(&a->turned);   // the others need not wait for the head
        pthread_mutex_unlock(&a->lock);
        if (head_is_due(a, last.seq))
            rc = write_head(a, last, &err);
        pthread_mutex_lock(&a->lock);
    }
    if (rc != LM_OK)
        a->broken = err;
    a->writing = false;
    pthread_cond_broadcast(&a->turned);
}

static enum lm_rc append_locked(struct lm_audit *a, const char *type, struct lm_str fields, uint64_t *ret_seq,
                                struct lm_err *err)
{
    if (a->broken.rc != LM_OK)
        return lm_fail(err, a->broken.rc, "%s", a->broken.text);
    char time[LM_TIME_TEXT];
    lm_time_text(lm_wall_ms(), time);
    lm_audit_line_add(&a->waiting, &a->newest, time, type, fields);
    const uint64_t seq = a->newest.seq;

    while (a->durable.seq < seq && a->broken.rc == LM_OK) {
        if (a->writing)
            pthread_cond_wait(&a->turned, &a->lock);
        else
            write_what_waits(a);
    }
    if (a->durable.seq < seq)
        return lm_fail(err, a->broken.rc, "%s", a->broken.text);
    if (ret_seq)
        *ret_seq = seq;
    return LM_OK;
}

enum lm_rc lm_audit_append(struct lm_audit *a, const char *type, struct lm_str fields, uint64_t *ret_seq,
                           struct lm_err *err)
{
    enum { FRAME_MAX = 512 };   // what we put around the fields

    LM_TRY(lm_audit_fields_check(type, fields, err));
    if (fields.len + strlen(type) > LM_AUDIT_RECORD_MAX - FRAME_MAX)
        return lm_fail(err, LM_ELIMIT, "audit record: %zu bytes are more than the %d allowed", fields.len,
                       LM_AUDIT_RECORD_MAX - FRAME_MAX);
    pthread_mutex_lock(&a->lock);
    const enum lm_rc rc = append_locked(a, type, fields, ret_seq, err);
    pthread_mutex_unlock(&a->lock);
    return rc;
}
