#include "corpus/facts.h"
#include "corpus/blocks.h"
#include "text/text.h"

#include <fnmatch.h>
#include <strings.h>

/* ---- rules: which pages make which snapshot ---- */

enum shape { SHAPE_REFERENCE, SHAPE_DEFINITIONS };
enum subject { SUBJECT_ANY, SUBJECT_UPPER, SUBJECT_PROGRAM };   // upper case; what its synopsis begins with

/* The first row that fits a page is used.  To add a kind of page: a row here, its questions in pairs.c. */
static const struct rule {
    enum lm_snapshot snapshot;
    enum shape shape;
    enum subject subject;
    const char *file;    // glob on the last part of the url; NULL: every page ...
    const char *label;   // ... and pages with this label
} rules[] = {
    { LM_SNAPSHOT_SQL, SHAPE_REFERENCE, SUBJECT_UPPER, "sql-*", "sql" },
    { LM_SNAPSHOT_TOOLS, SHAPE_REFERENCE, SUBJECT_PROGRAM, NULL, NULL },
    { LM_SNAPSHOT_SETTINGS, SHAPE_DEFINITIONS, SUBJECT_ANY, NULL, NULL },
};

/* Types that make "name (type)" the term of a setting. */
static const char *const setting_types[] = {
    "boolean", "bool",   "integer",  "int",  "string", "enum", "floating point", "real",
    "float",   "number", "duration", "size", "text",   "path", "file name",      "list",
};

enum { NAME_BYTES_MAX = 64, NAME_BLOCKS_MAX = 4, CONTROL_SHORT_CHARS = 60 };

/* ---- small words ---- */

static struct lm_str slice(struct lm_str s, size_t from, size_t to)
{
    return (struct lm_str){ s.ptr + from, to > from ? to - from : 0 };
}

