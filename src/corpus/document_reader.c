/* corpus/document_reader.c - documents from a list of files and folders. */

#include "base/file.h"
#include "corpus/document.h"

#include <inttypes.h>
#include <stdlib.h>

struct lm_document_reader {
    struct lm_file_list files;
    size_t next;                    // index of the file after the open one
    struct lm_line_reader *lines;   // NULL: none is open
    struct lm_arena arena;          // the current document
};

bool lm_document_is_records(struct lm_str name)
{
    return lm_str_ends(name, LM_STR(".jsonl")) || lm_str_ends(name, LM_STR(".jsonl.gz")) ||
           lm_str_ends(name, LM_STR(".jsonl.zst"));
}

/* Keeps, of files[from..), the records that lie directly in their folder; only documents.jsonl* if there. */
static void keep_records(struct lm_file_list *files, size_t from)
{
    bool is_stage_output = false;
    size_t len = from;
    for (size_t i = from; i < files->len; i++) {
        const struct lm_str name = lm_str(files->items[i].relative);
        if (strchr(files->items[i].relative, '/') || !lm_document_is_records(name))
            continue;
        is_stage_output = is_stage_output || lm_str_starts(name, LM_STR("documents.jsonl"));
        files->items[len++] = files->items[i];
    }
    files->len = len;
    if (!is_stage_output)
        return;
    len = from;
    for (size_t i = from; i < files->len; i++)
        if (lm_str_starts(lm_str(files->items[i].relative), LM_STR("documents.jsonl")))
            files->items[len++] = files->items[i];
    files->len = len;
}

static enum lm_rc add_path(struct lm_file_list *files, const char *path, struct lm_err *err)
{
    const size_t from = files->len;
    if (strcmp(path, "-") == 0) {   // standard input
        lm_grow(&files->items, &files->cap, from + 1, sizeof(*files->items));
        files->items[files->len++] = (struct lm_file_entry){ .path = "-", .relative = "-" };
        return LM_OK;
    }
    LM_TRY(lm_file_walk(path, files, err));
    if (lm_path_is_dir(path))
        keep_records(files, from);
    if (files->len == from)
        return lm_fail(err, LM_ENOENT,
                       "'%s' holds no documents: expected .jsonl, .jsonl.gz or .jsonl.zst files", path);
    return LM_OK;
}

enum lm_rc lm_document_open(const char *const *paths, size_t count, struct lm_document_reader **ret,
                            struct lm_err *err)
{
    struct lm_document_reader *r = lm_zalloc(1, sizeof(*r));
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; rc == LM_OK && i < count; i++)
        rc = add_path(&r->files, paths[i], err);
    if (rc != LM_OK) {
        lm_document_close(r);
        return rc;
    }
    *ret = r;
    return LM_OK;
}

/* The next line that is not blank, of this file or one of the next. */
static enum lm_rc next_line(struct lm_document_reader *r, struct lm_str *ret, struct lm_err *err)
{
    for (;;) {
        if (!r->lines) {
            if (r->next == r->files.len)
                return LM_ENOTHING;
            LM_TRY(lm_line_open(r->files.items[r->next++].path, 0, &r->lines, err));
        }
        const enum lm_rc rc = lm_line_next(r->lines, ret, err);
        if (rc == LM_OK && lm_str_trim(*ret).len)
            return LM_OK;
        if (rc == LM_ENOTHING) {
            lm_line_close(r->lines);
            r->lines = NULL;
        } else if (rc != LM_OK) {
            return rc;
        }
    }
}

static enum lm_rc parse_line(struct lm_document_reader *r, struct lm_str line, struct lm_arena *arena,
                             struct lm_document *ret, struct lm_err *err)
{
    const struct lm_file_entry *file = &r->files.items[r->next - 1];
    const uint64_t number = lm_line_number(r->lines);
    const char *name = lm_arena_printf(arena, "%s:%" PRIu64, file->path, number);
    const char *place = lm_arena_printf(arena, "%s:%" PRIu64, file->relative, number);
    LM_TRY(lm_document_parse(line, name, arena, ret, err));
    if (ret->source.len == 0)
        ret->source = lm_str(lm_arena_strndup(arena, file->relative, strlen(file->relative)));
    lm_document_settle(ret, ret->source, lm_str(place), arena);
    return LM_OK;
}

enum lm_rc lm_document_next(struct lm_document_reader *r, struct lm_document *ret, struct lm_err *err)
{
    struct lm_str line;
    LM_TRY(next_line(r, &line, err));
    lm_arena_reset(&r->arena);
    return parse_line(r, line, &r->arena, ret, err);
}

enum lm_rc lm_document_next_into(struct lm_document_reader *r, struct lm_arena *arena,
                                 struct lm_document *ret, struct lm_err *err)
{
    struct lm_str line;
    LM_TRY(next_line(r, &line, err));
    line.ptr = lm_arena_strndup(arena, line.ptr, line.len);   // the reader's buffer is used again
    return parse_line(r, line, arena, ret, err);
}

void lm_document_close(struct lm_document_reader *r)
{
    if (!r)
        return;
    lm_line_close(r->lines);
    lm_file_list_release(&r->files);
    lm_arena_release(&r->arena);
    free(r);
}
