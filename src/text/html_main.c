/* Which part of a page is its text.
 *
 *  1. Leave out what tags and attributes mark as something else, unless it holds most of the page.
 *  2. Give every block its own characters as weight, if they look like prose; sum the weights up the tree.
 *  3. Take the element that says it is the text (articleBody, <article>, <main>) if it holds enough of the
 *     weight, else walk down from <body> as long as one child holds nearly all of it.
 *  4. Leave out blocks inside that are mostly links, or short and lead elsewhere ("Read more").
 *
 * Each step is one pass over the array of nodes. */
#include "text/html_tokens.h"
#include "text/html_tree.h"

#include "base/mem.h"

#include <stdlib.h>

/* Shares of the page's weight; found on labelled pages, see README.md. */
static const double share_body_min = 0.65;     // an articleBody
static const double share_article_min = 0.5;   // an <article>
static const double share_main_min = 0.6;      // a <main>
static const double share_child_min = 0.8;     // a child to walk down to
static const double link_share_block_max = 0.5;
static const double link_share_paragraph_max = 0.8;

enum {
    PROSE_CHARS_MIN = 25,
    PAGE_WEIGHT_MIN = 250,   // less may be a page that class words have emptied
    PAGE_GAIN_MIN = 4,       // times more without them proves it
    BODY_CHARS_MIN = 100,    // what calls itself the text and holds less is not believed
};

struct chooser {
    struct lm_html_tree *tree;
    uint32_t *own, *own_links;   // characters of a block outside its inner blocks
    uint32_t *weight;            // of the subtree
    bool documentation;
};

static struct lm_html_node *node_at(struct chooser *c, size_t i)
{
    return &c->tree->nodes[i];
}

static bool never_text(const struct lm_html_node *n)
{
    return n->tag == LM_TAG_DROP || n->tag == LM_TAG_HEAD || n->tag == LM_TAG_TITLE || n->tag == LM_TAG_META;
}

/* Sums chars and link_chars up the tree, without what is hidden. */
static void sum_chars(struct chooser *c)
{
    for (size_t i = 0; i < c->tree->len; i++)
        if (node_at(c, i)->tag != LM_TAG_TEXT)
            node_at(c, i)->chars = node_at(c, i)->link_chars = 0;
    for (size_t i = c->tree->len; i-- > 1;) {
        struct lm_html_node *n = node_at(c, i);
        if (n->hint & LM_HINT_HIDDEN)
            continue;
        if (n->hint & LM_HINT_LINK)
            n->link_chars = n->chars;
        node_at(c, n->parent)->chars += n->chars;
        node_at(c, n->parent)->link_chars += n->link_chars;
    }
}

/* ret[i]: the first <h1> at or behind node i. */
static uint32_t *next_heading_1(const struct lm_html_tree *tree)
{
    uint32_t *ret = lm_alloc(tree->len * sizeof *ret);
    uint32_t next = UINT32_MAX;
    for (size_t i = tree->len; i-- > 0;) {
        if (tree->nodes[i].tag == LM_TAG_H1)
            next = (uint32_t)i;
        ret[i] = next;
    }
    return ret;
}

/* Tags and attributes that mark something other than text.  A <header> with the title in it is text. */
static bool marked_as_other(const struct lm_html_node *n, bool has_title, bool by_words)
{
    if (n->hint & LM_HINT_DROP)
        return by_words;
    switch (n->tag) {
    case LM_TAG_NAV:
    case LM_TAG_ASIDE:
    case LM_TAG_FOOTER:
    case LM_TAG_FORM:
        return true;
    case LM_TAG_HEADER:
        return !has_title;
    default:
        return false;
    }
}

static void hide_marked(struct chooser *c, bool by_words)
{
    for (size_t i = 0; i < c->tree->len; i++) {
        node_at(c, i)->hint &= (uint8_t)~LM_HINT_HIDDEN;
        if (never_text(node_at(c, i)))
            node_at(c, i)->hint |= LM_HINT_HIDDEN;
    }
    sum_chars(c);
    const uint32_t total = node_at(c, 0)->chars;
    uint32_t *heading = next_heading_1(c->tree);
    size_t i = 0;
    while (i < c->tree->len) {
        struct lm_html_node *n = node_at(c, i);
        if (marked_as_other(n, heading[i] < n->end, by_words) && n->chars <= total / 2 &&
            n->tag != LM_TAG_BODY)
            n->hint |= LM_HINT_HIDDEN;
        i = n->hint & LM_HINT_HIDDEN ? n->end : i + 1;
    }
    free(heading);
    sum_chars(c);
}

