#include "corpus/clean.h"
#include "corpus/blocks.h"
#include "corpus/slot.h"

#include "base/sys.h"

#include <stddef.h>
#include <stdlib.h>

/* To add a reason: a name in enum lm_reason and a row.  Names are part of removed.jsonl: keep them. */
const struct lm_reason_row lm_reasons[LM_REASON_COUNT] = {
    [LM_KEPT] = { "", "kept", "" },
    [LM_REASON_DUPLICATE_ID] = { "read", "duplicate-id", "" },
    [LM_REASON_HTML] = { "extract", "html-failed", "" },
    [LM_REASON_TEXT] = { "normalise", "text-failed", "" },
    [LM_REASON_EMPTY] = { "normalise", "empty", "" },
    [LM_REASON_LANGUAGE] = { "language", "other-language", "languages" },
    [LM_REASON_LANGUAGE_UNSURE] = { "language", "language-unsure", "language-confidence-min" },
    [LM_REASON_TOO_SHORT] = { "length", "too-short", "words-min" },
    [LM_REASON_TOO_LONG] = { "length", "too-long", "words-max" },
    [LM_REASON_DUPLICATE_LINES] = { "quality", "duplicate-lines", "duplicate-line-share-max" },
    [LM_REASON_SYMBOLS] = { "quality", "symbols", "symbol-share-max" },
    [LM_REASON_FEW_LETTERS] = { "quality", "few-letters", "alpha-word-share-min" },
    [LM_REASON_REPEATS] = { "quality", "repeats", "top-ngram-share-max" },
    [LM_REASON_UNUSUAL] = { "quality", "unusual", "bits-per-byte-max" },
    [LM_REASON_PREDICTABLE] = { "quality", "predictable", "bits-per-byte-min" },
    [LM_REASON_PII] = { "pii", "pii-failed", "anonymize" },
    [LM_REASON_DUPLICATE] = { "dedup", "duplicate", "dedup-documents" },
    [LM_REASON_DUPLICATE_PARAGRAPH] = { "dedup", "duplicate-paragraph", "dedup-paragraphs" },
    [LM_REASON_SHORT_AFTER_DEDUP] = { "dedup", "too-short-after-dedup", "words-min" },
};

/* The filters over lm_quality.  To add one: a threshold in lm_prepare_config and a row here. */
static const struct filter {
    enum lm_reason reason;
    size_t measured, threshold;   // offsets in lm_quality and lm_prepare_config
    bool is_min;
} filters[] = {
#define FILTER(why, is_lower, field, limit)                                                                  \
    {                                                                                                        \
        why, offsetof(struct lm_quality, field), offsetof(struct lm_prepare_config, limit), is_lower         \
    }
    FILTER(LM_REASON_DUPLICATE_LINES, false, duplicate_line_share, duplicate_line_share_max),
    FILTER(LM_REASON_SYMBOLS, false, symbol_share, symbol_share_max),
    FILTER(LM_REASON_FEW_LETTERS, true, alpha_word_share, alpha_word_share_min),
    FILTER(LM_REASON_REPEATS, false, top_ngram_share, top_ngram_share_max),
#undef FILTER
};

/* ---- shared by all threads ---- */

/* Words of `anonymize` that stand for several types.  A date alone points to nobody, and manuals are full of
 * them: it must be asked for. */
static const struct {
    const char *name;
    uint32_t mask;
} pii_groups[] = {
    { "none", 0 },
    { "all", (UINT32_C(1) << LM_PII_TYPE_COUNT) - 1 },
    { "standard", ((UINT32_C(1) << LM_PII_TYPE_COUNT) - 1) & ~(UINT32_C(1) << LM_PII_DATE) },
};
enum { PII_GROUPS = sizeof(pii_groups) / sizeof(pii_groups[0]) };

static bool pii_word(const char *word, uint32_t *ret)
{
    for (size_t i = 0; i < PII_GROUPS; i++) {
        if (strcmp(word, pii_groups[i].name) == 0) {
            *ret = pii_groups[i].mask;
            return true;
        }
    }
    for (size_t i = 0; i < LM_PII_TYPE_COUNT; i++) {
        if (strcmp(word, lm_pii_names[i]) == 0) {
            *ret = UINT32_C(1) << i;
            return true;
        }
    }
    return false;
}

