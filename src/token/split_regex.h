#ifndef LM_TOKEN_SPLIT_REGEX_H
#define LM_TOKEN_SPLIT_REGEX_H
/* token/split_regex.h - between split_parse.c (pattern to program), split_sets.c (characters to classes) and
 * split_regex.c (program to automaton). */

#include "token/split.h"

enum {
    SPLIT_SETS_MAX = 64,
    SPLIT_INSIDE_MAX = 12,   // sets of one set
    SPLIT_PROGRAM_MAX = 4096,
    SPLIT_STATES_MAX = 2048,
    SPLIT_REPEAT_MAX = 255,
    SPLIT_DEPTH_MAX = 32,
    SPLIT_QUESTIONS_MAX = 16,
    SPLIT_BEHIND_MAX = 8,   // characters that are looked back at
    SPLIT_WAYS_MAX = 16,    // of different characters
};

struct split_range {
    uint32_t first, last;
};

/* Characters by general category (a bit of ICU's numbering each), by range, by \s or \w, or of another set.
 */
struct split_set {
    uint32_t categories;
    bool space, not_space, word, not_word;
    bool negated;
    uint16_t inside[SPLIT_INSIDE_MAX];   // sets whose characters are of it too
    size_t inside_count;
    uint16_t both;                // 1 + a set that they must be of as well; 0: none
    struct split_range *ranges;   // ascending
    size_t range_count, range_cap;
};

/* What is asked of a place beside the character that comes: split_ask.c. */
enum split_question_kind {
    SPLIT_TEXT_START,   // \A
    SPLIT_LINE_START,   // ^: behind a line end too, if text follows
    SPLIT_WORD_EDGE,    // \b
    SPLIT_BEHIND,       // (?<=..)
    SPLIT_AHEAD,        // (?=..) of more than one character
};

/* Characters that stand before a place, the last one last. */
struct split_way {
    uint16_t sets[SPLIT_BEHIND_MAX];
    size_t len;
    bool starts, line;   // the text starts before them, or a line does: behind
    uint16_t newline;    // such a character
};

struct split_question {
    enum split_question_kind kind;
    uint16_t set;                            // WORD_EDGE: what words are made of
    uint16_t start;                          // AHEAD: of its program; of its state once that is made
    struct split_way ways[SPLIT_WAYS_MAX];   // BEHIND
    size_t way_count;
};

/* What an automaton with questions has beside its table. */
struct lm_split_asks {
    struct {
        uint16_t question;   // 1 + which, before the character is looked at; 0: none
        uint16_t yes, no;    // the states that follow
    } * states;
    struct split_question questions[SPLIT_QUESTIONS_MAX];
    size_t count;
    uint64_t members[256];   // [symbol]: the sets it is of
};

/* The state behind all questions at a place. */
size_t lm_split_ask(const struct lm_split_dfa *d, const uint8_t *s, size_t at, size_t end, bool bytes,
                    size_t state);

/* The symbol at a place, and the bytes that it takes. */
uint32_t lm_split_symbol(const struct lm_split_dfa *d, const uint8_t *s, size_t at, size_t end, bool bytes,
                         size_t *ret_len);

enum split_op { SPLIT_CHAR, SPLIT_FORK, SPLIT_LOOK, SPLIT_ASK, SPLIT_MATCH };

struct split_inst {
    enum split_op op;
    uint16_t set;         // CHAR, LOOK; ASK: the question
    uint16_t to, other;   // FORK: `to` is tried first
    bool loop;            // FORK: `to` comes back here
    bool end;             // LOOK: the end of the text is of the set
    bool negated;         // LOOK: what comes is not of the set; ASK: the answer must be no
};

struct split_program {
    struct split_set sets[SPLIT_SETS_MAX];
    size_t set_count;
    struct split_inst code[SPLIT_PROGRAM_MAX];
    size_t len;
    uint16_t start;
    struct split_question questions[SPLIT_QUESTIONS_MAX];
    size_t question_count;
};

/* Categories of Unicode 16.0, which Hugging Face's patterns know, where they are not those of 14.0. */
struct split_newer {
    uint32_t first, last;
    uint8_t category;
};
extern const struct split_newer lm_split_newer[];   // ascending
extern const size_t lm_split_newer_count;

/* Alphabetic characters that are no letters and no numbers like letters, and those of either case that are no
 * letters of it: gen_named.py. */
extern const struct split_range lm_split_alphabetic[], lm_split_upper[], lm_split_lower[];
extern const size_t lm_split_alphabetic_count, lm_split_upper_count, lm_split_lower_count;

enum lm_rc lm_split_parse(struct lm_str pattern, struct split_program *ret, struct lm_err *err);
void lm_split_program_release(struct split_program *p);   // what is in it

/* Fills classes and pages of ret; members[class] has a bit for each set that its characters are of. LM_EINVAL
 * when there are more than 254 classes. */
enum lm_rc lm_split_classify(const struct split_program *p, struct lm_split_dfa *ret, uint64_t members[256],
                             struct lm_err *err);

#endif
