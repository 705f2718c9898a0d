#ifndef LM_BASE_FILE_H
#define LM_BASE_FILE_H
/* base/file.h - files that are whole or absent.
 *
 * Writers go to "<path>.tmp.<pid>" beside the target, are synced and renamed: a reader, or a run after a
 * crash, sees the old file or the new one, never half of one.  A leftover temporary file is harmless. */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>

/* A whole file in memory.  LM_ELIMIT beyond bytes_max.  The buffer is appended to. */
enum lm_rc lm_file_read(const char *path, size_t bytes_max, struct lm_buf *ret, struct lm_err *err);

/* Replaces a small file in one step. */
enum lm_rc lm_file_write(const char *path, struct lm_str content, struct lm_err *err);

/* A file being written.  Zero-initialised is "not open". */
struct lm_writer {
    FILE *stream;   // write here with stdio; errors are reported by commit
    char *path, *tmp_path;
};

enum lm_rc lm_writer_open(struct lm_writer *w, const char *path, struct lm_err *err);
enum lm_rc lm_writer_commit(struct lm_writer *w, struct lm_err *err);   // flush, fsync, rename
void lm_writer_abort(struct lm_writer *w);   // removes the temporary; also for not open

/* A read-only mapping.  An empty file maps to len 0.  Zero-initialised is "not mapped". */
struct lm_map {
    const char *ptr;
    size_t len;
};

enum lm_rc lm_map_open(struct lm_map *map, const char *path, struct lm_err *err);
/* Most of [at, at + len) will be read: maps its pages at once; a hint. */
void lm_map_populate(const struct lm_map *map, size_t at, size_t len);
/* [at, at + len) is not read again soon: its pages need not stay in memory; a hint. */
void lm_map_drop(const struct lm_map *map, size_t at, size_t len);
void lm_map_close(struct lm_map *map);

bool lm_path_exists(const char *path);
bool lm_path_is_dir(const char *path);
char *lm_path_join(const char *dir, const char *name);             // free() it; an absolute name wins
const char *lm_path_base(const char *path);                        // after the last slash
enum lm_rc lm_dir_make(const char *path, struct lm_err *err);      // with parents; existing is fine
enum lm_rc lm_dir_sync(const char *path, struct lm_err *err);      // makes renames in it durable
enum lm_rc lm_path_remove(const char *path, struct lm_err *err);   // file or whole tree; absent is fine
enum lm_rc lm_path_rename(const char *from, const char *to, struct lm_err *err);   // and syncs the parent
enum lm_rc lm_file_copy(const char *from, const char *to, struct lm_err *err);     // whole or absent

/* Every regular file below `root` (or root itself if it is one), in bytewise order of the path relative to
 * root; names that start with a dot are left out; symbolic links to files are followed, to folders not. */
struct lm_file_entry {
    const char *path;       // as to be opened
    const char *relative;   // below root; the base name if root is a file
    uint64_t size_bytes;
};

struct lm_file_list {
    struct lm_file_entry *items;
    size_t len, cap;
    struct lm_arena arena;
};

enum lm_rc lm_file_walk(const char *root, struct lm_file_list *ret, struct lm_err *err);   // appends
void lm_file_list_release(struct lm_file_list *list);

#endif
