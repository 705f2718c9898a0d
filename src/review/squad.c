/* review/squad.c - exact match and word F1 by the rules of SQuAD.  Rajpurkar et al. 2016, arXiv:1606.05250.
 */

#include "review/measures.h"

#include "text/text.h"

#include <unicode/uchar.h>

/* stats: sum, segments. */

static bool is_ascii_punctuation(char c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

static bool is_article(struct lm_str word)
{
    return lm_str_eq(word, LM_STR("a")) || lm_str_eq(word, LM_STR("an")) || lm_str_eq(word, LM_STR("the"));
}

/* End of the run, from `at`, of characters that are (or are not) letters and numbers. */
static size_t run_end(struct lm_str text, size_t at, bool *ret_word)
{
    uint32_t cp;
    for (size_t first = at; at < text.len;) {
        const size_t len = lm_utf8_next(text, at, &cp);
        const bool word = U_GET_GC_MASK((UChar32)cp) & (U_GC_L_MASK | U_GC_N_MASK);
        if (at == first)
            *ret_word = word;
        if (word != *ret_word)
            break;
        at += len;
    }
    return at;
}

void lm_squad_normal(struct lm_str text, struct lm_buf *ret)
{
    struct lm_buf lower = { 0 }, bare = { 0 };
    lm_words_lower(text, &lower);
    size_t kept = 0;
    for (size_t i = 0; i < lower.len; i++)
        if (!is_ascii_punctuation(lower.ptr[i]))
            lower.ptr[kept++] = lower.ptr[i];

    const struct lm_str s = { lm_buf_str(&lower).ptr, kept };
    for (size_t at = 0, end; at < s.len; at = end) {
        bool word = false;
        end = run_end(s, at, &word);
        const struct lm_str run = { s.ptr + at, end - at };
        if (word && is_article(run))
            lm_buf_putc(&bare, ' ');
        else
            lm_buf_add_str(&bare, run);
    }
    struct lm_str rest = lm_buf_str(&bare), word;
    for (const char *blank = ""; lm_words_next(&rest, &word); blank = " ") {
        lm_buf_puts(ret, blank);
        lm_buf_add_str(ret, word);
    }
    lm_buf_release(&lower);
    lm_buf_release(&bare);
}

enum lm_rc lm_exact_match_measure(const struct lm_metric *metric, const struct lm_metric_config *config,
                                  const struct lm_segment *segment, struct lm_texts *scratch, double *stats,
                                  struct lm_err *err)
{
    (void)metric, (void)config, (void)scratch, (void)err;
    struct lm_buf hyp = { 0 }, ref = { 0 };
    lm_squad_normal(segment->hyp, &hyp);
    for (size_t i = 0; i < segment->ref_count && stats[0] == 0; i++) {
        lm_buf_reset(&ref);
        lm_squad_normal(segment->refs[i], &ref);
        stats[0] = lm_str_eq(lm_buf_str(&hyp), lm_buf_str(&ref));
    }
    stats[1] = 1;
    lm_buf_release(&hyp);
    lm_buf_release(&ref);
    return LM_OK;
}

static void add_normal(struct lm_texts *t, struct lm_str text)
{
    struct lm_buf normal = { 0 };
    lm_squad_normal(text, &normal);
    lm_texts_add(t, LM_WORDS_NONE, false, lm_buf_str(&normal));
    lm_buf_release(&normal);
}

enum lm_rc lm_token_f1_measure(const struct lm_metric *metric, const struct lm_metric_config *config,
                               const struct lm_segment *segment, struct lm_texts *scratch, double *stats,
                               struct lm_err *err)
{
    (void)metric, (void)config, (void)err;
    lm_texts_reset(scratch);
    add_normal(scratch, segment->hyp);
    for (size_t i = 0; i < segment->ref_count; i++)
        add_normal(scratch, segment->refs[i]);
    for (size_t k = 1; k < scratch->count; k++) {
        const size_t hyp = lm_texts_words(scratch, 0), ref = lm_texts_words(scratch, k);
        const double f = hyp + ref == 0 ? 1 : lm_prf(lm_texts_overlap(scratch, k, k + 1), hyp, ref).f;
        if (f > stats[0])
            stats[0] = f;
    }
    stats[1] = 1;
    return LM_OK;
}

void lm_squad_sign(const struct lm_metric *metric, const struct lm_metric_config *config, struct lm_buf *ret)
{
    (void)metric, (void)config;
    lm_buf_puts(ret, "|norm:squad|agg:mean");
}
