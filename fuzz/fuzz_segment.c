/* Texts to be scored: what is read is written and read as itself; every metric stays in its range; a text
 * that is its own reference scores full wherever it has words; and F does not care which of two texts is the
 * reference. */

#include "base/json.h"
#include "base/sys.h"
#include "review/metrics.h"
#include "review/segments.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_BYTES_MAX = 4096 };   // ROUGE-L is quadratic

static void write_segment(const struct lm_segment *s, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "hyp", s->hyp);
    lm_json_key(ret, "refs");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < s->ref_count; i++) {
        lm_json_sep(ret);
        lm_json_str(ret, s->refs[i]);
    }
    lm_buf_puts(ret, "]}");
}

static double score(const struct lm_metric *metric, int words, struct lm_str hyp, struct lm_str ref)
{
    struct lm_metric_config config = lm_metric_config_default();
    config.resamples = 0;
    config.words = words;
    const struct lm_segment s = { hyp, &ref, 1 };
    struct lm_metric_score result;
    struct lm_err err = { 0 };
    if (lm_metric_run(metric, &config, &s, 1, &result, NULL, &err) != LM_OK) {
        LM_ASSERT(err.rc == LM_ELIMIT);
        return -1;
    }
    LM_ASSERT(result.value >= 0 && result.value <= metric->max);
    return result.value;
}

static bool is_symmetric(const struct lm_metric *metric)   // lsum takes paths, which have a direction
{
    return strcmp(metric->name, "f1") == 0 || strcmp(metric->name, "exact-match") == 0 ||
           strcmp(metric->name, "rouge-1") == 0 || strcmp(metric->name, "rouge-2") == 0 ||
           strcmp(metric->name, "rouge-l") == 0;
}

static void check_pair(struct lm_str a, struct lm_str b, int words)
{
    for (size_t m = 0; m < lm_metric_count; m++) {
        const struct lm_metric *metric = &lm_metrics[m];
        const double there = score(metric, words, a, b);
        if (is_symmetric(metric))
            LM_ASSERT(fabs(there - score(metric, words, b, a)) < 1e-12);
        const double same = score(metric, words, a, a);
        if (metric->needs_refs)   // or has too few words for its n-grams
            LM_ASSERT(same <= 0 || fabs(same - metric->max) < 1e-9 || strcmp(metric->name, "bleu") == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_arena arena = { 0 };
    struct lm_buf once = { 0 }, twice = { 0 };
    struct lm_segment s, again;
    struct lm_err err = { 0 };
    lm_threads_set(1);   // one text: a team would only wait
    if (lm_segment_parse((struct lm_str){ (const char *)data, size }, "fuzz", &arena, &s, &err) != LM_OK) {
        LM_ASSERT(err.text[0]);
    } else {
        write_segment(&s, &once);
        LM_ASSERT(lm_segment_parse(lm_buf_str(&once), "once", &arena, &again, NULL) == LM_OK);
        write_segment(&again, &twice);
        LM_ASSERT(lm_str_eq(lm_buf_str(&once), lm_buf_str(&twice)));
        if (s.ref_count > 0 && s.hyp.len <= TEXT_BYTES_MAX && s.refs[0].len <= TEXT_BYTES_MAX)
            check_pair(s.hyp, s.refs[0], (int)(size % LM_WORDS_COUNT));
    }
    lm_buf_release(&once);
    lm_buf_release(&twice);
    lm_arena_release(&arena);
    return 0;
}
