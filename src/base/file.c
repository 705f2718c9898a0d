#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ---- */

static enum lm_rc open_to_read(const char *path, int *ret_fd, struct lm_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return lm_fail_errno(err, errno == ENOENT ? LM_ENOENT : LM_EIO, "cannot open '%s'", path);
    *ret_fd = fd;
    return LM_OK;
}

/* Bytes read, 0 at the end, -1 with errno; a signal only makes it try again. */
static ssize_t read_some(int fd, void *bytes, size_t len)
{
    ssize_t got;
    do {
        got = read(fd, bytes, len);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* Reads to the end whatever fstat says: pipes and files in /proc have no size. */
static enum lm_rc read_all(int fd, const char *path, size_t bytes_max, struct lm_buf *buf, struct lm_err *err)
{
    enum { CHUNK = 64 << 10 };

    struct stat st;
    const bool sized = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
    size_t want = sized && (uintmax_t)st.st_size < bytes_max ? (size_t)st.st_size + 1 : CHUNK;
    for (size_t total = 0;;) {
        if (want > bytes_max - total)
            want = bytes_max - total + 1;   // one more than allowed, to see that there is more
        char *space = lm_buf_space(buf, want);
        if (!space)
            return lm_fail(err, LM_ELIMIT, "'%s' does not fit into %zu bytes", path, buf->len_max);
        if (want > CHUNK)
            lm_mem_touch(space, want);
        const ssize_t got = read_some(fd, space, want);
        if (got < 0)
            return lm_fail_errno(err, LM_EIO, "cannot read '%s'", path);
        if (got == 0)
            return LM_OK;
        total += (size_t)got;
        if (total > bytes_max)
            return lm_fail(err, LM_ELIMIT, "'%s' is larger than the %zu bytes allowed here", path, bytes_max);
        buf->len += (size_t)got;
        want = CHUNK;
    }
}

enum lm_rc lm_file_read(const char *path, size_t bytes_max, struct lm_buf *ret, struct lm_err *err)
{
    int fd;
    LM_TRY(open_to_read(path, &fd, err));
    const size_t len_before = ret->len;
    const enum lm_rc rc = read_all(fd, path, bytes_max, ret, err);
    close(fd);
    if (rc != LM_OK)
        ret->len = len_before;
    if (ret->ptr)
        ret->ptr[ret->len] = '\0';
    return rc;
}

enum lm_rc lm_map_open(struct lm_map *map, const char *path, struct lm_err *err)
{
    int fd;
    LM_TRY(open_to_read(path, &fd, err));
    enum lm_rc rc = LM_OK;
    struct stat st;
    if (fstat(fd, &st) < 0) {
        rc = lm_fail_errno(err, LM_EIO, "cannot look at '%s'", path);
    } else if (!S_ISREG(st.st_mode)) {
        rc = lm_fail(err, LM_EIO, "cannot map '%s': it is not a regular file", path);
    } else if (st.st_size == 0) {
        *map = (struct lm_map){ .ptr = "", .len = 0 };
    } else {
        void *ptr = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (ptr == MAP_FAILED)
            rc = lm_fail_errno(err, LM_EIO, "cannot map '%s'", path);
        else
            *map = (struct lm_map){ .ptr = ptr, .len = (size_t)st.st_size };
    }
    close(fd);
    return rc;
}

void lm_map_populate(const struct lm_map *map, size_t at, size_t len)
{
    LM_ASSERT(at <= map->len && len <= map->len - at);
#ifdef MADV_POPULATE_READ
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = ((uintptr_t)map->ptr + at) & ~(page - 1);
    if (len > 0)
        (void)madvise((void *)start, (uintptr_t)map->ptr + at + len - start, MADV_POPULATE_READ);
#endif
}

void lm_map_drop(const struct lm_map *map, size_t at, size_t len)
{
    LM_ASSERT(at <= map->len && len <= map->len - at);
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t start = ((uintptr_t)map->ptr + at + page - 1) & ~(page - 1);   // whole pages only
    const uintptr_t end = ((uintptr_t)map->ptr + at + len) & ~(page - 1);
    if (start < end)
        (void)madvise((void *)start, end - start, MADV_DONTNEED);
}

void lm_map_close(struct lm_map *map)
{
    if (map->len)
        munmap((void *)(uintptr_t)map->ptr, map->len);
    *map = (struct lm_map){ 0 };
}

/* ---- writing ---- */

/* "<path>.tmp.<pid>": in the same folder, so that rename does not copy. */
static char *make_tmp_path(const char *path)
{
    struct lm_buf buf = { 0 };
    lm_buf_printf(&buf, "%s.tmp.%ld", path, (long)getpid());
    return lm_buf_take(&buf);
}

static void writer_clear(struct lm_writer *w)
{
    free(w->path);
    free(w->tmp_path);
    *w = (struct lm_writer){ 0 };
}

enum lm_rc lm_writer_open(struct lm_writer *w, const char *path, struct lm_err *err)
{
    *w = (struct lm_writer){ 0 };
    /* A symbolic link stays one: its target is replaced. */
    char *real = realpath(path, NULL);
    w->path = real ? real : lm_strdup(path);
    struct stat st;
    const bool exists = stat(w->path, &st) == 0;
    enum lm_rc rc = LM_OK;
    int fd = -1;
    if (exists && S_ISDIR(st.st_mode)) {
        rc = lm_fail(err, LM_EIO, "cannot write '%s': it is a folder", path);
    } else if (exists && !S_ISREG(st.st_mode)) {
        fd = open(w->path, O_WRONLY | O_CLOEXEC);   // /dev/null, a pipe: nothing to replace
    } else {
        w->tmp_path = make_tmp_path(w->path);
        fd = open(w->tmp_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (fd >= 0 && exists)
            (void)fchmod(fd, st.st_mode & 07777);   // a private file stays private
    }
    if (rc == LM_OK && fd < 0)
        rc = lm_fail_errno(err, LM_EIO, "cannot create '%s'", path);
    if (rc == LM_OK) {
        w->stream = fdopen(fd, "wb");
        LM_ASSERT(w->stream);
    } else {
        writer_clear(w);
    }
    return rc;
}

/* Everything up to the disk; the stream is closed in every case. */
static enum lm_rc flush_and_close(struct lm_writer *w, struct lm_err *err)
{
    enum lm_rc rc = LM_OK;
    if (fflush(w->stream) != 0)
        rc = lm_fail_errno(err, LM_EIO, "cannot write '%s'", w->path);
    else if (ferror(w->stream))
        rc = lm_fail(err, LM_EIO, "cannot write '%s': an earlier write failed (is the disk full?)", w->path);
    else if (w->tmp_path && fsync(fileno(w->stream)) != 0)
        rc = lm_fail_errno(err, LM_EIO, "cannot write '%s' to the disk", w->path);
    if (fclose(w->stream) != 0 && rc == LM_OK)
        rc = lm_fail_errno(err, LM_EIO, "cannot close '%s'", w->path);
    w->stream = NULL;
    return rc;
}

enum lm_rc lm_writer_commit(struct lm_writer *w, struct lm_err *err)
{
    LM_ASSERT(w->stream);

    enum lm_rc rc = flush_and_close(w, err);
    if (rc == LM_OK && w->tmp_path)
        rc = lm_path_rename(w->tmp_path, w->path, err);
    if (rc != LM_OK && w->tmp_path)
        unlink(w->tmp_path);
    writer_clear(w);
    return rc;
}

void lm_writer_abort(struct lm_writer *w)
{
    if (!w->stream)
        return;
    fclose(w->stream);
    if (w->tmp_path)
        unlink(w->tmp_path);
    writer_clear(w);
}

enum lm_rc lm_file_write(const char *path, struct lm_str content, struct lm_err *err)
{
    struct lm_writer w;
    LM_TRY(lm_writer_open(&w, path, err));
    fwrite(content.ptr, 1, content.len, w.stream);
    return lm_writer_commit(&w, err);
}

enum lm_rc lm_file_copy(const char *from, const char *to, struct lm_err *err)
{
    enum { CHUNK = 256 << 10 };

    int fd;
    LM_TRY(open_to_read(from, &fd, err));
    struct lm_writer w;
    enum lm_rc rc = lm_writer_open(&w, to, err);
    if (rc != LM_OK) {
        close(fd);
        return rc;
    }
    LM_FREE char *chunk = lm_alloc(CHUNK);
    ssize_t got;
    while ((got = read_some(fd, chunk, CHUNK)) > 0)
        if (fwrite(chunk, 1, (size_t)got, w.stream) < (size_t)got)
            break;   // commit reports it
    if (got < 0) {
        rc = lm_fail_errno(err, LM_EIO, "cannot read '%s'", from);
        lm_writer_abort(&w);
    } else {
        rc = lm_writer_commit(&w, err);
    }
    close(fd);
    return rc;
}