static enum lm_rc pii_mask(const struct lm_opt_list *words, uint32_t *ret, struct lm_err *err)
{
    uint32_t all = 0;
    for (size_t i = 0; i < words->len; i++) {
        uint32_t mask;
        if (pii_word(words->items[i], &mask) && (mask || words->len == 1)) {   // "none, email" is a mistake
            all |= mask;
            continue;
        }
        struct lm_buf known = { 0 };
        for (size_t k = 0; k < LM_PII_TYPE_COUNT; k++)
            lm_buf_printf(&known, "%s ", lm_pii_names[k]);
        lm_fail(err, LM_EINVAL, "prepare: 'anonymize' cannot be '%s' here; use %sstandard all, or none alone",
                words->items[i], known.ptr);
        lm_buf_release(&known);
        return LM_EINVAL;
    }
    *ret = all;
    return LM_OK;
}

enum lm_rc lm_cleaner_init(struct lm_cleaner *cleaner, const struct lm_prepare_config *config,
                           struct lm_err *err)
{
    uint32_t mask = 0;
    LM_TRY(pii_mask(&config->anonymize, &mask, err));
    struct lm_pii *pii = NULL;
    if (mask)
        LM_TRY(lm_pii_new(mask, config->pii_score_min, &pii, err));
    *cleaner = (struct lm_cleaner){ .config = config, .pii = pii };
    if (!config->quality_model)
        return LM_OK;
    LM_TRY(lm_text_model_open(config->quality_model, &cleaner->model, err));
    cleaner->judge_count = (size_t)lm_threads();
    cleaner->judges = lm_zalloc(cleaner->judge_count, sizeof(struct lm_text_judge *));
    for (size_t i = 0; i < cleaner->judge_count; i++)
        cleaner->judges[i] = lm_text_judge_new(cleaner->model);
    return LM_OK;
}

void lm_cleaner_release(struct lm_cleaner *cleaner)
{
    lm_pii_free(cleaner->pii);
    for (size_t i = 0; i < cleaner->judge_count; i++)
        lm_text_judge_free(cleaner->judges[i]);
    free(cleaner->judges);
    lm_text_model_free(cleaner->model);
    *cleaner = (struct lm_cleaner){ 0 };
}

/* ---- the verdict ---- */

static bool reject(struct lm_cleaned *c, enum lm_reason reason, struct lm_str evidence)
{
    c->removal = (struct lm_removal){ .reason = reason, .evidence = evidence };
    return false;
}

static bool reject_value(struct lm_cleaned *c, enum lm_reason reason, double value, double threshold)
{
    c->removal =
        (struct lm_removal){ .reason = reason, .has_value = true, .value = value, .threshold = threshold };
    return false;
}

/* ---- the steps; false: the document is out ---- */

static struct lm_str keep_text(struct lm_cleaned *c, struct lm_str s)
{
    return (struct lm_str){ lm_arena_strndup(&c->arena, s.ptr, s.len), s.len };
}

/* Metadata of one line. */
static struct lm_str keep_line(struct lm_cleaned *c, struct lm_str s)
{
    lm_buf_reset(&c->scratch);
    if (lm_normalize(s, (struct lm_normalize){ .keep_lines = false }, &c->scratch, NULL) != LM_OK)
        return LM_STR("");
    return keep_text(c, lm_buf_str(&c->scratch));
}

static bool step_extract(struct lm_cleaned *c, struct lm_arena *scratch, struct lm_str *ret)
{
    struct lm_document *doc = &c->doc;
    *ret = doc->content;
    if (!lm_str_starts(doc->media_type, LM_STR("text/html")) &&
        !lm_str_starts(doc->media_type, LM_STR("application/xhtml+xml")))
        return true;
    struct lm_html_result page = { 0 };
    struct lm_err err = { 0 };
    if (lm_html_extract(doc->content, scratch, &page, &err) != LM_OK)
        return reject(c, LM_REASON_HTML, keep_text(c, lm_str(err.text)));
    if (!doc->title.len)
        doc->title = keep_line(c, page.title);
    if (!doc->author.len)
        doc->author = keep_line(c, page.author);
    if (!doc->date_published.len)
        doc->date_published = keep_line(c, page.date_published);
    doc->media_type = LM_STR("text/markdown");   // what the content is from here on
    *ret = page.text;
    return true;
}

