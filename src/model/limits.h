#ifndef LM_MODEL_LIMITS_H
#define LM_MODEL_LIMITS_H
/* model/limits.h - the bounds of lm_model_config, for readers that want to name the place of a wrong value.
 * Private to this module. */

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* offset: of an int64_t in struct lm_model_config.  LM_ELIMIT begins with `what`; NULL: the field's name. */
enum lm_rc lm_model_limit_check(size_t offset, int64_t value, const char *what, struct lm_err *err);

#endif
