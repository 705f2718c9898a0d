#ifndef LM_TRAIN_TUNE_SPACE_H
#define LM_TRAIN_TUNE_SPACE_H
/* train/tune_space.h - which settings a search may choose, and from what.
 *
 * A parameter is a row of an option table and the values it may take:
 *
 *     lr=log:1e-4..1e-2       evenly in the logarithm
 *     weight-decay=0..0.2     evenly
 *     layers=2..6             whole numbers, both ends included
 *     dim=64..256/32          64, 96, ... 256
 *     optimizer=adamw,muon    one of these; numbers, true and false too
 *
 * Every value passes the row's own bounds.  Refused are rows that do not shape the model, that change what is
 * measured, and those of privacy, of which every trial would spend some. */

#include "base/option.h"

enum { LM_SPACE_PARAMS_MAX = 32, LM_SPACE_CHOICES_MAX = 64 };

enum lm_space_kind { LM_SPACE_CHOICE, LM_SPACE_LINEAR, LM_SPACE_LOG };

struct lm_space_param {
    const struct lm_opt *opt;
    enum lm_space_kind kind;
    double low, high, step;   // of a range; step 0: any number between
    const char *choices[LM_SPACE_CHOICES_MAX];
    size_t choice_count;
    const char *text;   // the values as they were written, without blanks
};

/* Zero-initialised but for the table is empty.  Lives in the arena its parts were read into. */
struct lm_space {
    const struct lm_opt_table *table;
    struct lm_space_param params[LM_SPACE_PARAMS_MAX];
    size_t count;
};

/* One value for each parameter, as text that its option takes. */
struct lm_setting {
    const char *values[LM_SPACE_PARAMS_MAX];
};

/* Adds a parameter; `where` names the origin for messages ("--try", "loom.yaml:12"). */
enum lm_rc lm_space_add(struct lm_space *space, struct lm_str name, struct lm_str values, const char *where,
                        struct lm_arena *arena, struct lm_err *err);

/* "name=values" words; one without "=" is a further choice of the one before it. */
enum lm_rc lm_space_from_words(struct lm_space *space, const struct lm_opt_list *words, const char *where,
                               struct lm_arena *arena, struct lm_err *err);

/* A mapping of names to values; a list is a choice. */
enum lm_rc lm_space_from_yaml(struct lm_space *space, const struct lm_yaml *map, const char *file,
                              struct lm_arena *arena, struct lm_err *err);

/* How many different settings there are; UINT64_MAX: no number of them is all. */
uint64_t lm_space_size(const struct lm_space *space);

/* Setting `index` of all; below lm_space_size, which must be finite. */
struct lm_setting lm_space_at(const struct lm_space *space, uint64_t index, struct lm_arena *arena);

/* Draw number `draw`: a pure function of seed, draw and each parameter by itself, so that a parameter added
 * or a trial more changes no other value.  Numbers have four digits. */
struct lm_setting lm_space_draw(const struct lm_space *space, uint64_t seed, uint64_t draw,
                                struct lm_arena *arena);

/* What the config says of the parameters now. */
struct lm_setting lm_space_current(const struct lm_space *space, const void *config, struct lm_arena *arena);

bool lm_setting_same(const struct lm_space *space, const struct lm_setting *a, const struct lm_setting *b);

/* Writes the values into the config. */
enum lm_rc lm_setting_apply(const struct lm_space *space, const struct lm_setting *s, void *config,
                            struct lm_arena *arena, struct lm_err *err);

/* {"lr":0.003,"optimizer":"muon"} */
void lm_setting_to_json(const struct lm_space *space, const struct lm_setting *s, struct lm_buf *ret);

/* "lr 0.003, optimizer muon" */
void lm_setting_text(const struct lm_space *space, const struct lm_setting *s, struct lm_buf *ret);

#endif
