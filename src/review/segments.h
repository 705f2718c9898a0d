#ifndef LM_REVIEW_SEGMENTS_H
#define LM_REVIEW_SEGMENTS_H
/* review/segments.h - texts and references from files.  Invalid UTF-8 is an error that names the line. */

#include "base/mem.h"
#include "review/metrics.h"

/* Owns its texts.  Zero-initialised is empty. */
struct lm_segments {
    struct lm_segment *items;
    size_t len, cap;
    struct lm_arena arena;
};

/* One text a line, and as many lines in each reference file: otherwise LM_EFORMAT with both counts. */
enum lm_rc lm_segments_from_lines(struct lm_segments *ret, const char *hyp_path, const char *const *ref_paths,
                                  size_t ref_count, struct lm_err *err);

/* {"hyp":"...","refs":["...",...]} a line; other keys are ignored. */
enum lm_rc lm_segments_from_jsonl(struct lm_segments *ret, const char *path, struct lm_err *err);

/* One such line, into the arena; `name` is for messages ("x.jsonl:12"). */
enum lm_rc lm_segment_parse(struct lm_str line, const char *name, struct lm_arena *arena,
                            struct lm_segment *ret, struct lm_err *err);

void lm_segments_release(struct lm_segments *s);

#endif
