#ifndef LM_TEXT_HTML_TREE_H
#define LM_TEXT_HTML_TREE_H
/* text/html_tree.h - a page as one array of nodes in document order.
 *
 * Node 0 is the root.  The subtree of node i is the range [i, nodes[i].end): passes over the page are loops
 * over the array, and leaving a subtree out is a jump to its end.  Nothing recurses.  Text stays where it is
 * in the page; nodes hold offsets. */

#include "base/err.h"
#include "base/str.h"

/* Tags that mean something to us; other inline ones are LM_TAG_OTHER. */
enum lm_html_tag {
    LM_TAG_TEXT,   // no element: a run of text
    LM_TAG_OTHER,
    LM_TAG_A,
    LM_TAG_ARTICLE,
    LM_TAG_ASIDE,
    LM_TAG_BLOCK,   // any block element without a meaning of its own
    LM_TAG_BLOCKQUOTE,
    LM_TAG_BODY,
    LM_TAG_BR,
    LM_TAG_CAPTION,
    LM_TAG_DD,
    LM_TAG_DL,
    LM_TAG_DROP,   // never text: script, style, template, form controls, media
    LM_TAG_DT,
    LM_TAG_FOOTER,
    LM_TAG_FORM,
    LM_TAG_H1,
    LM_TAG_H2,
    LM_TAG_H3,
    LM_TAG_H4,
    LM_TAG_H5,
    LM_TAG_H6,
    LM_TAG_HEAD,
    LM_TAG_HEADER,
    LM_TAG_HR,
    LM_TAG_HTML,
    LM_TAG_LI,
    LM_TAG_MAIN,
    LM_TAG_META,
    LM_TAG_NAV,
    LM_TAG_OL,
    LM_TAG_P,
    LM_TAG_PRE,
    LM_TAG_Q,
    LM_TAG_SECTION,
    LM_TAG_SUP,
    LM_TAG_TABLE,
    LM_TAG_TBODY,
    LM_TAG_TD,
    LM_TAG_TH,
    LM_TAG_TITLE,
    LM_TAG_TR,
    LM_TAG_UL,
    LM_TAG_COUNT,
};

/* What class, id and other attributes say; see html_rules.c. */
enum lm_html_hint {
    LM_HINT_DROP =
        1 << 0,   // navigation, advertising, comments, ...: not the text, unless it holds most of the page
    LM_HINT_HIDDEN = 1 << 1,       // decided: not part of the text
    LM_HINT_BODY = 1 << 2,         // the text of an article
    LM_HINT_CONTENT = 1 << 3,      // the middle of the page
    LM_HINT_ADMONITION = 1 << 4,   // note, warning: its heading is a label
    LM_HINT_LINK = 1 << 5,         // <a href>
};

struct lm_html_node {
    uint32_t parent, end;
    uint32_t at, len;             // bytes in the page: the text, or the attributes
    uint32_t chars, link_chars;   // of the subtree: characters but blanks; those within links
    uint8_t tag, hint;
};

struct lm_html_tree {
    struct lm_str page;
    struct lm_html_node *nodes;
    size_t len, cap;
};

/* LM_ELIMIT beyond LM_HTML_NODES_MAX.  `page` must outlive the tree. */
enum lm_rc lm_html_tree_build(struct lm_str page, struct lm_html_tree *ret, struct lm_err *err);
void lm_html_tree_release(struct lm_html_tree *tree);

static inline struct lm_str lm_html_slice(const struct lm_html_tree *tree, size_t node)
{
    return (struct lm_str){ tree->page.ptr + tree->nodes[node].at, tree->nodes[node].len };
}

bool lm_html_tag_is_block(enum lm_html_tag tag);

static inline bool lm_html_tag_is_heading(enum lm_html_tag tag)
{
    return tag >= LM_TAG_H1 && tag <= LM_TAG_H6;
}

/* The hints of an element: html_rules.c. */
unsigned lm_html_hints(enum lm_html_tag tag, struct lm_str attrs);

/* Which part of the page is its text: html_main.c. */
struct lm_html_choice {
    size_t root;      // write this subtree
    size_t heading;   // and before it this one, the page's title; 0 = none
};

/* `documentation`: made by a documentation tool, so structure is trusted and links are content.  Marks what
 * is to be left out (hint LM_HINT_HIDDEN) and adds up chars and link_chars of what remains. */
struct lm_html_choice lm_html_choose(struct lm_html_tree *tree, bool documentation);

/* The chosen part as text: html_write.c. */
struct lm_html_counts {
    size_t kept, dropped;   // block elements
};

void lm_html_write(const struct lm_html_tree *tree, struct lm_html_choice choice, struct lm_buf *ret,
                   struct lm_html_counts *ret_counts);

#endif
