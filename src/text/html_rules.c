/* What the attributes of an element say about its role.  class, id, role, itemprop and the like are cut into
 * words ("postBody", "post-body", "post_body" give post, body); each word is looked up in one sorted table.
 */
#include "text/html_tokens.h"
#include "text/html_tree.h"
#include "text/utf8.h"

enum {
    DROP = 1,      // the word alone marks what is not the text of a page
    SUBJECT = 2,   // article, post, ...: with PLACE it marks the text
    PLACE = 4,     // body, content, ...
    GUARD = 8,     // "article-header": takes back DROP words marked SOFT
    SOFT = 16,     // drop unless a GUARD word stands beside it
    CENTRE = 32,   // main, content: as the whole value of an id
    NOTE = 64,     // admonition
    WORD_BYTES_MAX = 20,
    VALUE_BYTES_MAX = 400,   // of one attribute; utility classes beyond that say nothing
};

/* Sorted.  To teach a word: a row. */
static const struct word_row {
    const char *word;
    uint8_t bits;
} word_rows[] = {
    { "abo", DROP },
    { "ad", DROP },
    { "addthis", DROP },
    { "admonition", NOTE },
    { "ads", DROP },
    { "adsense", DROP },
    { "advert", DROP },
    { "advertisement", DROP },
    { "advertising", DROP },
    { "adverts", DROP },
    { "alert", DROP },
    { "anzeige", DROP },
    { "anzeigen", DROP },
    { "article", SUBJECT | GUARD },
    { "articlebody", SUBJECT | PLACE },
    { "articlecontent", SUBJECT | PLACE },
    { "articletext", SUBJECT | PLACE },
    { "artikel", SUBJECT | GUARD },
    { "artikeltext", SUBJECT | PLACE },
    { "author", DROP | SOFT },
    { "authorbox", DROP },
    { "autor", DROP | SOFT },
    { "banner", DROP },
    { "beitrag", SUBJECT | GUARD },
    { "blog", SUBJECT | GUARD },
    { "blogpost", SUBJECT | GUARD },
    { "body", PLACE },
    { "breadcrumb", DROP },
    { "breadcrumbs", DROP },
    { "byline", DROP | SOFT },
    { "caption", DROP },
    { "carousel", DROP },
    { "caution", NOTE },
    { "collateral", DROP },
    { "comment", DROP },
    { "commentlist", DROP },
    { "comments", DROP },
    { "consent", DROP },
    { "content", PLACE | CENTRE },
    { "contentinfo", DROP },
    { "cookie", DROP },
    { "cookies", DROP },
    { "copyright", DROP },
    { "credit", DROP },
    { "credits", DROP },
    { "danger", NOTE },
    { "disclaimer", DROP },
    { "disqus", DROP },
    { "donate", DROP },
    { "donation", DROP },
    { "entry", SUBJECT | GUARD },
    { "facebook", DROP },
    { "feedback", DROP },
    { "footer", DROP | SOFT },
    { "headerlink", DROP },
    { "hidden", DROP },
    { "hint", NOTE },
    { "important", NOTE },
    { "impressum", DROP },
    { "inhalt", PLACE | CENTRE },
    { "instagram", DROP },
    { "keywords", DROP },
    { "kommentar", DROP },
    { "kommentare", DROP },
    { "licence", DROP | SOFT },
    { "license", DROP | SOFT },
    { "lightbox", DROP },
    { "login", DROP },
    { "logo", DROP },
    { "main", PLACE | CENTRE },
    { "maincontent", PLACE | CENTRE },
    { "masthead", DROP },
    { "menu", DROP },
    { "metadata", DROP },
    { "modal", DROP },
    { "mostread", DROP },
    { "nav", DROP },
    { "navbar", DROP },
    { "navfooter", DROP },
    { "navheader", DROP },
    { "navi", DROP },
    { "navigation", DROP },
    { "news", SUBJECT },
    { "newsletter", DROP },
    { "note", NOTE },
    { "outbrain", DROP },
    { "overlay", DROP },
    { "page", SUBJECT },
    { "pager", DROP },
    { "pagination", DROP },
    { "paywall", DROP },
    { "poll", DROP },
    { "popup", DROP },
    { "post", SUBJECT | GUARD },
    { "postbody", SUBJECT | PLACE },
    { "postcontent", SUBJECT | PLACE },
    { "posttext", SUBJECT | PLACE },
    { "print", DROP },
    { "printfriendly", DROP },
    { "promo", DROP },
    { "promobox", DROP },
    { "rating", DROP },
    { "ratings", DROP },
    { "readmore", DROP },
    { "recommend", DROP },
    { "recommendation", DROP },
    { "recommendations", DROP },
    { "recommended", DROP },
    { "related", DROP },
    { "relatedposts", DROP },
    { "respond", DROP },
    { "rss", DROP },
    { "rsssummary", DROP },
    { "seealso", DROP },
    { "share", DROP },
    { "sharebar", DROP },
    { "sharedaddy", DROP },
    { "sharing", DROP },
    { "sidebar", DROP },
    { "sidenav", DROP },
    { "sitemap", DROP },
    { "skip", DROP },
    { "slider", DROP },
    { "slideshow", DROP },
    { "sociable", DROP },
    { "social", DROP },
    { "socials", DROP },
    { "sponsor", DROP },
    { "sponsored", DROP },
    { "sponsors", DROP },
    { "story", SUBJECT | GUARD },
    { "submenu", DROP },
    { "subnav", DROP },
    { "subscribe", DROP },
    { "subscription", DROP },
    { "taboola", DROP },
    { "taglist", DROP },
    { "tags", DROP },
    { "teaser", DROP | SOFT },
    { "teaserlist", DROP },
    { "teasers", DROP },
    { "text", PLACE },
    { "tip", NOTE },
    { "toc", DROP },
    { "toolbar", DROP },
    { "tooltip", DROP },
    { "topbar", DROP },
    { "topnav", DROP },
    { "trending", DROP },
    { "twitter", DROP },
    { "upsell", DROP },
    { "voting", DROP },
    { "warning", NOTE },
    { "weather", DROP },
    { "werbung", DROP },
    { "whatsapp", DROP },
    { "widget", DROP | SOFT },
    { "widgets", DROP },
};

