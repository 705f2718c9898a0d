/* Tags to a tree.  The rules for end tags that are missing, misplaced or crossed follow the HTML standard as
 * far as they move text from one block to another; formatting elements are of no interest here. */
#include "text/html_tree.h"
#include "text/html_tokens.h"
#include "text/text.h"
#include "text/utf8.h"

#include <stdlib.h>

enum {
    BLOCK = 1,     // separates words; closes an open <p>
    VOID = 2,      // has no content
    BARRIER = 4,   // an end tag inside does not reach an element outside
    NAME_BYTES_MAX = 16,
};

/* Sorted by name.  To give a tag a meaning: its row here, its value in html_tree.h. */
static const struct tag_row {
    const char *name;
    uint8_t tag, traits;
} tag_rows[] = {
    { "a", LM_TAG_A, 0 },
    { "abbr", LM_TAG_OTHER, 0 },
    { "acronym", LM_TAG_OTHER, 0 },
    { "address", LM_TAG_BLOCK, BLOCK },
    { "applet", LM_TAG_DROP, 0 },
    { "area", LM_TAG_OTHER, VOID },
    { "article", LM_TAG_ARTICLE, BLOCK },
    { "aside", LM_TAG_ASIDE, BLOCK },
    { "audio", LM_TAG_DROP, 0 },
    { "b", LM_TAG_OTHER, 0 },
    { "base", LM_TAG_OTHER, VOID },
    { "bdi", LM_TAG_OTHER, 0 },
    { "bdo", LM_TAG_OTHER, 0 },
    { "big", LM_TAG_OTHER, 0 },
    { "blockquote", LM_TAG_BLOCKQUOTE, BLOCK },
    { "body", LM_TAG_BODY, BLOCK },
    { "br", LM_TAG_BR, VOID },
    { "button", LM_TAG_DROP, 0 },
    { "canvas", LM_TAG_DROP, 0 },
    { "caption", LM_TAG_CAPTION, BLOCK | BARRIER },
    { "center", LM_TAG_BLOCK, BLOCK },
    { "cite", LM_TAG_OTHER, 0 },
    { "code", LM_TAG_OTHER, 0 },
    { "col", LM_TAG_OTHER, VOID },
    { "datalist", LM_TAG_DROP, 0 },
    { "dd", LM_TAG_DD, BLOCK },
    { "del", LM_TAG_OTHER, 0 },
    { "details", LM_TAG_SECTION, BLOCK },
    { "dfn", LM_TAG_OTHER, 0 },
    { "dialog", LM_TAG_DROP, BLOCK },
    { "dir", LM_TAG_UL, BLOCK },
    { "div", LM_TAG_BLOCK, BLOCK },
    { "dl", LM_TAG_DL, BLOCK },
    { "dt", LM_TAG_DT, BLOCK },
    { "em", LM_TAG_OTHER, 0 },
    { "embed", LM_TAG_OTHER, VOID },
    { "fieldset", LM_TAG_BLOCK, BLOCK },
    { "figcaption", LM_TAG_ASIDE, BLOCK },
    { "figure", LM_TAG_BLOCK, BLOCK },
    { "font", LM_TAG_OTHER, 0 },
    { "footer", LM_TAG_FOOTER, BLOCK },
    { "form", LM_TAG_FORM, BLOCK },
    { "frame", LM_TAG_OTHER, VOID },
    { "h1", LM_TAG_H1, BLOCK },
    { "h2", LM_TAG_H2, BLOCK },
    { "h3", LM_TAG_H3, BLOCK },
    { "h4", LM_TAG_H4, BLOCK },
    { "h5", LM_TAG_H5, BLOCK },
    { "h6", LM_TAG_H6, BLOCK },
    { "head", LM_TAG_HEAD, BLOCK },
    { "header", LM_TAG_HEADER, BLOCK },
    { "hgroup", LM_TAG_BLOCK, BLOCK },
    { "hr", LM_TAG_HR, BLOCK | VOID },
    { "html", LM_TAG_HTML, BLOCK },
    { "i", LM_TAG_OTHER, 0 },
    { "iframe", LM_TAG_DROP, 0 },
    { "img", LM_TAG_OTHER, VOID },
    { "input", LM_TAG_OTHER, VOID },
    { "ins", LM_TAG_OTHER, 0 },
    { "kbd", LM_TAG_OTHER, 0 },
    { "label", LM_TAG_OTHER, 0 },
    { "legend", LM_TAG_BLOCK, BLOCK },
    { "li", LM_TAG_LI, BLOCK },
    { "link", LM_TAG_OTHER, VOID },
    { "listing", LM_TAG_PRE, BLOCK },
    { "main", LM_TAG_MAIN, BLOCK },
    { "map", LM_TAG_DROP, 0 },
    { "mark", LM_TAG_OTHER, 0 },
    { "menu", LM_TAG_UL, BLOCK },
    { "meta", LM_TAG_META, VOID },
    { "nav", LM_TAG_NAV, BLOCK },
    { "noembed", LM_TAG_DROP, 0 },
    { "noframes", LM_TAG_DROP, 0 },
    { "noscript", LM_TAG_DROP, 0 },
    { "object", LM_TAG_DROP, BARRIER },
    { "ol", LM_TAG_OL, BLOCK },
    { "optgroup", LM_TAG_DROP, 0 },
    { "option", LM_TAG_DROP, 0 },
    { "p", LM_TAG_P, BLOCK },
    { "param", LM_TAG_OTHER, VOID },
    { "plaintext", LM_TAG_PRE, BLOCK },
    { "pre", LM_TAG_PRE, BLOCK },
    { "q", LM_TAG_Q, 0 },
    { "s", LM_TAG_OTHER, 0 },
    { "samp", LM_TAG_OTHER, 0 },
    { "script", LM_TAG_DROP, 0 },
    { "section", LM_TAG_SECTION, BLOCK },
    { "select", LM_TAG_DROP, 0 },
    { "small", LM_TAG_OTHER, 0 },
    { "source", LM_TAG_OTHER, VOID },
    { "span", LM_TAG_OTHER, 0 },
    { "strike", LM_TAG_OTHER, 0 },
    { "strong", LM_TAG_OTHER, 0 },
    { "style", LM_TAG_DROP, 0 },
    { "sub", LM_TAG_OTHER, 0 },
    { "summary", LM_TAG_BLOCK, BLOCK },
    { "sup", LM_TAG_SUP, 0 },
    { "svg", LM_TAG_DROP, 0 },
    { "table", LM_TAG_TABLE, BLOCK | BARRIER },
    { "tbody", LM_TAG_TBODY, BLOCK },
    { "td", LM_TAG_TD, BLOCK | BARRIER },
    { "template", LM_TAG_DROP, BARRIER },
    { "textarea", LM_TAG_DROP, 0 },
    { "tfoot", LM_TAG_TBODY, BLOCK },
    { "th", LM_TAG_TH, BLOCK | BARRIER },
    { "thead", LM_TAG_TBODY, BLOCK },
    { "time", LM_TAG_OTHER, 0 },
    { "title", LM_TAG_TITLE, 0 },
    { "tr", LM_TAG_TR, BLOCK },
    { "track", LM_TAG_OTHER, VOID },
    { "tt", LM_TAG_OTHER, 0 },
    { "u", LM_TAG_OTHER, 0 },
    { "ul", LM_TAG_UL, BLOCK },
    { "var", LM_TAG_OTHER, 0 },
    { "video", LM_TAG_DROP, 0 },
    { "wbr", LM_TAG_OTHER, VOID },
    { "xmp", LM_TAG_PRE, BLOCK },
};

