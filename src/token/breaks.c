#include "token/breaks.h"

#include "text/text.h"
#include "token/unicode.h"

enum {
    EDGE = 256,        // bytes of a word that stay on each side of a break inside it; no token is longer
    FAR = 256 << 10,   // so far without another place, words are broken
};

/* ---- patterns of a file ---- */

enum { CODE_POINTS = 0x110000, SYMBOLS_MAX = 256 };

/* Symbols of an automaton that some character of a kind has. */
struct kinds {
    bool ascii_letter[SYMBOLS_MAX], letter[SYMBOLS_MAX], solid[SYMBOLS_MAX];   // solid: no blank
    uint32_t blank, newline, end;
};

static uint32_t symbol_of(const struct lm_split_stage *s, uint32_t cp)
{
    if (s->bytes || cp < 128)
        return s->bytes ? s->dfa.byte[cp & 255] : s->dfa.ascii[cp];
    return s->dfa.pages[s->dfa.page[cp >> 8]][cp & 255];
}

static bool is_ascii_letter(uint32_t cp)
{
    return (cp | 0x20) - 'a' < 26;
}

static void find_kinds(const struct lm_split_stage *s, struct kinds *k)
{
    *k = (struct kinds){ .blank = symbol_of(s, ' '),
                         .newline = symbol_of(s, '\n'),
                         .end = s->dfa.symbols - 1 };
    for (uint32_t cp = 0; cp < (s->bytes ? 256 : CODE_POINTS); cp++) {
        const uint32_t symbol = symbol_of(s, cp);
        const bool part = s->bytes && cp >= 128;   // of a character of any kind
        k->ascii_letter[symbol] |= is_ascii_letter(cp);
        k->letter[symbol] |= part || lm_unicode_class(cp) == LM_UCLASS_LETTER;
        k->solid[symbol] |= part || lm_unicode_class(cp) != LM_UCLASS_SPACE;
    }
}

/* Whether a match that has come to `state` ends here, before `symbol` as before the end of a text. */
static bool ends(const struct lm_split_dfa *d, uint32_t state, uint32_t symbol)
{
    const uint16_t step = d->next[state * d->symbols + symbol];
    return step >> 1 == 0 && (step & 1) == (d->next[state * d->symbols + d->symbols - 1] & 1);
}

/* States that are reached by a symbol of the set, and where a match starts. */
static void reach(const struct lm_split_dfa *d, size_t states, const bool *set, bool *ret)
{
    memset(ret, 0, states * sizeof(*ret));
    for (size_t state = 1; state < states; state++)
        for (uint32_t symbol = 0; symbol + 1 < d->symbols; symbol++)
            if (set[symbol])
                ret[d->next[state * d->symbols + symbol] >> 1] = true;
}

/* Whether something matches that begins with what has led from the start to `state`, whatever follows. */
static bool has_matched(const struct lm_split_dfa *d, uint32_t state)
{
    bool always = state != 0;
    for (uint32_t symbol = 0; symbol < d->symbols; symbol++)
        always &= d->next[state * d->symbols + symbol] & 1;
    return always;
}

/* Whether a match begins with a blank before a letter. */
static bool starts_with_blank(const struct lm_split_dfa *d, const struct kinds *k)
{
    const uint32_t state = d->next[d->symbols + k->blank] >> 1;
    bool always = state != 0;
    for (uint32_t symbol = 0; symbol + 1 < d->symbols; symbol++) {
        const uint16_t step = d->next[state * d->symbols + symbol];
        always &= !k->ascii_letter[symbol] || (step & 1) || has_matched(d, step >> 1);
    }
    return always;
}

static bool starts_with_letter(const struct lm_split_dfa *d, const struct kinds *k)
{
    bool always = true;
    for (uint32_t symbol = 0; symbol + 1 < d->symbols; symbol++)
        always &= !k->letter[symbol] || has_matched(d, d->next[d->symbols + symbol] >> 1);
    return always;
}

/* No match of a stage may lie across a break. */
static void ask_stage(const struct lm_split_stage *s, const struct kinds *k, struct lm_breaks *b)
{
    const struct lm_split_dfa *d = &s->dfa;
    LM_FREE bool *reached = lm_alloc(d->states * sizeof(*reached));
    reach(d, d->states, k->ascii_letter, reached);
    for (uint32_t state = 1; state < d->states; state++)
        b->blanks &= !reached[state] || ends(d, state, k->blank);
    reach(d, d->states, k->solid, reached);
    reached[1] = true;
    for (uint32_t from = 1; from < d->states; from++) {
        const uint32_t state = d->next[from * d->symbols + k->newline] >> 1;
        for (uint32_t symbol = 0; reached[from] && state && symbol < d->symbols; symbol++)
            b->lines &= !k->letter[symbol] || ends(d, state, symbol);
    }
    b->blanks &= s->behavior == LM_SPLIT_ISOLATED;
}

