#include "infer/constraint_words.h"

#include "base/mem.h"

#include <stdlib.h>

static int by_bytes(const void *a, const void *b)
{
    const struct lm_str *x = a, *y = b;
    return lm_str_cmp(*x, *y);
}

static size_t common_bytes(struct lm_str a, struct lm_str b)
{
    size_t i = 0;
    while (i < a.len && i < b.len && a.ptr[i] == b.ptr[i])
        i++;
    return i;
}

/* Places inside a well-formed UTF-8 character. */
enum { START, ONE, TWO, THREE, AFTER_E0, AFTER_ED, AFTER_F0, AFTER_F4, PLACES };

/* Unicode 15, table 3-7, without what is no plain character (constraint_vocab.h).  The first three rows are
 * the ASCII ones. */
static const struct utf8_row {
    uint8_t from, low, high, to;
} utf8_rows[] = {
    { START, 0x20, 0x21, START },    { START, 0x23, 0x5b, START },    { START, 0x5d, 0x7f, START },
    { START, 0xc2, 0xdf, ONE },      { START, 0xe0, 0xe0, AFTER_E0 }, { START, 0xe1, 0xec, TWO },
    { START, 0xed, 0xed, AFTER_ED }, { START, 0xee, 0xef, TWO },      { START, 0xf0, 0xf0, AFTER_F0 },
    { START, 0xf1, 0xf3, THREE },    { START, 0xf4, 0xf4, AFTER_F4 }, { ONE, 0x80, 0xbf, START },
    { TWO, 0x80, 0xbf, ONE },        { THREE, 0x80, 0xbf, TWO },      { AFTER_E0, 0xa0, 0xbf, ONE },
    { AFTER_ED, 0x80, 0x9f, ONE },   { AFTER_F0, 0x90, 0xbf, TWO },   { AFTER_F4, 0x80, 0x8f, TWO },
};
enum { UTF8_ROWS = sizeof(utf8_rows) / sizeof(utf8_rows[0]), ASCII_ROWS = 3 };

static uint8_t place_behind(uint8_t place, uint8_t byte)
{
    for (size_t i = 0; i < UTF8_ROWS; i++)
        if (utf8_rows[i].from == place && byte >= utf8_rows[i].low && byte <= utf8_rows[i].high)
            return utf8_rows[i].to;
    return PLACES;
}

/* A node on the way to the word at hand. */
struct node {
    uint32_t branch;
    struct lm_nfa_set children;
    uint8_t place;
    bool word;
};

struct words {
    struct lm_nfa *a;
    struct node *path;
    size_t depth, cap;
    uint32_t end;
    bool others;                // what is not in the list is meant
    uint32_t free_at[PLACES];   // others: whatever comes, it is none of the words
    uint32_t free_high;         // others: from START by a byte above ASCII
};

/* ---- others ---- */

static uint32_t range_to(struct lm_nfa *a, uint8_t low, uint8_t high, uint32_t next)
{
    return lm_nfa_add(a,
                      (struct lm_nfa_state){ .kind = LM_NFA_RANGE, .low = low, .high = high, .next = next });
}

static void make_free(struct words *w)
{
    struct lm_nfa *a = w->a;
    for (size_t i = 0; i < PLACES; i++)
        w->free_at[i] = lm_nfa_branch(a);
    w->free_high = lm_nfa_branch(a);
    for (size_t i = 0; i < UTF8_ROWS; i++) {
        const struct utf8_row r = utf8_rows[i];
        const uint32_t from = r.from == START && i >= ASCII_ROWS ? w->free_high : w->free_at[r.from];
        lm_nfa_branch_to(a, from, range_to(a, r.low, r.high, w->free_at[r.to]));
    }
    lm_nfa_branch_to(a, w->free_at[START], w->free_high);
    lm_nfa_branch_to(a, w->free_at[START], range_to(a, '"', '"', w->end));
    if (a->rc == LM_OK)
        a->states[w->free_at[START]].run = (struct lm_run){ LM_KINDS_PLAIN, LM_RUN_ANY };
}