/* own[] and own_links[]: what stands directly in a block. */
static void weigh_blocks(struct chooser *c)
{
    const size_t len = c->tree->len;
    uint32_t *owner = lm_alloc(len * sizeof *owner);
    bool *in_link = lm_zalloc(len, sizeof *in_link);
    owner[0] = 0;
    size_t i = 1;
    while (i < len) {
        const struct lm_html_node *n = node_at(c, i);
        if (n->hint & LM_HINT_HIDDEN) {
            i = n->end;
            continue;
        }
        in_link[i] = in_link[n->parent] || (n->hint & LM_HINT_LINK);
        owner[i] = lm_html_tag_is_block(n->tag) ? (uint32_t)i : owner[n->parent];
        if (n->tag == LM_TAG_TEXT) {
            c->own[owner[i]] += n->chars;
            c->own_links[owner[i]] += in_link[i] ? n->chars : 0;
        }
        i++;
    }
    free(owner);
    free(in_link);
}

static uint32_t own_weight(const struct chooser *c, size_t i)
{
    const uint32_t own = c->own[i], links = c->own_links[i];
    if (own < PROSE_CHARS_MIN || links * 2 > own || lm_html_tag_is_heading(c->tree->nodes[i].tag))
        return 0;
    const uint32_t prose = own - links;
    switch (c->tree->nodes[i].tag) {
    case LM_TAG_P:
    case LM_TAG_PRE:
        return prose * 2;
    case LM_TAG_LI:
        return prose / 2;
    default:
        return prose;
    }
}

static void sum_weights(struct chooser *c)
{
    weigh_blocks(c);
    for (size_t i = c->tree->len; i-- > 1;) {
        const struct lm_html_node *n = node_at(c, i);
        if (n->hint & LM_HINT_HIDDEN)
            continue;
        c->weight[i] += own_weight(c, i);
        c->weight[n->parent] += c->weight[i];
    }
}

/* The heaviest visible element that `is` accepts and that holds at least `share` of the page; 0 = none. */
static size_t heaviest(struct chooser *c, bool (*is)(const struct lm_html_node *), double share)
{
    size_t best = 0, i = 1;
    while (i < c->tree->len) {
        const struct lm_html_node *n = node_at(c, i);
        if (n->hint & LM_HINT_HIDDEN) {
            i = n->end;
            continue;
        }
        if (is(n) && (best == 0 || c->weight[i] > c->weight[best]))
            best = i;
        i++;
    }
    if (best == 0 || node_at(c, best)->chars < BODY_CHARS_MIN)
        return 0;
    return c->weight[best] >= share * c->weight[0] ? best : 0;
}

static bool is_body(const struct lm_html_node *n)
{
    return (n->hint & LM_HINT_BODY) && n->tag != LM_TAG_BODY && n->tag != LM_TAG_HTML &&
           lm_html_tag_is_block(n->tag);
}

static bool is_article(const struct lm_html_node *n)
{
    return n->tag == LM_TAG_ARTICLE;
}

static bool is_main(const struct lm_html_node *n)
{
    return n->tag == LM_TAG_MAIN || ((n->hint & LM_HINT_CONTENT) && n->tag != LM_TAG_BODY);
}

static bool is_page(const struct lm_html_node *n)
{
    return n->tag == LM_TAG_BODY;
}

/* From `i` down, as long as one child holds nearly all of the weight. */
static size_t walk_down(struct chooser *c, size_t i)
{
    for (;;) {
        size_t next = 0;
        const struct lm_html_node *n = node_at(c, i);
        for (size_t k = i + 1; k < n->end; k = node_at(c, k)->end) {
            const struct lm_html_node *child = node_at(c, k);
            if (!(child->hint & LM_HINT_HIDDEN) && lm_html_tag_is_block(child->tag) &&
                child->tag != LM_TAG_P && c->weight[k] >= share_child_min * c->weight[i])
                next = k;
        }
        if (next == 0 || c->weight[i] == 0)
            return i;
        i = next;
    }
}

static size_t find_root(struct chooser *c)
{
    size_t root = 0;
    if (!c->documentation)
        root = heaviest(c, is_body, share_body_min);
    if (root == 0)
        root = heaviest(c, is_article, share_article_min);
    if (root == 0)
        root = heaviest(c, is_main, share_main_min);
    if (root == 0)
        root = heaviest(c, is_page, 0);
    if (root == 0 || (node_at(c, root)->tag == LM_TAG_BODY && !c->documentation))
        root = walk_down(c, root);
    return root;
}