/* One of the stages must begin a match at the break. */
static void ask_patterns(const struct lm_split *split, struct lm_breaks *b)
{
    bool blanks = false, letters = false;
    for (size_t i = 0; i < split->count; i++) {
        struct kinds kinds;
        if (split->stages[i].dfa.asks)   // what stands on the other side of a break may matter
            return (void)(b->blanks = b->lines = false);
        find_kinds(&split->stages[i], &kinds);
        ask_stage(&split->stages[i], &kinds, b);
        blanks |= starts_with_blank(&split->stages[i].dfa, &kinds);
        letters |= starts_with_letter(&split->stages[i].dfa, &kinds);
    }
    b->blanks &= blanks;
    b->lines &= b->blanks && letters;
}

/* ---- tokenizers ---- */

/* Added tokens that hold a blank, or take blanks beside them, could lie across a break. */
static void ask_added(const struct lm_added *a, struct lm_breaks *b)
{
    for (size_t id = 0; id < a->texts.size; id++) {
        const struct lm_token *token = &a->texts.items[id];
        if (token->kind == LM_TOKEN_HOLE)
            continue;
        const struct lm_str text = lm_vocab_bytes(&a->texts, (uint32_t)id);
        b->blanks &= !token->lstrip && !token->rstrip && !memchr(text.ptr, ' ', text.len);
        b->lines &= b->blanks && !memchr(text.ptr, '\n', text.len);
    }
}

/* Whether all tokens of nothing but small letters are shorter than what stays of a broken word. */
static bool has_short_words(const struct lm_tokenizer *t)
{
    for (uint32_t id = 0; id < t->vocab.size; id++) {
        const struct lm_str text = lm_vocab_bytes(&t->vocab, id);
        size_t at = 0;
        while (at < text.len && (unsigned)(text.ptr[at] - 'a') < 26)
            at++;
        if (text.len > EDGE && at == text.len)
            return false;
    }
    return true;
}

struct lm_breaks lm_breaks_make(const struct lm_tokenizer *t, const uint8_t *cuts,
                                const struct lm_grams *grams)
{
    struct lm_breaks b = { .blanks = true, .lines = true, .cuts = cuts };
    if (t->family == LM_FAMILY_CHAIN ||
        (t->family == LM_FAMILY_PIECES && (!cuts || t->pieces.trim || t->pieces.late)))
        return (struct lm_breaks){ 0 };
    ask_added(&t->added, &b);
    ask_added(&t->later, &b);
    if (t->split)
        ask_patterns(t->split, &b);
    if (grams && !t->split && !lm_grammar_is_known(t->grammar) && b.blanks && has_short_words(t))
        b.words = grams;
    return b;
}

/* ---- places ---- */

static bool may_cut(const struct lm_breaks *b, struct lm_str text, size_t at)
{
    return !b->cuts || b->cuts[(uint8_t)text.ptr[at - 1] * (size_t)256 + (uint8_t)text.ptr[at]];
}

static bool is_blank_break(const struct lm_breaks *b, struct lm_str text, size_t at)
{
    return b->blanks && is_ascii_letter((uint8_t)text.ptr[at - 1]) &&
           is_ascii_letter((uint8_t)text.ptr[at + 1]) && may_cut(b, text, at);
}

/* The class of the character that ends at `end`; a blank where there is none. */
static enum lm_uclass class_before(struct lm_str text, size_t end)
{
    uint32_t cp;
    size_t start = end;
    for (size_t i = 1; i <= 4 && i <= end && start == end; i++)
        if (((uint8_t)text.ptr[end - i] & 0xc0) != 0x80)
            start = end - i;
    if (start == end || lm_utf8_next(text, start, &cp) != end - start)
        return LM_UCLASS_SPACE;
    return lm_unicode_class(cp);
}

static bool is_line_break(const struct lm_breaks *b, struct lm_str text, size_t at)   // at: of the line end
{
    uint32_t cp;
    if (!b->lines || class_before(text, at) == LM_UCLASS_SPACE || !may_cut(b, text, at + 1))
        return false;
    const size_t len = lm_utf8_next(text, at + 1, &cp);
    return lm_unicode_class(cp) == LM_UCLASS_LETTER && (len > 1 || cp < 0x80);
}

/* A break inside the small letters that end at `end`; 0 when there is none. */
static size_t word_break(const struct lm_breaks *b, struct lm_str text, size_t end)
{
    const struct lm_str window = { text.ptr + end - 3 * (size_t)EDGE, 3 * (size_t)EDGE };
    const size_t at = lm_grams_next(b->words, window, EDGE);
    return at <= 2 * (size_t)EDGE ? end - window.len + at : 0;
}

size_t lm_breaks_next(const struct lm_breaks *b, struct lm_str text, size_t at)
{
    size_t letters = 0;   // small ones, before i
    for (size_t i = at; i + 1 < text.len && (b->blanks || b->lines); i++) {
        const char c = text.ptr[i];
        if (c == ' ' && is_blank_break(b, text, i))
            return i;
        if (c == '\n' && is_line_break(b, text, i))
            return i + 1;
        letters = (unsigned)(c - 'a') < 26 ? letters + 1 : 0;
        if (b->words && i - at > FAR && letters >= 3 * (size_t)EDGE) {
            const size_t inside = word_break(b, text, i + 1);
            if (inside)
                return inside;
            letters -= EDGE;
        }
    }
    return text.len;
}
