/* An event file: whole records are read, and written again they are the same bytes; values survive. */
#include "train/tfevents.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_event(struct lm_str event)
{
    struct lm_track_point points[LM_TRACK_NAMES_MAX], again[LM_TRACK_NAMES_MAX];
    struct lm_err err = { 0 };
    size_t count, count_again;
    if (lm_tfevent_parse(event, points, &count, &err) != LM_OK) {
        LM_ASSERT(err.text[0] != 0);
        return;
    }
    struct lm_buf record = { 0 };
    struct lm_str rest, whole;
    lm_tfevent_scalars(0, points, count, &record);
    rest = lm_buf_str(&record);
    LM_ASSERT(lm_tfrecord_next(&rest, &whole) || record.len > LM_TFEVENT_BYTES_MAX);
    if (rest.len == 0) {
        LM_ASSERT(lm_tfevent_parse(whole, again, &count_again, &err) == LM_OK && count_again == count);
        for (size_t i = 0; i < count; i++) {
            LM_ASSERT(lm_str_eq(points[i].name, again[i].name) && points[i].step == again[i].step);
            LM_ASSERT(points[i].value == again[i].value || isnan(points[i].value));
        }
    }
    lm_buf_release(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_buf written = { 0 };
    struct lm_str rest = { (const char *)data, size }, event;
    check_event(rest);   // most inputs are no records, for their sums are wrong
    while (lm_tfrecord_next(&rest, &event)) {
        check_event(event);
        lm_tfrecord_write(event, &written);
    }
    LM_ASSERT(written.len == size - rest.len);
    LM_ASSERT(written.len == 0 || memcmp(written.ptr, data, written.len) == 0);
    lm_buf_release(&written);
    return 0;
}
