#ifndef LM_BASE_OPTION_H
#define LM_BASE_OPTION_H
/* base/option.h - one row is the whole truth about a setting.
 *
 * From a row come the command-line flag, the key in loom.yaml, the default, the bounds, the help text, the
 * manual page, the shell completion and the canonical JSON that goes into a recipe hash.
 * To add a setting: a field in the config struct and a row in its table, nothing else.
 *
 *     struct lm_window_config { int64_t size, stride; };
 *     #define ROW(n) LM_OPT_AT(struct lm_window_config, n)
 *     static const struct lm_opt rows[] = {
 *         { "window-size", LM_OPT_INT, ROW(size), "1024", 2, 65536, "tokens", "longest window" },
 *     };
 *     const struct lm_opt_table lm_window_options = LM_OPT_TABLE("window", struct lm_window_config, rows);
 */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"

enum lm_opt_type {
    LM_OPT_INT,      // int64_t
    LM_OPT_REAL,     // double
    LM_OPT_BOOL,     // bool; flag --name, --no-name or --name=true|false
    LM_OPT_STRING,   // const char *; NULL when the default is NULL and it is not given
    LM_OPT_CHOICE,   // int, index into `choices`
    LM_OPT_LIST,     // struct lm_opt_list of strings; flag repeated or separated by commas, YAML sequence
};

struct lm_opt_list {
    const char **items;
    size_t len, cap;
};

struct lm_opt {
    const char *name;   // --name and key in loom.yaml
    enum lm_opt_type type;
    size_t offset;          // in the config struct
    const char *fallback;   // default as text; NULL: none (string, list) or zero
    double min, max;        // INT and REAL, exact to 2^53; both 0 for other types
    const char *unit, *help;
    const char *const *choices;   // CHOICE: NULL-terminated names
    bool neutral;                 // does not change the result (threads, verbosity): left out of recipes
    bool required;
};

struct lm_opt_table {
    const char *name;   // heading in help, key of the section in loom.yaml
    const struct lm_opt *rows;
    size_t len;
    size_t config_bytes;
};

#define LM_OPT_AT(type, field) offsetof(type, field)
#define LM_OPT_TABLE(title, type, array)                                                                     \
    {                                                                                                        \
        .name = (title), .rows = (array), .len = sizeof(array) / sizeof((array)[0]),                         \
        .config_bytes = sizeof(type)                                                                         \
    }

/* Fills the struct with every default.  Strings are borrowed from the table. */
void lm_opt_defaults(const struct lm_opt_table *table, void *config);

const struct lm_opt *lm_opt_find(const struct lm_opt_table *table, struct lm_str name);   // NULL: none

/* The known name nearest to a wrong one, NULL if none is near. */
const char *lm_opt_nearest(const struct lm_opt_table *table, struct lm_str name);

/* Sets one row from text.  `where` names the origin for the message ("--lr-max", "loom.yaml:12").  A list
 * gets the comma-separated words added.  Strings are copied into the arena. */
enum lm_rc lm_opt_set(const struct lm_opt *opt, void *config, struct lm_str value, const char *where,
                      struct lm_arena *arena, struct lm_err *err);

/* Sets rows from a YAML mapping; an unknown key is an error that names line and nearest key.  Keys named in
 * `also` (NULL-terminated, may be NULL) are left for the caller. */
enum lm_rc lm_opt_from_yaml(const struct lm_opt_table *table, void *config, const struct lm_yaml *map,
                            const char *file, const char *const *also, struct lm_arena *arena,
                            struct lm_err *err);

/* LM_EINVAL for the first required row without a value. */
enum lm_rc lm_opt_check(const struct lm_opt_table *table, const void *config, struct lm_err *err);

/* One canonical object {"name":value,...} in table order; `recipe` leaves out neutral rows. */
void lm_opt_to_json(const struct lm_opt_table *table, const void *config, bool recipe, struct lm_buf *ret);

/* "  --name=INT   help (1..10 unit, default 5)", one line a row, as in --help. */
void lm_opt_help(const struct lm_opt_table *table, struct lm_buf *ret);

#endif
