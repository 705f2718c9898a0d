#ifndef LM_REVIEW_QUESTIONS_H
#define LM_REVIEW_QUESTIONS_H
/* review/questions.h - the held-out questions of a snapshot, from pairs.jsonl. */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct lm_question {
    struct lm_str id, text, reference;
};

/* Owns its texts.  Zero-initialised is empty. */
struct lm_questions {
    struct lm_question *items;
    size_t len, cap;
    size_t total;   // held-out pairs of the snapshot in the file; len of them were chosen
    struct lm_arena arena;
};

/* At most count_max, spread evenly over the file.  None is no error. */
enum lm_rc lm_questions_read(const char *path, const char *snapshot, size_t count_max,
                             struct lm_questions *ret, struct lm_err *err);
void lm_questions_release(struct lm_questions *q);

#endif
