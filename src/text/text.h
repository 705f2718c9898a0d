#ifndef LM_TEXT_TEXT_H
#define LM_TEXT_TEXT_H
/* text/text.h - what `corpus` needs of text, in the order a document passes through it:
 * bytes -> UTF-8 (charset) -> main text (html) -> normal form (normalize) -> language -> sentences -> quality
 * -> personal data (pii).  All functions are pure: equal input, equal output; no global state but read-only
 * tables; callable from any thread.  Offsets are bytes of UTF-8. */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- charset: text/charset.c ---- */

/* Converts HTML or text bytes to UTF-8: BOM, then `declared` (from HTTP; may be empty), then <meta> within
 * the first 1024 bytes, then UTF-8 validity, then windows-1252; labels as in the WHATWG encoding standard.
 * Undecodable bytes become U+FFFD.  *ret_name is a static name such as "utf-8". */
enum lm_rc lm_charset_to_utf8(struct lm_str bytes, struct lm_str declared, bool is_html, struct lm_buf *ret,
                              const char **ret_name, struct lm_err *err);

bool lm_utf8_valid(struct lm_str s);                                 // no surrogates, no overlong forms
size_t lm_utf8_next(struct lm_str s, size_t at, uint32_t *ret_cp);   // bytes used; invalid: 1 and U+FFFD
size_t lm_utf8_put(uint32_t cp, char ret[4]);                        // bytes written, 1..4
size_t lm_utf8_count(struct lm_str s);                               // code points

/* ---- HTML to main text: text/html.c ----
 *
 * The text is a plain kind of Markdown, one line per paragraph, one blank line between blocks:
 *
 *     # Title                      the first heading; the highest of the others is "##"
 *     - item, 1. item              lists, nested ones indented by two spaces
 *       further paragraph          likewise indented, after a blank line
 *     term, other term             definition lists: the terms on one line,
 *     : definition                 every paragraph of the definition led by ": ", no blank line before the
 * first Note: text                   the heading of a note or warning is a label | a | b | tables; "| --- |
 * --- |" below a row of <th>; '|' in a cell becomes "\|"; a table of one column, or one that lays out the
 * page, is paragraphs > quoted
 *
 * <pre> becomes a fence of at least three ` at the left margin, wherever it stands, with the code as it is
 * but for blanks at line ends.  There are no marks inside lines: emphasis, links and inline code are plain.
 */

struct lm_html_result {
    struct lm_str title;      // of <title> or the first heading; in the arena
    struct lm_str text;       // Markdown-like: "# " headings, "- " lists, fenced code, "| " tables
    struct lm_str language;   // lang attribute, or empty
    struct lm_str author, date_published;   // from <meta>, or empty
    size_t blocks_kept, blocks_dropped;
};

enum { LM_HTML_DEPTH_MAX = 512, LM_HTML_NODES_MAX = 4 << 20 };

/* Main content without navigation, header, footer, scripts, advertising.  Linear in the input; deeper nesting
 * than LM_HTML_DEPTH_MAX is flattened.  `html` must be UTF-8.  The result lives in the arena. */
enum lm_rc lm_html_extract(struct lm_str html, struct lm_arena *arena, struct lm_html_result *ret,
                           struct lm_err *err);

/* ---- normalisation: text/normalize.c ---- */

struct lm_normalize {
    bool lowercase;    // off by default
    bool keep_lines;   // keep line structure (default): blanks collapse inside a line, and at most one
                       // blank line stays; code fences keep their indentation
};

/* NFC, control characters (but TAB, LF) removed, CR LF to LF, exotic blanks to space, white space collapsed.
 */
enum lm_rc lm_normalize(struct lm_str text, struct lm_normalize how, struct lm_buf *ret, struct lm_err *err);

/* ---- language: text/language.c ---- */

struct lm_language {
    char code[4];        // ISO 639-1 ("en"), "und" when nothing is certain
    double confidence;   // 0..1
};

/* By script, then by character n-gram and stop-word profile within Latin, Cyrillic and Arabic scripts. */
struct lm_language lm_language_identify(struct lm_str text);

/* ---- sentences: text/sentence.c ---- */

/* UAX #29 sentence boundaries with abbreviation suppression; lines of headings, lists, tables and code end a
 * sentence.  Appends the end offset of every sentence to ends (int64_t via lm_grow); the last is text.len. */
struct lm_sentences {
    uint32_t *ends;
    size_t len, cap;
};
enum lm_rc lm_sentences_split(struct lm_str text, const char *language, struct lm_sentences *ret,
                              struct lm_err *err);
void lm_sentences_release(struct lm_sentences *s);

/* ---- quality: text/quality.c ---- */

struct lm_quality {
    int64_t words;   // runs of letters and digits
    double mean_word_chars;
    double alpha_word_share;       // words with at least one letter
    double symbol_share;           // '#' and ellipses per word
    double duplicate_line_share;   // characters in repeated lines (first copy not counted) / characters
    double top_ngram_share;        // characters of the most repeated 3-gram (count >= 2) / characters
    double stop_words;   // distinct English stop words found (of the, be, to, of, and, that, have, with)
};

struct lm_quality lm_quality_measure(struct lm_str text, struct lm_arena *scratch);

/* ---- personal data: text/pii.c ----
 *
 * Scores: e-mail .95, checksums .7 to .9, forms of telephone numbers .1 to .8, dates .2 to .6, names .1 to
 * .85; a word like "born" or "phone" among the five tokens before adds .35.  .5 is a good least score.  Kept
 * as not personal: IP addresses that are not globally routable, networks, version and section numbers; names,
 * dates and telephone numbers in code or literals score low. */

enum lm_pii_type {
    LM_PII_EMAIL,
    LM_PII_PHONE,
    LM_PII_CARD,   // Luhn
    LM_PII_IBAN,   // mod 97 and length per country
    LM_PII_IP,     // v4 and v6
    LM_PII_DATE,
    LM_PII_PERSON,   // after a title, or a known given name followed by a surname
    LM_PII_TYPE_COUNT,
};

extern const char *const lm_pii_names[LM_PII_TYPE_COUNT];          // "email"
extern const char *const lm_pii_placeholders[LM_PII_TYPE_COUNT];   // "[Email]", "[Phone]", "[Card]", ...

struct lm_pii_span {
    uint32_t start, end;   // bytes; spans are ordered and do not overlap
    enum lm_pii_type type;
    float score;   // 0..1
};

struct lm_pii_spans {
    struct lm_pii_span *items;
    size_t len, cap;
};

/* Compiled once, shared by all threads. */
struct lm_pii;
enum lm_rc lm_pii_new(uint32_t type_mask, double score_min, struct lm_pii **ret, struct lm_err *err);
void lm_pii_free(struct lm_pii *pii);

/* Fails closed: any error means the text must be withheld. */
enum lm_rc lm_pii_find(const struct lm_pii *pii, struct lm_str text, struct lm_pii_spans *ret,
                       struct lm_err *err);
void lm_pii_spans_release(struct lm_pii_spans *spans);

/* text with every span replaced by its placeholder. */
void lm_pii_replace(struct lm_str text, const struct lm_pii_spans *spans, struct lm_buf *ret);

#endif