/* Runs of the row's bytes that are no child of the node lead away from all words. */
static void leave_by_row(struct words *w, const struct node *n, const struct utf8_row *r)
{
    for (unsigned low = r->low; low <= r->high; low++) {
        unsigned high = low;
        if (lm_nfa_set_has(&n->children, low))
            continue;
        while (high < r->high && !lm_nfa_set_has(&n->children, high + 1))
            high++;
        lm_nfa_branch_to(w->a, n->branch, range_to(w->a, (uint8_t)low, (uint8_t)high, w->free_at[r->to]));
        low = high;
    }
}

/* All children are known. */
static void close_other(struct words *w, const struct node *n)
{
    const bool high = n->children.bits[2] || n->children.bits[3];
    for (size_t i = 0; i < UTF8_ROWS; i++)
        if (utf8_rows[i].from == n->place && (n->place != START || i < ASCII_ROWS || high))
            leave_by_row(w, n, &utf8_rows[i]);
    if (n->place != START)
        return;
    if (!high)
        lm_nfa_branch_to(w->a, n->branch, w->free_high);
    if (!n->word)
        lm_nfa_branch_to(w->a, n->branch, range_to(w->a, '"', '"', w->end));
    if (w->a->rc == LM_OK)
        w->a->states[n->branch].run = (struct lm_run){ LM_KINDS_PLAIN, LM_RUN_ANY };
}

/* ---- the trie ---- */

static void open_node(struct words *w, uint8_t place)
{
    lm_grow(&w->path, &w->cap, w->depth + 1, sizeof(*w->path));
    w->path[w->depth++] = (struct node){ .branch = lm_nfa_branch(w->a), .place = place };
}

static void close_to(struct words *w, size_t depth)
{
    while (w->depth > depth) {
        w->depth--;
        if (w->others)
            close_other(w, &w->path[w->depth]);
    }
}

static void add_word(struct words *w, struct lm_str word, size_t shared)
{
    close_to(w, shared + 1);
    for (size_t i = shared; i < word.len && w->a->rc == LM_OK; i++) {
        const uint8_t byte = (uint8_t)word.ptr[i], place = w->path[i].place;
        open_node(w, w->others ? place_behind(place, byte) : START);
        struct node *n = &w->path[i];
        n->children.bits[byte / 64] |= UINT64_C(1) << byte % 64;
        lm_nfa_branch_to(w->a, n->branch, range_to(w->a, byte, byte, w->path[i + 1].branch));
    }
    if (w->a->rc != LM_OK || w->path[word.len].word)
        return;
    w->path[word.len].word = true;
    if (!w->others)
        lm_nfa_branch_to(w->a, w->path[word.len].branch, w->end);
}

static bool is_plain(struct lm_str word)
{
    uint8_t place = START;
    for (size_t i = 0; i < word.len && place != PLACES; i++)
        place = place_behind(place, (uint8_t)word.ptr[i]);
    return place == START;
}

static struct lm_frag build(struct lm_nfa *a, struct lm_str *words, size_t count, bool others)
{
    const struct lm_frag out = lm_nfa_empty(a);
    struct words w = { .a = a, .end = out.end, .others = others };
    if (count > 1)
        qsort(words, count, sizeof(*words), by_bytes);
    if (others)
        make_free(&w);
    open_node(&w, START);
    const uint32_t start = w.path[0].branch;
    struct lm_str before = { 0 };
    for (size_t i = 0; i < count && lm_nfa_go_on(a); i++) {
        if (others && !is_plain(words[i]))
            continue;   // cannot be spelled here
        add_word(&w, words[i], common_bytes(before, words[i]));
        before = words[i];
    }
    close_to(&w, 0);
    free(w.path);
    return a->rc == LM_OK ? (struct lm_frag){ start, out.end } : (struct lm_frag){ 0, 0 };
}

struct lm_frag lm_words_frag(struct lm_nfa *a, struct lm_str *words, size_t count)
{
    return build(a, words, count, false);
}

struct lm_frag lm_other_words_frag(struct lm_nfa *a, struct lm_str *words, size_t count)
{
    return build(a, words, count, true);
}
