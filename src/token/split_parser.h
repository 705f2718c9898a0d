#ifndef LM_TOKEN_SPLIT_PARSER_H
#define LM_TOKEN_SPLIT_PARSER_H
/* token/split_parser.h - between split_parse.c (a pattern to a program) and split_class.c (its sets of
 * characters). */

#include "token/split_regex.h"

struct split_parser {
    struct lm_str rest;
    struct split_program *p;
    struct lm_arena arena;
    unsigned depth;   // of groups and of sets inside of sets
    bool any_case;    // (?i)
    bool any_char;    // (?m): . is a line end, too
    struct lm_err *err;
};

/* Text at the front of the rest, taken. */
bool lm_split_take(struct split_parser *p, const char *text);

/* "WHAT at '..' is not supported". */
enum lm_rc lm_split_refuse(struct split_parser *p, const char *what);

/* One character: a literal, an escape, . or [..].  ret_literal: a letter without case that was written as
 * itself, else 0. */
enum lm_rc lm_split_parse_set(struct split_parser *p, uint16_t *ret, uint32_t *ret_literal);

/* The characters of a text. */
enum lm_rc lm_split_set_of(struct split_parser *p, const uint32_t *characters, size_t count, uint16_t *ret);

/* The characters of either. */
enum lm_rc lm_split_set_union(struct split_parser *p, uint16_t a, uint16_t b, uint16_t *ret);

#endif
