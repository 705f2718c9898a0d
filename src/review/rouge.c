/* review/rouge.c - ROUGE-N, ROUGE-L and ROUGE-Lsum, as ROUGE-1.5.5 and rouge-score without stemming.
 * Lin 2004. */

#include "review/measures.h"

#include "base/mem.h"
#include "text/text.h"

#include <unicode/uchar.h>

/* stats: sum of F, segments; letters, and those of them in a-z. */
enum { F_SUM, SEGMENTS, LETTERS, LATIN };

struct lm_prf lm_prf(size_t matches, size_t hyp_count, size_t ref_count)
{
    if (matches == 0)
        return (struct lm_prf){ 0 };
    const double p = (double)matches / (double)hyp_count, r = (double)matches / (double)ref_count;
    return (struct lm_prf){ p, r, 2 * p * r / (p + r) };
}

static void count_letters(struct lm_str text, double *stats)
{
    uint32_t cp;
    for (size_t at = 0; at < text.len;) {
        at += lm_utf8_next(text, at, &cp);
        const bool latin = (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z');
        stats[LATIN] += latin;
        stats[LETTERS] += latin || (cp >= 0x80 && u_isalpha((UChar32)cp));
    }
}

const char *lm_rouge_warn(const struct lm_metric *metric, const struct lm_metric_config *config,
                          const double *sums)
{
    if (lm_metric_words(metric, config) != LM_WORDS_ROUGE155 || 2 * sums[LATIN] >= sums[LETTERS])
        return NULL;
    return "ROUGE's own words keep only a-z and 0-9: more than half of the letters were left out; choose the "
           "words 'unicode'";
}

void lm_rouge_sign(const struct lm_metric *metric, const struct lm_metric_config *config, struct lm_buf *ret)
{
    lm_buf_printf(ret, "|stem:no|tok:%s|agg:mean", lm_words_names[lm_metric_words(metric, config)]);
}

static void begin(const struct lm_segment *segment, struct lm_texts *t, double *stats)
{
    lm_texts_reset(t);
    stats[SEGMENTS] = 1;
    count_letters(segment->hyp, stats);
    for (size_t i = 0; i < segment->ref_count; i++)
        count_letters(segment->refs[i], stats);
}

static void add_all(const struct lm_segment *segment, enum lm_words words, struct lm_texts *t)
{
    lm_texts_add(t, words, false, segment->hyp);
    for (size_t i = 0; i < segment->ref_count; i++)
        lm_texts_add(t, words, false, segment->refs[i]);
}

static void keep_best(double *best, double f)
{
    if (f > *best)
        *best = f;
}

enum lm_rc lm_rouge_n_measure(const struct lm_metric *metric, const struct lm_metric_config *config,
                              const struct lm_segment *segment, struct lm_texts *scratch, double *stats,
                              struct lm_err *err)
{
    (void)err;
    begin(segment, scratch, stats);
    add_all(segment, lm_metric_words(metric, config), scratch);
    for (int n = 1; n < metric->variant; n++)
        lm_texts_longer(scratch);
    for (size_t k = 1; k < scratch->count; k++)
        keep_best(&stats[F_SUM], lm_prf(lm_texts_overlap(scratch, k, k + 1), lm_texts_grams(scratch, 0),
                                        lm_texts_grams(scratch, k))
                                     .f);
    return LM_OK;
}

/* ---- longest common subsequence ---- */

/* Bit-parallel: bit i of `v` is 0 where word i of `a` is matched.  Hyyro 2004, "Bit-parallel LCS-length
 * computation revisited", figure 2.  64 cells of the table at a time. */
size_t lm_texts_lcs(struct lm_texts *t, size_t a, size_t b)
{
    const size_t a_len = lm_texts_words(t, a), b_len = lm_texts_words(t, b);
    const uint32_t *aw = t->words + t->ranges[a].start, *bw = t->words + t->ranges[b].start;
    const size_t width = (a_len + 63) / 64;
    if (a_len == 0 || b_len == 0)
        return 0;

    /* rows[word] is 1 + the row of its mask; row 0 is v. */
    lm_grow(&t->cells, &t->cells_cap, t->word_count, sizeof(*t->cells));
    memset(t->cells, 0, t->word_count * sizeof(*t->cells));
    uint32_t rows = 0;
    for (size_t i = 0; i < a_len; i++)
        if (t->cells[aw[i]] == 0)
            t->cells[aw[i]] = ++rows;
    lm_grow(&t->bits, &t->bits_cap, (rows + 1) * width, sizeof(*t->bits));
    memset(t->bits, 0, (rows + 1) * width * sizeof(*t->bits));
    uint64_t *v = t->bits;
    memset(v, 0xff, width * sizeof(*v));
    for (size_t i = 0; i < a_len; i++)
        t->bits[t->cells[aw[i]] * width + i / 64] |= UINT64_C(1) << (i % 64);

    for (size_t j = 0; j < b_len; j++) {
        const uint32_t row = t->cells[bw[j]];
        if (row == 0)
            continue;   // in b only: changes nothing
        const uint64_t *mask = t->bits + row * width;
        unsigned long long carry = 0;
        for (size_t w = 0; w < width; w++) {
            const uint64_t u = v[w] & mask[w];
            const uint64_t sum = v[w] + u;
            const uint64_t with_carry = sum + carry;
            carry = (sum < u) | (with_carry < sum);
            v[w] = with_carry | (v[w] & ~u);
        }
    }
    size_t len = 0;
    for (size_t i = 0; i < a_len; i++)
        len += !(v[i / 64] >> (i % 64) & 1);
    return len;
}

static enum lm_rc check_words(const struct lm_texts *t, struct lm_err *err)
{
    for (size_t k = 0; k < t->count; k++)
        if (lm_texts_words(t, k) > LM_LCS_WORDS_MAX)
            return lm_fail(err, LM_ELIMIT, "ROUGE-L compares texts of up to %d words, this one has %zu",
                           LM_LCS_WORDS_MAX, lm_texts_words(t, k));
    return LM_OK;
}

enum lm_rc lm_rouge_l_measure(const struct lm_metric *metric, const struct lm_metric_config *config,
                              const struct lm_segment *segment, struct lm_texts *scratch, double *stats,
                              struct lm_err *err)
{
    begin(segment, scratch, stats);
    add_all(segment, lm_metric_words(metric, config), scratch);
    LM_TRY(check_words(scratch, err));
    for (size_t k = 1; k < scratch->count; k++)
        keep_best(
            &stats[F_SUM],
            lm_prf(lm_texts_lcs(scratch, k, 0), lm_texts_words(scratch, 0), lm_texts_words(scratch, k)).f);
    return LM_OK;
}

/* ---- ROUGE-Lsum: line by line ---- */

/* Marks in hit[] the positions of `ref` on the path of one longest common subsequence with `hyp`.  Which of
 * several paths matters: from the end, diagonal on equality, left only if strictly larger, else up. */
static enum lm_rc mark_path(struct lm_texts *t, size_t ref, size_t hyp, bool *hit, struct lm_err *err)
{
    const size_t m = lm_texts_words(t, ref), n = lm_texts_words(t, hyp), stride = n + 1;
    if ((m + 1) * stride > LM_LCS_CELLS_MAX)
        return lm_fail(err, LM_ELIMIT,
                       "ROUGE-Lsum compares lines of up to %d x %d words, these have %zu and %zu", 4096, 4096,
                       m, n);
    const uint32_t *rw = t->words + t->ranges[ref].start, *hw = t->words + t->ranges[hyp].start;
    lm_grow(&t->cells, &t->cells_cap, (m + 1) * stride, sizeof(*t->cells));
    uint32_t *cell = t->cells;   // (m + 1, n + 1)
    memset(cell, 0, stride * sizeof(*cell));
    for (size_t i = 1; i <= m; i++) {
        cell[i * stride] = 0;
        for (size_t j = 1; j <= n; j++) {
            const uint32_t up = cell[(i - 1) * stride + j], left = cell[i * stride + j - 1];
            cell[i * stride + j] =
                rw[i - 1] == hw[j - 1] ? cell[(i - 1) * stride + j - 1] + 1 : (up > left ? up : left);
        }
    }
    for (size_t i = m, j = n; i > 0 && j > 0;) {
        if (rw[i - 1] == hw[j - 1]) {
            hit[--i] = true;
            j--;
        } else if (cell[i * stride + j - 1] > cell[(i - 1) * stride + j]) {
            j--;
        } else {
            i--;
        }
    }
    return LM_OK;
}

/* One text a line, also an empty one; returns their number. */
static size_t add_lines(struct lm_texts *t, enum lm_words words, struct lm_str text)
{
    const size_t before = t->count;
    struct lm_str line;
    while (lm_str_split(&text, '\n', &line))
        lm_texts_add(t, words, false, line);
    return t->count - before;
}

/* A word counts as hit only while both sides still have it in stock. */
static enum lm_rc hits_of(struct lm_texts *t, size_t hyp_lines, size_t *ret, struct lm_err *err)
{
    const size_t hyp_words = t->ranges[hyp_lines].start, ref_words = t->len - hyp_words;
    uint32_t *hyp_stock = lm_zalloc(2 * (size_t)t->word_count + 1, sizeof(*hyp_stock));
    uint32_t *ref_stock = hyp_stock + t->word_count;
    bool *hit = lm_zalloc(ref_words + 1, sizeof(*hit));
    for (size_t i = 0; i < t->len; i++)
        (i < hyp_words ? hyp_stock : ref_stock)[t->words[i]]++;

    enum lm_rc rc = LM_OK;
    size_t hits = 0;
    for (size_t r = hyp_lines; r < t->count && rc == LM_OK; r++) {
        bool *line_hit = hit + (t->ranges[r].start - hyp_words);
        for (size_t h = 0; h < hyp_lines && rc == LM_OK; h++)
            rc = mark_path(t, r, h, line_hit, err);
    }
    for (size_t i = 0; i < ref_words; i++) {
        const uint32_t word = t->words[hyp_words + i];
        if (!hit[i] || hyp_stock[word] == 0 || ref_stock[word] == 0)
            continue;
        hyp_stock[word]--;
        ref_stock[word]--;
        hits++;
    }
    lm_free_cleanup(&hyp_stock);
    lm_free_cleanup(&hit);
    *ret = hits;
    return rc;
}

enum lm_rc lm_rouge_lsum_measure(const struct lm_metric *metric, const struct lm_metric_config *config,
                                 const struct lm_segment *segment, struct lm_texts *scratch, double *stats,
                                 struct lm_err *err)
{
    const enum lm_words words = lm_metric_words(metric, config);
    begin(segment, scratch, stats);
    for (size_t k = 0; k < segment->ref_count; k++) {
        lm_texts_reset(scratch);
        const size_t hyp_lines = add_lines(scratch, words, segment->hyp);
        const size_t hyp_words = scratch->len;
        add_lines(scratch, words, segment->refs[k]);
        size_t hits;
        LM_TRY(hits_of(scratch, hyp_lines, &hits, err));
        keep_best(&stats[F_SUM], lm_prf(hits, hyp_words, scratch->len - hyp_words).f);
    }
    return LM_OK;
}
