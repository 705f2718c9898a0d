#ifndef LM_GOVERN_POLICY_VALUES_H
#define LM_GOVERN_POLICY_VALUES_H
/* govern/policy_values.h - values of a policy's file: each kind has a function that reads it to where it
 * goes.
 *
 * A map of the file has a table of its keys; a row says where the value goes and which function reads it. All
 * fail with LM_EFORMAT and a message of file, line and what was expected; names that are nearly right are
 * suggested. */

#include "base/yaml.h"
#include "govern/policy.h"

struct lm_policy_loader {
    struct lm_policy *p;
    const char *name;   // of the file, for messages
    struct lm_err *err;
};

typedef enum lm_rc lm_policy_read_fn(struct lm_policy_loader *l, const struct lm_yaml *node, void *target);

struct lm_policy_key {
    const char *name;
    lm_policy_read_fn *read;
    size_t offset;   // in the target
    bool required;
};

/* ---- values; the comment says what `target` points at ---- */

lm_policy_read_fn lm_policy_read_int;              // int64_t, 0 or more
lm_policy_read_fn lm_policy_read_bool;             // bool
lm_policy_read_fn lm_policy_read_string;           // const char *
lm_policy_read_fn lm_policy_read_strings;          // struct lm_strings
lm_policy_read_fn lm_policy_read_pairs;            // struct lm_pairs, of a map
lm_policy_read_fn lm_policy_read_pattern;          // struct lm_pattern, for texts in lower case
lm_policy_read_fn lm_policy_read_patterns;         // struct lm_patterns, for texts in any case
lm_policy_read_fn lm_policy_read_named_patterns;   // struct lm_named_patterns, of [[name, pattern], ...]

enum lm_rc lm_policy_read_map(struct lm_policy_loader *l, const struct lm_yaml *node,
                              const struct lm_policy_key *keys, size_t count, void *target);

#define READ_MAP(l, node, keys, target)                                                                      \
    lm_policy_read_map(l, node, keys, sizeof(keys) / sizeof((keys)[0]), target)

/* One of a list of words; its index.  `what` says in the message what the words are. */
enum lm_rc lm_policy_read_word(struct lm_policy_loader *l, const struct lm_yaml *node, const char *what,
                               struct lm_str value, const char *const *words, size_t count, size_t *ret);

#define READ_WORD(l, node, what, value, words, ret)                                                          \
    lm_policy_read_word(l, node, what, value, words, sizeof(words) / sizeof((words)[0]), ret)

/* ---- for readers of other kinds ---- */

enum lm_rc lm_policy_need(const struct lm_policy_loader *l, const struct lm_yaml *node,
                          enum lm_yaml_kind kind);
enum lm_rc lm_policy_fail_node(const struct lm_policy_loader *l, const struct lm_yaml *node,
                               const char *problem);
size_t lm_policy_count_children(const struct lm_yaml *node);

/* An array, in the policy's arena, for the children of a node; *ret_len is set to their number. */
void *lm_policy_make_items(struct lm_policy_loader *l, const struct lm_yaml *node, size_t size,
                           size_t *ret_len);

/* The name that is fewest changes away from a word; NULL while all are far from it. */
struct lm_policy_nearest {
    const char *word, *name;
    size_t distance;
};

struct lm_policy_nearest lm_policy_nearest_to(const struct lm_policy_loader *l, struct lm_str word);
void lm_policy_nearest_try(struct lm_policy_nearest *n, const char *name);

#endif