static bool equal_nocase(struct lm_str a, const char *b)
{
    return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0;
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static struct lm_str first_word(struct lm_str s)
{
    size_t len = 0;
    while (len < s.len && s.ptr[len] != ' ' && s.ptr[len] != '\n')
        len++;
    return slice(s, 0, len);
}

static bool is_one_of(struct lm_str word, const char *const *words)
{
    for (; *words; words++)
        if (equal_nocase(word, *words))
            return true;
    return false;
}

static void add(struct lm_facts *facts, struct lm_fact fact)
{
    lm_grow(&facts->items, &facts->cap, facts->len + 1, sizeof(fact));
    facts->items[facts->len++] = fact;
}

static struct lm_str join(struct lm_arena *arena, struct lm_str a, const char *between, struct lm_str b,
                          const char *end)
{
    return lm_str(lm_arena_printf(arena, "%.*s%s%.*s%s", (int)a.len, a.ptr, between, (int)b.len, b.ptr, end));
}

/* ---- reference pages ---- */

struct page {
    struct lm_str name, purpose, synopsis;
};

/* "VACUUM — garbage-collect a database": the dash stands between blanks, as em dash, en dash or hyphen. */
static bool split_name_line(struct lm_str line, struct page *page)
{
    static const char *const dashes[] = { " — ", " – ", " - " };
    for (size_t i = 0; i < sizeof(dashes) / sizeof(dashes[0]); i++) {
        const struct lm_str dash = lm_str(dashes[i]);
        const ptrdiff_t at = lm_str_find(line, dash);
        if (at <= 0 || at > NAME_BYTES_MAX)
            continue;
        struct lm_str names =
            slice(line, 0, (size_t)at);   // "SELECT, TABLE, WITH": the first one is the page's
        lm_str_split(&names, ',', &page->name);
        page->name = lm_str_trim(page->name);
        page->purpose = lm_str_trim(slice(line, (size_t)at + dash.len, line.len));
        while (page->purpose.len && page->purpose.ptr[page->purpose.len - 1] == '.')
            page->purpose.len--;
        return page->name.len && page->purpose.len && !memchr(page->name.ptr, '.', page->name.len);
    }
    return false;
}

static bool is_synopsis_heading(struct lm_str heading)
{
    static const char *const names[] = { "synopsis", "syntax", "usage", NULL };
    return is_one_of(heading, names);
}

/* The blocks below the heading of the synopsis, code without its fences. */
static struct lm_str read_synopsis(struct lm_blocks *it, struct lm_arena *arena)
{
    struct lm_blocks ahead = *it;
    struct lm_block block;
    struct lm_buf text = { 0 };
    while (lm_blocks_next(&ahead, &block) && block.kind != LM_BLOCK_HEADING) {
        if (block.kind != LM_BLOCK_CODE && block.kind != LM_BLOCK_PROSE)
            continue;
        if (text.len)
            lm_buf_putc(&text, '\n');
        lm_buf_add_str(&text, block.inner);
        *it = ahead;
    }
    const struct lm_str ret = { lm_arena_strndup(arena, text.ptr ? text.ptr : "", text.len), text.len };
    lm_buf_release(&text);
    return ret;
}

static bool read_page(const struct lm_document *doc, struct lm_arena *arena, struct page *ret)
{
    struct lm_blocks it = { .text = doc->content };
    struct lm_block block;
    struct page page = { 0 };
    for (size_t i = 0; lm_blocks_next(&it, &block); i++) {
        if (block.kind == LM_BLOCK_HEADING && page.name.len && is_synopsis_heading(block.inner)) {
            page.synopsis = read_synopsis(&it, arena);
            break;
        }
        if (!page.name.len && block.kind == LM_BLOCK_PROSE && !memchr(block.text.ptr, '\n', block.text.len))
            split_name_line(block.text, &page);
        if (!page.name.len && i >= NAME_BLOCKS_MAX)
            break;
    }
    *ret = page;
    return page.name.len > 0;
}

static bool subject_fits(enum subject subject, const struct page *page)
{
    size_t upper = 0, lower = 0;
    for (size_t i = 0; i < page->name.len; i++) {
        upper += is_upper(page->name.ptr[i]);
        lower += is_lower(page->name.ptr[i]);
    }
    if (subject == SUBJECT_UPPER)
        return upper > 0 && lower == 0;
    if (lower == 0)
        return false;

    /* A program's synopsis begins with its name; "git-commit" is called as "git commit". */
    if (page->synopsis.len < page->name.len)
        return false;
    for (size_t i = 0; i < page->name.len; i++) {
        const char a = page->name.ptr[i], b = page->synopsis.ptr[i];
        if (a != b && !(a == '-' && b == ' '))
            return false;
    }
    return page->synopsis.len == page->name.len || memchr(" \n", page->synopsis.ptr[page->name.len], 2);
}

/* How a purpose is worded: "list files", "lists files" or "file lister". */
enum wording { WORDING_VERB, WORDING_THIRD_PERSON, WORDING_NOUN };

static enum wording wording_of(struct lm_str purpose)
{
    static const char *const articles[] = { "a", "an", "the", "embedded", "interactive", NULL };
    const struct lm_str first = first_word(purpose);
    const struct lm_str second = first_word(lm_str_trim(slice(purpose, first.len, purpose.len)));
    const char last = first.len ? first.ptr[first.len - 1] : 0;
    if (is_upper(first.ptr[0]) || is_one_of(first, articles) || lm_str_eq(second, LM_STR("to")) ||
        first.len == purpose.len)
        return WORDING_NOUN;
    if (last == 's' && first.len > 2 && !memchr("su", first.ptr[first.len - 2], 2))
        return WORDING_THIRD_PERSON;
    return WORDING_VERB;
}

static void reference_facts(const struct rule *rule, const struct page *page, struct lm_arena *arena,
                            struct lm_facts *ret)
{
    static const char *const links[] = {
        [WORDING_VERB] = " is used to ", [WORDING_THIRD_PERSON] = " ", [WORDING_NOUN] = " is the "
    };
    static const char *const articles[] = { "a", "an", "the", NULL };
    const enum wording wording = wording_of(page->purpose);
    const bool has_article = is_one_of(first_word(page->purpose), articles);
    const char *link = wording == WORDING_NOUN && has_article ? " is " : links[wording];
    const struct lm_fact fact = { .snapshot = rule->snapshot, .subject = page->name, .phrase = page->name };

    struct lm_fact purpose = fact;
    purpose.kind = LM_FACT_PURPOSE;
    purpose.answer = join(arena, page->name, link, page->purpose, ".");
    add(ret, purpose);
    if (page->synopsis.len) {
        struct lm_fact syntax = fact;
        syntax.kind = LM_FACT_SYNTAX;
        syntax.answer = page->synopsis;
        syntax.is_code = true;
        add(ret, syntax);
    }
    if (wording == WORDING_THIRD_PERSON || has_article)   // no question reads well
        return;
    struct lm_fact name = fact;
    name.kind = wording == WORDING_VERB ? LM_FACT_BY_VERB : LM_FACT_BY_NOUN;
    name.phrase = page->purpose;
    name.answer = page->name;
    add(ret, name);
}

/* ---- definitions of settings ---- */

/* "work_mem (integer)": a name without blanks and a known type; "a, b (string)" is about a. */
static bool split_term(struct lm_str line, struct lm_str *ret_name, struct lm_str *ret_type)
{
    const ptrdiff_t open = lm_str_find(line, LM_STR(" ("));
    if (open <= 0 || open > NAME_BYTES_MAX || line.ptr[line.len - 1] != ')')
        return false;
    struct lm_str names = slice(line, 0, (size_t)open), name;
    lm_str_split(&names, ',', &name);
    for (size_t i = 0; i < name.len; i++)
        if (!is_lower(name.ptr[i]) && !is_upper(name.ptr[i]) && !memchr("_.-0123456789", name.ptr[i], 13))
            return false;
    const struct lm_str type = slice(line, (size_t)open + 2, line.len - 1);
    for (size_t i = 0; i < sizeof(setting_types) / sizeof(setting_types[0]); i++) {
        if (equal_nocase(type, setting_types[i])) {
            *ret_name = name;
            *ret_type = type;
            return name.len > 0;
        }
    }
    return false;
}

/* Sentences of one paragraph, one after another. */
struct sentences {
    struct lm_str text;
    struct lm_sentences ends;
    size_t next, at;
};

static struct sentences sentences_of(struct lm_str text, const char *language)
{
    struct sentences s = { .text = text };
    if (lm_sentences_split(text, language, &s.ends, NULL) != LM_OK)
        s.ends.len = 0;
    return s;
}

static bool next_sentence(struct sentences *s, struct lm_str *ret)
{
    if (s->next == s->ends.len)
        return false;
    *ret = lm_str_trim(slice(s->text, s->at, s->ends.ends[s->next]));
    s->at = s->ends.ends[s->next++];
    return true;
}

/* Whether the first word is a verb in the third person: "Sets", "Enables". */
static bool starts_with_verb(struct lm_str sentence)
{
    static const char *const others[] = { "this",    "always",  "unless",  "its",     "his",
                                          "as",      "is",      "was",     "has",     "across",
                                          "besides", "does",    "various", "perhaps", "thus",
                                          "plus",    "whereas", "values",  NULL };
    const struct lm_str word = first_word(sentence);
    if (word.len < 4 || !is_upper(word.ptr[0]) || word.ptr[word.len - 1] != 's' || is_one_of(word, others))
        return false;
    for (size_t i = 1; i < word.len; i++)
        if (!is_lower(word.ptr[i]))
            return false;
    return true;
}

/* Length of "This parameter" and the like at the start, 0 for another start. */
static size_t pronoun_len(struct lm_str sentence)
{
    static const char *const starts[] = { "This parameter", "This setting", "This variable", "This option" };
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        const size_t len = strlen(starts[i]);
        if (lm_str_starts(sentence, lm_str(starts[i])) && sentence.len > len &&
            memchr(" ,", sentence.ptr[len], 2))
            return len;
    }
    return 0;
}

