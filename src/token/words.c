#include "token/words.h"

#include "text/text.h"
#include "token/bert_tables.h"
#include "token/normal.h"
#include "token/unicode.h"

/* ---- characters ---- */

static bool is_blank(uint32_t cp)
{
    return cp < 0x80 ? cp == ' ' || (cp >= '\t' && cp <= '\r') : lm_unicode_class(cp) == LM_UCLASS_SPACE;
}

static void put(uint32_t cp, struct lm_buf *ret)
{
    char bytes[4];
    lm_buf_add(ret, bytes, lm_utf8_put(cp, bytes));
}

static void put_lower(uint32_t cp, struct lm_buf *ret)
{
    size_t low = 0, high = lm_bert_lower_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (lm_bert_lower[mid].last < cp)
            low = mid + 1;
        else
            high = mid;
    }
    const struct lm_bert_lower *run = &lm_bert_lower[low];
    if (low < lm_bert_lower_count && run->first <= cp && (cp - run->first) % run->step == 0)
        cp = (uint32_t)((int64_t)cp + run->distance);
    if (cp == 0x130) {   // the only one that becomes two
        put('i', ret);
        cp = 0x307;
    }
    put(cp, ret);
}

/* A Hangul syllable as its letters (The Unicode Standard, 3.12); returns their number. */
static size_t split_hangul(uint32_t cp, uint32_t ret[3])
{
    enum { VOWELS = 21, TAILS = 28 };
    const uint32_t index = cp - 0xac00, tail = index % TAILS;
    ret[0] = 0x1100 + index / (VOWELS * TAILS);
    ret[1] = 0x1161 + index % (VOWELS * TAILS) / TAILS;
    ret[2] = 0x11a7 + tail;
    return tail ? 3 : 2;
}

/* Decomposed and without marks: 0 to 3 characters. */
static size_t bare(uint32_t cp, uint32_t ret[3])
{
    if (cp >= 0xac00 && cp < 0xd7a4)
        return split_hangul(cp, ret);
    if (lm_bert_in(lm_bert_marks, lm_bert_marks_count, cp))
        return 0;
    size_t low = 0, high = lm_bert_bare_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (lm_bert_bare[mid].from < cp)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == lm_bert_bare_count || lm_bert_bare[low].from != cp) {
        ret[0] = cp;
        return 1;
    }
    size_t count = 0;
    while (count < 3 && lm_bert_bare[low].to[count]) {
        ret[count] = lm_bert_bare[low].to[count];
        count++;
    }
    return count;
}

/* ---- normalising ---- */

static void add_marked(const struct lm_word_rules *r, uint32_t cp, struct lm_buf *ret)
{
    uint32_t parts[3] = { cp };
    const size_t count = r->strip_accents && cp >= 0x80 ? bare(cp, parts) : 1;
    for (size_t i = 0; i < count; i++)
        r->lowercase ? put_lower(parts[i], ret) : put(parts[i], ret);
}

bool lm_words_removes(const struct lm_word_rules *r, uint32_t cp)
{
    return r->clean && lm_bert_in(lm_bert_removed, lm_bert_removed_count, cp);
}

static void add_character(const struct lm_word_rules *r, uint32_t cp, struct lm_buf *ret)
{
    if (lm_words_removes(r, cp))
        return;
    if (r->clean && is_blank(cp))
        cp = ' ';
    const bool han = r->han_apart && cp >= 0x80 && lm_bert_in(lm_bert_han, lm_bert_han_count, cp);
    if (han)
        lm_buf_putc(ret, ' ');
    add_marked(r, cp, ret);
    if (han)
        lm_buf_putc(ret, ' ');
}

/* Eight characters; false: not all of them are printable ASCII. */
static bool lower_eight(bool lowercase, const char *text, char *ret)
{
    const uint64_t ones = 0x0101010101010101, tops = ones * 0x80;
    uint64_t word;
    memcpy(&word, text, sizeof(word));
    if ((word | (word - ones * ' ') | (word + ones)) & tops)
        return false;
    const uint64_t from_a = word + ones * (0x80 - 'A'), behind_z = word + ones * (0x7f - 'Z');
    word |= lowercase ? ((from_a ^ behind_z) & tops) >> 2 : 0;
    memcpy(ret, &word, sizeof(word));
    return true;
}

