#ifndef LM_INFER_CONSTRAINT_SCHEMA_H
#define LM_INFER_CONSTRAINT_SCHEMA_H
/* infer/constraint_schema.h - what the files of the JSON Schema front end share.
 *
 * A value must satisfy a conjunction: several schemas at once, as `allOf`, a `$ref` with brothers, or a
 * choice of `anyOf` beside other keywords make them.  lm_schema_gather sorts its keywords into a view; each
 * type of value then has a function that turns a view into a fragment.  What takes part in recursion is a
 * rule. */

#include "infer/constraint_nfa.h"
#include "infer/constraint_tree.h"

enum { LM_SCHEMA_PARTS_MAX = 24, LM_SCHEMA_FORMATS_MAX = 16 };

enum lm_schema_how {
    LM_PART_WHOLE,
    LM_PART_BARE,     // its references, allOf, anyOf and oneOf stand beside it as parts of their own
    LM_PART_CHOICE,   // an array of schemas, one of which must hold
};

struct lm_schema_part {
    const struct lm_tree *node;
    enum lm_schema_how how;
};

struct lm_schema_conj {
    struct lm_schema_part parts[LM_SCHEMA_PARTS_MAX];
    size_t count;
};

enum lm_schema_slot {
    LM_SLOT_TYPE,
    LM_SLOT_ENUM,
    LM_SLOT_CONST,
    LM_SLOT_MINIMUM,
    LM_SLOT_MAXIMUM,
    LM_SLOT_EXCLUSIVE_MINIMUM,
    LM_SLOT_EXCLUSIVE_MAXIMUM,
    LM_SLOT_MULTIPLE_OF,
    LM_SLOT_MIN_LENGTH,
    LM_SLOT_MAX_LENGTH,
    LM_SLOT_PATTERN,
    LM_SLOT_FORMAT,
    LM_SLOT_ITEMS,
    LM_SLOT_PREFIX_ITEMS,
    LM_SLOT_MIN_ITEMS,
    LM_SLOT_MAX_ITEMS,
    LM_SLOT_PROPERTIES,
    LM_SLOT_REQUIRED,
    LM_SLOT_ADDITIONAL,
    LM_SLOT_MIN_PROPERTIES,
    LM_SLOT_MAX_PROPERTIES,
    LM_SLOT_COUNT,
};

/* The values of one keyword, from all schemas that have it. */
struct lm_schema_values {
    const struct lm_tree *items[LM_SCHEMA_PARTS_MAX];
    size_t count;
};

enum lm_schema_type {
    LM_TYPE_NULL = 1,
    LM_TYPE_BOOLEAN = 2,
    LM_TYPE_INTEGER = 4,
    LM_TYPE_FRACTION = 8,   // a number that is no integer
    LM_TYPE_STRING = 16,
    LM_TYPE_ARRAY = 32,
    LM_TYPE_OBJECT = 64,
    LM_TYPE_ALL = 127,
};

struct lm_schema_view {
    struct lm_schema_values slots[LM_SLOT_COUNT];
    struct lm_schema_conj bare;   // the schemas with keywords of their own, bare
    struct lm_schema_conj choices;
    unsigned types;   // allowed
    bool never;       // `false` is among the schemas
};

struct lm_schema_rule {
    struct lm_schema_conj conj;
    uint32_t rule;
};

struct lm_schema {
    struct lm_nfa *a;
    const struct lm_tree *root;
    struct lm_schema_rule *rules;
    size_t rule_count, rule_cap;
    size_t depth;
    uint32_t format_rules[LM_SCHEMA_FORMATS_MAX];   // rule + 1
};

/* Fails with the place of `at`. */
void lm_schema_refuse(struct lm_schema *s, const struct lm_tree *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void lm_schema_refuse_limit(struct lm_schema *s, const struct lm_tree *at, const char *problem);

/* ---- constraint_schema_gather.c ---- */

void lm_schema_gather(struct lm_schema *s, const struct lm_schema_conj *conj, struct lm_schema_view *ret);
const struct lm_tree *lm_schema_target(struct lm_schema *s, const struct lm_tree *ref);   // NULL: failed
void lm_schema_add_part(struct lm_schema *s, struct lm_schema_conj *conj, const struct lm_tree *node,
                        enum lm_schema_how how);
unsigned lm_schema_types(struct lm_schema *s, const struct lm_tree *type);   // of the keyword's value
unsigned lm_schema_type_of(const struct lm_tree *value);

/* A whole number of 0 or more that a keyword has as its value; false, refused, for others. */
bool lm_schema_size(struct lm_schema *s, const struct lm_tree *value, uint32_t *ret);
/* The largest (smallest) of the values; `fallback` if there is none. */
uint32_t lm_schema_size_most(struct lm_schema *s, const struct lm_schema_values *v, uint32_t fallback);
uint32_t lm_schema_size_least(struct lm_schema *s, const struct lm_schema_values *v, uint32_t fallback);

/* ---- constraint_schema.c ---- */

struct lm_frag lm_schema_frag(struct lm_schema *s, const struct lm_schema_conj *conj);
/* The same as a call of a rule, so that it may be repeated without copies of it. */
struct lm_frag lm_schema_call(struct lm_schema *s, const struct lm_schema_conj *conj);

/* ---- by type of value ---- */

struct lm_frag lm_schema_enum(struct lm_schema *s, const struct lm_schema_view *v);     // ..._enum.c
struct lm_frag lm_schema_number(struct lm_schema *s, const struct lm_schema_view *v);   // ..._scalar.c
struct lm_frag lm_schema_string(struct lm_schema *s, const struct lm_schema_view *v);
struct lm_frag lm_schema_array(struct lm_schema *s, const struct lm_schema_view *v);    // ..._array.c
struct lm_frag lm_schema_object(struct lm_schema *s, const struct lm_schema_view *v);   // ..._object.c

/* The numbers' bounds; false, refused, when they are not supported. */
struct lm_number_bounds;
bool lm_schema_bounds(struct lm_schema *s, const struct lm_schema_view *v, struct lm_number_bounds *ret);

/* No value satisfies both (as far as that is easy to see). ..._disjoint.c */
bool lm_schema_disjoint(struct lm_schema *s, const struct lm_tree *x, const struct lm_tree *y);

#endif
