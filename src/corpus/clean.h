#ifndef LM_CORPUS_CLEAN_H
#define LM_CORPUS_CLEAN_H
/* corpus/clean.h - one document through the steps of `prepare` that need no other document, and what the
 * steps that do decided about it.  Internal to the module. */

#include "base/hash.h"
#include "corpus/corpus.h"
#include "corpus/document.h"
#include "corpus/text_model.h"
#include "text/text.h"

/* Why a document or a paragraph was left out; rows of lm_removal_reasons in clean.c. */
enum lm_reason {
    LM_KEPT,
    LM_REASON_DUPLICATE_ID,
    LM_REASON_HTML,
    LM_REASON_TEXT,
    LM_REASON_EMPTY,
    LM_REASON_LANGUAGE,
    LM_REASON_LANGUAGE_UNSURE,
    LM_REASON_TOO_SHORT,
    LM_REASON_TOO_LONG,
    LM_REASON_DUPLICATE_LINES,
    LM_REASON_SYMBOLS,
    LM_REASON_FEW_LETTERS,
    LM_REASON_REPEATS,
    LM_REASON_UNUSUAL,
    LM_REASON_PREDICTABLE,
    LM_REASON_PII,
    LM_REASON_DUPLICATE,
    LM_REASON_DUPLICATE_PARAGRAPH,   // of paragraphs; the document stays
    LM_REASON_SHORT_AFTER_DEDUP,
    LM_REASON_COUNT,
};

struct lm_reason_row {
    const char *stage, *reason;
    const char *rule;   // the option that decides; "" when none does
};

extern const struct lm_reason_row lm_reasons[LM_REASON_COUNT];

struct lm_removal {
    enum lm_reason reason;
    bool has_value;
    double value, threshold;
    struct lm_str evidence;   // anonymised, or a cause
    struct lm_str kept;       // id of the document that stays, for duplicates
};

struct lm_paragraph {
    size_t start, end;   // in the cleaned text
    uint8_t digest[LM_SHA256_BYTES];
    bool cut;
    struct lm_removal removal;   // when cut
};

/* A document at work.  Zero-initialised is empty; `reset` keeps the memory for the next one. */
struct lm_cleaned {
    struct lm_arena arena;    // of the record and small strings
    struct lm_document doc;   // content borrows from `text` after cleaning
    struct lm_buf text, scratch;
    struct lm_removal removal;
    size_t bytes_in;
    struct lm_language language;
    struct lm_quality quality;
    double bits_per_byte;   // with a quality model
    uint32_t pii_counts[LM_PII_TYPE_COUNT];
    struct lm_pii_spans spans;
    struct lm_sentences sentences;
    uint8_t digest[LM_SHA256_BYTES];   // of the folded text
    struct lm_paragraph *paragraphs;   // candidates for removal
    size_t paragraph_count, paragraph_cap;
    struct lm_buf line, removed;   // what will be written
    enum lm_rc rc;                 // a failure that must stop the stage
    struct lm_err err;
};

/* What all threads share. */
struct lm_cleaner {
    const struct lm_prepare_config *config;
    struct lm_pii *pii;              // NULL: "none"
    struct lm_text_model *model;     // NULL: none
    struct lm_text_judge **judges;   // of the threads
    size_t judge_count;
};

enum lm_rc lm_cleaner_init(struct lm_cleaner *cleaner, const struct lm_prepare_config *config,
                           struct lm_err *err);
void lm_cleaner_release(struct lm_cleaner *cleaner);

/* Extraction to personal data, then the digests for de-duplication.  c->doc is set; c->removal is the answer.
 * `thread` is that of the caller. */
void lm_clean(const struct lm_cleaner *cleaner, struct lm_cleaned *c, size_t thread,
              struct lm_arena *scratch);

/* After the paragraphs to cut are known: final text, sentences, attributes; fills c->line and c->removed. */
void lm_clean_finish(struct lm_cleaned *c);

void lm_cleaned_reset(struct lm_cleaned *c);
void lm_cleaned_release(struct lm_cleaned *c);

/* Appends one line of removed.jsonl, with LF. */
void lm_removal_write(struct lm_str id, const struct lm_removal *removal, struct lm_buf *ret);

#endif
