#ifndef LM_INFER_CONSTRAINT_NFA_H
#define LM_INFER_CONSTRAINT_NFA_H
/* infer/constraint_nfa.h - a language over bytes as rules that call each other, each a nondeterministic
 * automaton; how the front ends build one.
 *
 * A front end makes fragments (one way in, one way out), joins them, and defines a rule by each.  A fragment
 * is used once: joining patches its end.  Failures stick: after the first, every call does nothing and gives
 * something harmless, so that front ends look at `rc` where they loop and at the end. */

#include "infer/constraint.h"

#define LM_NFA_NONE UINT32_MAX
enum { LM_NFA_HEIGHT_NONE = UINT16_MAX, LM_NFA_RULES_MAX = 60000 };

/* Kinds of characters.  A plain character is one that stands for itself in a JSON string: any but the quote,
 * the backslash and U+0000..U+001F. */
enum {
    LM_KIND_LOWER = 1,   // a to z
    LM_KIND_UPPER = 2,
    LM_KIND_DIGIT = 4,
    LM_KIND_BLANK = 8,   // U+0020
    LM_KIND_UNDERSCORE = 16,
    LM_KIND_SIGN = 32,     // other plain ASCII
    LM_KIND_HIGH = 64,     // beyond ASCII
    LM_KIND_OTHER = 128,   // what is not plain, or not well-formed
    LM_KINDS_PLAIN = 127,
};

/* Texts of up to `chars` characters, all of these kinds, fit at a place whatever else does.  It lets a mask
 * take whole branches of the vocabulary unseen. */
struct lm_run {
    uint8_t kinds, chars;
};
enum { LM_RUN_ANY = 255 };   // chars: any number

enum lm_nfa_kind {
    LM_NFA_JUMP,    // to next
    LM_NFA_FORK,    // to next and to other
    LM_NFA_RANGE,   // a byte in low..high, then next
    LM_NFA_SET,     // a byte of set number `other`, then next
    LM_NFA_CALL,    // rule number `other`, then next
    LM_NFA_END,     // of a rule
    LM_NFA_FAIL,    // no way on
};

struct lm_nfa_state {
    uint8_t kind, low, high;
    struct lm_run run;
    bool first_of_char;   // set by constraint_chars.h: its byte begins a character, or an escape that stands
                          // for one
    uint32_t next, other;
};

/* How many plain characters a text may have from a state on, at most: `inside` its rule, and `through` to the
 * end of it; LM_REACH_MANY: that or more, LM_REACH_NONE: not at all. */
struct lm_reach {
    int8_t inside, through;
};
enum { LM_REACH_NONE = -1, LM_REACH_MANY = 120 };

struct lm_nfa_set {
    uint64_t bits[4];
};

struct lm_nfa_rule {
    struct lm_str name;   // for messages
    uint32_t start;       // LM_NFA_NONE: not defined yet
    uint16_t height;      // of its lowest tree of calls, from 1; LM_NFA_HEIGHT_NONE: it matches nothing
    bool nullable;
};

struct lm_nfa {
    struct lm_nfa_state *states;
    struct lm_nfa_set *sets;
    struct lm_nfa_rule *rules;
    size_t state_count, state_cap, set_count, set_cap, rule_count, rule_cap;
    uint16_t *heights;          // of states: most calls nested on the best way to the end of the rule
    struct lm_reach *reaches;   // of states
    uint32_t start;             // rule

    uint8_t class_of[256], class_byte[256];   // bytes that no state tells apart; one byte of each
    size_t class_count;

    struct lm_arena names;
    struct lm_constraint_limits limits;   // all set
    uint64_t deadline_ns;
    enum lm_rc rc;        // of the first failure
    struct lm_err *err;   // may be NULL
};

void lm_nfa_init(struct lm_nfa *a, const struct lm_constraint_limits *limits, struct lm_err *err);
void lm_nfa_release(struct lm_nfa *a);
size_t lm_nfa_bytes(const struct lm_nfa *a);

