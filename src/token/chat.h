#ifndef LM_TOKEN_CHAT_H
#define LM_TOKEN_CHAT_H
/* token/chat.h - between chat_setup.c (the template of a tokenizer) and chat.c (conversations to ids). */

#include "token/template.h"
#include "token/tokenizer_impl.h"

extern const char lm_chatml[];   // the template of models made here

/* bos_token and its sisters; how many there are. */
enum { LM_CHAT_OWN_MAX = 7 };
size_t lm_chat_own(const struct lm_tokenizer *t, struct lm_template_var ret[LM_CHAT_OWN_MAX]);

/* The ranges that are data; free() them. */
size_t lm_chat_plain(const struct lm_template_text *text, struct lm_span **ret);

/* The first special token at or behind `from`, when the template itself wrote it and all before it. */
bool lm_chat_special_at(const struct lm_tokenizer *t, const struct lm_template_text *text, size_t from,
                        struct lm_added_match *ret);

#endif
