#ifndef LM_BASE_YAML_H
#define LM_BASE_YAML_H
/* base/yaml.h - a YAML file as a tree that remembers its lines (libyaml parses; loom keeps the places).
 *
 * One document; scalars keep their text; anchors, aliases and tags are refused by name, so that a small
 * file cannot grow and means what it shows.  Duplicate keys are errors. */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

enum lm_yaml_kind { LM_YAML_SCALAR, LM_YAML_MAP, LM_YAML_LIST };

enum { LM_YAML_BYTES_MAX = 4 << 20, LM_YAML_DEPTH_MAX = 32 };

/* Lives in the arena it was read into. */
struct lm_yaml {
    enum lm_yaml_kind kind;
    size_t line;             // from 1
    struct lm_str key;       // of this node inside a map, else empty
    struct lm_str value;     // scalar text, terminated
    bool quoted;             // scalar was quoted: "null" and "true" are then just text
    struct lm_yaml *child;   // first of a map or list
    struct lm_yaml *next;    // sibling, in file order
};

enum lm_rc lm_yaml_read(const char *path, struct lm_arena *arena, const struct lm_yaml **ret,
                        struct lm_err *err);
enum lm_rc lm_yaml_parse(struct lm_str text, const char *name, struct lm_arena *arena,
                         const struct lm_yaml **ret, struct lm_err *err);   // an empty text is an empty map
const struct lm_yaml *lm_yaml_get(const struct lm_yaml *map, const char *key);   // NULL: not there, or no map
bool lm_yaml_is_null(const struct lm_yaml *node);   // NULL node, "~", "null", empty

#endif
