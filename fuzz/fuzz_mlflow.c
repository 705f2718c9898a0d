/* What an MLflow server says: a name that is taken is a plain word, a mark has a short name. */
#include "cli/mlflow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = { "run.info.run_id", "runs.0.info.run_id", "experiment_id", "run_id" };
    const struct lm_str reply = { (const char *)data, size };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char id[LM_MLFLOW_ID_MAX];
        if (!lm_mlflow_reply_id(reply, paths[i], id))
            continue;
        const size_t len = strlen(id);
        LM_ASSERT(len > 0 && len < sizeof id);
        for (size_t k = 0; k < len; k++)
            LM_ASSERT(id[k] > ' ' && id[k] < 0x7f && !strchr("/?&'\"\\%", id[k]));
    }
    struct lm_track_marks marks = { 0 };
    char token[LM_MLFLOW_TOKEN_MAX];
    size_t points;
    if (lm_mlflow_reply_history(reply, &points, token))
        LM_ASSERT(points <= size && strlen(token) < size);
    (void)lm_mlflow_reply_names(reply, &marks);
    LM_ASSERT(marks.count <= LM_TRACK_NAMES_MAX);
    for (size_t i = 0; i < marks.count; i++)
        LM_ASSERT(strnlen(marks.marks[i].name, LM_TRACK_NAME_BYTES_MAX) < LM_TRACK_NAME_BYTES_MAX);
    return 0;
}
