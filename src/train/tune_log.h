#ifndef LM_TRAIN_TUNE_LOG_H
#define LM_TRAIN_TUNE_LOG_H
/* train/tune_log.h - trials.jsonl, the record of a search.
 *
 * The first line says what is searched: {"search":"pretrain", ...}.  Then one line for each trial at each
 * rung, in the order they ran:
 *
 *     {"trial":3,"bracket":0,"rung":1,"state":"measured","step":60,"steps":180,"loss":4.1,"heldout_loss":4.2,
 *      "heldout_bits_per_byte":1.9,"settings":{"lr":0.003}}
 *     {"trial":4,"bracket":0,"rung":0,"state":"failed","why":"step 3: ...","settings":{"lr":9}}
 *
 * Lines are only added, and the file is whole at every moment.  It is a pure function of data, settings and
 * seed: a search that was killed ends with the bytes of one that was not. */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct lm_trial_record {
    uint64_t trial, bracket, rung;
    bool failed;
    uint64_t step, steps;                               // of a measured one, like what follows
    double loss, heldout_loss, heldout_bits_per_byte;   // NAN where the file says null
    struct lm_str why;                                  // of a failed one
    struct lm_str settings;                             // the object as it stands
};

struct lm_trial_log {
    struct lm_str head;   // first line, without the line end
    struct lm_trial_record *records;
    size_t len, cap;
};

/* Appends the line. */
void lm_trial_record_write(const struct lm_trial_record *record, struct lm_buf *ret);

/* Borrows the text and the arena; free the records by lm_trial_log_release.  LM_EFORMAT names the line. */
enum lm_rc lm_trial_log_parse(struct lm_str text, const char *name, struct lm_arena *arena,
                              struct lm_trial_log *ret, struct lm_err *err);
void lm_trial_log_release(struct lm_trial_log *log);

enum { LM_TRIAL_LOG_BYTES_MAX = 64 << 20, LM_TRIAL_NUMBER_MAX = 1 << 20 };

#endif
