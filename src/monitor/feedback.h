#ifndef LM_MONITOR_FEEDBACK_H
#define LM_MONITOR_FEEDBACK_H
/* monitor/feedback.h - what users say of answers, tied to the answer's id, and exported as fine-tuning pairs.
 *
 * Tables answers and feedback.  Prompt and answer are stored as they were, because a training pair must be
 * traced to what was asked and said: they are data of the user, and lm_answers_erase is how they go. */

#include "base/err.h"
#include "store/db.h"

/* What was answered: enough to make a training pair and to walk back to documents. */
struct lm_answer {
    const char *id;                        // "chatcmpl-..."; the audit record's id
    const char *user, *model, *artifact;   // artifact id of the model
    struct lm_str prompt, text;
    int64_t time_ms;
};

struct lm_feedback {
    const char *answer;   // id
    const char *user;
    int rating;                         // -1, 0, 1
    struct lm_str reason, correction;   // may be empty
};

enum { LM_FEEDBACK_TEXT_MAX = 64 << 10 };   // bytes of a reason, of a correction

enum lm_rc lm_feedback_schema(struct lm_db *db, struct lm_err *err);
enum lm_rc lm_answer_store(struct lm_db *db, const struct lm_answer *answer, struct lm_err *err);
/* In the arena.  LM_ENOENT for an unknown answer. */
enum lm_rc lm_answer_load(struct lm_db *db, const char *id, struct lm_arena *arena, struct lm_answer *ret,
                          struct lm_err *err);
/* LM_ENOENT for an unknown answer, LM_EDENIED when it is another user's.  Said again, it replaces the first.
 */
enum lm_rc lm_feedback_add(struct lm_db *db, const struct lm_feedback *feedback, int64_t now_ms,
                           struct lm_err *err);
/* One JSON object a line as pairs.jsonl: {id, snapshot, question, answer, document, split}, ordered by id;
 * the answer is the correction if there is one, else a text rated +1.  `document` is the artifact that
 * answered; a tenth of the pairs, chosen by a hash of the question, is "heldout", so a question never falls
 * on both sides. */
enum lm_rc lm_feedback_export(struct lm_db *db, const char *snapshot, const char *path, size_t *ret_count,
                              struct lm_err *err);

/* Answers of a user and what was said of them.  LM_ENOENT when there are none: erasing nobody is no success.
 */
enum lm_rc lm_answers_erase(struct lm_db *db, const char *user, size_t *ret_count, struct lm_err *err);

#endif
