#ifndef LM_CORPUS_FACTS_H
#define LM_CORPUS_FACTS_H
/* corpus/facts.h - what the structure of a prepared page states outright: the material of question-answer
 * pairs. Internal to the module.
 *
 * Two shapes are known, both common far beyond the manual they were first met in:
 *
 *     reference page      a NAME line "ls - list directory contents" (any dash) near the start, and a section
 *                         Synopsis, Syntax or Usage
 *     definitions         "work_mem (integer)" and below it ": Sets the base maximum amount ..." */

#include "base/mem.h"
#include "corpus/document.h"

/* The order is part of nothing; names are in pairs.c. */
enum lm_snapshot { LM_SNAPSHOT_SQL, LM_SNAPSHOT_TOOLS, LM_SNAPSHOT_SETTINGS, LM_SNAPSHOT_COUNT };

enum lm_fact_kind {
    LM_FACT_PURPOSE,   // what the subject is for
    LM_FACT_SYNTAX,    // how it is written
    LM_FACT_BY_VERB,   // which subject does `phrase` ("list directory contents")
    LM_FACT_BY_NOUN,   // which subject is the `phrase` ("GNU Bourne-Again SHell")
    LM_FACT_CONTROL,   // what a parameter does
    LM_FACT_TYPE,
    LM_FACT_DEFAULT,
    LM_FACT_KIND_COUNT,
};

/* Borrows from the page or its arena. */
struct lm_fact {
    enum lm_snapshot snapshot;
    enum lm_fact_kind kind;
    struct lm_str subject;   // "VACUUM"
    struct lm_str phrase;    // what questions are about: the subject, or words that lead to it
    struct lm_str answer;    // whole sentences, code, or a name
    bool is_code;            // answer may be cut between groups of lines, not between sentences
};

struct lm_facts {
    struct lm_fact *items;
    size_t len, cap;
};

/* Appends the facts of a prepared document in the order of its text. */
void lm_facts_find(const struct lm_document *doc, struct lm_arena *arena, struct lm_facts *ret);

#endif
