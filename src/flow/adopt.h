#ifndef LM_FLOW_ADOPT_H
#define LM_FLOW_ADOPT_H
/* flow/adopt.h - a model made elsewhere becomes an artifact, together with the review that judged it.
 *
 *     import   the model's files; its source is the fingerprint of the model (model/fingerprint.h)
 *     review   the files of a folder that `loom review` made; made of the import, its source is the SHA-256
 * of review.json
 *
 * The review must name the model's fingerprint: the verdict on one model is never that on another. */

#include "store/artifact.h"

/* LM_EDENIED when the review judged other models only; LM_ENOENT when there is no review.json.  The same
 * model and review again give the same artifacts. */
enum lm_rc lm_adopt(const char *store_dir, const char *model_path, const char *review_dir,
                    struct lm_arena *arena, struct lm_artifact *ret_model, struct lm_artifact *ret_review,
                    struct lm_err *err);

/* What of an artifact lm_model_open takes: its folder, or the GGUF file in it.  In the arena. */
const char *lm_artifact_model_path(const struct lm_artifact *artifact, struct lm_arena *arena);

#endif
