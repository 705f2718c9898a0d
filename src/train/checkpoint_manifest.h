#ifndef LM_TRAIN_CHECKPOINT_MANIFEST_H
#define LM_TRAIN_CHECKPOINT_MANIFEST_H
/* train/checkpoint_manifest.h - what a checkpoint knows beside its tensors, as one JSON object. */

#include "train/checkpoint.h"

void lm_manifest_write(const struct lm_checkpoint_place *place, const struct lm_checkpoint *c,
                       const char *sha256, struct lm_buf *ret);

/* Takes every field, and the hash of the tensors' file.  LM_EFORMAT, with `name`, for what is none, or
 * another recipe's. */
enum lm_rc lm_manifest_parse(const struct lm_checkpoint_place *place, struct lm_str text, const char *name,
                             struct lm_checkpoint *c, char ret_sha256[LM_SHA256_HEX], struct lm_err *err);

#endif
