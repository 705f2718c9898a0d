/* Random expressions against a matcher as plain as can be: sets of places in the text, character by
 * character, from the tree that the expression was written from.  And numbers between bounds against
 * counting. */
#include "check.h"

#include "base/mem.h"
#include "infer/constraint.h"
#include "vocabulary.h"

#include <stdio.h>
#include <stdlib.h>

static struct lm_tokenizer *tokenizer;
static struct lm_constraint_vocab *vocab;

static int make_vocabulary(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(9, 0);
    tokenizer = random_vocabulary(&rng, 300, 3, "ab");
    vocab = lm_constraint_vocab_new(tokenizer);
    return 0;
}

static int free_vocabulary(void **state)
{
    (void)state;
    lm_constraint_vocab_free(vocab);
    lm_tokenizer_free(tokenizer);
    return 0;
}

/* ---- trees ---- */

enum kind { EMPTY, CLASS, CAT, EITHER, REPEAT };

struct tree {
    enum kind kind;
    unsigned set;   // CLASS: bit i is character i of the alphabet
    int min, max;   // REPEAT; max -1: no bound
    const struct tree *left, *right;
};

enum { LETTERS = 4, TEXT_MAX = 5, NODES_MAX = 64 };
static const char *const alphabet[LETTERS] = { "a", "b", "\xc3\xa9", "\xe2\x82\xac" };

struct forest {
    struct tree nodes[NODES_MAX];
    size_t count;
};

static const struct tree *grow(struct forest *f, struct lm_rng *rng, size_t depth)
{
    struct tree *t = &f->nodes[f->count++];
    t->kind = depth == 0 ? CLASS : (enum kind)lm_rng_below(rng, 5);
    t->set = 1 + (unsigned)lm_rng_below(rng, (1 << LETTERS) - 1);
    if (t->kind == CAT || t->kind == EITHER)
        t->right = grow(f, rng, depth - 1);
    if (t->kind >= CAT)
        t->left = grow(f, rng, depth - 1);
    t->min = (int)lm_rng_below(rng, 3);
    t->max = lm_rng_below(rng, 3) ? t->min + (int)lm_rng_below(rng, 3) : -1;
    return t;
}

static void print_class(const struct tree *t, bool inverted, struct lm_buf *ret)
{
    lm_buf_puts(ret, inverted ? "[^" : "[");
    for (size_t i = 0; i < LETTERS; i++)
        if ((t->set >> i & 1) != inverted)
            lm_buf_puts(ret, alphabet[i]);
    lm_buf_puts(ret, "]");
}

static void print(const struct tree *t, struct lm_buf *ret)
{
    switch (t->kind) {
    case EMPTY:
        lm_buf_puts(ret, "(?:)");
        break;
    case CLASS:
        print_class(t, t->set % 3 == 0 && t->set + 1 < 1 << LETTERS, ret);
        break;
    case CAT:
    case EITHER:
        lm_buf_puts(ret, "(");
        print(t->left, ret);
        lm_buf_puts(ret, t->kind == EITHER ? "|" : "");
        print(t->right, ret);
        lm_buf_puts(ret, ")");
        break;
    case REPEAT:
        lm_buf_puts(ret, "(?:");
        print(t->left, ret);
        if (t->max >= 0)
            lm_buf_printf(ret, "){%d,%d}", t->min, t->max);
        else if (t->min < 2)
            lm_buf_puts(ret, t->min ? ")+" : ")*");
        else
            lm_buf_printf(ret, "){%d,}", t->min);
        break;
    }
}

