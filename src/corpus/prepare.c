/* corpus/prepare.c - the preparation stage: options and the loop over batches.
 *
 * A batch of documents goes through four phases: clean (parallel), decide about repetitions (one by one, in
 * corpus order), finish (parallel), write (in order).  Where a batch ends does not show in the output. */

#include "base/file.h"
#include "base/line.h"
#include "base/sys.h"
#include "corpus/clean.h"
#include "corpus/dedup.h"
#include "corpus/report.h"

#include <inttypes.h>
#include <omp.h>
#include <stdlib.h>

#define ROW(n) LM_OPT_AT(struct lm_prepare_config, n)
// clang-format off
static const struct lm_opt prepare_rows[] = {
    { .name = "lowercase", .type = LM_OPT_BOOL, .offset = ROW(lowercase), .fallback = "false",
      .help = "write everything in lower case" },
    { .name = "languages", .type = LM_OPT_LIST, .offset = ROW(languages),
      .help = "keep documents in these languages (en,de); none given: keep all" },
    { .name = "language-confidence-min", .type = LM_OPT_REAL, .offset = ROW(language_confidence_min),
      .fallback = "0.5", .min = 0, .max = 1, .help = "with languages: how sure the identification must be" },
    { .name = "words-min", .type = LM_OPT_INT, .offset = ROW(words_min), .fallback = "10",
      .min = 0, .max = 1e9, .unit = "words", .help = "drop shorter documents" },
    { .name = "words-max", .type = LM_OPT_INT, .offset = ROW(words_max), .fallback = "1000000",
      .min = 1, .max = 1e9, .unit = "words", .help = "drop longer documents" },
    { .name = "duplicate-line-share-max", .type = LM_OPT_REAL, .offset = ROW(duplicate_line_share_max),
      .fallback = "0.4", .min = 0, .max = 1, .help = "drop documents with more of their characters in repeated lines" },
    { .name = "symbol-share-max", .type = LM_OPT_REAL, .offset = ROW(symbol_share_max),
      .fallback = "0.3", .min = 0, .max = 100, .help = "drop documents with more # and ellipses per word" },
    { .name = "alpha-word-share-min", .type = LM_OPT_REAL, .offset = ROW(alpha_word_share_min),
      .fallback = "0.6", .min = 0, .max = 1, .help = "drop documents with fewer words that hold a letter" },
    { .name = "top-ngram-share-max", .type = LM_OPT_REAL, .offset = ROW(top_ngram_share_max),
      .fallback = "0.3", .min = 0, .max = 1, .help = "drop documents with more of their characters in one repeated 3-gram" },
    { .name = "quality-model", .type = LM_OPT_STRING, .offset = ROW(quality_model),
      .help = "folder that `loom ngram train` made of texts to be like" },
    { .name = "bits-per-byte-max", .type = LM_OPT_REAL, .offset = ROW(bits_per_byte_max),
      .fallback = "4", .min = 0, .max = 1000, .help = "with quality-model: drop documents that surprise it more" },
    { .name = "bits-per-byte-min", .type = LM_OPT_REAL, .offset = ROW(bits_per_byte_min),
      .fallback = "0", .min = 0, .max = 1000, .help = "with quality-model: drop documents that surprise it less" },
    { .name = "anonymize", .type = LM_OPT_LIST, .offset = ROW(anonymize), .fallback = "standard",
      .help = "personal data to replace by [Email], [Name], ...: email phone card iban ip date person; "
              "standard is all but date, all, none" },
    { .name = "pii-score-min", .type = LM_OPT_REAL, .offset = ROW(pii_score_min), .fallback = "0.5",
      .min = 0, .max = 1, .help = "how sure a finding of personal data must be" },
    { .name = "dedup-documents", .type = LM_OPT_BOOL, .offset = ROW(dedup_documents), .fallback = "true",
      .help = "keep the first of documents that differ in case and white space only" },
    { .name = "dedup-paragraphs", .type = LM_OPT_BOOL, .offset = ROW(dedup_paragraphs), .fallback = "true",
      .help = "keep the first of paragraphs that differ in case and white space only" },
    { .name = "dedup-paragraph-chars-min", .type = LM_OPT_INT, .offset = ROW(dedup_paragraph_chars_min),
      .fallback = "200", .min = 1, .max = 1e6, .unit = "characters", .help = "leave shorter paragraphs alone" },
};
// clang-format on
const struct lm_opt_table lm_prepare_options =
    LM_OPT_TABLE("prepare", struct lm_prepare_config, prepare_rows);

enum {
    BATCH_DOCUMENTS = 256,
    BATCH_BYTES_MAX = 64 << 20,   // a batch is closed by the document that passes this
};

struct prepare {
    const struct lm_prepare_config *config;
    struct lm_cleaner cleaner;
    struct lm_document_reader *in;
    struct lm_line_writer *out;
    struct lm_writer removed;
    struct lm_cleaned batch[BATCH_DOCUMENTS];
    size_t len;
    struct lm_dedup dedup;
    struct lm_report report;
    struct lm_arena scratch;
    struct lm_progress progress;
};

/* Fills the batch; LM_ENOTHING when the input has ended (the batch may hold documents). */
static enum lm_rc fill(struct prepare *p, struct lm_err *err)
{
    size_t bytes = 0;
    for (p->len = 0; p->len < BATCH_DOCUMENTS && bytes < BATCH_BYTES_MAX; p->len++) {
        struct lm_cleaned *c = &p->batch[p->len];
        lm_cleaned_reset(c);
        LM_TRY(lm_document_next_into(p->in, &c->arena, &c->doc, err));
        bytes += c->doc.content.len;
    }
    return LM_OK;
}

