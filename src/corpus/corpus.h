#ifndef LM_CORPUS_CORPUS_H
#define LM_CORPUS_CORPUS_H
/* corpus/corpus.h - the stages that turn sources into training data.  Each writes its files below out_dir
 * (which exists and is empty), and appends one JSON object of metrics.
 * Output bytes depend on inputs, options and version only.  All may return LM_ESTOP. */

#include "base/option.h"
#include "base/str.h"
#include "token/grow.h"
#include "token/tokenizer.h"

/* ---- collect: corpus/collect.c -> out_dir/documents.jsonl.zst ---- */

struct lm_source {
    const char *name;      // "postgres-manual"
    const char *path;      // file or folder; no option: it does not change the documents
    const char *license;   // SPDX or free text
    const char *author;
    struct lm_opt_list labels;    // partitions and topics; pass to every document
    struct lm_opt_list include;   // globs on the relative path; empty: every supported file
    struct lm_opt_list exclude;
    const char *base_url;   // prefix of the documents' url; NULL: file path relative to the source
};
extern const struct lm_opt_table lm_source_options;   // one source, as in loom.yaml `collect: sources:`

/* HTML, text, Markdown, JSONL (plain, .gz, .zst); sources in the order given, files by path, records by line.
 * Pages stay HTML: finding their text is up to prepare.  Unsupported files are counted by type in the
 * metrics. LM_ENOENT names a source that gives no document and says what is supported. */
enum lm_rc lm_collect(const struct lm_source *sources, size_t count, const char *out_dir,
                      struct lm_buf *metrics, struct lm_err *err);

/* ---- prepare: corpus/prepare.c -> documents.jsonl.zst, removed.jsonl, report.json ----
 * The steps, their order and its reasons are in README.md.  A kept document has text/markdown or plain
 * content, a language, and these attributes beside what it came with:
 *
 *     bytes_in words language_confidence     of the content: before, after
 *     quality {reason: measured value}       of each filter, named as in removed.jsonl
 *     pii {type: count}                      what was replaced
 *     sentences [end offsets]                bytes of the content; the last is its length
 *
 * removed.jsonl has a line for each removed document or paragraph: id, stage, reason, rule (the option),
 * value and threshold where numbers decide, kept (id of the document that holds the text) for duplicates,
 * evidence. LM_ENOENT, with the strongest reason and its option, when nothing is left. */

struct lm_prepare_config {
    bool lowercase;
    struct lm_opt_list languages;   // keep these; empty keeps all
    double language_confidence_min;
    int64_t words_min, words_max;
    const char *quality_model;   // folder of corpus/text_model.h; NULL: none
    double bits_per_byte_min, bits_per_byte_max;
    double duplicate_line_share_max, symbol_share_max, alpha_word_share_min, top_ngram_share_max;
    struct lm_opt_list anonymize;   // pii names; "standard" (all but dates), "all", or "none"
    double pii_score_min;
    bool dedup_documents, dedup_paragraphs;
    int64_t dedup_paragraph_chars_min;
};
extern const struct lm_opt_table lm_prepare_options;

enum lm_rc lm_prepare(const struct lm_prepare_config *config, const char *const *inputs, size_t input_count,
                      const char *out_dir, struct lm_buf *metrics, struct lm_err *err);

/* ---- pairs: corpus/pairs.c -> pairs.jsonl ----
 * Question-answer pairs from what the structure of prepared pages states (rules: facts.c, questions:
 * pairs.c), in three snapshots: `sql` and `tools` from reference pages (NAME line, synopsis), `settings` from
 * definitions with a type.  Keys: id, snapshot, question, answer, document (id), split ("train" or
 * "heldout").  A question is asked once.  LM_ENOENT when no page states anything. */

struct lm_pairs_config {
    double heldout_share;       // lm_heldout of the document; of the setting where a page holds hundreds
    int64_t answer_chars_max;   // longer answers end with a sentence, or a group of code lines
};
extern const struct lm_opt_table lm_pairs_options;

enum lm_rc lm_pairs_build(const struct lm_pairs_config *config, const char *const *inputs, size_t input_count,
                          const char *out_dir, struct lm_buf *metrics, struct lm_err *err);

/* ---- tokenizer: corpus/vocabulary.c -> what lm_tokenizer_train writes ----
 * Trains on the documents' content; held-out documents (lm_heldout with this share) do not shape the
 * vocabulary. */
enum lm_rc lm_vocabulary_build(const struct lm_tokenizer_config *config, double heldout_share,
                               const char *const *inputs, size_t input_count, const char *out_dir,
                               struct lm_buf *metrics, struct lm_err *err);

/* The tokenizer with new tokens from these inputs: token/grow.h. */
enum lm_rc lm_vocabulary_grow(const struct lm_tokenizer *t, const struct lm_grow_config *config,
                              const char *const *inputs, size_t input_count, const char *from_dir,
                              const char *out_dir, struct lm_buf *metrics, struct lm_err *err);

/* ---- tokens: corpus/tokens.c -> train.tokens, heldout.tokens, tokens.db ---- */

struct lm_tokens_config {
    double heldout_share;   // by document: held out when hash(id) falls below it
    bool table;             // write tokens.db
};
extern const struct lm_opt_table lm_tokens_options;

/* From a tokenizer.json, or its folder. */
enum lm_rc lm_tokens_build(const struct lm_tokens_config *config, const char *tokenizer_path,
                           const char *const *inputs, size_t input_count, const char *out_dir,
                           struct lm_buf *metrics, struct lm_err *err);
/* With a tokenizer from elsewhere (a GGUF file); borrowed. */
enum lm_rc lm_tokens_build_with(const struct lm_tokens_config *config, const struct lm_tokenizer *tokenizer,
                                const char *const *inputs, size_t input_count, const char *out_dir,
                                struct lm_buf *metrics, struct lm_err *err);

/* True when the document belongs to the held-out set: the one rule for tokens and pairs. */
bool lm_heldout(struct lm_str document_id, double share);

#endif