static bool step_normalise(const struct lm_cleaner *cleaner, struct lm_cleaned *c, struct lm_str text)
{
    const struct lm_normalize how = { .lowercase = cleaner->config->lowercase, .keep_lines = true };
    struct lm_err err = { 0 };
    if (lm_normalize(text, how, &c->text, &err) != LM_OK)
        return reject(c, LM_REASON_TEXT, keep_text(c, lm_str(err.text)));
    struct lm_blocks blocks = { .text = lm_buf_str(&c->text) };
    struct lm_block first;
    if (!lm_blocks_next(&blocks, &first))
        return reject(c, LM_REASON_EMPTY, LM_STR(""));
    if (!c->doc.title.len && first.kind == LM_BLOCK_HEADING)
        c->doc.title = keep_text(c, first.inner);
    return true;
}

static bool step_language(const struct lm_cleaner *cleaner, struct lm_cleaned *c)
{
    const struct lm_opt_list *wanted = &cleaner->config->languages;
    c->language = lm_language_identify(lm_buf_str(&c->text));
    const struct lm_str code = keep_text(c, lm_str(c->language.code));
    c->doc.language = code;
    if (wanted->len == 0)
        return true;
    bool found = false;
    for (size_t i = 0; i < wanted->len; i++)
        found = found || lm_str_eq(code, lm_str(wanted->items[i]));
    const double confidence_min = cleaner->config->language_confidence_min;
    if (found && c->language.confidence >= confidence_min)
        return true;
    reject_value(c, found ? LM_REASON_LANGUAGE_UNSURE : LM_REASON_LANGUAGE, c->language.confidence,
                 confidence_min);
    c->removal.evidence = code;
    return false;
}

static bool step_quality(const struct lm_cleaner *cleaner, struct lm_cleaned *c, struct lm_arena *scratch)
{
    const struct lm_prepare_config *config = cleaner->config;
    c->quality = lm_quality_measure(lm_buf_str(&c->text), scratch);
    const int64_t words = c->quality.words;
    if (words < config->words_min)
        return reject_value(c, LM_REASON_TOO_SHORT, (double)words, (double)config->words_min);
    if (words > config->words_max)
        return reject_value(c, LM_REASON_TOO_LONG, (double)words, (double)config->words_max);
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        const double value = *(const double *)((const char *)&c->quality + filters[i].measured);
        const double limit = *(const double *)((const char *)config + filters[i].threshold);
        if (filters[i].is_min ? value < limit : value > limit)
            return reject_value(c, filters[i].reason, value, limit);
    }
    return true;
}

/* Replaces what is found in `text`; the answer lies in c->scratch unless nothing was found. */
static enum lm_rc anonymise(const struct lm_cleaner *cleaner, struct lm_cleaned *c, struct lm_str text,
                            struct lm_err *err)
{
    c->spans.len = 0;
    LM_TRY(lm_pii_find(cleaner->pii, text, &c->spans, err));
    for (size_t i = 0; i < c->spans.len; i++)
        c->pii_counts[c->spans.items[i].type]++;
    lm_buf_reset(&c->scratch);
    if (c->spans.len)
        lm_pii_replace(text, &c->spans, &c->scratch);
    return LM_OK;
}

static bool step_pii(const struct lm_cleaner *cleaner, struct lm_cleaned *c, struct lm_arena *scratch)
{
    struct lm_err err = { 0 };
    if (!cleaner->pii)
        return true;
    /* The sentence of the error is not evidence: it might quote the text. */
    if (anonymise(cleaner, c, c->doc.title, &err) != LM_OK)
        return reject(c, LM_REASON_PII, lm_str(lm_rc_name(err.rc)));
    if (c->spans.len)
        c->doc.title = keep_text(c, lm_buf_str(&c->scratch));
    if (anonymise(cleaner, c, lm_buf_str(&c->text), &err) != LM_OK)
        return reject(c, LM_REASON_PII, lm_str(lm_rc_name(err.rc)));
    if (c->spans.len) {
        const struct lm_buf anonymised = c->scratch;
        c->scratch = c->text;
        c->text = anonymised;
        c->quality = lm_quality_measure(lm_buf_str(&c->text), scratch);   // of what will be trained on
    }
    return true;
}

/* What will be trained on, without personal data, as the model's texts are. */
static bool step_model(const struct lm_cleaner *cleaner, struct lm_cleaned *c, size_t thread)
{
    const struct lm_prepare_config *config = cleaner->config;
    if (!cleaner->model)
        return true;
    c->bits_per_byte = lm_text_judge_bits(cleaner->judges[thread], lm_buf_str(&c->text));
    if (c->bits_per_byte > config->bits_per_byte_max)
        return reject_value(c, LM_REASON_UNUSUAL, c->bits_per_byte, config->bits_per_byte_max);
    if (c->bits_per_byte < config->bits_per_byte_min)
        return reject_value(c, LM_REASON_PREDICTABLE, c->bits_per_byte, config->bits_per_byte_min);
    return true;
}

