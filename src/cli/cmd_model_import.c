/* cli/cmd_model_import.c - a model from elsewhere becomes a folder here: whole, verified, with a record of
 * what it is.
 *
 * Everything goes into OUT.part, which becomes OUT at the end.  What was being downloaded when it was
 * interrupted stays there, and the same command goes on. */

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/hub.h"
#include "cli/model.h"
#include "model/hf_config.h"
#include "model/hf_shards.h"
#include "model/model.h"

#include <stdlib.h>
#include <unistd.h>

enum { TOKEN_BYTES_MAX = 4096 };

// clang-format off
/* Files of a folder that are taken along, in this order: what can refuse the model comes first. */
static const char *const small_files[] = {
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "chat_template.jinja",
    "README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "USE_POLICY.md", "modules.json",
    "sentence_bert_config.json", "1_Pooling/config.json", "model.safetensors.index.json",
};
// clang-format on

struct import {
    struct lm_cli *cli;
    const struct lm_model_cli_config *options;
    const char *source, *dir;   // dir: OUT.part
    const char *revision;       // commit of a hub, or NULL
    const char *gguf;           // name of the file, if it is one
    struct lm_fetch fetch;
};

/* ---- the files of a folder ---- */

/* model.safetensors, model-00001-of-00002.safetensors; not those of adapters or of other layouts. */
static bool is_weights(struct lm_str name)
{
    return lm_str_starts(name, LM_STR("model")) && lm_str_ends(name, LM_STR(".safetensors")) &&
           !memchr(name.ptr, '/', name.len);
}

static char *path_in(const struct import *m, const char *name)
{
    return lm_path_join(m->dir, name);
}

static enum lm_rc make_parent(const char *path, struct lm_err *err)
{
    LM_FREE char *parent = lm_strdup(path);
    parent[lm_path_base(parent) - parent - 1] = '\0';
    return lm_dir_make(parent, err);
}

static bool is_config(const char *name)
{
    return strcmp(name, "config.json") == 0;
}

/* Refused before the weights come, not after. */
static enum lm_rc check_config(const struct import *m, struct lm_err *err)
{
    struct lm_model_config config;
    uint32_t biases;
    return lm_hf_config_load(m->dir, &config, &biases, err);
}

/* ---- split files: x-00001-of-00003.gguf is the first of three ---- */

enum { NUMBER_AT = 20, NUMBER_DIGITS = 5, PARTS_MAX = 1000 };   // the number begins 20 bytes before the end

/* 1 for a file that is whole. */
static int part_count(const char *name)
{
    const size_t len = strlen(name);
    char first[2 * NUMBER_AT];
    int64_t count = 1;
    if (len <= NUMBER_AT)
        return 1;
    const struct lm_str digits = { name + len - strlen("00003.gguf"), NUMBER_DIGITS };
    if (!lm_str_to_i64(digits, &count) || count < 1 || count > PARTS_MAX)
        return 1;
    snprintf(first, sizeof first, "-00001-of-%05d.gguf", (int)count);
    return lm_str_ends(lm_str(name), lm_str(first)) ? (int)count : 1;
}

/* Changes the name of the first part to that of another; leaves that of a whole file. */
static void name_part(char *name, int part)
{
    char number[16];
    if (part == 1 && part_count(name) == 1)
        return;
    snprintf(number, sizeof number, "%05d", part);
    memcpy(name + strlen(name) - (NUMBER_AT - 1), number, NUMBER_DIGITS);
}

/* ---- from this machine ---- */

static enum lm_rc copy_one(const struct import *m, const char *name, struct lm_err *err)
{
    LM_FREE char *from = lm_path_join(m->source, name), *to = path_in(m, name);
    LM_TRY(make_parent(to, err));
    return lm_file_copy(from, to, err);
}

