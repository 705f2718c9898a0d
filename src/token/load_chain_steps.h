#ifndef LM_TOKEN_LOAD_CHAIN_STEPS_H
#define LM_TOKEN_LOAD_CHAIN_STEPS_H
/* token/load_chain_steps.h - what the readers of a chain's components share: load_chain_normal.c,
 * load_chain_cut.c and load_chain_decode.c have a table each.  To add a component: a reader and a row. */

#include "base/json.h"
#include "token/load_chain.h"

/* A component that is being read. */
struct lm_step_reading {
    struct lm_token_load *l;
    struct lm_chain *c;
    const char *part, *list;   // "normalizer", "normalizers"
};

struct lm_step_reader {
    const char *type;
    enum lm_rc (*read)(struct lm_step_reading *r, const json_t *c, struct lm_err *err);
};

/* A component of the table, a Sequence of them, or null. */
enum lm_rc lm_step_sequence(struct lm_step_reading *r, const struct lm_step_reader *table, size_t count,
                            const json_t *c, struct lm_err *err);
enum lm_rc lm_step_refuse(struct lm_step_reading *r, const json_t *c, const char *option, struct lm_err *err);

/* Options: false when there is none of that kind.  Texts are copied into the chain. */
bool lm_step_flag(const json_t *c, const char *key, bool usual);
bool lm_step_text(struct lm_step_reading *r, const json_t *c, const char *key, struct lm_str *ret);
bool lm_step_character(struct lm_step_reading *r, const json_t *c, const char *key, struct lm_str *ret);
bool lm_step_size(const json_t *c, const char *key, size_t *ret);
bool lm_step_scheme(const json_t *c, enum lm_blank_prefix *ret);   // of a Metaspace

/* {"String":".."} or {"Regex":".."}; a regular expression. */
enum lm_rc lm_step_pattern(struct lm_step_reading *r, const json_t *c, struct lm_chain_pattern *ret,
                           struct lm_err *err);
enum lm_rc lm_step_regex(struct lm_step_reading *r, struct lm_str pattern, struct lm_chain_pattern *ret,
                         struct lm_err *err);

#endif
