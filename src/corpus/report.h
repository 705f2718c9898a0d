#ifndef LM_CORPUS_REPORT_H
#define LM_CORPUS_REPORT_H
/* corpus/report.h - what `prepare` did, in numbers: report.json.  Internal to the module.
 * It holds no time and no thread count, so equal work gives equal bytes. */

#include "corpus/clean.h"

enum { LM_REPORT_SOURCES_MAX = 256, LM_REPORT_LANGUAGES_MAX = 200, LM_REPORT_LENGTHS = 24 };

struct lm_report_source {
    char *name;
    uint64_t in, out, bytes_in, bytes_out, words_out;
    uint64_t removed[LM_REASON_COUNT];
};

struct lm_report_language {
    char code[8];
    uint64_t documents, words;
};

/* Zero-initialised is empty. */
struct lm_report {
    struct lm_report_source sources[LM_REPORT_SOURCES_MAX + 1];   // the last takes those beyond
    size_t source_count;
    struct lm_report_language languages[LM_REPORT_LANGUAGES_MAX + 1];   // likewise; of kept documents
    size_t language_count;
    uint64_t in, out, bytes_in, bytes_out, words_out, sentences_out;
    uint64_t removed[LM_REASON_COUNT];     // documents, but for LM_REASON_DUPLICATE_PARAGRAPH
    uint64_t pii[LM_PII_TYPE_COUNT];       // in kept documents
    uint64_t lengths[LM_REPORT_LENGTHS];   // kept documents of 2^i .. 2^(i+1) - 1 words; the first also of 0
};

void lm_report_add(struct lm_report *report, const struct lm_cleaned *c);   // after lm_clean_finish
void lm_report_write(struct lm_report *report, struct lm_buf *ret);   // one JSON object; sorts the tables
enum lm_reason lm_report_strongest(const struct lm_report *report);   // reason of most removed documents
void lm_report_release(struct lm_report *report);

#endif
