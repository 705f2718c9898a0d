#ifndef LM_MODEL_FINGERPRINT_H
#define LM_MODEL_FINGERPRINT_H
/* model/fingerprint.h - which model it is, by its bytes: what a review judged, and what a registry adopts. */

#include "base/err.h"
#include "base/hash.h"

/* A GGUF file: the SHA-256 of its bytes, as sha256sum says it; of a split set that of all parts is not known,
 * and the first is refused with LM_EINVAL.  A folder: SHA-256 over the names and SHA-256 of the files
 * directly in it that decide what it answers: *.safetensors, *.json, *.jinja, *.txt, *.model, without loom's
 * own records (import.json, manifest.json).  Where the folder lies does not matter. */
enum lm_rc lm_model_fingerprint(const char *path, char ret[LM_SHA256_HEX], struct lm_err *err);

#endif
