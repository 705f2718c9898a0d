/* token/load_path.c - a path to a tokenizer: which kind of file or folder is it? */
#include "token/compiled.h"
#include "token/load_other.h"

#include "base/file.h"
#include "token/write_files.h"

enum { FILE_BYTES_MAX = 512 << 20 };

/* ---- files, told apart by what is in them ---- */

static enum lm_rc load_tiktoken(struct lm_str file, const char *path, const char *encoding,
                                struct lm_tokenizer **ret, struct lm_err *err)
{
    struct lm_buf json = { 0 };
    enum lm_rc rc = lm_load_tiktoken(file, encoding, path, &json, err);
    if (rc == LM_OK)
        rc = lm_tokenizer_take(&json, path, true, ret, err);
    lm_buf_release(&json);
    return rc;
}

static enum lm_rc load_tekken(struct lm_str file, const char *path, struct lm_tokenizer **ret,
                              struct lm_err *err)
{
    struct lm_buf json = { 0 };
    enum lm_rc rc = lm_load_tekken(file, path, &json, err);
    if (rc == LM_OK)
        rc = lm_tokenizer_take(&json, path, true, ret, err);
    lm_buf_release(&json);
    return rc;
}

static enum lm_rc load_spm(struct lm_str file, const char *path, struct lm_tokenizer **ret,
                           struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct lm_tokenizer_parts parts;
    enum lm_rc rc = lm_load_spm(file, path, &arena, &parts, err);
    if (rc == LM_OK)
        rc = lm_tokenizer_from_parts(&parts, path, ret, err);
    lm_arena_release(&arena);
    return rc;
}

static bool is_compiled(const char *path)
{
    char start[8] = { 0 };
    FILE *file = fopen(path, "rb");
    const size_t len = file ? fread(start, 1, sizeof(start), file) : 0;
    if (file)
        (void)fclose(file);   // it was only read
    return lm_compiled_looks_like((struct lm_str){ start, len });
}

static enum lm_rc load_compiled(const char *path, struct lm_tokenizer **ret, struct lm_err *err)
{
    struct lm_map map = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_compiled_header header;
    LM_TRY(lm_map_open(&map, path, err));
    if (map.len >= sizeof(header)) {   // all but the tokenizer.json at the end is looked at
        memcpy(&header, map.ptr, sizeof(header));
        const uint64_t len = header.sections[LM_COMPILED_JSON].at;
        lm_map_populate(&map, 0, len < map.len ? len : map.len);
    }
    const enum lm_rc rc = lm_tokenizer_from_compiled((struct lm_str){ map.ptr, map.len }, path, &t, err);
    if (rc != LM_OK) {
        lm_map_close(&map);
        return rc;
    }
    t->map = map;
    *ret = t;
    return LM_OK;
}

static enum lm_rc load_file(const char *path, const char *encoding, struct lm_tokenizer **ret,
                            struct lm_err *err)
{
    struct lm_buf buf = { 0 };
    if (is_compiled(path))
        return load_compiled(path, ret, err);
    enum lm_rc rc = lm_file_read(path, FILE_BYTES_MAX, &buf, err);
    const struct lm_str file = lm_buf_str(&buf);
    if (rc == LM_OK && (encoding || lm_load_looks_like_tiktoken(file)))
        rc = load_tiktoken(file, path, encoding, ret, err);
    else if (rc == LM_OK && lm_load_looks_like_spm(file))
        rc = load_spm(file, path, ret, err);
    else if (rc == LM_OK && lm_load_looks_like_tekken(file))
        rc = load_tekken(file, path, ret, err);
    else if (rc == LM_OK)
        rc = lm_tokenizer_take(&buf, path, false, ret, err);
    lm_buf_release(&buf);
    return rc;
}

/* ---- folders ---- */

static enum lm_rc parse_written(enum lm_rc rc, struct lm_buf *json, const char *path,
                                struct lm_tokenizer **ret, struct lm_err *err)
{
    if (rc == LM_OK)
        rc = lm_tokenizer_take(json, path, false, ret, err);
    lm_buf_release(json);
    return rc;
}