static enum lm_rc copy_folder(const struct import *m, struct lm_err *err)
{
    for (size_t i = 0; i < sizeof small_files / sizeof small_files[0]; i++) {
        LM_FREE char *from = lm_path_join(m->source, small_files[i]);
        if (!is_config(small_files[i]) && !lm_path_exists(from))
            continue;
        LM_TRY(copy_one(m, small_files[i], err));
        if (is_config(small_files[i]))
            LM_TRY(check_config(m, err));
    }
    struct lm_file_list files = { 0 };
    enum lm_rc rc = lm_file_walk(m->source, &files, err);
    for (size_t i = 0; i < files.len && rc == LM_OK; i++)
        if (is_weights(lm_str(files.items[i].relative)))
            rc = copy_one(m, files.items[i].relative, err);
    lm_file_list_release(&files);
    return rc;
}

/* A GGUF file; of a split set all files. */
static enum lm_rc copy_file(struct import *m, struct lm_err *err)
{
    struct lm_model model = { 0 };
    LM_TRY(lm_model_open(m->source, &model, err));   // refuses what is none, and looks for the other parts
    lm_model_close(&model);
    m->gguf = lm_path_base(m->source);
    LM_FREE char *from = lm_strdup(m->source);
    for (int part = 1; part <= part_count(m->gguf); part++) {
        name_part(from, part);
        LM_FREE char *to = path_in(m, lm_path_base(from));
        LM_TRY(lm_file_copy(from, to, err));
    }
    return LM_OK;
}

/* ---- from a hub ---- */

static const struct lm_hub_file *find_file(const struct lm_hub_listing *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->files[i].name, name) == 0)
            return &l->files[i];
    return NULL;
}

static enum lm_rc download(const struct import *m, const char *url, const struct lm_hub_file *file,
                           struct lm_err *err)
{
    LM_FREE char *to = path_in(m, file->name);
    if (lm_path_exists(to))   // of an earlier attempt at the same revision
        return LM_OK;
    LM_TRY(make_parent(to, err));
    struct lm_fetch_file wanted = { .url = url, .path = to, .bytes = file->bytes };
    memcpy(wanted.sha256, file->sha256, sizeof wanted.sha256);
    return lm_fetch_file(&m->fetch, &wanted, err);
}

static enum lm_rc download_one(const struct import *m, const struct lm_hub_name *name,
                               const struct lm_hub_listing *l, const struct lm_hub_file *file,
                               struct lm_err *err)
{
    LM_FREE char *url = lm_hub_url(m->options->hub, name, l->commit, file->name);
    return download(m, url, file, err);
}

/* What the model offers instead, so that the next command is right. */
static enum lm_rc fail_without_folder(const struct import *m, const struct lm_hub_listing *l,
                                      struct lm_err *err)
{
    for (size_t i = 0; i < l->count; i++)
        if (lm_str_ends(lm_str(l->files[i].name), LM_STR(".gguf")))
            return lm_fail(err, LM_ENOENT,
                           "%s has no config.json with safetensors; it has GGUF files: name one, as "
                           "in '%s/%s'",
                           m->source, m->source, l->files[i].name);
    return lm_fail(err, LM_ENOENT, "%s has neither config.json with safetensors nor GGUF files", m->source);
}

static enum lm_rc download_folder(const struct import *m, const struct lm_hub_name *name,
                                  const struct lm_hub_listing *l, struct lm_err *err)
{
    size_t weights = 0;
    for (size_t i = 0; i < l->count; i++)
        weights += is_weights(lm_str(l->files[i].name));
    if (weights == 0 || !find_file(l, "config.json"))
        return fail_without_folder(m, l, err);
    for (size_t i = 0; i < sizeof small_files / sizeof small_files[0]; i++) {
        const struct lm_hub_file *file = find_file(l, small_files[i]);
        if (file)
            LM_TRY(download_one(m, name, l, file, err));
        if (is_config(small_files[i]))
            LM_TRY(check_config(m, err));
    }
    for (size_t i = 0; i < l->count; i++)
        if (is_weights(lm_str(l->files[i].name)))
            LM_TRY(download_one(m, name, l, &l->files[i], err));
    return LM_OK;
}

/* Parts of another revision, or of another model, are of no use. */
static enum lm_rc keep_parts_of(const struct import *m, const char *what, struct lm_err *err)
{
    LM_FREE char *mark = path_in(m, ".import");
    struct lm_buf old = { 0 };
    const bool same = lm_path_exists(mark) && lm_file_read(mark, 4096, &old, NULL) == LM_OK &&
                      lm_str_eq(lm_buf_str(&old), lm_str(what));
    lm_buf_release(&old);
    if (same)
        return LM_OK;
    LM_TRY(lm_path_remove(m->dir, err));
    LM_TRY(lm_dir_make(m->dir, err));
    return lm_file_write(mark, lm_str(what), err);
}

