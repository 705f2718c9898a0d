#ifndef LM_BASE_BASE64_H
#define LM_BASE_BASE64_H
/* base/base64.h - bytes as text of 64 characters, with padding: RFC 4648, section 4. */

#include "base/mem.h"
#include "base/str.h"

/* Both append. */
void lm_base64_put(struct lm_str bytes, struct lm_buf *ret);
bool lm_base64_get(struct lm_str text,
                   struct lm_buf *ret);   // false: it is none, also where bits are left over

#endif