static unsigned bits_of(const char *word, size_t len)
{
    size_t low = 0, high = sizeof word_rows / sizeof *word_rows;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const char *row = word_rows[middle].word;
        const int order = lm_str_cmp(lm_str(row), (struct lm_str){ word, len });
        if (order == 0)
            return word_rows[middle].bits;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* What the words of one attribute value say together. */
struct reading {
    unsigned any;     // bits of all words
    bool hard_drop;   // a DROP word that is not SOFT
    bool body;        // SUBJECT and PLACE within one blank-separated name
    bool centre;      // a name that is nothing but CENTRE words
    bool note;        // a name that is nothing but a NOTE word
};

static void read_name(struct lm_str name, struct reading *r)
{
    unsigned all = 0, common = ~0u;
    size_t at = 0, words = 0;
    while (at < name.len) {
        char word[WORD_BYTES_MAX];
        size_t len = 0, i = at;
        for (; i < name.len && lm_is_alpha(name.ptr[i]); i++) {
            if (i > at && lm_is_upper(name.ptr[i]) && !lm_is_upper(name.ptr[i - 1]))
                break;   // camelCase
            if (len < sizeof word)
                word[len++] = lm_to_lower(name.ptr[i]);
        }
        if (len == 0) {
            at++;
            continue;
        }
        at = i;
        const unsigned bits = len < sizeof word ? bits_of(word, len) : 0;
        all |= bits;
        common &= bits;
        words++;
        r->hard_drop |= (bits & DROP) && !(bits & SOFT);
    }
    r->any |= all;
    r->body |= (all & SUBJECT) && (all & PLACE);
    r->centre |= words > 0 && (common & CENTRE);
    r->note |= words == 1 && (common & NOTE);
}

static void read_value(struct lm_str value, struct reading *r)
{
    if (value.len > VALUE_BYTES_MAX)
        value.len = VALUE_BYTES_MAX;
    size_t at = 0;
    while (at < value.len) {
        size_t end = at;
        while (end < value.len && !lm_is_space(value.ptr[end]))
            end++;
        read_name((struct lm_str){ value.ptr + at, end - at }, r);
        at = end + 1;
    }
}

static bool contains(struct lm_str value, const char *lower)
{
    const size_t len = strlen(lower);
    for (size_t at = 0; at + len <= value.len; at++)
        if (lm_html_is((struct lm_str){ value.ptr + at, len }, lower))
            return true;
    return false;
}

/* display:none and visibility:hidden, with or without blanks. */
static bool style_hides(struct lm_str value)
{
    return contains(value, "display:none") || contains(value, "display: none") ||
           contains(value, "visibility:hidden") || contains(value, "visibility: hidden");
}

static unsigned role_hints(struct lm_str value)
{
    static const char *const drop[] = { "navigation", "banner",  "contentinfo", "complementary", "search",
                                        "menu",       "menubar", "dialog",      "alertdialog",   "alert" };
    if (lm_html_is(value, "main"))
        return LM_HINT_CONTENT;
    if (lm_html_is(value, "article"))
        return LM_HINT_BODY;
    for (size_t i = 0; i < sizeof drop / sizeof *drop; i++)
        if (lm_html_is(value, drop[i]))
            return LM_HINT_DROP;
    return 0;
}

static unsigned hints_of(const struct reading *r)
{
    unsigned hints = 0;
    const bool guarded = (r->any & GUARD) != 0;
    if (r->body)
        hints |= LM_HINT_BODY;
    else if (r->hard_drop || ((r->any & DROP) && !guarded))
        hints |= LM_HINT_DROP;
    if (r->note)
        hints |= LM_HINT_ADMONITION;
    if (r->centre)
        hints |= LM_HINT_CONTENT;
    return hints;
}

unsigned lm_html_hints(enum lm_html_tag tag, struct lm_str attrs)
{
    unsigned hints = 0;
    struct reading r = { 0 };
    struct lm_str name, value;
    while (lm_html_attr_next(&attrs, &name, &value)) {
        if (lm_html_is(name, "class") || lm_html_is(name, "id"))
            read_value(value, &r);
        else if (lm_html_is(name, "role"))
            hints |= role_hints(value);
        else if (lm_html_is(name, "itemprop"))
            hints |= lm_html_is(value, "articlebody") || lm_html_is(value, "reviewbody") ? LM_HINT_BODY : 0;
        else if (lm_html_is(name, "href") && tag == LM_TAG_A)
            hints |= LM_HINT_LINK;
        else if (lm_html_is(name, "hidden"))
            hints |= LM_HINT_DROP;
        else if (lm_html_is(name, "aria-hidden"))
            hints |= lm_html_is(value, "true") ? LM_HINT_DROP : 0;
        else if (lm_html_is(name, "style"))
            hints |= style_hides(value) ? LM_HINT_DROP : 0;
    }
    return hints | hints_of(&r);
}