/* SHA-256 of the text with case folded and white space collapsed. */
static void fold_digest(struct lm_cleaned *c, struct lm_str text, uint8_t ret[LM_SHA256_BYTES])
{
    lm_buf_reset(&c->scratch);
    const struct lm_normalize how = { .lowercase = true, .keep_lines = false };
    const bool folded = lm_normalize(text, how, &c->scratch, NULL) == LM_OK;
    const struct lm_str bytes =
        folded ? lm_buf_str(&c->scratch) : text;   // not folded: equal bytes still match
    struct lm_sha256 h;
    lm_sha256_init(&h);
    lm_sha256_add(&h, bytes.ptr, bytes.len);
    lm_sha256_end(&h, ret);
}

/* Only prose that stands by itself can go.  Headings, items, tables and code belong to what is around them:
 * an option without its explanation, or half an example, would be worse than the repetition. */
static void step_digests(const struct lm_cleaner *cleaner, struct lm_cleaned *c)
{
    const struct lm_str text = lm_buf_str(&c->text);
    if (cleaner->config->dedup_documents)
        fold_digest(c, text, c->digest);
    if (!cleaner->config->dedup_paragraphs)
        return;
    struct lm_blocks blocks = { .text = text };
    struct lm_block block;
    while (lm_blocks_next(&blocks, &block)) {
        const size_t bytes_min = (size_t)cleaner->config->dedup_paragraph_chars_min;
        if (block.kind != LM_BLOCK_PROSE || block.indent || block.text.len < bytes_min ||
            lm_utf8_count(block.text) < bytes_min)
            continue;
        lm_grow(&c->paragraphs, &c->paragraph_cap, c->paragraph_count + 1, sizeof(*c->paragraphs));
        struct lm_paragraph *p = &c->paragraphs[c->paragraph_count++];
        *p = (struct lm_paragraph){ .start = block.start, .end = block.end };
        fold_digest(c, block.text, p->digest);
    }
}

void lm_clean(const struct lm_cleaner *cleaner, struct lm_cleaned *c, size_t thread, struct lm_arena *scratch)
{
    struct lm_str text;
    c->bytes_in = c->doc.content.len;
    const bool kept = step_extract(c, scratch, &text) && step_normalise(cleaner, c, text) &&
                      step_language(cleaner, c) && step_quality(cleaner, c, scratch) &&
                      step_pii(cleaner, c, scratch) && step_model(cleaner, c, thread);
    if (kept)
        step_digests(cleaner, c);
    lm_slot_arena_reset(scratch);
}

/* ---- writing ---- */

/* At most `chars` code points of s, with blanks for line ends. */
static void add_start(struct lm_str s, size_t chars, struct lm_buf *ret)
{
    size_t at = 0;
    for (; chars && at < s.len; chars--) {
        uint32_t cp;
        at += lm_utf8_next(s, at, &cp);
    }
    const size_t from = ret->len;
    lm_buf_add(ret, s.ptr, at);
    for (size_t i = from; i < ret->len; i++)
        if (ret->ptr[i] == '\n')
            ret->ptr[i] = ' ';
}

/* Takes the paragraphs out of the text and notes each in c->removed. */
static void cut_paragraphs(struct lm_cleaned *c)
{
    enum { EVIDENCE_CHARS = 80 };
    size_t at = 0;
    struct lm_buf start = { 0 };
    lm_buf_reset(&c->scratch);
    for (size_t i = 0; i < c->paragraph_count; i++) {
        struct lm_paragraph *p = &c->paragraphs[i];
        if (!p->cut)
            continue;
        lm_buf_add(&c->scratch, c->text.ptr + at, p->start - at);
        at = p->end;
        while (at < c->text.len && c->text.ptr[at] == '\n')   // the blank line goes with it
            at++;
        lm_buf_reset(&start);
        add_start((struct lm_str){ c->text.ptr + p->start, p->end - p->start }, EVIDENCE_CHARS, &start);
        p->removal.evidence = lm_str_trim(lm_buf_str(&start));
        lm_removal_write(c->doc.id, &p->removal, &c->removed);
    }
    lm_buf_release(&start);
    if (at == 0)
        return;
    lm_buf_add(&c->scratch, c->text.ptr + at, c->text.len - at);
    while (c->scratch.len && c->scratch.ptr[c->scratch.len - 1] == '\n')
        c->scratch.len--;
    const struct lm_buf whole = c->text;
    c->text = c->scratch;
    c->scratch = whole;
}