static enum lm_rc download_gguf(struct import *m, const struct lm_hub_name *name,
                                const struct lm_hub_listing *l, struct lm_err *err)
{
    LM_FREE char *file = lm_strdup(name->file);
    m->gguf = lm_path_base(name->file);
    for (int part = 1; part <= part_count(name->file); part++) {
        name_part(file, part);
        const struct lm_hub_file *found = find_file(l, file);
        if (!found)
            return lm_fail(err, LM_ENOENT, "%s: there is no file '%s' in revision %s", m->source, file,
                           name->revision);
        LM_FREE char *url = lm_hub_url(m->options->hub, name, l->commit, file);
        struct lm_hub_file flat = *found;
        flat.name = lm_path_base(file);
        LM_TRY(download(m, url, &flat, err));
    }
    return LM_OK;
}

static enum lm_rc from_hub(struct import *m, struct lm_err *err)
{
    struct lm_hub_name name;
    struct lm_hub_listing listing;
    LM_TRY(lm_hub_name_parse(m->source, &name, err));
    LM_TRY(lm_hub_list(&m->fetch, m->options->hub, &name, &listing, err));
    m->revision = lm_arena_strdup(&m->cli->arena, listing.commit);
    char *mark = lm_arena_printf(&m->cli->arena, "%s %s %s", m->options->hub, m->source, listing.commit);
    enum lm_rc rc = keep_parts_of(m, mark, err);
    if (rc == LM_OK && name.file) {
        rc = download_gguf(m, &name, &listing, err);
    } else if (rc == LM_OK) {
        rc = download_folder(m, &name, &listing, err);
    }
    lm_hub_listing_release(&listing);
    return rc;
}

/* ---- from an address ---- */

static enum lm_rc from_url(struct import *m, struct lm_err *err)
{
    const size_t len = strcspn(m->source, "?#");
    char *path = lm_arena_strndup(&m->cli->arena, m->source, len);
    struct lm_hub_file file = { .name = lm_path_base(path), .bytes = UINT64_MAX };
    if (!lm_str_ends(lm_str(file.name), LM_STR(".gguf")) || file.name[0] == '.')
        return lm_fail(err, LM_EINVAL,
                       "'%s' is not the address of a GGUF file; folders come from hf://OWNER/NAME",
                       m->source);
    m->gguf = file.name;
    LM_TRY(keep_parts_of(m, m->source, err));
    for (int part = 1; part <= part_count(m->gguf); part++) {
        char *url = lm_arena_strdup(&m->cli->arena, m->source);   // with what follows the path
        url[len] = '\0';
        name_part(url, part);
        url[len] = m->source[len];
        file.name = lm_path_base(lm_arena_strndup(&m->cli->arena, url, len));
        LM_TRY(download(m, url, &file, err));
    }
    return LM_OK;
}

/* ---- the end ---- */

/* import.json: where every byte came from. */
static enum lm_rc write_record(const struct import *m, struct lm_str license, struct lm_buf *record,
                               struct lm_err *err)
{
    struct lm_file_list files = { 0 };
    lm_buf_putc(record, '{');
    lm_json_key_str(record, "source", lm_str(m->source));
    if (m->revision)
        lm_json_key_str(record, "revision", lm_str(m->revision));
    if (license.len > 0)
        lm_json_key_str(record, "license", license);
    lm_json_key(record, "files");
    lm_buf_putc(record, '[');
    enum lm_rc rc = lm_file_walk(m->dir, &files, err);
    for (size_t i = 0; i < files.len && rc == LM_OK; i++) {
        char sha256[LM_SHA256_HEX];
        rc = lm_sha256_file(files.items[i].path, sha256, err);
        lm_json_sep(record);
        lm_buf_putc(record, '{');
        lm_json_key_str(record, "name", lm_str(files.items[i].relative));
        lm_json_key_int(record, "bytes", (int64_t)files.items[i].size_bytes);
        lm_json_key_str(record, "sha256", lm_str(sha256));
        lm_buf_putc(record, '}');
    }
    lm_file_list_release(&files);
    lm_buf_puts(record, "]}");
    LM_FREE char *path = path_in(m, "import.json"), *mark = path_in(m, ".import");
    if (rc == LM_OK)
        rc = lm_file_write(path, lm_buf_str(record), err);
    if (rc == LM_OK)
        rc = lm_path_remove(mark, err);
    return rc;
}

