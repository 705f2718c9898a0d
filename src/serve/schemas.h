#ifndef LM_SERVE_SCHEMAS_H
#define LM_SERVE_SCHEMAS_H
/* serve/schemas.h - compiled response formats of one model, kept for the next request that brings the same.
 *
 * Compiling is done by the thread that asks, within the limits of infer/constraint.h.  What is kept has a
 * ceiling in bytes of memory; beyond it the one unused for longest goes first.  In use means kept.  Any
 * thread. */

#include "infer/constraint.h"

struct lm_schemas;
struct lm_schemas *lm_schemas_new(const struct lm_tokenizer *tokenizer, size_t bytes_max);
void lm_schemas_free(struct lm_schemas *s);   // nothing may be in use; NULL is fine

struct lm_schema;
/* Errors are those of lm_constraint_new.  Give it back when the answer is over. */
enum lm_rc lm_schemas_take(struct lm_schemas *s, enum lm_constraint_kind kind, struct lm_str source,
                           struct lm_schema **ret, struct lm_err *err);
void lm_schemas_give(struct lm_schemas *s, struct lm_schema *schema);   // NULL is fine

const struct lm_constraint *lm_schema_constraint(const struct lm_schema *schema);
size_t lm_schemas_bytes(struct lm_schemas *s);   // kept now

#endif
