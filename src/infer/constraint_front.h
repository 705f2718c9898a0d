#ifndef LM_INFER_CONSTRAINT_FRONT_H
#define LM_INFER_CONSTRAINT_FRONT_H
/* infer/constraint_front.h - the front ends: source text to an automaton, and the rule where it starts. */

#include "infer/constraint_nfa.h"

uint32_t lm_front_schema(struct lm_nfa *a, struct lm_str source);    // constraint_schema.c
uint32_t lm_front_json(struct lm_nfa *a, struct lm_str source);      // constraint_json.c
uint32_t lm_front_regex(struct lm_nfa *a, struct lm_str source);     // constraint.c
uint32_t lm_front_grammar(struct lm_nfa *a, struct lm_str source);   // constraint_grammar.c

#endif