/* Opens what came, reads every weight once, and puts it in its place. */
static enum lm_rc finish(const struct import *m, struct lm_err *err)
{
    struct lm_model model = { 0 };
    struct lm_buf record = { 0 };
    struct lm_arena *arena = &m->cli->arena;
    LM_FREE char *at = m->gguf ? path_in(m, m->gguf) : lm_strdup(m->dir);
    LM_TRY(lm_model_open(at, &model, err));
    const char *architecture = lm_archs[model.config.arch].name;
    const struct lm_str note = lm_model_note(&model, "license");
    const struct lm_str license = { lm_arena_strndup(arena, note.ptr, note.len), note.len };
    enum lm_rc rc = lm_model_check_finite(&model, err);
    lm_model_close(&model);
    if (rc == LM_OK)
        rc = write_record(m, license, &record, err);
    if (rc == LM_OK)
        rc = lm_path_rename(m->dir, m->options->out, err);
    if (rc == LM_OK) {
        LM_FREE char *path = m->gguf ? lm_path_join(m->options->out, m->gguf) : lm_strdup(m->options->out);
        struct lm_buf *r = &m->cli->result;
        lm_buf_putc(r, '{');
        lm_json_key_str(r, "model", lm_str(path));
        lm_json_key_str(r, "architecture", lm_str(architecture));
        lm_json_key(r, "record");
        lm_buf_add_str(r, lm_buf_str(&record));
        lm_buf_putc(r, '}');
        if (!m->cli->globals.json)
            printf("%s\n", path);
        lm_say("imported %s: a %s model, licence %s", path, architecture,
               license.len ? license.ptr : "not said");
    }
    lm_buf_release(&record);
    return rc;
}

static enum lm_rc read_token(struct import *m, struct lm_err *err)
{
    struct lm_buf text = { 0 };
    if (!m->options->token_file)
        return LM_OK;
    const enum lm_rc rc = lm_file_read(m->options->token_file, TOKEN_BYTES_MAX, &text, err);
    const struct lm_str token = lm_str_trim(lm_buf_str(&text));
    m->fetch.token = lm_arena_strndup(&m->cli->arena, token.ptr, token.len);
    lm_buf_release(&text);
    return rc;
}

enum lm_rc lm_model_import(struct lm_cli *cli, struct lm_err *err)
{
    struct import m = { .cli = cli, .options = cli->config[0], .source = cli->args[0] };
    if (!m.options->out)
        return lm_fail(err, LM_EINVAL, "--out is missing: it names the folder to make");
    if (lm_path_exists(m.options->out) && rmdir(m.options->out) != 0)
        return lm_fail(err, LM_EEXIST,
                       "'%s' exists and is not an empty folder; give another --out or remove it",
                       m.options->out);
    m.dir = lm_arena_printf(&cli->arena, "%s.part", m.options->out);
    m.fetch.bytes_max = (uint64_t)m.options->download_max * 1000000;
    LM_TRY(read_token(&m, err));
    const bool is_remote = lm_hub_is_name(m.source) || strstr(m.source, "://");
    enum lm_rc rc;
    if (lm_hub_is_name(m.source)) {
        rc = from_hub(&m, err);
    } else if (is_remote) {
        rc = from_url(&m, err);
    } else {
        LM_TRY(lm_path_remove(m.dir, err));
        LM_TRY(lm_dir_make(m.dir, err));
        rc = lm_path_is_dir(m.source) ? copy_folder(&m, err) : copy_file(&m, err);
    }
    if (rc == LM_OK)
        rc = finish(&m, err);
    if (rc != LM_OK && !is_remote)
        (void)lm_path_remove(m.dir, NULL);
    return rc;
}