/* NULL for a name that is not in the table: its tags are passed over, its content is not. */
static const struct tag_row *row_of(struct lm_str name)
{
    char lower[NAME_BYTES_MAX];
    if (name.len >= sizeof lower)
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = lm_to_lower(name.ptr[i]);
    lower[name.len] = '\0';
    size_t low = 0, high = sizeof tag_rows / sizeof *tag_rows;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const int order = strcmp(tag_rows[middle].name, lower);
        if (order == 0)
            return &tag_rows[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool lm_html_tag_is_block(enum lm_html_tag tag)
{
    switch (tag) {
    case LM_TAG_TEXT:
    case LM_TAG_OTHER:
    case LM_TAG_A:
    case LM_TAG_BR:
    case LM_TAG_DROP:
    case LM_TAG_META:
    case LM_TAG_Q:
    case LM_TAG_SUP:
    case LM_TAG_TITLE:
        return false;
    default:
        return true;
    }
}

#define SET(tag) (UINT64_C(1) << (tag))
_Static_assert(LM_TAG_COUNT <= 64, "a set of tags is one word");

static const uint64_t cells = SET(LM_TAG_TD) | SET(LM_TAG_TH) | SET(LM_TAG_CAPTION);
static const uint64_t headings =
    SET(LM_TAG_H1) | SET(LM_TAG_H2) | SET(LM_TAG_H3) | SET(LM_TAG_H4) | SET(LM_TAG_H5) | SET(LM_TAG_H6);

/* A start tag closes the open elements of `closes`, up to the nearest of `stops`. */
struct implied {
    uint64_t closes, stops;
};

static struct implied implied_by(enum lm_html_tag tag, bool is_block)
{
    const uint64_t table = SET(LM_TAG_TABLE);
    switch (tag) {
    case LM_TAG_LI:
        return (struct implied){ SET(LM_TAG_LI) | SET(LM_TAG_P),
                                 SET(LM_TAG_UL) | SET(LM_TAG_OL) | table | cells };
    case LM_TAG_DT:
    case LM_TAG_DD:
        return (struct implied){ SET(LM_TAG_DT) | SET(LM_TAG_DD) | SET(LM_TAG_P),
                                 SET(LM_TAG_DL) | table | cells };
    case LM_TAG_TD:
    case LM_TAG_TH:
        return (struct implied){ cells, table | SET(LM_TAG_TR) };
    case LM_TAG_TR:
        return (struct implied){ cells | SET(LM_TAG_TR), table };
    case LM_TAG_TBODY:
        return (struct implied){ cells | SET(LM_TAG_TR) | SET(LM_TAG_TBODY), table };
    case LM_TAG_A:
        return (struct implied){ SET(LM_TAG_A), table | cells };
    default:
        break;
    }
    if (!is_block)
        return (struct implied){ 0, 0 };
    const uint64_t more = lm_html_tag_is_heading(tag) ? headings : 0;
    return (struct implied){ SET(LM_TAG_P) | more,
                             table | cells | SET(LM_TAG_BLOCKQUOTE) | SET(LM_TAG_ARTICLE) };
}

/* An open element.  Elements of one tag that differ in name (div, center) are told apart by the row. */
struct open {
    const struct tag_row *row;
    uint32_t node;
};

struct builder {
    struct lm_html_tree *tree;
    struct open open[LM_HTML_DEPTH_MAX];
    size_t depth;
    uint32_t open_count[LM_TAG_COUNT];
    uint32_t skipped[sizeof tag_rows / sizeof *tag_rows];   // by row: open, but beyond the depth limit
};

static uint32_t add_node(struct builder *b, enum lm_html_tag tag, struct lm_str where)
{
    struct lm_html_tree *t = b->tree;
    lm_grow(&t->nodes, &t->cap, t->len + 1, sizeof *t->nodes);
    const uint32_t node = (uint32_t)t->len++;
    t->nodes[node] = (struct lm_html_node){
        .parent = b->depth ? b->open[b->depth - 1].node : 0,
        .end = node + 1,
        .at = (uint32_t)(where.ptr - t->page.ptr),
        .len = (uint32_t)where.len,
        .tag = (uint8_t)tag,
    };
    return node;
}

static void close_to(struct builder *b, size_t depth)
{
    while (b->depth > depth) {
        const struct open *top = &b->open[--b->depth];
        b->tree->nodes[top->node].end = (uint32_t)b->tree->len;
        b->open_count[top->row->tag]--;
    }
}

static bool any_open(const struct builder *b, uint64_t tags)
{
    for (; tags; tags &= tags - 1)
        if (b->open_count[__builtin_ctzll(tags)] > 0)
            return true;
    return false;
}

static void close_implied(struct builder *b, struct implied rule)
{
    if (!any_open(b, rule.closes))
        return;
    size_t lowest = b->depth;
    for (size_t i = b->depth; i-- > 1;) {   // the root stays open
        const uint64_t tag = SET(b->open[i].row->tag);
        if (tag & rule.stops)
            break;
        if (tag & rule.closes)
            lowest = i;
    }
    close_to(b, lowest);
}

static void start_tag(struct builder *b, const struct lm_html_token *token)
{
    const struct tag_row *row = row_of(token->text);
    if (!row)
        return;
    if ((row->tag == LM_TAG_HTML || row->tag == LM_TAG_BODY) && b->open_count[row->tag] > 0)
        return;   // a second one only adds attributes
    if (row->tag == LM_TAG_BODY && b->open_count[LM_TAG_HEAD] > 0)
        close_implied(b, (struct implied){ SET(LM_TAG_HEAD), 0 });
    close_implied(b, implied_by(row->tag, (row->traits & BLOCK) != 0));

    const uint32_t node = add_node(b, row->tag, token->attrs);
    b->tree->nodes[node].hint = (uint8_t)lm_html_hints(row->tag, token->attrs);
    const bool closed = row->tag == LM_TAG_DROP && token->attrs.len > 0 &&
                        token->attrs.ptr[token->attrs.len - 1] == '/' && strcmp(row->name, "svg") == 0;
    if ((row->traits & VOID) || closed)
        return;
    if (b->depth == LM_HTML_DEPTH_MAX) {
        b->skipped[row - tag_rows]++;
        return;
    }
    b->open[b->depth++] = (struct open){ row, node };
    b->open_count[row->tag]++;
}

static void end_tag(struct builder *b, const struct lm_html_token *token)
{
    const struct tag_row *row = row_of(token->text);
    if (!row)
        return;
    if (b->skipped[row - tag_rows] > 0) {
        b->skipped[row - tag_rows]--;
        return;
    }
    if (row->tag == LM_TAG_BODY || row->tag == LM_TAG_HTML)
        return;   // what follows </body> is still part of the page
    if (b->open_count[row->tag] == 0)
        return;
    const bool is_table =
        (SET(row->tag) & (cells | SET(LM_TAG_TABLE) | SET(LM_TAG_TR) | SET(LM_TAG_TBODY))) != 0;
    for (size_t i = b->depth; i-- > 1;) {
        const struct tag_row *open = b->open[i].row;
        const bool any_heading = lm_html_tag_is_heading(row->tag) && lm_html_tag_is_heading(open->tag);
        if (open == row || any_heading) {
            close_to(b, i);
            return;
        }
        const bool barrier = is_table ? open->tag == LM_TAG_TABLE : (open->traits & BARRIER) != 0;
        const bool crossed = !(row->traits & BLOCK) && (open->traits & BLOCK) && row->tag != LM_TAG_A;
        if (barrier || crossed)
            return;
    }
}

static uint32_t chars_of(struct lm_str text)
{
    uint32_t chars = 0;
    for (size_t i = 0; i < text.len; i++)
        chars += (unsigned char)text.ptr[i] > ' ' && ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return chars;
}

enum lm_rc lm_html_tree_build(struct lm_str page, struct lm_html_tree *ret, struct lm_err *err)
{
    if (page.len >= UINT32_MAX)
        return lm_fail(err, LM_ELIMIT, "html: a page of %zu bytes is too long", page.len);
    *ret = (struct lm_html_tree){ .page = page };
    struct builder *b = lm_zalloc(1, sizeof *b);
    b->tree = ret;
    static const struct tag_row root_row = { "", LM_TAG_BLOCK, BLOCK };
    b->open[0] = (struct open){ &root_row, add_node(b, LM_TAG_BLOCK, (struct lm_str){ page.ptr, 0 }) };
    b->open_count[LM_TAG_BLOCK]++;
    b->depth = 1;

    struct lm_html_scanner scanner = { .in = page };
    struct lm_html_token token;
    enum lm_rc rc = LM_OK;
    while (rc == LM_OK && lm_html_next(&scanner, &token)) {
        if (ret->len >= LM_HTML_NODES_MAX) {
            rc = lm_fail(err, LM_ELIMIT, "html: the page has more than %d elements and runs of text",
                         LM_HTML_NODES_MAX);
        } else if (token.type == LM_HTML_START) {
            start_tag(b, &token);
        } else if (token.type == LM_HTML_END) {
            end_tag(b, &token);
        } else if (token.text.len > 0) {
            const uint32_t node = add_node(b, LM_TAG_TEXT, token.text);
            ret->nodes[node].chars = chars_of(token.text);
        }
    }
    close_to(b, 0);
    free(b);
    if (rc != LM_OK)
        lm_html_tree_release(ret);
    return rc;
}

void lm_html_tree_release(struct lm_html_tree *tree)
{
    free(tree->nodes);
    *tree = (struct lm_html_tree){ 0 };
}