/* Where "this parameter" and the like begin as the subject of a main clause: "When on, this parameter ...".
 */
static bool find_pronoun(struct lm_str sentence, size_t *ret_at, size_t *ret_len)
{
    static const char *const clauses[] = { ", this parameter ", ", this setting ", ", this variable ",
                                           ", this option " };
    for (size_t i = 0; i < sizeof(clauses) / sizeof(clauses[0]); i++) {
        const ptrdiff_t comma = lm_str_find(sentence, lm_str(clauses[i]));
        if (comma >= 0) {
            *ret_at = (size_t)comma + strlen(", ");
            *ret_len = strlen(clauses[i]) - strlen(",  ");
            return true;
        }
    }
    return false;
}

/* An answer stands alone, so it names its subject: "Sets the amount ..." and "This parameter sets the amount
 * ..." become "shared_buffers sets the amount ...". */
static struct lm_str name_subject(struct lm_str name, struct lm_str sentence, struct lm_arena *arena)
{
    size_t at = 0, len = pronoun_len(sentence);
    if (len || find_pronoun(sentence, &at, &len))
        return lm_str(lm_arena_printf(arena, "%.*s%.*s%.*s", (int)at, sentence.ptr, (int)name.len, name.ptr,
                                      (int)(sentence.len - at - len), sentence.ptr + at + len));
    if (!starts_with_verb(sentence))
        return sentence;
    char *text =
        lm_arena_printf(arena, "%.*s %.*s", (int)name.len, name.ptr, (int)sentence.len, sentence.ptr);
    text[name.len + 1] = (char)(text[name.len + 1] - 'A' + 'a');
    return lm_str(text);
}

static bool is_sentence(struct lm_str s)
{
    return s.len && s.ptr[s.len - 1] == '.';
}

/* The first sentence of the explanation, with the second when the first is short. */
static struct lm_str control_answer(struct lm_str name, struct lm_str paragraph, const char *language,
                                    struct lm_arena *arena)
{
    struct sentences s = sentences_of(paragraph, language);
    struct lm_str first = LM_STR(""), second = LM_STR(""), ret = LM_STR("");
    if (next_sentence(&s, &first) && is_sentence(first)) {
        ret = name_subject(name, first, arena);
        if (lm_utf8_count(first) < CONTROL_SHORT_CHARS && next_sentence(&s, &second) && is_sentence(second))
            ret = join(arena, ret, " ", second, "");
    }
    lm_sentences_release(&s.ends);
    return ret;
}

