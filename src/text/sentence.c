/* Sentences: the boundaries of UAX #29 as ICU finds them, minus those that only an abbreviation, a wrapped
 * line, or a line that is no prose has made.  One pass: ICU's iterator and a cursor over the lines. */
#include "text/text.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>

/* Abbreviations that do not end a sentence, lower case, without the last full stop, blanks around each.
 * Those that often do ("etc.", "Inc.", "a.m.") are left out: UAX #29 already sees a lower-case letter that
 * follows.  To add a language: a row. */
static const struct {
    const char *language, *words;
} abbreviations[] = {
    { "en",
      " mr mrs ms dr prof rev fr hon gen col maj capt lt sgt cmdr adm gov sen rep pres st mt ft e.g eg i.e "
      "ie "
      "cf vs viz approx ca no nos fig figs eq eqs sec secs ch chap vol vols pp p ed eds al jan feb mar apr "
      "jun jul aug sep sept oct nov dec tel ext dept est op ref refs art para " },
    { "de", " hr fr dr prof dipl ing st str nr z.b zb d.h dh u.a ua o.ä bzw vgl ca abs art bd hrsg jh jan "
            "feb mär apr "
            "jun jul aug sept okt nov dez tel evtl ggf inkl exkl max min mio mrd sog std usw i.d.r v.a z.t s "
            "bsp abb "
            "kap kfz geb gest " },
    { "fr", " m mm mme mlle dr pr st ste av bd p.ex ex fig chap vol art cf env no tél janv févr avr juil "
            "sept oct nov "
            "déc p pp réf " },
    { "es", " sr sra srta dr dra prof d dª ud uds p.ej ej fig cap vol art núm no pág págs tel ee.uu av avda "
            "gral lic ing "
            "aprox " },
    { "it", " sig sigg dott dr prof ing avv on s.p.a es fig cap vol art n nn pag pagg tel ecc ca p sec " },
    { "pt", " sr sra dr dra prof eng av p.ex ex fig cap vol art n no pág págs tel aprox núm " },
    { "nl", " dhr mevr mr dr prof ir ing drs bijv bv d.w.z nl nr fig blz ca o.a m.b.t i.v.m t.o.v z " },
};

static const char *abbreviations_of(const char *language)
{
    for (size_t i = 0; language && i < sizeof abbreviations / sizeof *abbreviations; i++)
        if (strcmp(abbreviations[i].language, language) == 0)
            return abbreviations[i].words;
    return abbreviations[0].words;   // English is what most texts without a language are
}

enum { WORD_BYTES_MAX = 12, WRAP_BYTES_MIN = 40 };

/* What is known about the line that the cursor stands in. */
enum line_kind {
    LINE_PROSE,
    LINE_MARKED,     // list item, definition, quote: prose behind a marker
    LINE_VERBATIM,   // heading, table row, code: the line is one sentence
};

struct splitter {
    struct lm_str text;
    const char *words;   // abbreviations, with blanks around each
    bool ordinals;       // "3. Oktober": a number and a full stop is an ordinal
    size_t start, end;   // of the line at the cursor; end is behind its LF
    size_t body;         // where the marker of a LINE_MARKED ends
    enum line_kind kind;
    size_t fence;   // backticks of the open code block, 0 = none
    struct lm_sentences *ret;
};

/* Bytes of a list, quote or definition marker with the blanks around it; 0 for none. */
static size_t marker_len(struct lm_str line)
{
    size_t at = 0;
    while (at < line.len && (line.ptr[at] == ' ' || line.ptr[at] == '>'))
        at++;
    size_t i = at;
    if (i < line.len && memchr("-*+:", line.ptr[i], 4))
        i++;
    else
        while (i < line.len && lm_is_digit(line.ptr[i]) && i - at < 4)
            i++;
    const bool number = i > at && lm_is_digit(line.ptr[i - 1]);
    if (number && i < line.len && (line.ptr[i] == '.' || line.ptr[i] == ')'))
        i++;
    else if (number)
        return at;
    return i > at && i < line.len && line.ptr[i] == ' ' ? i + 1 : at;
}

static size_t run_of(struct lm_str s, char c)
{
    size_t len = 0;
    while (len < s.len && s.ptr[len] == c)
        len++;
    return len;
}

static void next_line(struct splitter *s)
{
    s->start = s->end;
    const char *lf = memchr(s->text.ptr + s->start, '\n', s->text.len - s->start);
    s->end = lf ? (size_t)(lf - s->text.ptr) + 1 : s->text.len;
    const struct lm_str line = { s->text.ptr + s->start, s->end - s->start };

    const size_t ticks = run_of(line, '`'), hashes = run_of(line, '#');
    const bool in_code = s->fence != 0;
    if (ticks >= (in_code ? s->fence : 3) && (!in_code || lm_str_trim(line).len == ticks))
        s->fence = in_code ? 0 : ticks;
    s->body = s->start + marker_len(line);
    if (in_code || ticks >= 3 ||
        (hashes > 0 && hashes <= 6 && hashes < line.len && line.ptr[hashes] == ' ') ||
        (line.len > 1 && line.ptr[0] == '|' && line.ptr[1] == ' '))
        s->kind = LINE_VERBATIM;
    else
        s->kind = s->body > s->start ? LINE_MARKED : LINE_PROSE;
}

/* The word right before the full stop at `dot`, lower case, between blanks as in the table.  False if there
 * is none or it is too long to be an abbreviation. */
