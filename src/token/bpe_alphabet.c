/* token/bpe_alphabet.c - the first tokens of a vocabulary to be learned, and words as sequences of them. */
#include "token/bpe_train.h"

#include "text/text.h"
#include "token/unicode.h"
#include "token/words.h"

/* ---- sequences ---- */

/* Adds a sequence of at most `room` ids at the end of s->ids, where the caller writes them. */
static uint32_t *open_segment(struct lm_sequences *s)
{
    return s->ids + s->id_count;
}

static void close_segment(struct lm_sequences *s, size_t len, uint64_t count)
{
    if (len == 0)
        return;
    LM_ASSERT(len <= UINT32_MAX && s->len < UINT32_MAX);
    if (s->len == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 1024;
        s->starts = lm_realloc(s->starts, s->cap, sizeof(*s->starts));
        s->lens = lm_realloc(s->lens, s->cap, sizeof(*s->lens));
        s->counts = lm_realloc(s->counts, s->cap, sizeof(*s->counts));
    }
    s->starts[s->len] = s->id_count;
    s->lens[s->len] = (uint32_t)len;
    s->counts[s->len++] = count;
    s->id_count += len;
}

void lm_sequences_put(struct lm_sequences *s, const uint32_t *ids, size_t len, uint64_t count)
{
    lm_grow(&s->ids, &s->id_cap, s->id_count + len, sizeof(*s->ids));
    memcpy(open_segment(s), ids, len * sizeof(*ids));
    close_segment(s, len, count);
}

void lm_sequences_release(struct lm_sequences *s)
{
    free(s->ids);
    free(s->starts);
    free(s->lens);
    free(s->counts);
    *s = (struct lm_sequences){ 0 };
}

static void put_token(struct lm_learned *l, struct lm_str text, enum lm_token_kind kind)
{
    lm_vocab_set(&l->vocab, (uint32_t)l->vocab.size, text, kind);
}

static void make_room(const struct lm_words *words, struct lm_sequences *s)
{
    size_t bytes = 0;
    for (size_t i = 0; i < words->len; i++)
        bytes += words->items[i].len;
    s->ids = lm_alloc((bytes + 1) * sizeof(*s->ids));
}

/* ---- bytes ---- */

static void start_bytes(const struct lm_words *words, struct lm_learned *l, struct lm_sequences *s)
{
    uint32_t byte_id[256];
    for (size_t i = 0; i < 256; i++) {
        const char byte = (char)lm_byte_in_order(i);
        byte_id[(uint8_t)byte] = (uint32_t)l->vocab.size;
        put_token(l, (struct lm_str){ &byte, 1 }, LM_TOKEN_MODEL);
    }
    for (size_t i = 0; i < words->len; i++) {
        const struct lm_str word = lm_word_bytes(words, i);
        uint32_t *ids = open_segment(s);
        for (size_t k = 0; k < word.len; k++)
            ids[k] = byte_id[(uint8_t)word.ptr[k]];
        close_segment(s, word.len, words->items[i].count);
    }
}

/* ---- characters ---- */

enum { CODE_POINTS = 0x110000 };

/* What stands inside text but is no letter of it: control characters, and bytes that are no UTF-8. */
static bool is_character(struct lm_str word, size_t at, size_t len, uint32_t cp)
{
    return cp >= 0x20 && cp != 0x7f && !(len == 1 && (uint8_t)word.ptr[at] >= 0x80);
}

struct letter {
    uint32_t cp;
    uint64_t count;
};

struct alphabet {
    uint64_t *counts;   // [CODE_POINTS]
    bool *within;       // [CODE_POINTS] it occurs inside a word
    uint32_t *first;    // [CODE_POINTS] id at the start of a word, or anywhere; LM_TOKEN_NONE: not covered
    uint32_t *inside;   // [CODE_POINTS] the same array unless inner characters have tokens of their own
    struct letter *letters;
    size_t len;
};

/* WordPiece's words come with the blanks before them, which are no part of any token. */
static struct lm_str bare_word(const struct lm_words *words, size_t i, bool inner)
{
    struct lm_str word = lm_word_bytes(words, i);
    while (inner && word.len > 0 && *word.ptr == ' ')
        word = (struct lm_str){ word.ptr + 1, word.len - 1 };
    return word;
}

static void count_characters(const struct lm_words *words, bool inner, struct alphabet *a)
{
    for (size_t i = 0; i < words->len; i++) {
        const struct lm_str word = bare_word(words, i, inner);
        uint32_t cp;
        for (size_t at = 0, len; at < word.len; at += len) {
            len = lm_utf8_next(word, at, &cp);
            if (!is_character(word, at, len, cp))
                continue;
            a->counts[cp] += words->items[i].count;
            a->within[cp] |= at > 0;
        }
    }
}

static int by_count(const void *x, const void *y)
{
    const struct letter *a = x, *b = y;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return (a->cp > b->cp) - (a->cp < b->cp);
}

static int by_code_point(const void *x, const void *y)
{
    const struct letter *a = x, *b = y;
    return (a->cp > b->cp) - (a->cp < b->cp);
}