/* The first failure stays. */
void lm_nfa_fail(struct lm_nfa *a, enum lm_rc rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* For loops that make no states: looks at the clock; false after a failure. */
bool lm_nfa_go_on(struct lm_nfa *a);

struct lm_frag {
    uint32_t start, end;   // end: a JUMP without a target
};

struct lm_frag lm_nfa_empty(struct lm_nfa *a);
struct lm_frag lm_nfa_never(struct lm_nfa *a);
struct lm_frag lm_nfa_bytes_frag(struct lm_nfa *a, struct lm_str bytes);
struct lm_frag lm_nfa_range(struct lm_nfa *a, uint8_t low, uint8_t high);
struct lm_frag lm_nfa_set(struct lm_nfa *a, const struct lm_nfa_set *set);
struct lm_frag lm_nfa_call(struct lm_nfa *a, uint32_t rule);
struct lm_frag lm_nfa_cat(struct lm_nfa *a, struct lm_frag x, struct lm_frag y);
struct lm_frag lm_nfa_either(struct lm_nfa *a, struct lm_frag x, struct lm_frag y);
struct lm_frag lm_nfa_optional(struct lm_nfa *a, struct lm_frag x);

static inline struct lm_frag lm_nfa_text(struct lm_nfa *a, const char *text)
{
    return lm_nfa_bytes_frag(a, lm_str(text));
}

/* Copies x, so x must be all that was made since state_count was `mark`.  max LM_NFA_NONE: no bound.
 * `kinds`: x matches every single character of these kinds. */
struct lm_frag lm_nfa_repeat(struct lm_nfa *a, size_t mark, struct lm_frag x, uint32_t min, uint32_t max,
                             uint8_t kinds);

/* What x matches, if it is of min..max characters (max LM_NFA_NONE: no bound).  x must be all that was made
 * since state_count was `mark`, from constraint_chars.h, without calls. */
struct lm_frag lm_nfa_counted(struct lm_nfa *a, size_t mark, struct lm_frag x, uint32_t min, uint32_t max);

/* By hand, for automata that are no trees of fragments.  A branch is a state with any number of ways on; it
 * begins with none. */
uint32_t lm_nfa_add(struct lm_nfa *a, struct lm_nfa_state state);
uint32_t lm_nfa_branch(struct lm_nfa *a);
void lm_nfa_branch_to(struct lm_nfa *a, uint32_t branch, uint32_t target);
void lm_nfa_join(struct lm_nfa *a, uint32_t end, uint32_t target);   // the end of a fragment goes on there

uint32_t lm_nfa_rule(struct lm_nfa *a, struct lm_str name);   // name is copied
void lm_nfa_define(struct lm_nfa *a, uint32_t rule, struct lm_frag body);

/* Every rule is defined: finds what matches nothing, refuses rules that call themselves before they have read
 * a byte and a language without any text, sorts bytes into classes (constraint_nfa_finish.c); finds how far
 * plain text reaches (constraint_nfa_reach.c). */
void lm_nfa_finish(struct lm_nfa *a, uint32_t start);
void lm_nfa_find_reaches(struct lm_nfa *a);   // part of it

static inline int8_t lm_reach_add(int8_t x, int8_t y)
{
    if (x == LM_REACH_NONE || y == LM_REACH_NONE)
        return LM_REACH_NONE;
    return x + y < LM_REACH_MANY ? (int8_t)(x + y) : LM_REACH_MANY;
}

static inline struct lm_run lm_run_better(struct lm_run a, struct lm_run b)
{
    const int more = __builtin_popcount(a.kinds) - __builtin_popcount(b.kinds);
    return more > 0 || (more == 0 && a.chars >= b.chars) ? a : b;
}

static inline bool lm_nfa_set_has(const struct lm_nfa_set *s, unsigned byte)
{
    return s->bits[byte >> 6] >> (byte & 63) & 1;
}

static inline bool lm_nfa_takes(const struct lm_nfa *a, const struct lm_nfa_state *s, unsigned byte)
{
    if (s->kind == LM_NFA_RANGE)
        return byte >= s->low && byte <= s->high;
    return lm_nfa_set_has(&a->sets[s->other], byte);
}

#endif
