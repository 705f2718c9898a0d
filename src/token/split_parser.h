#ifndef LM_TOKEN_SPLIT_PARSER_H
#define LM_TOKEN_SPLIT_PARSER_H
/* token/split_parser.h - between split_parse.c (a pattern to a program) and split_class.c (its sets of
 * characters). */

#include "token/split_regex.h"

/* A tree first: repetitions copy what they repeat. */
enum kind { EMPTY, SET, JOIN, EITHER, REPEAT, LOOK, ASK, ATOMIC };

struct node {
    enum kind kind;
    uint16_t set;         // SET, LOOK; ASK: the question
    bool negated, end;    // LOOK, ASK
    bool lazy;            // REPEAT
    uint32_t min, max;    // REPEAT; max UINT32_MAX: no maximum
    uint32_t literal;     // SET: the letter as it was written, where case does not matter
    struct node *a, *b;   // ASK: a is what is looked ahead at
};

struct split_parser {
    struct lm_str rest;
    struct split_program *p;
    struct lm_arena arena;
    unsigned depth;   // of groups and of sets inside of sets
    bool any_case;    // (?i)
    bool any_char;    // (?m): . is a line end, too
    uint16_t match;   // the last step of the program
    struct lm_err *err;
};

/* Text at the front of the rest, taken. */
bool lm_split_take(struct split_parser *p, const char *text);

/* "WHAT at '..' is not supported". */
enum lm_rc lm_split_refuse(struct split_parser *p, const char *what);

struct node *lm_split_node(struct split_parser *p, enum kind kind, struct node *a, struct node *b);

/* Up to the end of the pattern or of the group. */
enum lm_rc lm_split_parse_either(struct split_parser *p, struct node **ret);

/* ---- split_ask.c ---- */

/* ^ \A \b \B \Z; ret_found: it was one of them. */
enum lm_rc lm_split_parse_ask(struct split_parser *p, struct node **ret, bool *ret_found);
/* (?<=..) and (?=..) of more than one character, their inside parsed. */
enum lm_rc lm_split_ask_behind(struct split_parser *p, const struct node *inside, struct node **ret);
enum lm_rc lm_split_ask_ahead(struct split_parser *p, struct node *inside, struct node **ret);

/* ---- split_class.c ---- */

/* One character: a literal, an escape, . or [..].  ret_literal: a letter without case that was written as
 * itself, else 0. */
enum lm_rc lm_split_parse_set(struct split_parser *p, uint16_t *ret, uint32_t *ret_literal);

/* The characters of a text. */
enum lm_rc lm_split_set_of(struct split_parser *p, const uint32_t *characters, size_t count, uint16_t *ret);

enum lm_rc lm_split_set_word(struct split_parser *p, uint16_t *ret);   // what \w is

/* The characters of either. */
enum lm_rc lm_split_set_union(struct split_parser *p, uint16_t a, uint16_t b, uint16_t *ret);

#endif