/* From a set of places in the text to those where a match of the tree may end.  Bit i: before character i. */
static unsigned ends(const struct tree *t, const uint8_t *text, size_t len, unsigned from)
{
    unsigned to = 0, now = from;
    switch (t->kind) {
    case EMPTY:
        return from;
    case CLASS:
        for (size_t i = 0; i < len; i++)
            if (from >> i & 1 && t->set >> text[i] & 1)
                to |= 2u << i;
        return to;
    case CAT:
        return ends(t->right, text, len, ends(t->left, text, len, from));
    case EITHER:
        return ends(t->left, text, len, from) | ends(t->right, text, len, from);
    case REPEAT:
        for (int i = 0; i < t->min; i++)
            now = ends(t->left, text, len, now);
        to = now;
        for (int i = t->min; t->max < 0 ? i < t->min + TEXT_MAX + 2 : i < t->max; i++) {
            now = ends(t->left, text, len, now);
            to |= now;
        }
        return to;
    }
    return 0;
}

/* Is there a text that begins so?  Tries all that are at most `more` longer. */
static bool can_go_on(const struct tree *t, uint8_t *text, size_t len, size_t more)
{
    if (ends(t, text, len, 1) >> len & 1)
        return true;
    for (uint8_t c = 0; more > 0 && c < LETTERS; c++) {
        text[len] = c;
        if (can_go_on(t, text, len + 1, more - 1))
            return true;
    }
    return false;
}

/* Follows the text byte by byte; *ret_ends: it may end there.  False: it does not begin a match. */
static bool follow(const struct lm_constraint *c, const uint8_t *text, size_t len, bool *ret_ends)
{
    struct lm_constraint_walk *w = lm_constraint_walk_new(c);
    bool good = true;
    for (size_t i = 0; i < len && good; i++)
        for (const char *byte = alphabet[text[i]]; *byte && good; byte++)
            good = lm_constraint_accept(w, VOCABULARY_BYTE + (uint8_t)*byte);
    *ret_ends = good && lm_constraint_may_end(w);
    lm_constraint_walk_free(w);
    return good;
}

/* All texts of up to TEXT_MAX characters of the alphabet. */
static void check_all(const struct lm_constraint *c, const struct tree *t, const char *source, uint8_t *text,
                      size_t len)
{
    uint8_t scratch[TEXT_MAX + 1];
    bool may_end;
    memcpy(scratch, text, len);
    const bool good = follow(c, text, len, &may_end);
    const bool want = ends(t, text, len, 1) >> len & 1;
    if (may_end != want)
        fail_msg("%s: a text of %zu characters ends %d, should %d", source, len, may_end, want);
    if (!good && len < TEXT_MAX && can_go_on(t, scratch, len, TEXT_MAX - len))
        fail_msg("%s: a text of %zu characters is cut off", source, len);
    for (uint8_t next = 0; good && len < TEXT_MAX && next < LETTERS; next++) {
        text[len] = next;
        check_all(c, t, source, text, len + 1);
    }
}

static void random_expressions_match_what_the_plain_matcher_matches(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(4, 0);
    for (size_t round = 0; round < 250; round++) {
        static struct forest f;
        struct lm_buf source = { 0 };
        struct lm_constraint *c = NULL;
        struct lm_err err = { 0 };
        uint8_t text[TEXT_MAX + 1];
        const struct lm_constraint_limits limits = { .ms = 5000 };
        memset(&f, 0, sizeof(f));
        const struct tree *t = grow(&f, &rng, 1 + lm_rng_below(&rng, 4));
        print(t, &source);
        /* An inverted class also matches what is not in the alphabet: that is not asked about. */
        const enum lm_rc rc =
            lm_constraint_new(vocab, LM_CONSTRAINT_REGEX, lm_buf_str(&source), &limits, &c, &err);
        if (rc != LM_OK)
            fail_msg("%s: %s", source.ptr, err.text);
        check_all(c, t, source.ptr, text, 0);
        lm_constraint_free(c);
        lm_buf_release(&source);
    }
}

/* ---- numbers ---- */

static bool takes(const struct lm_constraint *c, const char *text)
{
    struct lm_constraint_walk *w = lm_constraint_walk_new(c);
    bool good = true;
    for (size_t i = 0; text[i] && good; i++)
        good = lm_constraint_accept(w, VOCABULARY_BYTE + (uint8_t)text[i]);
    good = good && lm_constraint_may_end(w);
    lm_constraint_walk_free(w);
    return good;
}