/* Printable ASCII, which nothing but lower-casing changes; returns where it ends. */
static size_t add_ascii(const struct lm_word_rules *r, struct lm_str text, size_t at, struct lm_buf *ret)
{
    enum { STEP = 8 };
    char *out = lm_buf_space(ret, text.len - at), *start = out;
    while (text.len - at >= STEP && lower_eight(r->lowercase, text.ptr + at, out)) {
        at += STEP;
        out += STEP;
    }
    for (; at < text.len && text.ptr[at] >= ' ' && text.ptr[at] < 0x7f; at++) {
        const bool upper = text.ptr[at] >= 'A' && text.ptr[at] <= 'Z';
        *out++ = (char)(text.ptr[at] | (r->lowercase && upper ? 0x20 : 0));
    }
    ret->len += (size_t)(out - start);
    return at;
}

/* Marks that are not left out: those that take room, and those that the peer's list of marks does not have
 * but its normal forms do.  By class, which is their order. */
static const struct {
    uint32_t first, last;
    uint8_t class;
} kept_marks[] = {
    { 0x11446, 0x11446, 7 }, { 0x1e94a, 0x1e94a, 7 },   { 0x1b44, 0x1b44, 9 },
    { 0x1baa, 0x1baa, 9 },   { 0x1bf2, 0x1bf3, 9 },     { 0xa953, 0xa953, 9 },
    { 0xa9c0, 0xa9c0, 9 },   { 0x111c0, 0x111c0, 9 },   { 0x11235, 0x11235, 9 },
    { 0x1134d, 0x1134d, 9 }, { 0x11442, 0x11442, 9 },   { 0x116b6, 0x116b6, 9 },
    { 0x11c3f, 0x11c3f, 9 }, { 0x1d165, 0x1d166, 216 }, { 0x1d16e, 0x1d172, 216 },
    { 0x302e, 0x302f, 224 }, { 0x1d16d, 0x1d16d, 226 }, { 0x8d4, 0x8e1, 230 },
    { 0x1dfb, 0x1dfb, 230 }, { 0x1e000, 0x1e02a, 230 }, { 0x1e944, 0x1e949, 230 },
};
enum { KEPT_MARKS = sizeof(kept_marks) / sizeof(kept_marks[0]) };

static uint8_t kept_class(uint32_t cp)
{
    if (cp < 0x8d4 || (cp > 0x302f && cp < 0xa953) || (cp > 0xa9c0 && cp < 0x111c0))   // most texts
        return 0;
    for (size_t i = 0; i < KEPT_MARKS; i++)
        if (cp >= kept_marks[i].first && cp <= kept_marks[i].last)
            return kept_marks[i].class;
    return 0;
}

/* A note of music comes apart into marks, the only character that does. */
static bool is_note(uint32_t cp)
{
    return (cp >= 0x1d15e && cp <= 0x1d164) || (cp >= 0x1d1bb && cp <= 0x1d1c0);
}

static void put_class(uint32_t cp, uint8_t class, struct lm_buf *ret)
{
    uint32_t parts[3];
    const size_t count = bare(cp, parts);
    for (size_t i = 0; i < count; i++)
        if (kept_class(parts[i]) == class)
            put(parts[i], ret);
}

/* A note or a mark at `at` and the marks behind it, in their order; returns where they end. */
static size_t add_marks(const struct lm_word_rules *r, struct lm_str text, size_t at, struct lm_buf *ret)
{
    uint32_t cp;
    size_t end = at + lm_utf8_next(text, at, &cp);
    put_class(cp, 0, ret);
    for (size_t len; end < text.len; end += len) {
        len = lm_utf8_next(text, end, &cp);
        if (lm_token_form_class(cp) == 0 && !lm_words_removes(r, cp))
            break;
    }
    for (size_t i = 0; i < KEPT_MARKS; i++)
        if (i == 0 || kept_marks[i].class != kept_marks[i - 1].class)
            for (size_t k = at; k < end;) {
                k += lm_utf8_next(text, k, &cp);
                if (!lm_words_removes(r, cp))
                    put_class(cp, kept_marks[i].class, ret);
            }
    return end;
}

struct lm_str lm_words_normal(const struct lm_word_rules *r, struct lm_str text, struct lm_buf *buf)
{
    lm_buf_reset(buf);
    for (size_t at = 0; at < text.len;) {
        at = add_ascii(r, text, at, buf);
        if (at == text.len)
            break;
        uint32_t cp;
        const size_t len = lm_utf8_next(text, at, &cp);
        if (r->strip_accents && (kept_class(cp) || is_note(cp)) && !lm_words_removes(r, cp)) {
            at = add_marks(r, text, at, buf);
            continue;
        }
        at += len;
        add_character(r, cp, buf);
    }
    return lm_buf_str(buf);
}

/* ---- cutting ---- */

enum side { WORD, BLANK, PUNCTUATION };