static void write_attributes(struct lm_cleaned *c)
{
    static const char *const ours[] = { "bytes_in",  "words", "language_confidence", "quality", "pii",
                                        "sentences", NULL };
    struct lm_buf *a = &c->scratch;
    lm_buf_reset(a);
    lm_document_attributes_open(c->doc.attributes, ours, a);
    lm_json_key_int(a, "bytes_in", (int64_t)c->bytes_in);
    lm_json_key_int(a, "words", c->quality.words);
    lm_json_key_num(a, "language_confidence", c->language.confidence);
    lm_json_key(a, "quality");
    lm_buf_putc(a, '{');
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
        lm_json_key_num(a, lm_reasons[filters[i].reason].reason,
                        *(const double *)((const char *)&c->quality + filters[i].measured));
    if (c->bits_per_byte > 0)
        lm_json_key_num(a, "bits-per-byte", c->bits_per_byte);
    lm_buf_putc(a, '}');
    lm_json_key(a, "pii");
    lm_buf_putc(a, '{');
    for (size_t i = 0; i < LM_PII_TYPE_COUNT; i++)
        if (c->pii_counts[i])
            lm_json_key_int(a, lm_pii_names[i], c->pii_counts[i]);
    lm_buf_putc(a, '}');
    lm_json_key(a, "sentences");
    lm_buf_putc(a, '[');
    for (size_t i = 0; i < c->sentences.len; i++) {
        lm_json_sep(a);
        lm_json_int(a, c->sentences.ends[i]);
    }
    lm_buf_puts(a, "]}");
    c->doc.attributes = lm_buf_str(a);
}

void lm_clean_finish(struct lm_cleaned *c)
{
    if (c->removal.reason != LM_KEPT) {
        lm_removal_write(c->doc.id, &c->removal, &c->removed);
        return;
    }
    cut_paragraphs(c);
    c->doc.content = lm_buf_str(&c->text);
    const char *language = lm_arena_strndup(&c->arena, c->doc.language.ptr, c->doc.language.len);
    c->rc = lm_sentences_split(c->doc.content, language, &c->sentences, &c->err);
    if (c->rc != LM_OK)
        return;
    write_attributes(c);
    lm_document_write(&c->doc, &c->line);
}

void lm_removal_write(struct lm_str id, const struct lm_removal *removal, struct lm_buf *ret)
{
    LM_ASSERT(removal->reason > LM_KEPT && removal->reason < LM_REASON_COUNT);
    const struct lm_reason_row *row = &lm_reasons[removal->reason];
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "id", id);
    lm_json_key_str(ret, "stage", lm_str(row->stage));
    lm_json_key_str(ret, "reason", lm_str(row->reason));
    lm_json_key_str(ret, "rule", lm_str(row->rule));
    if (removal->has_value) {
        lm_json_key_num(ret, "value", removal->value);
        lm_json_key_num(ret, "threshold", removal->threshold);
    }
    if (removal->kept.len)
        lm_json_key_str(ret, "kept", removal->kept);
    lm_json_key_str(ret, "evidence", removal->evidence);
    lm_buf_puts(ret, "}\n");
}

/* ---- lifetime ---- */

void lm_cleaned_reset(struct lm_cleaned *c)
{
    lm_slot_arena_reset(&c->arena);
    struct lm_buf *const bufs[] = { &c->text, &c->scratch, &c->line, &c->removed };
    for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
        lm_slot_buf_reset(bufs[i]);
    memset(c->pii_counts, 0, sizeof(c->pii_counts));
    c->doc = (struct lm_document){ 0 };
    c->removal = (struct lm_removal){ 0 };
    c->spans.len = c->sentences.len = c->paragraph_count = 0;
    c->bytes_in = 0;
    c->bits_per_byte = 0;
    c->rc = LM_OK;
}

void lm_cleaned_release(struct lm_cleaned *c)
{
    lm_arena_release(&c->arena);
    lm_buf_release(&c->text);
    lm_buf_release(&c->scratch);
    lm_buf_release(&c->line);
    lm_buf_release(&c->removed);
    lm_pii_spans_release(&c->spans);
    lm_sentences_release(&c->sentences);
    free(c->paragraphs);
    *c = (struct lm_cleaned){ 0 };
}