/* The most frequent characters that cover the share asked for, in the order of code points. */
static void choose_letters(const struct lm_learn_options *o, struct alphabet *a)
{
    uint64_t total = 0, covered = 0;
    for (uint32_t cp = 0; cp < CODE_POINTS; cp++) {
        total += a->counts[cp];
        a->len += a->counts[cp] > 0;
    }
    a->letters = lm_alloc((a->len + 1) * sizeof(*a->letters));
    size_t all = 0, kept = 0;
    for (uint32_t cp = 0; cp < CODE_POINTS; cp++)
        if (a->counts[cp] > 0)
            a->letters[all++] = (struct letter){ cp, a->counts[cp] };
    if (all > 0)
        qsort(a->letters, all, sizeof(*a->letters), by_count);
    while (kept < all && (o->alphabet_max == 0 || kept < o->alphabet_max) &&
           (o->kind == LM_LEARN_WORDS || (double)covered < o->coverage * (double)total))
        covered += a->letters[kept++].count;
    a->len = kept;
    if (kept > 0)
        qsort(a->letters, kept, sizeof(*a->letters), by_code_point);
}

static void number_letters(const struct alphabet *a, const char *before, uint32_t *ids, struct lm_learned *l)
{
    for (size_t i = 0; i < a->len; i++) {
        if (*before && !a->within[a->letters[i].cp])
            continue;
        struct lm_buf text = { 0 };
        char bytes[4];
        lm_buf_puts(&text, before);
        lm_buf_add(&text, bytes, lm_utf8_put(a->letters[i].cp, bytes));
        ids[a->letters[i].cp] = (uint32_t)l->vocab.size;
        put_token(l, lm_buf_str(&text), LM_TOKEN_MODEL);
        lm_buf_release(&text);
    }
}

/* A word without a token for one of its characters is unknown as a whole in WordPiece: nothing is learned
 * from it.  Elsewhere it is cut at the character. */
static void cut_word(const struct lm_words *words, size_t i, const struct alphabet *a, bool whole,
                     struct lm_learned *l, struct lm_sequences *s)
{
    const struct lm_str word = bare_word(words, i, whole);
    const uint64_t count = words->items[i].count;
    uint32_t *ids = open_segment(s), cp;
    size_t len = 0;
    for (size_t at = 0, bytes; at < word.len; at += bytes) {
        bytes = lm_utf8_next(word, at, &cp);
        const uint32_t id =
            is_character(word, at, bytes, cp) ? (at == 0 ? a->first : a->inside)[cp] : LM_TOKEN_NONE;
        if (id != LM_TOKEN_NONE) {
            ids[len++] = id;
            continue;
        }
        l->uncovered += count;
        if (whole)
            return;
        close_segment(s, len, count);
        ids = open_segment(s);
        len = 0;
    }
    close_segment(s, len, count);
}

/* False when there are none. */
static bool start_characters(const struct lm_words *words, const struct lm_learn_options *o,
                             struct lm_learned *l, struct lm_sequences *s)
{
    const bool inner = o->kind == LM_LEARN_WORDS;
    struct alphabet a = { .counts = lm_zalloc(CODE_POINTS, sizeof(*a.counts)) };
    a.within = lm_zalloc(CODE_POINTS, sizeof(*a.within));
    a.first = lm_alloc(CODE_POINTS * sizeof(*a.first));
    memset(a.first, 0xff, CODE_POINTS * sizeof(*a.first));
    a.inside = a.first;
    count_characters(words, inner, &a);
    choose_letters(o, &a);
    number_letters(&a, "", a.first, l);
    if (inner) {
        a.inside = lm_alloc(CODE_POINTS * sizeof(*a.inside));
        memset(a.inside, 0xff, CODE_POINTS * sizeof(*a.inside));
        number_letters(&a, LM_WORDS_INSIDE, a.inside, l);
    }
    for (size_t i = 0; i < words->len; i++)
        cut_word(words, i, &a, inner, l, s);
    if (inner)
        free(a.inside);
    free(a.first);
    free(a.counts);
    free(a.within);
    free(a.letters);
    return a.len > 0;
}

/* ---- the whole ---- */

static void put_byte_names(struct lm_learned *l)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof(name), "<0x%02X>", byte);
        put_token(l, lm_str(name), LM_TOKEN_MODEL);
    }
}

enum lm_rc lm_alphabet_start(const struct lm_words *words, const struct lm_learn_options *options,
                             struct lm_learned *ret, struct lm_sequences *segments, struct lm_err *err)
{
    for (size_t i = 0; i < options->special_count; i++)
        put_token(ret, options->special[i], LM_TOKEN_SPECIAL);
    if (options->kind == LM_LEARN_PIECES)
        put_byte_names(ret);
    ret->alphabet_before = ret->vocab.size;
    make_room(words, segments);
    if (options->kind == LM_LEARN_BYTES)
        start_bytes(words, ret, segments);
    else if (!start_characters(words, options, ret, segments))
        return lm_fail(
            err, LM_EINVAL,
            "tokenizer: the texts hold no characters to make tokens of, nothing but blanks, control "
            "characters and bytes that are no UTF-8; give it text, in UTF-8");
    if (ret->vocab.size <= options->vocab_size)
        return LM_OK;
    return lm_fail(
        err, LM_EINVAL,
        "tokenizer: special tokens and alphabet are %zu tokens, more than vocab-size %zu; ask for a "
        "larger vocabulary or a smaller alphabet (coverage, alphabet-max)",
        ret->vocab.size, options->vocab_size);
}
