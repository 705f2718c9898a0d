#ifndef LM_BASE_JSON_H
#define LM_BASE_JSON_H
/* base/json.h - JSON in bulk: a writer into lm_buf and a pull reader over bytes in memory.
 *
 * For documents, shards and vocabularies, where text must run at memory speed.  Configuration and API
 * bodies use jansson.  RFC 8259; depth is limited; strings must be valid UTF-8 after decoding (a lone
 * surrogate becomes U+FFFD when `lax` is set and is an error otherwise). */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

/* Writer.  Fixed notation: no blanks, keys in the order written, so equal content is equal bytes. */
void lm_json_str(struct lm_buf *buf, struct lm_str s);   // quoted; invalid UTF-8 becomes U+FFFD
void lm_json_key(struct lm_buf *buf, const char *key);   // adds "," unless first in its object, then "key":
void lm_json_sep(struct lm_buf *buf);                    // "," unless directly after [ { : or a line end
void lm_json_num(struct lm_buf *buf, double value);      // shortest form that reads back; null if not finite
void lm_json_int(struct lm_buf *buf, int64_t value);
void lm_json_key_str(struct lm_buf *buf, const char *key, struct lm_str s);
void lm_json_key_int(struct lm_buf *buf, const char *key, int64_t value);
void lm_json_key_num(struct lm_buf *buf, const char *key, double value);
void lm_json_key_bool(struct lm_buf *buf, const char *key, bool value);

enum lm_json_kind {
    LM_JSON_END,   // end of input
    LM_JSON_OBJECT,
    LM_JSON_OBJECT_END,
    LM_JSON_ARRAY,
    LM_JSON_ARRAY_END,
    LM_JSON_KEY,
    LM_JSON_STRING,
    LM_JSON_NUMBER,
    LM_JSON_TRUE,
    LM_JSON_FALSE,
    LM_JSON_NULL,
};

enum { LM_JSON_DEPTH_MAX = 128 };

/* Borrows the input; decoded strings live in the arena (or in the input, when they hold no escape). */
struct lm_json_reader {
    const char *at, *end, *start;
    struct lm_arena *arena;
    struct lm_str text;   // key, string (decoded) or number (as written) of the current event
    const char *name;     // what is being read, for messages
    size_t depth;
    bool lax;
    uint8_t state[LM_JSON_DEPTH_MAX + 1];
};

void lm_json_open(struct lm_json_reader *r, struct lm_str input, const char *name, struct lm_arena *arena);
enum lm_rc lm_json_next(struct lm_json_reader *r, enum lm_json_kind *ret, struct lm_err *err);
enum lm_rc lm_json_skip(struct lm_json_reader *r, struct lm_err *err);   // the value that comes next, whole
size_t lm_json_offset(const struct lm_json_reader *r);                   // bytes from the start

/* Reads the next event, which must be of this kind; otherwise LM_EFORMAT and a sentence that names the place.
 */
enum lm_rc lm_json_want(struct lm_json_reader *r, enum lm_json_kind kind, struct lm_err *err);

#endif