static enum lm_rc load_json(const char *dir, const char *file, struct lm_tokenizer **ret, struct lm_err *err)
{
    (void)dir;
    return load_file(file, NULL, ret, err);
}

static enum lm_rc load_words(const char *dir, const char *file, struct lm_tokenizer **ret, struct lm_err *err)
{
    struct lm_buf json = { 0 };
    return parse_written(lm_load_vocab_txt(dir, file, &json, err), &json, file, ret, err);
}

static enum lm_rc load_merges(const char *dir, const char *file, struct lm_tokenizer **ret,
                              struct lm_err *err)
{
    struct lm_buf json = { 0 };
    return parse_written(lm_load_merges_txt(dir, &json, err), &json, file, ret, err);
}

/* tiktoken's ranks with their settings beside them. */
static enum lm_rc load_ranks(const char *dir, const char *file, struct lm_tokenizer **ret, struct lm_err *err)
{
    struct lm_buf ranks = { 0 }, settings = { 0 }, json = { 0 };
    LM_FREE char *beside = lm_path_join(dir, LM_TIKTOKEN_SETTINGS);
    enum lm_rc rc = lm_file_read(file, FILE_BYTES_MAX, &ranks, err);
    if (rc == LM_OK)
        rc = lm_file_read(beside, FILE_BYTES_MAX, &settings, err);
    if (rc == LM_OK)
        rc = lm_load_ranks(lm_buf_str(&ranks), lm_buf_str(&settings), dir, &json, err);
    if (rc == LM_OK)
        rc = lm_tokenizer_take(&json, dir, true, ret, err);
    lm_buf_release(&ranks);
    lm_buf_release(&settings);
    lm_buf_release(&json);
    return rc;
}

/* What a folder may hold; the first that is there counts. */
static const struct {
    const char *file;
    enum lm_rc (*load)(const char *dir, const char *file, struct lm_tokenizer **ret, struct lm_err *err);
} contents[] = {
    { "tokenizer.json", load_json },   { "vocab.txt", load_words },  { "merges.txt", load_merges },
    { LM_TIKTOKEN_RANKS, load_ranks }, { "tekken.json", load_json }, { "tokenizer.model", load_json },
};

static enum lm_rc load_folder(const char *path, struct lm_tokenizer **ret, struct lm_err *err)
{
    struct lm_tokenizer *t = NULL;
    size_t i = 0;
    for (; i + 1 < sizeof(contents) / sizeof(contents[0]); i++) {
        LM_FREE char *file = lm_path_join(path, contents[i].file);
        if (lm_path_exists(file))
            break;
    }
    LM_FREE char *model = lm_path_join(path, contents[i].file);
    if (!lm_path_exists(model))
        i = 0;   // the usual file, for the message
    LM_FREE char *file = lm_path_join(path, contents[i].file);
    LM_TRY(contents[i].load(path, file, &t, err));
    const enum lm_rc rc = lm_load_companions(t, path, err);
    if (rc == LM_OK)
        *ret = t;
    else
        lm_tokenizer_free(t);
    return rc;
}

/* "FILE:ENCODING" of a tiktoken file. */
static enum lm_rc load_named(const char *path, struct lm_tokenizer **ret, struct lm_err *err)
{
    const char *colon = strrchr(path, ':');
    if (!colon || colon == path)
        return load_file(path, NULL, ret, err);
    LM_FREE char *file = lm_strdup(path);
    file[colon - path] = 0;
    return lm_path_exists(file) ? load_file(file, colon + 1, ret, err) : load_file(path, NULL, ret, err);
}

enum lm_rc lm_tokenizer_load(const char *path, struct lm_tokenizer **ret, struct lm_err *err)
{
    if (lm_path_is_dir(path))
        return load_folder(path, ret, err);
    return lm_path_exists(path) ? load_file(path, NULL, ret, err) : load_named(path, ret, err);
}
