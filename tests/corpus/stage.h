#ifndef LM_TESTS_CORPUS_STAGE_H
#define LM_TESTS_CORPUS_STAGE_H
/* tests/corpus/stage.h - small trees of files, stages run on them, and their output read back. */

#include "check.h"

#include "base/file.h"
#include "base/line.h"
#include "base/sys.h"
#include "corpus/corpus.h"
#include "corpus/document.h"

#include <stdio.h>
#include <stdlib.h>

static inline void put_file(const char *path, const char *text)
{
    char dir[256];
    snprintf(dir, sizeof(dir), "%.*s", (int)(lm_path_base(path) - path), path);
    if (*dir)
        assert_ok(lm_dir_make(dir, NULL));
    FILE *file = fopen(path, "w");   // not lm_file_write: hundreds of syncs take seconds
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static inline void fresh_dir(const char *path)
{
    assert_ok(lm_path_remove(path, NULL));
    assert_ok(lm_dir_make(path, NULL));
}

/* All lines of a file (plain or compressed), with LF; free() it. */
static inline char *lines_of(const char *path)
{
    struct lm_line_reader *r = NULL;
    struct lm_buf text = { 0 };
    struct lm_str line;
    assert_ok(lm_line_open(path, 0, &r, NULL));
    while (lm_line_next(r, &line, NULL) == LM_OK) {
        lm_buf_add_str(&text, line);
        lm_buf_putc(&text, '\n');
    }
    lm_line_close(r);
    return lm_buf_take(&text);
}

static inline size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

/* Byte for byte. */
static inline void assert_same_file(const char *a, const char *b)
{
    struct lm_buf x = { 0 }, y = { 0 };
    assert_ok(lm_file_read(a, 64 << 20, &x, NULL));
    assert_ok(lm_file_read(b, 64 << 20, &y, NULL));
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.ptr, y.ptr, x.len);
    lm_buf_release(&x);
    lm_buf_release(&y);
}

#endif
