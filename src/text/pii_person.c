/* Names of persons: after a title, or a given name that we know with a surname behind it. */
#include "text/pii_find.h"
#include "text/utf8.h"

enum { NAME_WORDS_MAX = 5, WORD_BYTES_MAX = 40 };

static const char person_context[] =
    " name named names called am i by from dear author mr mrs ms dr sincerely regards "
    "met with asked told contact hi hello meet ceo president founder ";
static const char particles[] =
    " de da do dos del della di du la le van von der den ter ten bin ibn al el zu zur y e ";

/* Words that follow a given name in headings and labels but are no surnames. */
static const char no_surnames[] =
    " the and or of in on to for is was are at by with not if as from this that these it he she we you they "
    "select "
    "table index server database street st avenue road university school hospital college airport city "
    "county "
    "museum church inc ltd llc corp company group bank prize award day license project foundation java home "
    "street. date dates day days jr january february march april may june july august september october "
    "november december monday "
    "tuesday wednesday thursday friday saturday sunday ";

/* An upper-case letter at `at`, ASCII or of Latin-1 and Latin Extended-A. */
static bool starts_upper(struct lm_str s, size_t at)
{
    if (at >= s.len)
        return false;
    if (lm_is_ascii(s.ptr[at]))
        return lm_is_upper(s.ptr[at]);
    uint32_t cp;
    lm_utf8_next(s, at, &cp);
    return (cp >= 0xc0 && cp <= 0xde && cp != 0xd7) || (cp >= 0x100 && cp <= 0x17f && cp % 2 == 0) ||
           (cp >= 0x391 && cp <= 0x3a9) || (cp >= 0x410 && cp <= 0x42f);
}

/* End of the word at `at`: letters, also with apostrophe or hyphen between two of them. */
static size_t word_end(struct lm_str s, size_t at)
{
    const size_t stop = s.len - at > WORD_BYTES_MAX ? at + WORD_BYTES_MAX : s.len;
    while (at < stop) {
        const char c = s.ptr[at];
        const bool inner = (c == '\'' || c == '-') && at + 1 < stop &&
                           (lm_is_upper(s.ptr[at + 1]) || (c == '-' && lm_is_alpha(s.ptr[at + 1])));
        if (!lm_is_alpha(c) && lm_is_ascii(c) && !inner)
            break;
        if ((unsigned char)c == 0xe2)   // general punctuation: dashes, quotation marks
            break;
        at++;
    }
    while (at < s.len && ((unsigned char)s.ptr[at] & 0xc0) == 0x80)   // never within a character
        at++;
    return at;
}

static bool in_list(const char *list, struct lm_str word)
{
    char padded[WORD_BYTES_MAX + 3] = " ";
    if (word.len > WORD_BYTES_MAX)
        return false;
    for (size_t i = 0; i < word.len; i++)
        padded[1 + i] = lm_to_lower(word.ptr[i]);
    padded[1 + word.len] = ' ';
    padded[2 + word.len] = '\0';
    return strstr(list, padded) != NULL;
}

static bool has_lower(struct lm_str word)
{
    for (size_t i = 0; i < word.len; i++)
        if ((word.ptr[i] >= 'a' && word.ptr[i] <= 'z') || !lm_is_ascii(word.ptr[i]))
            return true;
    return false;
}

/* One more word of a name behind `end`: a capitalised word, an initial, or a particle with one behind it.
 * Returns its end, or `end` if there is none. */
static size_t next_name_word(const struct lm_pii_scan *scan, size_t end)
{
    const struct lm_str s = scan->text;
    if (end + 1 >= s.len || s.ptr[end] != ' ')
        return end;
    size_t at = end + 1;
    for (int particle_count = 0; particle_count < 3; particle_count++) {
        const size_t stop = word_end(s, at);
        if (stop == at || !in_list(particles, (struct lm_str){ s.ptr + at, stop - at }) ||
            lm_pii_at(scan, stop) != ' ')
            break;
        at = stop + 1;
    }
    if (!starts_upper(s, at))
        return end;
    const size_t stop = word_end(s, at);
    const struct lm_str word = { s.ptr + at, stop - at };
    if (word.len == 1 && lm_pii_at(scan, stop) == '.' && lm_pii_at(scan, stop + 1) == ' ')
        return stop + 1;   // an initial
    if (word.len < 2 || !has_lower(word) || in_list(no_surnames, word) ||
        lm_is_digit(lm_pii_at(scan, stop)) || lm_pii_at(scan, stop) == '_')
        return end;
    return stop;
}

/* The name from the word that ends at `end` on; *ret_words counts what was added. */
static size_t rest_of_name(const struct lm_pii_scan *scan, size_t end, size_t *ret_words)
{
    *ret_words = 0;
    while (*ret_words < NAME_WORDS_MAX) {
        const size_t next = next_name_word(scan, end);
        if (next == end)
            break;
        end = next;
        ++*ret_words;
    }
    while (end > 0 && scan->text.ptr[end - 1] == '.')
        end--;   // an initial at the end is none
    return end;
}

void lm_pii_check_title(struct lm_pii_scan *scan, size_t start, size_t end)
{
    size_t words, name = end - 1;   // at its capital; a two-byte letter has its first byte there
    if (lm_pii_in_code(scan, start) || lm_pii_before(scan, start) == '_')
        return;
    if (!starts_upper(scan->text, name))
        return;
    const size_t first = word_end(scan->text, name);
    const struct lm_str word = { scan->text.ptr + name, first - name };
    const bool initial = word.len == 1 && lm_pii_at(scan, first) == '.';
    if (!initial && (word.len < 2 || !has_lower(word) || in_list(no_surnames, word)))
        return;
    const size_t stop = rest_of_name(scan, first + initial, &words);
    if (initial && words == 0)
        return;
    lm_pii_add(scan, LM_PII_PERSON, start, stop, 0.85);
}

void lm_pii_check_name(struct lm_pii_scan *scan, size_t start, size_t end)
{
    (void)end;
    size_t at = start;
    if (!starts_upper(scan->text, at))   // the pattern took the character before it along
        at++;
    if (!starts_upper(scan->text, at) || at < scan->done[scan->row])
        return;
    const char before = lm_pii_before(scan, at);
    if (before == '_' || before == '/' || before == '@' || before == '$' || before == '.')
        return;
    const size_t first = word_end(scan->text, at);
    const struct lm_str word = { scan->text.ptr + at, first - at };
    const enum lm_pii_name_kind kind = lm_pii_name_kind(scan->given_names, word);
    if (kind == LM_PII_NAME_NONE)
        return;
    const char after = lm_pii_at(scan, first);
    if (lm_is_digit(after) || after == '_' || after == '(' || after == '@' || lm_pii_in_code(scan, at))
        return;
    size_t words;
    const size_t stop = rest_of_name(scan, first, &words);
    double score = kind == LM_PII_NAME_CLEAR ? (words > 0 ? 0.75 : 0.4) : (words > 0 ? 0.4 : 0.1);
    if (kind == LM_PII_NAME_CLEAR || words > 0)
        score = lm_pii_with_context(scan, at, score, person_context);
    scan->done[scan->row] = stop;
    lm_pii_add(scan, LM_PII_PERSON, at, stop, score);
}