static bool word_before(const struct splitter *s, size_t dot, char ret[WORD_BYTES_MAX + 3], size_t *ret_len)
{
    size_t from = dot;
    while (from > s->start && dot - from <= WORD_BYTES_MAX) {
        const char c = s->text.ptr[from - 1];
        if (!lm_is_alnum(c) && lm_is_ascii(c) && c != '.')
            break;
        from--;
    }
    const size_t len = dot - from;
    if (len == 0 || len > WORD_BYTES_MAX)
        return false;
    ret[0] = ' ';
    for (size_t i = 0; i < len; i++)
        ret[1 + i] = lm_to_lower(s->text.ptr[from + i]);
    ret[1 + len] = ' ';
    ret[2 + len] = '\0';
    *ret_len = len;
    return true;
}

/* A boundary right behind "Mr. ", "J. " or, in some languages, "3. ". */
static bool after_abbreviation(const struct splitter *s, size_t at)
{
    while (at > s->start && s->text.ptr[at - 1] == ' ')
        at--;
    if (at == s->start || s->text.ptr[at - 1] != '.')
        return false;
    char word[WORD_BYTES_MAX + 3];
    size_t len;
    if (!word_before(s, at - 1, word, &len))
        return false;
    if (len == 1 && lm_is_upper(s->text.ptr[at - 2]) && s->text.ptr[at - 2] != 'I')
        return true;   // an initial
    if (s->ordinals && len <= 2 && lm_is_digit(word[1]) && lm_is_digit(word[len]))
        return true;
    return strstr(s->words, word) != NULL;
}

/* A long line without a sentence end whose successor goes on in lower case is wrapped prose. */
static bool wrapped(const struct splitter *s, size_t at)
{
    if (at - s->start < WRAP_BYTES_MIN || s->kind == LINE_VERBATIM || at >= s->text.len)
        return false;
    size_t last = at;
    while (last > s->start && lm_is_space(s->text.ptr[last - 1]))
        last--;
    if (last == s->start || memchr(".!?:;", s->text.ptr[last - 1], 5))
        return false;
    uint32_t cp;
    lm_utf8_next(s->text, at, &cp);
    return cp < 0x80 ? cp >= 'a' && cp <= 'z' : u_islower((UChar32)cp) != 0;
}

static bool blank_between(struct lm_str text, size_t from, size_t to)
{
    while (from < to) {
        uint32_t cp;
        from += lm_utf8_next(text, from, &cp);
        if (!lm_utf8_is_blank(cp) && cp != 0x85)
            return false;
    }
    return true;
}

static void add_end(struct splitter *s, size_t at)
{
    struct lm_sentences *ret = s->ret;
    const size_t before = ret->len ? ret->ends[ret->len - 1] : 0;
    if (blank_between(s->text, before, at) && ret->len > 0) {
        ret->ends[ret->len - 1] = (uint32_t)at;   // blank lines belong to the sentence before them
        return;
    }
    lm_grow(&ret->ends, &ret->cap, ret->len + 1, sizeof *ret->ends);
    ret->ends[ret->len++] = (uint32_t)at;
}

static bool keeps(const struct splitter *s, size_t at)
{
    if (at == s->end)
        return at == s->text.len || !wrapped(s, at);
    if (s->kind == LINE_VERBATIM || (s->kind == LINE_MARKED && at <= s->body))
        return false;
    return !after_abbreviation(s, at);
}

static void walk(struct splitter *s, UBreakIterator *it)
{
    ubrk_first(it);
    int32_t at;
    while ((at = ubrk_next(it)) != UBRK_DONE) {
        while (s->end < (size_t)at) {   // a line may end without a boundary of ICU's: inside CR LF only
            if (s->end > 0 && s->end > (s->ret->len ? s->ret->ends[s->ret->len - 1] : 0) &&
                !wrapped(s, s->end))
                add_end(s, s->end);
            next_line(s);
        }
        if (keeps(s, (size_t)at))
            add_end(s, (size_t)at);
    }
    if (s->ret->len == 0 || s->ret->ends[s->ret->len - 1] < s->text.len)
        add_end(s, s->text.len);
}

enum lm_rc lm_sentences_split(struct lm_str text, const char *language, struct lm_sentences *ret,
                              struct lm_err *err)
{
    LM_ASSERT(ret && ret->len == 0);
    if (text.len > INT32_MAX)
        return lm_fail(err, LM_ELIMIT, "sentences: a text of %zu bytes is too long", text.len);
    if (text.len == 0)
        return LM_OK;

    UErrorCode status = U_ZERO_ERROR;
    UText view = UTEXT_INITIALIZER;
    utext_openUTF8(&view, text.ptr, (int64_t)text.len, &status);
    UBreakIterator *it = ubrk_open(UBRK_SENTENCE, "", NULL, 0, &status);
    if (it)
        ubrk_setUText(it, &view, &status);
    if (U_SUCCESS(status)) {
        static const char ordinal_languages[] = " de da nb cs pl fi hu tr ";
        char padded[8] = " ";
        if (language && strlen(language) < sizeof padded - 2)
            snprintf(padded, sizeof padded, " %s ", language);
        struct splitter s = { .text = text,
                              .words = abbreviations_of(language),
                              .ordinals = padded[1] != '\0' && strstr(ordinal_languages, padded) != NULL,
                              .ret = ret };
        walk(&s, it);
    }
    if (it)
        ubrk_close(it);
    utext_close(&view);
    if (U_FAILURE(status))
        return lm_fail(err, LM_EINVAL, "sentences: ICU has no sentence rules: %s", u_errorName(status));
    return LM_OK;
}

void lm_sentences_release(struct lm_sentences *s)
{
    if (!s)
        return;
    free(s->ends);
    *s = (struct lm_sentences){ 0 };
}
