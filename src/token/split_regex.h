#ifndef LM_TOKEN_SPLIT_REGEX_H
#define LM_TOKEN_SPLIT_REGEX_H
/* token/split_regex.h - between split_parse.c (pattern to program), split_sets.c (characters to classes) and
 * split_regex.c (program to automaton). */

#include "token/split.h"

enum {
    SPLIT_SETS_MAX = 64,
    SPLIT_RANGES_MAX = 64,   // of one set
    SPLIT_PROGRAM_MAX = 4096,
    SPLIT_STATES_MAX = 2048,
    SPLIT_REPEAT_MAX = 255,
    SPLIT_DEPTH_MAX = 32,
};

/* Characters by general category (a bit of ICU's numbering each), by range, or \s. */
struct split_set {
    uint32_t categories, not_categories;   // \p, \P
    bool space, not_space;                 // \s, \S
    bool word, not_word;                   // \w, \W
    bool negated;
    struct {
        uint32_t first, last;
    } ranges[SPLIT_RANGES_MAX];
    size_t range_count;
};

enum split_op { SPLIT_CHAR, SPLIT_FORK, SPLIT_LOOK, SPLIT_MATCH };

struct split_inst {
    enum split_op op;
    uint16_t set;         // CHAR, LOOK
    uint16_t to, other;   // FORK: `to` is tried first
    bool negated;         // LOOK: the next character is not of the set; the end of the text is of no set
    bool end;             // LOOK: the text ends here, whatever the set
};

struct split_program {
    struct split_set sets[SPLIT_SETS_MAX];
    size_t set_count;
    struct split_inst code[SPLIT_PROGRAM_MAX];
    size_t len;
    uint16_t start;
};

enum lm_rc lm_split_parse(struct lm_str pattern, struct split_program *ret, struct lm_err *err);

/* Fills classes and pages of ret; members[class] has a bit for each set that its characters are of. LM_EINVAL
 * when there are more than 254 classes. */
enum lm_rc lm_split_classify(const struct split_program *p, struct lm_split_dfa *ret, uint64_t members[256],
                             struct lm_err *err);

#endif
