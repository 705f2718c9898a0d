#ifndef LM_TRAIN_TFEVENTS_H
#define LM_TRAIN_TFEVENTS_H
/* train/tfevents.h - event files for TensorBoard: scalars over steps.
 *
 * A file is a sequence of records (the framing of TFRecord), all numbers little-endian:
 *
 *     8  length n of the data
 *     4  masked CRC-32C of these 8 bytes
 *     n  data: one Event
 *     4  masked CRC-32C of the data
 *
 * masked(c) = ((c >> 15) | (c << 17)) + 0xa282ead8.  An Event is a protobuf message:
 *
 *     double wall_time = 1;  int64 step = 2;  string file_version = 3;  Summary summary = 5;
 *     Summary { repeated Value value = 1; }    Value { string tag = 1; float simple_value = 2; }
 *
 * The first record says file_version "brain.Event:2".  A step smaller than the one before tells the reader
 * that the run went back; it then drops what came between. */

#include "train/track.h"

#include <stdio.h>

uint32_t lm_crc32c(const void *bytes, size_t len);
uint32_t lm_crc32c_masked(const void *bytes, size_t len);

enum { LM_TFEVENT_BYTES_MAX = 1 << 20 };   // of one record's data, when reading

/* Appends a record. */
void lm_tfrecord_write(struct lm_str data, struct lm_buf *ret);

/* Takes the next whole record off *rest; false at the end and where a record is cut or damaged. */
bool lm_tfrecord_next(struct lm_str *rest, struct lm_str *ret);

/* Appends the record with the file's version; of some values of one step (wall in seconds since 1970). */
void lm_tfevent_version(double wall, struct lm_buf *ret);
void lm_tfevent_scalars(double wall, const struct lm_track_point *points, size_t count, struct lm_buf *ret);

/* The values of one Event; count 0 when it has none (a version).  LM_EFORMAT when it is no Event. */
enum lm_rc lm_tfevent_parse(struct lm_str data, struct lm_track_point ret[LM_TRACK_NAMES_MAX],
                            size_t *ret_count, struct lm_err *err);

/* A file that is added to.  What a killed run left of its last record is cut off. */
struct lm_tfevents {
    FILE *stream;
    char *path;
};

/* Makes dir and the file in it, or goes on in the one that is there; the marks say what it holds. */
enum lm_rc lm_tfevents_open(struct lm_tfevents *f, const char *dir, struct lm_track_marks *marks,
                            struct lm_err *err);
enum lm_rc lm_tfevents_add(struct lm_tfevents *f, const struct lm_track_point *points, size_t count,
                           struct lm_err *err);
enum lm_rc lm_tfevents_flush(struct lm_tfevents *f, struct lm_err *err);
void lm_tfevents_close(struct lm_tfevents *f);   // also for not open

#endif
