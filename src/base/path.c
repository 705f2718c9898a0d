/* The second half of base/file.h: paths, folders and trees. */

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool lm_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool lm_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *lm_path_join(const char *dir, const char *name)
{
    if (name[0] == '/' || dir[0] == '\0')
        return lm_strdup(name);
    struct lm_buf buf = { 0 };
    lm_buf_puts(&buf, dir);
    if (buf.ptr[buf.len - 1] != '/' && name[0] != '\0')
        lm_buf_putc(&buf, '/');
    lm_buf_puts(&buf, name);
    return lm_buf_take(&buf);
}

const char *lm_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- folders ---- */

enum lm_rc lm_dir_make(const char *path, struct lm_err *err)
{
    LM_FREE char *part = lm_strdup(path);
    for (size_t i = 1; path[0] != '\0'; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return lm_fail_errno(err, LM_EIO, "cannot make folder '%s'", part);
        if (!lm_path_is_dir(part))
            return lm_fail(err, LM_EEXIST, "cannot make folder '%s': '%s' is a file", path, part);
        part[i] = path[i];
        if (path[i] == '\0')
            break;
    }
    return LM_OK;
}

enum lm_rc lm_dir_sync(const char *path, struct lm_err *err)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return lm_fail_errno(err, LM_EIO, "cannot open folder '%s'", path);
    enum lm_rc rc = LM_OK;
    /* Some file systems sync names by themselves and answer EINVAL. */
    if (fsync(fd) != 0 && errno != EINVAL)
        rc = lm_fail_errno(err, LM_EIO, "cannot write folder '%s' to the disk", path);
    close(fd);
    return rc;
}

enum lm_rc lm_path_rename(const char *from, const char *to, struct lm_err *err)
{
    if (rename(from, to) != 0)
        return lm_fail_errno(err, LM_EIO, "cannot rename '%s' to '%s'", from, to);
    LM_FREE char *parent = lm_strdup(to);
    size_t len = strlen(parent);
    while (len > 1 && parent[len - 1] == '/')   // "dir/" names an entry of "."
        parent[--len] = '\0';
    char *slash = strrchr(parent, '/');
    if (!slash)
        return lm_dir_sync(".", err);
    slash[slash == parent] = '\0';   // the parent of "/x" is "/"
    return lm_dir_sync(parent, err);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st;
    (void)kind;
    (void)place;
    return remove(path);
}

enum lm_rc lm_path_remove(const char *path, struct lm_err *err)
{
    enum { OPEN_MAX_DIRS = 16 };

    /* Contents before their folder; links are removed, not followed. */
    if (nftw(path, remove_one, OPEN_MAX_DIRS, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
        return LM_OK;
    return lm_fail_errno(err, LM_EIO, "cannot remove '%s'", path);
}

/* ---- walk ---- */

struct name_stack {
    char **items;   // folders still to be read, relative to root
    size_t len, cap;
};

static void add_file(struct lm_file_list *list, const char *path, const char *relative, off_t size)
{
    lm_grow(&list->items, &list->cap, list->len + 1, sizeof(*list->items));
    list->items[list->len++] = (struct lm_file_entry){
        .path = lm_arena_strdup(&list->arena, path),
        .relative = lm_arena_strdup(&list->arena, relative),
        .size_bytes = (uint64_t)size,
    };
}

/* Files go into the list, folders onto the stack, all else (sockets, dangling links) nowhere. */
static enum lm_rc sort_in(const char *root, char *relative, struct lm_file_list *list,
                          struct name_stack *pending, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(root, relative);
    LM_FREE char *owned = relative;
    struct stat st;
    bool found = lstat(path, &st) == 0;
    if (found && S_ISLNK(st.st_mode))
        found = stat(path, &st) == 0 && S_ISREG(st.st_mode);
    else if (!found && errno != ENOENT)
        return lm_fail_errno(err, LM_EIO, "cannot look at '%s'", path);
    if (found && S_ISREG(st.st_mode)) {
        add_file(list, path, relative, st.st_size);
    } else if (found && S_ISDIR(st.st_mode)) {
        lm_grow(&pending->items, &pending->cap, pending->len + 1, sizeof(*pending->items));
        pending->items[pending->len++] = relative;
        owned = NULL;
    }
    return LM_OK;
}

static enum lm_rc read_dir(const char *root, const char *relative, struct lm_file_list *list,
                           struct name_stack *pending, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(root, relative);
    DIR *dir = opendir(path);
    if (!dir)
        return lm_fail_errno(err, LM_EIO, "cannot read folder '%s'", path);
    enum lm_rc rc = LM_OK;
    const struct dirent *entry;
    while (rc == LM_OK && (errno = 0, entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            rc = sort_in(root, lm_path_join(relative, entry->d_name), list, pending, err);
    if (rc == LM_OK && errno != 0)
        rc = lm_fail_errno(err, LM_EIO, "cannot read folder '%s'", path);
    closedir(dir);
    return rc;
}

static int by_relative_path(const void *a, const void *b)
{
    const struct lm_file_entry *x = a, *y = b;
    return lm_str_cmp(lm_str(x->relative), lm_str(y->relative));
}

enum lm_rc lm_file_walk(const char *root, struct lm_file_list *ret, struct lm_err *err)
{
    struct stat st;
    if (stat(root, &st) != 0)
        return lm_fail_errno(err, errno == ENOENT ? LM_ENOENT : LM_EIO, "cannot open '%s'", root);
    if (S_ISREG(st.st_mode)) {
        add_file(ret, root, lm_path_base(root), st.st_size);
        return LM_OK;
    }
    const size_t len_before = ret->len;
    struct name_stack pending = { 0 };
    enum lm_rc rc = read_dir(root, "", ret, &pending, err);
    while (rc == LM_OK && pending.len) {
        LM_FREE char *relative = pending.items[--pending.len];
        rc = read_dir(root, relative, ret, &pending, err);
    }
    while (pending.len)
        free(pending.items[--pending.len]);
    free(pending.items);
    if (rc != LM_OK)
        ret->len = len_before;
    else if (ret->len > len_before)
        qsort(ret->items + len_before, ret->len - len_before, sizeof(*ret->items), by_relative_path);
    return rc;
}

void lm_file_list_release(struct lm_file_list *list)
{
    free(list->items);
    lm_arena_release(&list->arena);
    *list = (struct lm_file_list){ 0 };
}
