/* trials.jsonl: what is read can be written and reads back the same. */
#include "train/tune_log.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void check_same(const struct lm_trial_record *a, const struct lm_trial_record *b)
{
    LM_ASSERT(a->trial == b->trial && a->bracket == b->bracket && a->rung == b->rung);
    LM_ASSERT(a->failed == b->failed && lm_str_eq(a->settings, b->settings));
    LM_ASSERT(a->step == b->step && a->steps == b->steps && same_number(a->loss, b->loss));
    LM_ASSERT(same_number(a->heldout_loss, b->heldout_loss));
    LM_ASSERT(same_number(a->heldout_bits_per_byte, b->heldout_bits_per_byte));
    LM_ASSERT(lm_str_eq(a->why, b->why));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_arena arena = { 0 };
    struct lm_err err = { 0 };
    struct lm_trial_log log, again;
    const struct lm_str text = { (const char *)data, size };
    if (lm_trial_log_parse(text, "fuzz", &arena, &log, &err) == LM_OK) {
        struct lm_buf written = { 0 };
        lm_buf_add_str(&written, log.head);
        lm_buf_putc(&written, '\n');
        for (size_t i = 0; i < log.len; i++)
            lm_trial_record_write(&log.records[i], &written);
        LM_ASSERT(lm_trial_log_parse(lm_buf_str(&written), "again", &arena, &again, &err) == LM_OK);
        LM_ASSERT(again.len == log.len && lm_str_eq(again.head, log.head));
        for (size_t i = 0; i < log.len; i++)
            check_same(&log.records[i], &again.records[i]);
        lm_trial_log_release(&log);
        lm_trial_log_release(&again);
        lm_buf_release(&written);
    } else {
        LM_ASSERT(err.text[0] != 0);
    }
    lm_arena_release(&arena);
    return 0;
}
