#include "corpus/report.h"

#include <stdlib.h>

static struct lm_report_source *source_of(struct lm_report *report, struct lm_str name)
{
    size_t i = 0;
    while (i < report->source_count && !lm_str_eq(lm_str(report->sources[i].name), name))
        i++;
    if (i >= LM_REPORT_SOURCES_MAX) {
        i = LM_REPORT_SOURCES_MAX;
        name = LM_STR("(other)");
    }
    if (i == report->source_count) {
        struct lm_buf copy = { 0 };
        lm_buf_add_str(&copy, name);
        report->sources[report->source_count++].name = lm_buf_take(&copy);
    }
    return &report->sources[i];
}

static struct lm_report_language *language_of(struct lm_report *report, struct lm_str code)
{
    size_t i = 0;
    while (i < report->language_count && !lm_str_eq(lm_str(report->languages[i].code), code))
        i++;
    if (i >= LM_REPORT_LANGUAGES_MAX) {
        i = LM_REPORT_LANGUAGES_MAX;
        code = LM_STR("(other)");
    }
    if (i == report->language_count) {
        struct lm_report_language *row = &report->languages[report->language_count++];
        snprintf(row->code, sizeof(row->code), "%.*s", (int)code.len, code.ptr);
    }
    return &report->languages[i];
}

static void add_kept(struct lm_report *report, struct lm_report_source *source, const struct lm_cleaned *c)
{
    const uint64_t words = (uint64_t)c->quality.words;
    report->out++;
    report->bytes_out += c->doc.content.len;
    report->words_out += words;
    report->sentences_out += c->sentences.len;
    source->out++;
    source->bytes_out += c->doc.content.len;
    source->words_out += words;

    struct lm_report_language *language = language_of(report, c->doc.language);
    language->documents++;
    language->words += words;
    for (size_t i = 0; i < LM_PII_TYPE_COUNT; i++)
        report->pii[i] += c->pii_counts[i];
    for (size_t i = 0; i < c->paragraph_count; i++) {
        report->removed[LM_REASON_DUPLICATE_PARAGRAPH] += c->paragraphs[i].cut;
        source->removed[LM_REASON_DUPLICATE_PARAGRAPH] += c->paragraphs[i].cut;
    }
    size_t row = 0;
    while (row + 1 < LM_REPORT_LENGTHS && words >> (row + 1))
        row++;
    report->lengths[row]++;
}

void lm_report_add(struct lm_report *report, const struct lm_cleaned *c)
{
    struct lm_report_source *source = source_of(report, c->doc.source);
    report->in++;
    report->bytes_in += c->bytes_in;
    source->in++;
    source->bytes_in += c->bytes_in;
    if (c->removal.reason == LM_KEPT) {
        add_kept(report, source, c);
        return;
    }
    report->removed[c->removal.reason]++;
    source->removed[c->removal.reason]++;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct lm_report_source *)a)->name, ((const struct lm_report_source *)b)->name);
}

static int by_code(const void *a, const void *b)
{
    return strcmp(((const struct lm_report_language *)a)->code, ((const struct lm_report_language *)b)->code);
}

static void write_removed(const uint64_t removed[LM_REASON_COUNT], struct lm_buf *ret)
{
    lm_json_key(ret, "removed");
    lm_buf_putc(ret, '{');
    for (size_t i = LM_KEPT + 1; i < LM_REASON_COUNT; i++)
        if (removed[i] && i != LM_REASON_DUPLICATE_PARAGRAPH)
            lm_json_key_int(ret, lm_reasons[i].reason, (int64_t)removed[i]);
    lm_buf_putc(ret, '}');
    lm_json_key_int(ret, "paragraphs_removed", (int64_t)removed[LM_REASON_DUPLICATE_PARAGRAPH]);
}

static void write_counts(const struct lm_report_source *s, struct lm_buf *ret)
{
    lm_json_key_int(ret, "documents_in", (int64_t)s->in);
    lm_json_key_int(ret, "documents_out", (int64_t)s->out);
    lm_json_key_int(ret, "bytes_in", (int64_t)s->bytes_in);
    lm_json_key_int(ret, "bytes_out", (int64_t)s->bytes_out);
    lm_json_key_int(ret, "words_out", (int64_t)s->words_out);
    write_removed(s->removed, ret);
}

static void write_lengths(const struct lm_report *report, struct lm_buf *ret)
{
    lm_json_key(ret, "lengths");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < LM_REPORT_LENGTHS; i++) {
        if (report->lengths[i] == 0)
            continue;
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_int(ret, "words_min", i ? INT64_C(1) << i : 0);
        lm_json_key_int(ret, "documents", (int64_t)report->lengths[i]);
        lm_buf_putc(ret, '}');
    }
    lm_buf_putc(ret, ']');
}

void lm_report_write(struct lm_report *report, struct lm_buf *ret)
{
    qsort(report->sources, report->source_count, sizeof(report->sources[0]), by_name);
    qsort(report->languages, report->language_count, sizeof(report->languages[0]), by_code);

    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    struct lm_report_source all = { .in = report->in,
                                    .out = report->out,
                                    .bytes_in = report->bytes_in,
                                    .bytes_out = report->bytes_out,
                                    .words_out = report->words_out };
    memcpy(all.removed, report->removed, sizeof(all.removed));
    write_counts(&all, ret);
    lm_json_key_int(ret, "sentences_out", (int64_t)report->sentences_out);
    lm_json_key(ret, "pii");
    lm_buf_putc(ret, '{');
    for (size_t i = 0; i < LM_PII_TYPE_COUNT; i++)
        if (report->pii[i])
            lm_json_key_int(ret, lm_pii_names[i], (int64_t)report->pii[i]);
    lm_buf_putc(ret, '}');
    lm_json_key(ret, "languages");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < report->language_count; i++) {
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_str(ret, "code", lm_str(report->languages[i].code));
        lm_json_key_int(ret, "documents", (int64_t)report->languages[i].documents);
        lm_json_key_int(ret, "words", (int64_t)report->languages[i].words);
        lm_buf_putc(ret, '}');
    }
    lm_buf_putc(ret, ']');
    write_lengths(report, ret);
    lm_json_key(ret, "sources");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < report->source_count; i++) {
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_str(ret, "name", lm_str(report->sources[i].name));
        write_counts(&report->sources[i], ret);
        lm_buf_putc(ret, '}');
    }
    lm_buf_puts(ret, "]}");
}

enum lm_reason lm_report_strongest(const struct lm_report *report)
{
    enum lm_reason best = LM_KEPT;
    for (int i = LM_KEPT + 1; i < LM_REASON_COUNT; i++)
        if (i != LM_REASON_DUPLICATE_PARAGRAPH && report->removed[i] > report->removed[best])
            best = (enum lm_reason)i;
    return best;
}

void lm_report_release(struct lm_report *report)
{
    for (size_t i = 0; i < report->source_count; i++)
        free(report->sources[i].name);
    *report = (struct lm_report){ 0 };
}
