#include "cli/hub.h"

#include <jansson.h>
#include <stdlib.h>

enum { LISTING_BYTES_MAX = 32 << 20, PATH_BYTES_MAX = 512 };

static const char scheme[] = "hf://";

bool lm_hub_is_name(const char *source)
{
    return strncmp(source, scheme, strlen(scheme)) == 0;
}

/* ---- names ---- */

/* Letters, digits, dot, dash and underscore; not a dot first. */
static bool is_word(struct lm_str s)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    if (s.len == 0 || s.len > LM_HUB_NAME_MAX || s.ptr[0] == '.')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!s.ptr[i] || !strchr(allowed, s.ptr[i]))
            return false;
    return true;
}

/* Words with slashes between them: neither ".." nor a hidden file nor an absolute name. */
static bool is_path(struct lm_str s)
{
    struct lm_str word;
    if (s.len == 0 || s.len > PATH_BYTES_MAX)
        return false;
    while (lm_str_split(&s, '/', &word))
        if (!is_word(word))
            return false;
    return true;
}

static bool take_word(struct lm_str s, char ret[LM_HUB_NAME_MAX + 1])
{
    if (!is_word(s))
        return false;
    memcpy(ret, s.ptr, s.len);
    ret[s.len] = '\0';
    return true;
}

enum lm_rc lm_hub_name_parse(const char *source, struct lm_hub_name *ret, struct lm_err *err)
{
    struct lm_str rest = lm_str(source), owner = { 0 }, name = { 0 }, revision = LM_STR("main"), word;
    *ret = (struct lm_hub_name){ 0 };
    rest.ptr += strlen(scheme), rest.len -= strlen(scheme);
    bool good = lm_str_split(&rest, '/', &owner) && rest.ptr && lm_str_split(&rest, '/', &word);
    if (good) {
        const char *at = memchr(word.ptr, '@', word.len);
        name = (struct lm_str){ word.ptr, at ? (size_t)(at - word.ptr) : word.len };
        if (at)
            revision = (struct lm_str){ at + 1, word.len - name.len - 1 };
        if (rest.ptr) {
            ret->file = rest.ptr;
            good = is_path(rest) && lm_str_ends(rest, LM_STR(".gguf"));
        }
    }
    if (good && take_word(owner, ret->owner) && take_word(name, ret->name) &&
        take_word(revision, ret->revision))
        return LM_OK;
    return lm_fail(err, LM_EINVAL, "'%s' is no model of a hub: write hf://OWNER/NAME[@REVISION][/FILE.gguf]",
                   source);
}

/* ---- listings ---- */

static enum lm_rc add_file(struct lm_hub_listing *l, const json_t *sibling, const char *where,
                           struct lm_err *err)
{
    const char *name = json_string_value(json_object_get(sibling, "rfilename"));
    if (!name)
        return lm_fail(err, LM_EFORMAT, "%s: an entry of 'siblings' has no 'rfilename'", where);
    const struct lm_str s = lm_str(name);
    if (s.ptr[0] == '.' || lm_str_ends(s, LM_STR("/")))   // .gitattributes
        return LM_OK;
    if (!is_path(s))   // such files are nobody's weights; a "../" must not be followed
        return LM_OK;
    struct lm_hub_file *file = &l->files[l->count++];
    *file = (struct lm_hub_file){ .name = lm_arena_strdup(&l->arena, name), .bytes = UINT64_MAX };
    const json_t *lfs = json_object_get(sibling, "lfs"), *size = json_object_get(sibling, "size");
    const char *sha256 = json_string_value(json_object_get(lfs, "sha256"));
    if (!sha256)
        sha256 = json_string_value(json_object_get(lfs, "oid"));
    if (sha256 && strlen(sha256) == LM_SHA256_HEX - 1)
        memcpy(file->sha256, sha256, LM_SHA256_HEX);
    if (json_is_integer(size) && json_integer_value(size) >= 0)
        file->bytes = (uint64_t)json_integer_value(size);
    return LM_OK;
}

static enum lm_rc read_listing(const json_t *root, const char *where, struct lm_hub_listing *ret,
                               struct lm_err *err)
{
    const json_t *siblings = json_object_get(root, "siblings");
    const char *commit = json_string_value(json_object_get(root, "sha"));
    if (!commit || !take_word(lm_str(commit), ret->commit) || !json_is_array(siblings))
        return lm_fail(err, LM_EFORMAT, "%s: the answer has no 'sha' or no list 'siblings'", where);
    if (json_array_size(siblings) > LM_HUB_FILES_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: %zu files are more than %d", where, json_array_size(siblings),
                       LM_HUB_FILES_MAX);
    ret->files = lm_zalloc(json_array_size(siblings) + 1, sizeof *ret->files);
    for (size_t i = 0; i < json_array_size(siblings); i++)
        LM_TRY(add_file(ret, json_array_get(siblings, i), where, err));
    return LM_OK;
}

enum lm_rc lm_hub_listing_parse(struct lm_str json, const char *where, struct lm_hub_listing *ret,
                                struct lm_err *err)
{
    json_error_t problem;
    *ret = (struct lm_hub_listing){ 0 };
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &problem);
    if (!root)
        return lm_fail(err, LM_EFORMAT, "%s: line %d: the answer is no JSON: %s", where, problem.line,
                       problem.text);
    const enum lm_rc rc = read_listing(root, where, ret, err);
    json_decref(root);
    if (rc != LM_OK)
        lm_hub_listing_release(ret);
    return rc;
}

void lm_hub_listing_release(struct lm_hub_listing *l)
{
    free(l->files);
    lm_arena_release(&l->arena);
    *l = (struct lm_hub_listing){ 0 };
}

/* Without a slash at the end. */
static int hub_len(const char *hub)
{
    size_t len = strlen(hub);
    while (len > 0 && hub[len - 1] == '/')
        len--;
    return (int)len;
}

char *lm_hub_url(const char *hub, const struct lm_hub_name *name, const char *commit, const char *file)
{
    struct lm_buf url = { 0 };
    lm_buf_printf(&url, "%.*s/%s/%s/resolve/%s/%s", hub_len(hub), hub, name->owner, name->name, commit, file);
    return lm_buf_take(&url);
}

enum lm_rc lm_hub_list(const struct lm_fetch *f, const char *hub, const struct lm_hub_name *name,
                       struct lm_hub_listing *ret, struct lm_err *err)
{
    struct lm_buf url = { 0 }, json = { 0 };
    lm_buf_printf(&url, "%.*s/api/models/%s/%s/revision/%s?blobs=true", hub_len(hub), hub, name->owner,
                  name->name, name->revision);
    enum lm_rc rc = lm_fetch_text(f, url.ptr, LISTING_BYTES_MAX, &json, err);
    if (rc == LM_OK)
        rc = lm_hub_listing_parse(lm_buf_str(&json), url.ptr, ret, err);
    lm_buf_release(&url);
    lm_buf_release(&json);
    return rc;
}
