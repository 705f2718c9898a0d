#ifndef LM_TOKEN_NORMAL_H
#define LM_TOKEN_NORMAL_H
/* token/normal.h - the normaliser that some families (Qwen2) put before the pre-tokeniser. */

#include "base/str.h"

/* The text in NFC: itself when it is already, else what is written into buf.  Text that is not UTF-8 stays as
 * it is, so that decoding gives the same bytes back. */
struct lm_str lm_token_nfc(struct lm_str text, struct lm_buf *buf);

#endif