static struct lm_constraint *between(const char *type, const char *low, const char *high, bool open)
{
    struct lm_buf schema = { 0 };
    struct lm_constraint *c = NULL;
    struct lm_err err = { 0 };
    const struct lm_constraint_limits limits = { .ms = 5000 };
    lm_buf_printf(&schema, "{\"anyOf\":[{\"type\":\"%s\",\"%s\":%s,\"%s\":%s},{\"type\":\"null\"}]}", type,
                  open ? "exclusiveMinimum" : "minimum", low, open ? "exclusiveMaximum" : "maximum", high);
    if (lm_constraint_new(vocab, LM_CONSTRAINT_JSON_SCHEMA, lm_buf_str(&schema), &limits, &c, &err) != LM_OK)
        fail_msg("%s: %s", schema.ptr, err.text);
    lm_buf_release(&schema);
    return c;
}

static void integers_between_bounds_are_all_and_only_those(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(5, 0);
    for (size_t round = 0; round < 60; round++) {
        char low_text[24], high_text[24], text[24];
        const int span = round % 2 ? 30 : 1500, open = (int)(round % 3 == 0);
        const int low = (int)lm_rng_below(&rng, 2 * (uint64_t)span) - span;
        const int high = low + (int)lm_rng_below(&rng, (uint64_t)span);
        snprintf(low_text, sizeof(low_text), "%d", low);
        snprintf(high_text, sizeof(high_text), "%d", high);
        struct lm_constraint *c = between("integer", low_text, high_text, open);
        for (int i = -3200; i <= 3200; i++) {
            snprintf(text, sizeof(text), "%d", i);
            if (takes(c, text) != (i >= low + open && i <= high - open))
                fail_msg("%d between %d and %d, open %d", i, low, high, open);
        }
        assert_false(takes(c, "-0"));
        assert_false(takes(c, "007"));
        lm_constraint_free(c);
    }
}

/* Thousandths, written with as many digits as it takes, and with zeros behind. */
static void write_thousandths(int value, int zeros, char ret[32])
{
    const int whole = abs(value) / 1000, part = abs(value) % 1000;
    int len = snprintf(ret, 32, "%s%d.%03d", value < 0 ? "-" : "", whole, part);
    while (ret[len - 1] == '0')
        ret[--len] = '\0';
    if (ret[len - 1] == '.') {
        ret[--len] = '\0';
        if (zeros > 0)
            ret[len++] = '.';
    }
    for (; zeros > 0; zeros--)
        ret[len++] = '0';
    ret[len] = '\0';
}

static void fractions_between_bounds_are_all_and_only_those(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(6, 0);
    for (size_t round = 0; round < 60; round++) {
        char low_text[32], high_text[32], text[32];
        const int span = round % 2 ? 40 : 15000;
        const bool open = round % 3 == 0;
        const int low = (int)lm_rng_below(&rng, 2 * (uint64_t)span) - span;
        const int high = low + 1 + (int)lm_rng_below(&rng, (uint64_t)span);
        write_thousandths(low, 0, low_text);
        write_thousandths(high, 0, high_text);
        struct lm_constraint *c = between("number", low_text, high_text, open);
        for (int i = low - 60; i <= high + 60; i += i > low + 60 && i < high - 60 ? 37 : 1) {
            if (i == 0)
                continue;   // is "-0" or "0"
            write_thousandths(i, (int)lm_rng_below(&rng, 3), text);
            const bool want = open ? i > low && i < high : i >= low && i <= high;
            if (takes(c, text) != want)
                fail_msg("%s between %s and %s, open %d: should be %d", text, low_text, high_text, open,
                         want);
        }
        lm_constraint_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_expressions_match_what_the_plain_matcher_matches),
        cmocka_unit_test(integers_between_bounds_are_all_and_only_those),
        cmocka_unit_test(fractions_between_bounds_are_all_and_only_those),
    };
    return cmocka_run_group_tests(tests, make_vocabulary, free_vocabulary) != 0;
}