static const uint8_t ascii_sides[0x80] = {
    ['\t' ... '\r'] = BLANK,     [' '] = BLANK,
    ['!' ... '/'] = PUNCTUATION, [':' ... '@'] = PUNCTUATION,
    ['[' ... '`'] = PUNCTUATION, ['{' ... '~'] = PUNCTUATION,
};

static inline enum side side_of(struct lm_str text, size_t at, size_t *ret_len)
{
    const uint8_t byte = (uint8_t)text.ptr[at];
    if (byte < 0x80) {
        *ret_len = 1;
        return ascii_sides[byte];
    }
    uint32_t cp;
    *ret_len = lm_utf8_next(text, at, &cp);
    return is_blank(cp) ? BLANK : lm_bert_is_punctuation(cp) ? PUNCTUATION : WORD;
}

static size_t skip_blanks(struct lm_str text, size_t at)
{
    for (size_t len; at < text.len && side_of(text, at, &len) == BLANK;)
        at += len;
    return at;
}

static size_t scan_bert(struct lm_str text, size_t *at, uint32_t *ret_ends, size_t ends_max)
{
    size_t count = 0, pos = *at, len = 0;
    while (count < ends_max && pos < text.len) {
        pos = skip_blanks(text, pos);
        if (pos < text.len && side_of(text, pos, &len) == PUNCTUATION) {
            pos += len;
        } else {
            while (pos < text.len && side_of(text, pos, &len) == WORD)
                pos += len;
        }
        ret_ends[count++] = (uint32_t)pos;
    }
    *at = pos;
    return count;
}

const struct lm_grammar lm_grammar_bert = { .name = "bert", .scan = scan_bert };

/* ---- the longest pieces from the left ---- */

/* The longest token that starts at `start` of the word, behind ## when inside; moves *end to its end.  The
 * word has two bytes of room before it, and what is before `start` is not needed any more. */
static uint32_t longest(const struct lm_tokenizer *t, char *word, size_t start, size_t len, size_t *end)
{
    const size_t inside = start > 0 ? 2 : 0;
    if (inside)
        memcpy(word + start - 2, LM_WORDS_INSIDE, 2);
    size_t stop = len - start + inside > t->words.longest ? start + t->words.longest - inside : len;
    for (; stop > start; stop--) {
        if (stop < len && ((uint8_t)word[stop] & 0xc0) == 0x80)
            continue;   // inside a character
        const struct lm_str piece = { word + start - inside, stop - start + inside };
        const uint32_t id = lm_token_map_find(&t->model, &t->vocab, piece);
        if (id != LM_TOKEN_NONE && t->vocab.items[id].kind != LM_TOKEN_SPECIAL) {
            *end = stop;
            return id;
        }
    }
    return LM_TOKEN_NONE;
}

size_t lm_words_start(struct lm_str piece)
{
    return skip_blanks(piece, 0);
}

size_t lm_words_ids(const struct lm_tokenizer *t, struct lm_str piece, struct lm_buf *scratch, uint32_t *ids)
{
    const size_t start = skip_blanks(piece, 0);
    const struct lm_str word = { piece.ptr + start, piece.len - start };
    if (word.len == 0)
        return 0;
    ids[0] = t->unknown;
    if (lm_utf8_count(word) > t->words.chars_max)
        return 1;
    lm_buf_reset(scratch);
    lm_buf_puts(scratch, LM_WORDS_INSIDE);
    lm_buf_add_str(scratch, word);
    size_t count = 0;
    for (size_t at = 0, end = 0; at < word.len; at = end) {
        ids[count] = longest(t, scratch->ptr + 2, at, word.len, &end);
        if (ids[count++] == LM_TOKEN_NONE) {   // then the whole word is unknown
            ids[0] = t->unknown;
            return 1;
        }
    }
    return count;
}

/* ---- decoding ---- */

/* Tokens that stand close to the word before them when decoding cleans up. */
static bool is_close(struct lm_str text)
{
    static const char *const close[] = { ".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re" };
    for (size_t i = 0; i < sizeof(close) / sizeof(close[0]); i++)
        if (lm_str_starts(text, lm_str(close[i])))
            return true;
    return false;
}

struct lm_str lm_words_text(const struct lm_tokenizer *t, uint32_t id, bool inside, bool *blank)
{
    struct lm_str text = lm_vocab_bytes(&t->vocab, id);
    const bool goes_on = lm_str_starts(text, LM_STR(LM_WORDS_INSIDE));
    if (goes_on && inside)
        text = (struct lm_str){ text.ptr + 2, text.len - 2 };
    *blank = inside && !goes_on && !(t->words.cleanup && is_close(text));
    return text;
}
