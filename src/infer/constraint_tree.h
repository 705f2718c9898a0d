#ifndef LM_INFER_CONSTRAINT_TREE_H
#define LM_INFER_CONSTRAINT_TREE_H
/* infer/constraint_tree.h - a JSON document in memory, to look things up in; JSON pointers (RFC 6901). */

#include "base/json.h"

struct lm_tree {
    enum lm_json_kind kind;   // OBJECT, ARRAY, STRING, NUMBER, TRUE, FALSE, NULL
    struct lm_str key;        // in an object
    struct lm_str text;       // of a string, decoded; of a number, as written
    const struct lm_tree *parent;
    struct lm_tree *first, *last, *next;   // children in order; brother
    size_t count;                          // children
    size_t index;                          // among the brothers
};

enum { LM_TREE_VALUES_MAX = 200000 };

/* Lives in the arena and borrows from the source. */
enum lm_rc lm_tree_read(struct lm_str source, const char *name, struct lm_arena *arena, struct lm_tree **ret,
                        struct lm_err *err);

/* The member of this name (the last, if there are several); NULL: none, or no object. */
const struct lm_tree *lm_tree_get(const struct lm_tree *object, const char *key);
const struct lm_tree *lm_tree_get_str(const struct lm_tree *object, struct lm_str key);

bool lm_tree_equal(const struct lm_tree *a, const struct lm_tree *b);   // numbers by value

/* Where the value stands, "/properties/a"; "" is the whole.  Cut to fit. */
enum { LM_TREE_POINTER_MAX = 256 };
const char *lm_tree_pointer(const struct lm_tree *at, char ret[LM_TREE_POINTER_MAX]);

/* What a pointer leads to; NULL: nothing. */
const struct lm_tree *lm_tree_find(const struct lm_tree *root, struct lm_str pointer);

/* The value as text without blanks. */
void lm_tree_write(const struct lm_tree *value, struct lm_buf *ret);

#endif
