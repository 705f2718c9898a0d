#ifndef LM_TOKEN_NORMAL_H
#define LM_TOKEN_NORMAL_H
/* token/normal.h - the normaliser that some families (Qwen2) put before the pre-tokeniser. */

#include "base/str.h"

enum lm_normal_form { LM_FORM_NFC, LM_FORM_NFD, LM_FORM_NFKC, LM_FORM_NFKD, LM_FORM_COUNT };

/* The text in a normal form: as lm_token_nfc. */
struct lm_str lm_token_form(enum lm_normal_form form, struct lm_str text, struct lm_buf *buf);

/* The text in NFC: itself when it is already, else what is written into buf.  Bytes that are not UTF-8 stay
 * as they are, so that decoding gives them back; characters newer than Unicode 9.0 do, as in Hugging Face. */
struct lm_str lm_token_nfc(struct lm_str text, struct lm_buf *buf);

/* Whether text may be cut before this character and both sides normalised apart. */
bool lm_token_form_boundary(enum lm_normal_form form, uint32_t cp);

/* The combining class by which normalising puts marks in order; 0: a character keeps its place. */
uint8_t lm_token_form_class(uint32_t cp);

#endif