static bool contains(struct lm_str s, const char *part)
{
    return lm_str_find(s, lm_str(part)) >= 0;
}

/* "The default is on." -> "The default of fsync is on." */
static struct lm_str default_answer(struct lm_str name, struct lm_str sentence, struct lm_arena *arena)
{
    static const char *const starts[] = { "The default", "The default value" };
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        const size_t len = strlen(starts[i]);
        if (lm_str_starts(sentence, lm_str(starts[i])) &&
            lm_str_starts(slice(sentence, len, sentence.len), LM_STR(" is ")))
            return lm_str(lm_arena_printf(arena, "%s of %.*s%.*s", starts[i], (int)name.len, name.ptr,
                                          (int)(sentence.len - len), sentence.ptr + len));
    }
    return sentence;
}

/* How plainly a sentence states the default: 0 not at all. */
static int default_rank(struct lm_str s)
{
    if (!is_sentence(s))
        return 0;
    if (lm_str_starts(s, LM_STR("The default is ")) || lm_str_starts(s, LM_STR("The default value is ")))
        return 3;
    if (lm_str_starts(s, LM_STR("The default ")) && contains(s, " is "))
        return 2;
    return contains(s, "(the default)") || contains(s, "the default is ") || contains(s, "(default)");
}

/* One definition: the term has been read, `it` stands behind it. */
static void setting_facts(const struct rule *rule, struct lm_str name, struct lm_str type,
                          struct lm_blocks it, const char *language, struct lm_arena *arena,
                          struct lm_facts *ret)
{
    struct lm_fact fact = { .snapshot = rule->snapshot, .subject = name, .phrase = name };
    struct lm_fact found[2] = { fact, fact };   // control, default
    found[0].kind = LM_FACT_CONTROL;
    found[1].kind = LM_FACT_DEFAULT;
    int rank = 0;
    struct lm_block block;
    for (bool first = true; lm_blocks_next(&it, &block) && block.kind != LM_BLOCK_HEADING; first = false) {
        if (block.kind == LM_BLOCK_PROSE && !block.indent)   // the next term, or the list has ended
            break;
        if (block.mark != ':')
            continue;
        if (first)
            found[0].answer = control_answer(name, block.inner, language, arena);
        struct sentences s = sentences_of(block.inner, language);
        struct lm_str sentence;
        while (next_sentence(&s, &sentence)) {
            if (default_rank(sentence) > rank) {
                rank = default_rank(sentence);
                found[1].answer = default_answer(name, sentence, arena);
            }
        }
        lm_sentences_release(&s.ends);
    }
    if (!found[0].answer.len)
        return;   // a name without an explanation is no setting
    add(ret, found[0]);
    fact.kind = LM_FACT_TYPE;
    fact.answer = join(arena, name, " takes a value of type ", type, ".");
    add(ret, fact);
    if (rank)
        add(ret, found[1]);
}

static void definition_facts(const struct rule *rule, const struct lm_document *doc, struct lm_arena *arena,
                             struct lm_facts *ret)
{
    const char *language = lm_arena_strndup(arena, doc->language.ptr, doc->language.len);
    struct lm_blocks it = { .text = doc->content };
    struct lm_block block, next;
    while (lm_blocks_next(&it, &block)) {
        struct lm_str name, type;
        struct lm_blocks ahead = it;
        if (block.kind == LM_BLOCK_PROSE && split_term(block.text, &name, &type) &&
            lm_blocks_next(&ahead, &next) && next.mark == ':')
            setting_facts(rule, name, type, it, language, arena, ret);
    }
}

/* ---- which rule ---- */

static bool document_fits(const struct rule *rule, const struct lm_document *doc, struct lm_arena *arena)
{
    if (!rule->file)
        return true;
    for (size_t i = 0; i < doc->label_count; i++)
        if (lm_str_eq(doc->labels[i], lm_str(rule->label)))
            return true;
    const char *url = lm_arena_strndup(arena, doc->url.ptr, doc->url.len);
    const char *slash = strrchr(url, '/');
    return fnmatch(rule->file, slash ? slash + 1 : url, 0) == 0;
}

void lm_facts_find(const struct lm_document *doc, struct lm_arena *arena, struct lm_facts *ret)
{
    struct page page;
    const bool is_reference = read_page(doc, arena, &page);
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        const struct rule *rule = &rules[i];
        /* Reference pages have definitions of options and the like, which are no settings. */
        if ((rule->shape == SHAPE_REFERENCE) != is_reference || !document_fits(rule, doc, arena))
            continue;
        if (!is_reference) {
            definition_facts(rule, doc, arena, ret);
            return;
        }
        if (subject_fits(rule->subject, &page)) {
            reference_facts(rule, &page, arena, ret);
            return;
        }
    }
}
