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

/* Whole numbers come as numbers, or as text where they are 64 bits wide. */
static bool whole(const json_t *value, int64_t *ret)
{
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return true;
    }
    return json_is_string(value) && lm_str_to_i64(lm_str(json_string_value(value)), ret);
}

bool lm_mlflow_reply_marks(struct lm_str reply, struct lm_track_marks *ret)
{
    json_t *root = load(reply);
    const json_t *metrics = at_path(root, LM_STR("run.data.metrics"));
    const bool is_run = json_is_object(at_path(root, LM_STR("run.info")));
    size_t i;
    json_t *metric;
    json_array_foreach((json_t *)(uintptr_t)metrics, i, metric)
    {
        const char *key = json_string_value(json_object_get(metric, "key"));
        int64_t step = 0;   // the server leaves a step of 0 out
        const json_t *said = json_object_get(metric, "step");
        if (key && (!said || whole(said, &step)))
            lm_track_marks_note(ret, lm_str(key), step);
    }
    json_decref(root);
    return is_run;
}