static void clean_batch(struct prepare *p)
{
#pragma omp parallel num_threads(lm_threads())
    {
        struct lm_arena scratch = { 0 };   // of this thread
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < p->len; i++)
            lm_clean(&p->cleaner, &p->batch[i], (size_t)omp_get_thread_num(), &scratch);
        lm_arena_release(&scratch);
    }
}

static enum lm_rc write_batch(struct prepare *p, struct lm_err *err)
{
    for (size_t i = 0; i < p->len; i++) {
        struct lm_cleaned *c = &p->batch[i];
        if (c->rc != LM_OK) {
            lm_err_prefix(&c->err, c->rc, "prepare: document %.*s", (int)c->doc.id.len, c->doc.id.ptr);
            *err = c->err;
            return c->rc;
        }
        lm_report_add(&p->report, c);
        if (c->removed.len)
            fwrite(c->removed.ptr, 1, c->removed.len, p->removed.stream);   // errors show at commit
        if (c->removal.reason == LM_KEPT)
            LM_TRY(lm_line_add(p->out, lm_buf_str(&c->line), err));
    }
    return LM_OK;
}

static enum lm_rc run_batch(struct prepare *p, struct lm_err *err)
{
    clean_batch(p);
    for (size_t i = 0; i < p->len; i++)
        lm_dedup_decide(&p->dedup, p->config, &p->batch[i], &p->scratch);
#pragma omp parallel for schedule(dynamic, 1) num_threads(lm_threads())
    for (size_t i = 0; i < p->len; i++)
        lm_clean_finish(&p->batch[i]);
    LM_TRY(write_batch(p, err));
    lm_progress_at(&p->progress, p->report.in, NULL);
    if (lm_stop_asked())
        return lm_fail(err, LM_ESTOP, "prepare: stopped after %" PRIu64 " documents", p->report.in);
    return LM_OK;
}

static enum lm_rc run_all(struct prepare *p, struct lm_err *err)
{
    enum lm_rc rc = LM_OK;
    while (rc == LM_OK) {
        rc = fill(p, err);
        if (rc != LM_OK && rc != LM_ENOTHING)
            return rc;
        const enum lm_rc batch_rc = run_batch(p, err);
        if (batch_rc != LM_OK)
            return batch_rc;
    }
    return LM_OK;
}

/* A corpus of nothing is a mistake in the options; says which one to look at. */
static enum lm_rc fail_empty(const struct lm_report *report, struct lm_err *err)
{
    if (report->in == 0)
        return lm_fail(err, LM_ENOENT, "prepare: the inputs hold no documents");
    const enum lm_reason reason = lm_report_strongest(report);
    const struct lm_reason_row *row = &lm_reasons[reason];
    return lm_fail(
        err, LM_ENOENT,
        "prepare: nothing is left of %" PRIu64 " documents, %" PRIu64 " of them were removed as '%s'; %s%s%s",
        report->in, report->removed[reason], row->reason, *row->rule ? "change the option '" : "see",
        row->rule, *row->rule ? "', or see removed.jsonl" : " removed.jsonl");
}

/* removed.jsonl and report.json are written even when nothing is left: they say why. */
static enum lm_rc commit(struct prepare *p, const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    LM_FREE char *report_path = lm_path_join(out_dir, "report.json");
    struct lm_buf report = { 0 };
    lm_report_write(&p->report, &report);
    lm_buf_putc(&report, '\n');
    enum lm_rc rc = lm_writer_commit(&p->removed, err);
    if (rc == LM_OK)
        rc = lm_file_write(report_path, lm_buf_str(&report), err);
    if (rc == LM_OK && p->report.out == 0)
        rc = fail_empty(&p->report, err);
    if (rc == LM_OK) {
        rc = lm_line_commit(p->out, err);
        p->out = NULL;
    }
    if (rc == LM_OK) {
        lm_json_sep(metrics);
        lm_buf_add(metrics, report.ptr, report.len - 1);
        lm_progress_end(&p->progress, p->report.in);
    }
    lm_buf_release(&report);
    return rc;
}

enum lm_rc lm_prepare(const struct lm_prepare_config *config, const char *const *inputs, size_t input_count,
                      const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_err own_err = { 0 };
    if (!err)
        err = &own_err;
    LM_FREE char *out_path = lm_path_join(out_dir, "documents.jsonl.zst");
    LM_FREE char *removed_path = lm_path_join(out_dir, "removed.jsonl");
    struct prepare *p = lm_zalloc(1, sizeof(*p));
    p->config = config;
    p->progress = lm_progress_start("prepare", "documents", 0);

    enum lm_rc rc = lm_cleaner_init(&p->cleaner, config, err);
    if (rc == LM_OK)
        rc = lm_document_open(inputs, input_count, &p->in, err);
    if (rc == LM_OK)
        rc = lm_writer_open(&p->removed, removed_path, err);
    if (rc == LM_OK)
        rc = lm_line_create(out_path, &p->out, err);
    if (rc == LM_OK)
        rc = run_all(p, err);
    if (rc == LM_OK)
        rc = commit(p, out_dir, metrics, err);

    lm_line_abort(p->out);
    lm_writer_abort(&p->removed);
    lm_document_close(p->in);
    lm_cleaner_release(&p->cleaner);
    for (size_t i = 0; i < BATCH_DOCUMENTS; i++)
        lm_cleaned_release(&p->batch[i]);
    lm_dedup_release(&p->dedup);
    lm_report_release(&p->report);
    lm_arena_release(&p->scratch);
    free(p);
    return rc;
}