static bool mostly_links(const struct lm_html_node *n)
{
    switch (n->tag) {
    case LM_TAG_UL:
    case LM_TAG_OL:
    case LM_TAG_DL:
    case LM_TAG_TABLE:
    case LM_TAG_BLOCK:
    case LM_TAG_SECTION:
    case LM_TAG_ARTICLE:
        return n->link_chars > link_share_block_max * n->chars;
    case LM_TAG_P:
    case LM_TAG_LI:
    case LM_TAG_H2:
    case LM_TAG_H3:
    case LM_TAG_H4:
        return n->link_chars > link_share_paragraph_max * n->chars;
    default:
        return false;
    }
}

/* How short lines begin that lead to something else.  Lower case; ASCII is compared without case. */
static const char *const leads_elsewhere[] = {
    "related",
    "read more",
    "more from",
    "more on",
    "see also",
    "also read",
    "you may also",
    "you might also",
    "recommended",
    "share this",
    "sign up",
    "subscribe",
    "follow us",
    "mehr zum thema",
    "mehr zu",
    "lesen sie auch",
    "lesen sie mehr",
    "lesetipp",
    "auch interessant",
    "das k\xc3\xb6nnte sie",
    "weitere artikel",
    "weitere infor",
    "weiterf\xc3\xbchrende",
    "zum thema",
    "\xc3\x84hnliche",
    "teilen",
    "newsletter",
    "zum newsletter",
    "kommentar",
    "lire aussi",
    "\xc3\xa0 lire",
    "sur le m",
    "lea tambi",
    "lee tambi",
    "te puede interesar",
    "leggi anche",
    "leia tamb",
    "czytaj te",
    "zobacz te",
    "lees ook",
};

/* A short block that begins like one of those. */
static bool leads_away(const struct chooser *c, size_t i)
{
    enum { CHARS_MAX = 60 };
    const struct lm_html_node *n = &c->tree->nodes[i];
    if (n->chars > CHARS_MAX || n->chars == 0 || !lm_html_tag_is_block(n->tag) || n->tag == LM_TAG_H1)
        return false;
    struct lm_str text = { "", 0 };
    for (size_t k = i + 1; k < n->end && text.len == 0; k++)
        if (c->tree->nodes[k].tag == LM_TAG_TEXT)
            text = lm_str_trim(lm_html_slice(c->tree, k));
    for (size_t p = 0; p < sizeof leads_elsewhere / sizeof *leads_elsewhere; p++) {
        const size_t len = strlen(leads_elsewhere[p]);
        if (text.len >= len && lm_html_is((struct lm_str){ text.ptr, len }, leads_elsewhere[p]))
            return true;
    }
    return false;
}

static void hide_link_blocks(struct chooser *c, size_t root)
{
    size_t i = root + 1;
    while (i < node_at(c, root)->end) {
        struct lm_html_node *n = node_at(c, i);
        if (mostly_links(n) || leads_away(c, i))
            n->hint |= LM_HINT_HIDDEN;
        i = n->hint & LM_HINT_HIDDEN ? n->end : i + 1;
    }
}

/* The first visible <h1> if it stands before the root, else 0. */
static size_t heading_before(struct chooser *c, size_t root)
{
    for (size_t i = 1; i < root;) {
        const struct lm_html_node *n = node_at(c, i);
        if (n->tag == LM_TAG_H1 && n->chars > 0 && n->end <= root)
            return i;
        i = n->hint & LM_HINT_HIDDEN ? n->end : i + 1;
    }
    return 0;
}

/* Steps 1 and 2.  Class words mislead on a few pages ("widget blog"): by_words false does without them. */
static void weigh(struct chooser *c, bool by_words)
{
    const size_t len = c->tree->len;
    memset(c->own, 0, len * sizeof *c->own);
    memset(c->own_links, 0, len * sizeof *c->own_links);
    memset(c->weight, 0, len * sizeof *c->weight);
    hide_marked(c, by_words);
    sum_weights(c);
}

struct lm_html_choice lm_html_choose(struct lm_html_tree *tree, bool documentation)
{
    struct chooser c = { .tree = tree, .documentation = documentation };
    c.own = lm_zalloc(tree->len, sizeof *c.own);
    c.own_links = lm_zalloc(tree->len, sizeof *c.own_links);
    c.weight = lm_zalloc(tree->len, sizeof *c.weight);

    weigh(&c, true);
    const uint32_t weight = c.weight[0];
    if (weight < PAGE_WEIGHT_MIN && !documentation) {
        weigh(&c, false);
        if (c.weight[0] < PAGE_GAIN_MIN * weight)
            weigh(&c, true);
    }
    struct lm_html_choice choice = { .root = find_root(&c) };
    choice.heading = heading_before(&c, choice.root);
    if (!documentation)
        hide_link_blocks(&c, choice.root);

    free(c.own);
    free(c.own_links);
    free(c.weight);
    return choice;
}
