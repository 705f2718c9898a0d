/* cli/mlflow_reply.c - taking apart what a server of others says. */

#include "cli/mlflow.h"

#include <jansson.h>

static json_t *load(struct lm_str reply)
{
    json_error_t error;
    return json_loadb(reply.ptr, reply.len, JSON_REJECT_DUPLICATES, &error);
}

/* Keys of objects and places of arrays, separated by points. */
static const json_t *at_path(const json_t *at, struct lm_str path)
{
    struct lm_str part;
    while (at && lm_str_split(&path, '.', &part)) {
        char key[32];
        int64_t index;
        LM_ASSERT(part.len < sizeof key);
        memcpy(key, part.ptr, part.len);
        key[part.len] = '\0';
        at = json_is_array(at) ? (lm_str_to_i64(part, &index) ? json_array_get(at, (size_t)index) : NULL)
                               : json_object_get(at, key);
    }
    return at;
}

static bool is_word(const char *s)
{
    return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == strlen(s);
}

bool lm_mlflow_reply_id(struct lm_str reply, const char *path, char ret[LM_MLFLOW_ID_MAX])
{
    json_t *root = load(reply);
    const char *id = json_string_value(at_path(root, lm_str(path)));
    const bool good = id && is_word(id) && strlen(id) < LM_MLFLOW_ID_MAX;
    if (good)
        memcpy(ret, id, strlen(id) + 1);
    json_decref(root);
    return good;
}

bool lm_mlflow_reply_names(struct lm_str reply, struct lm_track_marks *ret)
{
    json_t *root = load(reply);
    const json_t *metrics = at_path(root, LM_STR("run.data.metrics"));
    const bool is_run = json_is_object(at_path(root, LM_STR("run.info")));
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        const char *key = json_string_value(json_object_get(json_array_get(metrics, i), "key"));
        if (key)
            lm_track_marks_add(ret, lm_str(key), 0);
    }
    json_decref(root);
    return is_run;
}

bool lm_mlflow_reply_history(struct lm_str reply, size_t *ret_points, char ret_token[LM_MLFLOW_TOKEN_MAX])
{
    json_t *root = load(reply);
    const char *token = json_string_value(json_object_get(root, "next_page_token"));
    const bool good = json_is_object(root) && (!token || strlen(token) < LM_MLFLOW_TOKEN_MAX);
    if (good) {
        *ret_points = json_array_size(json_object_get(root, "metrics"));
        memcpy(ret_token, token ? token : "", token ? strlen(token) + 1 : 1);
    }
    json_decref(root);
    return good;
}
