/* A page to its text and the few facts about it: tokens -> tree -> choice -> text. */
#include "text/html_tokens.h"
#include "text/html_tree.h"
#include "text/text.h"
#include "text/utf8.h"

/* Facts that <meta> may state under several names; the first row that is found wins. */
enum fact { FACT_AUTHOR, FACT_DATE, FACT_LANGUAGE, FACT_GENERATOR, FACT_COUNT };

static const struct {
    const char *name;   // of the attribute name, property, itemprop or http-equiv
    enum fact fact;
} meta_rows[] = {
    { "author", FACT_AUTHOR },
    { "article:author", FACT_AUTHOR },
    { "dc.creator", FACT_AUTHOR },
    { "dcterms.creator", FACT_AUTHOR },
    { "article:published_time", FACT_DATE },
    { "datepublished", FACT_DATE },
    { "date", FACT_DATE },
    { "dc.date", FACT_DATE },
    { "dcterms.created", FACT_DATE },
    { "dc.date.issued", FACT_DATE },
    { "pubdate", FACT_DATE },
    { "content-language", FACT_LANGUAGE },
    { "generator", FACT_GENERATOR },
};

/* Tools whose pages are documentation: there links are content and headings are never teasers. */
static const char *const documentation_tools[] = {
    "docbook", "sphinx", "doxygen", "javadoc", "makeinfo", "mkdocs", "docusaurus", "asciidoctor",
    "pandoc",  "mdbook", "rustdoc", "texinfo", "docutils", "hevea",  "latex2html",
};

struct facts {
    struct lm_str of[FACT_COUNT];   // raw attribute values
    size_t row[FACT_COUNT];         // of meta_rows, plus 1; 0 = not found
};

static void read_meta(struct lm_str attrs, struct facts *facts)
{
    static const char *const keys[] = { "name", "property", "itemprop", "http-equiv" };
    struct lm_str key, content;
    if (!lm_html_attr(attrs, "content", &content) || lm_str_trim(content).len == 0)
        return;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        if (!lm_html_attr(attrs, keys[k], &key))
            continue;
        for (size_t i = 0; i < sizeof meta_rows / sizeof *meta_rows; i++) {
            const enum fact fact = meta_rows[i].fact;
            if (!lm_html_is(key, meta_rows[i].name) || (facts->row[fact] && facts->row[fact] <= i + 1))
                continue;
            facts->of[fact] = content;
            facts->row[fact] = i + 1;
        }
    }
}

static bool is_documentation(struct lm_str generator)
{
    for (size_t at = 0; at < generator.len; at++)
        for (size_t i = 0; i < sizeof documentation_tools / sizeof *documentation_tools; i++) {
            const size_t len = strlen(documentation_tools[i]);
            if (len <= generator.len - at &&
                lm_html_is((struct lm_str){ generator.ptr + at, len }, documentation_tools[i]))
                return true;
        }
    return false;
}

/* Decoded, white space collapsed, in the arena. */
static struct lm_str plain(struct lm_str raw, bool in_attribute, struct lm_arena *arena)
{
    struct lm_buf decoded = { 0 };
    lm_html_decode(raw, in_attribute, &decoded);
    char *out = lm_arena_alloc(arena, decoded.len + 1);
    size_t len = 0;
    bool blank = false;
    for (size_t i = 0; i < decoded.len; i++) {
        if (lm_is_space(decoded.ptr[i])) {
            blank = len > 0;
            continue;
        }
        if (blank)
            out[len++] = ' ';
        blank = false;
        out[len++] = decoded.ptr[i];
    }
    lm_buf_release(&decoded);
    return (struct lm_str){ out, len };
}

static struct lm_str subtree_text(const struct lm_html_tree *tree, size_t node, struct lm_arena *arena)
{
    struct lm_buf raw = { 0 };
    for (size_t i = node; i < tree->nodes[node].end; i++)
        if (tree->nodes[i].tag == LM_TAG_TEXT)
            lm_buf_add_str(&raw, lm_html_slice(tree, i));
    const struct lm_str ret = plain(lm_buf_str(&raw), false, arena);
    lm_buf_release(&raw);
    return ret;
}

/* Title and language; metadata into facts. */
static void read_head(const struct lm_html_tree *tree, struct lm_arena *arena, struct facts *facts,
                      struct lm_html_result *ret)
{
    size_t heading = 0;
    bool titled = false;
    for (size_t i = 1; i < tree->len; i++) {
        const struct lm_html_node *n = &tree->nodes[i];
        if (n->tag == LM_TAG_META) {
            read_meta(lm_html_slice(tree, i), facts);
        } else if (n->tag == LM_TAG_TITLE && !titled) {
            ret->title = subtree_text(tree, i, arena);
            titled = ret->title.len > 0;
        } else if (n->tag == LM_TAG_HTML) {
            struct lm_str value;
            if (lm_html_attr(lm_html_slice(tree, i), "lang", &value) ||
                lm_html_attr(lm_html_slice(tree, i), "xml:lang", &value))
                ret->language = plain(value, true, arena);
        } else if (lm_html_tag_is_heading(n->tag) && heading == 0) {
            heading = i;
        }
    }
    if (!titled && heading)
        ret->title = subtree_text(tree, heading, arena);
}

enum lm_rc lm_html_extract(struct lm_str html, struct lm_arena *arena, struct lm_html_result *ret,
                           struct lm_err *err)
{
    LM_ASSERT(arena && ret);
    struct lm_html_tree tree = { 0 };
    LM_TRY(lm_html_tree_build(html, &tree, err));

    const struct lm_str empty = { "", 0 };
    struct lm_html_result result = { empty, empty, empty, empty, empty, 0, 0 };
    struct facts facts = { 0 };
    read_head(&tree, arena, &facts, &result);
    result.author = plain(facts.of[FACT_AUTHOR], true, arena);
    result.date_published = plain(facts.of[FACT_DATE], true, arena);
    if (result.language.len == 0)
        result.language = plain(facts.of[FACT_LANGUAGE], true, arena);

    struct lm_buf text = { 0 };
    struct lm_html_counts counts;
    const struct lm_html_choice choice = lm_html_choose(&tree, is_documentation(facts.of[FACT_GENERATOR]));
    lm_html_write(&tree, choice, &text, &counts);
    result.text = (struct lm_str){ lm_arena_strndup(arena, text.len ? text.ptr : "", text.len), text.len };
    result.blocks_kept = counts.kept;
    result.blocks_dropped = counts.dropped;
    lm_buf_release(&text);
    lm_html_tree_release(&tree);
    *ret = result;
    return LM_OK;
}
