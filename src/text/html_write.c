/* The chosen part of a page as text; text.h says what it looks like.
 *
 * One loop over the nodes with a stack of the open block elements.  Blocks do not write line ends, they ask
 * for a gap: the widest one asked for is written when the next character comes, so that an empty block leaves
 * no trace.  The same holds for what leads a block ("- ", ": ", "## "). */
#include "text/html_tokens.h"
#include "text/html_tree.h"
#include "text/text.h"
#include "text/utf8.h"

#include <stdlib.h>

/* Between two characters; wider ones last. */
enum gap { GAP_NONE, GAP_SPACE, GAP_COMMA, GAP_LINE, GAP_BLOCK };

enum frame_kind { FRAME_PLAIN, FRAME_LIST, FRAME_ITEM, FRAME_DEFINITION, FRAME_TABLE, FRAME_ROW, FRAME_CELL };

/* An open block element. */
struct frame {
    uint32_t end;
    uint8_t tag, kind;
    bool ordered;     // FRAME_LIST
    bool data;        // FRAME_TABLE, FRAME_ROW, FRAME_CELL: written as "| a | b |"
    bool header;      // FRAME_ROW: all cells are <th>
    bool one_line;    // its blocks are parted by spaces only
    bool label;       // the heading of an admonition
    enum gap gap;     // FRAME_ROW: asked for when it began
    uint32_t items;   // FRAME_LIST: items, FRAME_TABLE: rows, FRAME_ROW: cells so far
    size_t start;     // length of the output when it began
};

enum {
    QUOTE_DEPTH_MAX = 4,
    INDENT_DEPTH_MAX = 8,
    LEAD_BYTES_MAX = 16,
    CELL_CHARS_MAX = 1500,   // a longer "cell" is page layout
};

struct writer {
    const struct lm_html_tree *tree;
    struct lm_buf *out;
    struct frame stack[LM_HTML_DEPTH_MAX + 1];
    size_t depth;
    size_t items_open, quotes_open, one_line_open;   // frames of these kinds
    enum gap gap;                                    // asked for, not written
    char lead[LEAD_BYTES_MAX];   // leads the next character's line; empty again when written
    size_t lead_frame;           // the frame it belongs to
    size_t term_end;             // length of the output behind the last term
    bool label;                  // ": " and the block behind it go on the label's line
    int heading_shift;
    size_t heading_first;             // this node is "#"
    const struct table_plan *table;   // of the next table in document order
};

/* ---- before writing: headings and tables ---- */

/* The first heading becomes "#".  The highest of the others becomes "##"; if it is lower than the first one
 * by more than one level, the distance stays. */
static void plan_headings(struct writer *w, struct lm_html_choice choice)
{
    const struct lm_html_node *nodes = w->tree->nodes;
    int first = 0, highest = 7;
    size_t i = choice.heading ? choice.heading : choice.root;
    while (i < nodes[choice.root].end) {
        if (nodes[i].hint & (LM_HINT_HIDDEN | LM_HINT_ADMONITION)) {
            i = nodes[i].end;
            continue;
        }
        if (lm_html_tag_is_heading(nodes[i].tag) && nodes[i].chars > 0) {
            const int level = nodes[i].tag - LM_TAG_H1 + 1;
            if (first == 0) {
                first = level;
                w->heading_first = i;
            } else if (level < highest) {
                highest = level;
            }
        }
        if (choice.heading && i == choice.heading)
            i = choice.root;
        else
            i++;
    }
    w->heading_shift = highest > first ? first - 1 : highest - 2;
}

/* What a table turns out to be, in document order. */
struct table_plan {
    uint32_t node, rows, columns;
    bool nested;   // holds another table, a heading or very long cells: it lays out, it does not tabulate
};

struct table_plans {
    struct table_plan *items;
    size_t len, cap;
};

static void plan_tables(const struct lm_html_tree *tree, size_t root, struct table_plans *ret)
{
    uint32_t open[LM_HTML_DEPTH_MAX + 1], cells = 0;
    size_t depth = 0;
    for (size_t i = root; i < tree->nodes[root].end; i++) {
        const struct lm_html_node *n = &tree->nodes[i];
        while (depth > 0 && tree->nodes[ret->items[open[depth - 1]].node].end <= i)
            depth--;
        struct table_plan *in = depth > 0 ? &ret->items[open[depth - 1]] : NULL;
        if (n->tag == LM_TAG_TABLE) {
            if (in)
                in->nested = true;
            lm_grow(&ret->items, &ret->cap, ret->len + 1, sizeof *ret->items);
            ret->items[ret->len] = (struct table_plan){ .node = (uint32_t)i };
            open[depth++] = (uint32_t)ret->len++;
        } else if (in && n->tag == LM_TAG_TR) {
            in->rows++;
            cells = 0;
        } else if (in && (n->tag == LM_TAG_TD || n->tag == LM_TAG_TH)) {
            cells++;
            in->columns = cells > in->columns ? cells : in->columns;
            in->nested |= n->chars > CELL_CHARS_MAX;
        } else if (in && lm_html_tag_is_heading(n->tag)) {
            in->nested = true;
        }
    }
}

/* ---- writing characters ---- */

static void ask(struct writer *w, enum gap gap)
{
    if (w->label || w->lead[0] != '\0')   // the place of what comes next is settled
        return;
    if (w->one_line_open > 0 && gap > GAP_COMMA)
        gap = GAP_SPACE;
    if (gap > w->gap)
        w->gap = gap;
}

static void set_lead(struct writer *w, const char *lead)
{
    snprintf(w->lead, sizeof w->lead, "%s", lead);
    w->lead_frame = w->depth - 1;
}

/* The innermost list item or definition, NULL outside. */
static const struct frame *item_frame(const struct writer *w)
{
    for (size_t i = w->depth; w->items_open > 0 && i-- > 0;)
        if (w->stack[i].kind == FRAME_ITEM || w->stack[i].kind == FRAME_DEFINITION)
            return &w->stack[i];
    return NULL;
}

/* Quote marks, indentation and lead.  Every paragraph of a definition is led by ": ". */
static void start_line(struct writer *w, bool is_block)
{
    const struct frame *item = item_frame(w);
    if (is_block && item && item->kind == FRAME_DEFINITION && w->lead[0] == '\0' && w->one_line_open == 0)
        memcpy(w->lead, ": ", 3);
    size_t levels = w->items_open;
    if (w->lead[0] == '#')
        levels = 0;
    else if (w->lead[0] != '\0')   // a lead stands where the text around the item starts
        levels--;
    for (size_t i = 0; i < w->quotes_open && i < QUOTE_DEPTH_MAX; i++)
        lm_buf_puts(w->out, "> ");
    for (size_t i = 0; i < levels && i < INDENT_DEPTH_MAX; i++)
        lm_buf_puts(w->out, "  ");
    lm_buf_puts(w->out, w->lead);
    w->lead[0] = '\0';
}

static char last_char(const struct writer *w)
{
    return w->out->len > 0 ? w->out->ptr[w->out->len - 1] : '\n';
}

/* Writes the gap that was asked for, right before a character. */
static void close_gap(struct writer *w)
{
    const enum gap gap = w->gap;
    w->gap = GAP_NONE;
    if (w->label) {
        lm_buf_puts(w->out, last_char(w) == ':' ? " " : ": ");
        w->label = false;
    } else if (w->out->len == 0) {
        start_line(w, true);
    } else if (gap >= GAP_LINE) {
        lm_buf_puts(w->out, gap == GAP_BLOCK ? "\n\n" : "\n");
        start_line(w, gap == GAP_BLOCK);
    } else if (gap > GAP_NONE && last_char(w) != ' ') {
        lm_buf_puts(w->out, gap == GAP_COMMA && last_char(w) != ',' ? ", " : " ");
    }
}

static void put(struct writer *w, const char *bytes, size_t len)
{
    if (w->gap != GAP_NONE || w->label || w->out->len == 0)
        close_gap(w);
    const bool in_cell = w->one_line_open > 0 && memchr(bytes, '|', len) != NULL;
    for (size_t i = 0; in_cell && i < len; i++) {
        if (bytes[i] == '|' && w->stack[w->depth - 1].data)
            lm_buf_putc(w->out, '\\');
        lm_buf_putc(w->out, bytes[i]);
    }
    if (!in_cell)
        lm_buf_add(w->out, bytes, len);
}

/* A no-break space and its like are blanks here. */
static bool is_exotic_blank(const char *bytes, size_t len)
{
    uint32_t cp;
    const struct lm_str s = { bytes, len };
    return len > 1 && lm_utf8_next(s, 0, &cp) == len && lm_utf8_is_blank(cp);
}

/* Text outside <pre>: entities decoded, white space collapsed. */
static void put_text(struct writer *w, struct lm_str raw)
{
    size_t at = 0;
    while (at < raw.len) {
        const size_t start = at;
        while (at < raw.len && (unsigned char)raw.ptr[at] > ' ' && raw.ptr[at] != '&' &&
               raw.ptr[at] != '\xc2')
            at++;
        if (at > start)
            put(w, raw.ptr + start, at - start);
        if (at == raw.len)
            return;
        char bytes[8] = { raw.ptr[at] };
        size_t len = 1, used = 1;
        if (raw.ptr[at] == '&') {
            used = lm_html_entity((struct lm_str){ raw.ptr + at, raw.len - at }, false, bytes, &len);
            used += used == 0;
        } else if (raw.ptr[at] == '\xc2' && at + 1 < raw.len) {
            bytes[1] = raw.ptr[at + 1];   // the rest of a no-break space, or of another character
            len = used = 2;
        }
        at += used;
        if ((len == 1 && (unsigned char)bytes[0] <= ' ') || is_exotic_blank(bytes, len))
            ask(w, GAP_SPACE);
        else
            put(w, bytes, len);
    }
}

/* ---- code ---- */

static void collect_code(const struct writer *w, size_t node, struct lm_buf *ret)
{
    const struct lm_html_node *nodes = w->tree->nodes;
    for (size_t i = node + 1; i < nodes[node].end;) {
        if (nodes[i].hint & LM_HINT_HIDDEN) {
            i = nodes[i].end;
            continue;
        }
        if (nodes[i].tag == LM_TAG_BR)
            lm_buf_putc(ret, '\n');
        else if (nodes[i].tag == LM_TAG_TEXT)
            lm_html_decode(lm_html_slice(w->tree, i), false, ret);
        i++;
    }
}

static size_t longest_ticks(struct lm_str code)
{
    size_t longest = 0, run = 0;
    for (size_t i = 0; i < code.len; i++) {
        run = code.ptr[i] == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

/* A fenced block at the left margin: the code as it is, but for blank lines around it and blanks at the ends
 * of lines. */
static void put_code(struct writer *w, struct lm_str code)
{
    size_t body = 0;
    for (size_t i = 0; i < code.len && lm_is_space(code.ptr[i]); i++)
        body = code.ptr[i] == '\n' ? i + 1 : body;
    code = (struct lm_str){ code.ptr + body, code.len - body };
    if (lm_str_trim(code).len == 0)
        return;
    const size_t ticks = longest_ticks(code) < 3 ? 3 : longest_ticks(code) + 1;

    const bool after_term = w->lead[0] == ':' && w->gap == GAP_LINE;
    if (w->label)
        lm_buf_puts(w->out, last_char(w) == ':' ? "" : ":");
    if (w->out->len > 0)
        lm_buf_puts(w->out, after_term ? "\n" : "\n\n");
    w->lead[0] = '\0';
    w->label = false;
    for (size_t i = 0; i < ticks; i++)
        lm_buf_putc(w->out, '`');
    size_t blank_lines = 0;
    struct lm_str rest = code, line;
    while (lm_str_split(&rest, '\n', &line)) {
        while (line.len > 0 && lm_is_space(line.ptr[line.len - 1]))
            line.len--;
        if (line.len == 0) {
            blank_lines++;
            continue;
        }
        for (; blank_lines > 0; blank_lines--)
            lm_buf_putc(w->out, '\n');
        lm_buf_putc(w->out, '\n');
        lm_buf_add_str(w->out, line);
    }
    lm_buf_putc(w->out, '\n');
    for (size_t i = 0; i < ticks; i++)
        lm_buf_putc(w->out, '`');
    w->gap = GAP_BLOCK;
}

static void write_pre(struct writer *w, size_t node)
{
    struct lm_buf code = { 0 };
    collect_code(w, node, &code);
    if (w->one_line_open > 0) {
        struct lm_str rest = lm_buf_str(&code), line;
        while (lm_str_split(&rest, '\n', &line)) {   // decoded already: '&' is a character here
            line = lm_str_trim(line);
            ask(w, GAP_SPACE);
            if (line.len > 0)
                put(w, line.ptr, line.len);
        }
        ask(w, GAP_SPACE);
    } else {
        put_code(w, lm_buf_str(&code));
    }
    lm_buf_release(&code);
}

/* ---- elements ---- */

static struct frame *push(struct writer *w, const struct lm_html_node *n, enum frame_kind kind)
{
    LM_ASSERT(w->depth < sizeof w->stack / sizeof *w->stack);
    struct frame *f = &w->stack[w->depth++];
    *f = (struct frame){ .end = n->end, .tag = n->tag, .kind = (uint8_t)kind, .start = w->out->len };
    w->items_open += kind == FRAME_ITEM || kind == FRAME_DEFINITION;
    w->quotes_open += n->tag == LM_TAG_BLOCKQUOTE;
    return f;
}

static void set_one_line(struct writer *w, struct frame *f)
{
    f->one_line = true;
    w->one_line_open++;
}

/* The innermost frame of a kind; NULL if there is none. */
static struct frame *innermost(struct writer *w, enum frame_kind kind)
{
    for (size_t i = w->depth; i-- > 0;)
        if (w->stack[i].kind == kind)
            return &w->stack[i];
    return NULL;
}

static void open_heading(struct writer *w, size_t i)
{
    const struct lm_html_node *n = &w->tree->nodes[i];
    ask(w, GAP_BLOCK);
    struct frame *f = push(w, n, FRAME_PLAIN);
    f->label = (w->tree->nodes[n->parent].hint & LM_HINT_ADMONITION) != 0;
    if (!f->label && w->items_open == 0) {
        int level = n->tag - LM_TAG_H1 + 1 - w->heading_shift;
        level = i == w->heading_first ? 1 : level < 2 ? 2 : level > 6 ? 6 : level;
        char lead[LEAD_BYTES_MAX];
        snprintf(lead, sizeof lead, "%.*s ", level, "######");
        set_lead(w, lead);
    }
    set_one_line(w, f);
}

static void open_list(struct writer *w, const struct lm_html_node *n)
{
    ask(w, w->items_open > 0 ? GAP_LINE : GAP_BLOCK);
    const struct frame *item = item_frame(w);
    if (item && item->kind == FRAME_ITEM && w->gap == GAP_BLOCK)
        w->gap = GAP_LINE;
    push(w, n, FRAME_LIST)->ordered = n->tag == LM_TAG_OL;
}

static void open_item(struct writer *w, const struct lm_html_node *n)
{
    struct frame *list = innermost(w, FRAME_LIST);
    char lead[LEAD_BYTES_MAX] = "- ";
    if (list && list->items > 0 && w->gap > GAP_NONE)
        w->gap = GAP_LINE;
    if (list && ++list->items && list->ordered)
        snprintf(lead, sizeof lead, "%u. ", (unsigned)list->items % 1000000);
    w->lead[0] = '\0';   // of an item that holds nothing but this one
    ask(w, GAP_LINE);
    push(w, n, FRAME_ITEM);
    set_lead(w, lead);
}

static void open_term(struct writer *w, const struct lm_html_node *n)
{
    if (w->gap == GAP_LINE && w->out->len == w->term_end)   // right behind another term: they share a line
        w->gap = GAP_COMMA;
    else
        ask(w, GAP_BLOCK);
    set_one_line(w, push(w, n, FRAME_PLAIN));
}

static void open_definition(struct writer *w, const struct lm_html_node *n)
{
    ask(w, GAP_LINE);
    push(w, n, FRAME_DEFINITION);
    set_lead(w, ": ");
}

static void open_table(struct writer *w, size_t i, const struct lm_html_node *n)
{
    while (w->table->node < i)   // tables in parts that were left out, or within a line
        w->table++;
    LM_ASSERT(w->table->node == i);
    const struct table_plan *plan = w->table++;
    ask(w, GAP_BLOCK);
    push(w, n, FRAME_TABLE)->data = plan->columns >= 2 && plan->rows >= 2 && !plan->nested;
}

static void open_row(struct writer *w, const struct lm_html_node *n)
{
    const struct frame *table = innermost(w, FRAME_TABLE);
    const bool data = table && table->data;
    ask(w, GAP_BLOCK);
    if (data && table->items > 0)
        w->gap = GAP_LINE;
    struct frame *row = push(w, n, FRAME_ROW);
    row->data = row->header = data;
    row->gap = w->gap;
}

static void open_cell(struct writer *w, const struct lm_html_node *n)
{
    struct frame *top = w->depth > 0 ? &w->stack[w->depth - 1] : NULL;   // none if the cell is the root
    struct frame *row = top && top->kind == FRAME_ROW ? top : NULL;
    const bool data = row && row->data;
    if (data) {
        w->lead[0] = '\0';
        w->label = false;
        if (row->items++ == 0 && w->out->len > 0)
            lm_buf_puts(w->out, row->gap == GAP_BLOCK ? "\n\n" : "\n");
        if (row->items == 1)
            lm_buf_puts(w->out, "| ");
        w->gap = GAP_NONE;
        row->header &= n->tag == LM_TAG_TH;
    } else {
        ask(w, GAP_BLOCK);
    }
    struct frame *f = push(w, n, FRAME_CELL);
    f->data = data;
    if (data)
        set_one_line(w, f);
}

static void line_break(struct writer *w)
{
    if (w->depth > 0 && w->stack[w->depth - 1].tag == LM_TAG_DT)
        ask(w, GAP_COMMA);
    else
        ask(w, w->gap == GAP_LINE ? GAP_BLOCK : GAP_LINE);   // two of them part paragraphs
}

/* The exponent of 2<sup>32</sup>: without a mark it would read 232. */
static void mark_exponent(struct writer *w, size_t i)
{
    const struct lm_html_node *n = &w->tree->nodes[i];
    if (i + 1 == n->end || w->gap != GAP_NONE || !lm_is_digit(last_char(w)))
        return;
    const struct lm_str text = lm_html_slice(w->tree, i + 1);
    if (w->tree->nodes[i + 1].tag == LM_TAG_TEXT && (lm_is_alnum(text.ptr[0]) || text.ptr[0] == '-'))
        put(w, "^", 1);
}

/* Opens the element; true if its content was written with it. */
static bool open_element(struct writer *w, size_t i)
{
    const struct lm_html_node *n = &w->tree->nodes[i];
    if (n->tag == LM_TAG_PRE) {
        ask(w, GAP_BLOCK);
        write_pre(w, i);
        return true;
    }
    if (n->tag == LM_TAG_BR) {
        line_break(w);
    } else if (n->tag == LM_TAG_SUP) {
        mark_exponent(w, i);
    } else if (n->tag == LM_TAG_Q) {
        put(w, "\xe2\x80\x9c", 3);
        push(w, n, FRAME_PLAIN)->data = w->depth > 0 && w->stack[w->depth - 1].data;
    } else if (!lm_html_tag_is_block(n->tag)) {
        return false;
    } else if (w->one_line_open > 0) {
        ask(w, GAP_SPACE);
        const bool data = w->stack[w->depth - 1].data;
        push(w, n, FRAME_PLAIN)->data = data;
    } else if (lm_html_tag_is_heading(n->tag)) {
        open_heading(w, i);
    } else {
        switch (n->tag) {
        case LM_TAG_UL:
        case LM_TAG_OL:
            open_list(w, n);
            break;
        case LM_TAG_LI:
            open_item(w, n);
            break;
        case LM_TAG_DT:
            open_term(w, n);
            break;
        case LM_TAG_DD:
            open_definition(w, n);
            break;
        case LM_TAG_TABLE:
            open_table(w, i, n);
            break;
        case LM_TAG_TR:
            open_row(w, n);
            break;
        case LM_TAG_TD:
        case LM_TAG_TH:
            open_cell(w, n);
            break;
        default:
            ask(w, GAP_BLOCK);
            push(w, n, FRAME_PLAIN);
        }
    }
    return false;
}

static void close_row(struct writer *w, const struct frame *row)
{
    struct frame *table = innermost(w, FRAME_TABLE);
    LM_ASSERT(table);
    bool any = false;   // text in a cell
    for (size_t i = row->start; i < w->out->len && !any; i++)
        any = !memchr("\n| ", w->out->ptr[i], 3);
    if (!any) {   // an empty row leaves no trace
        w->out->len = row->start;
        w->gap = row->gap;
        return;
    }
    w->out->len -= last_char(w) == ' ';
    if (table->items++ == 0 && row->header) {
        lm_buf_puts(w->out, "\n|");
        for (uint32_t i = 0; i < row->items; i++)
            lm_buf_puts(w->out, " --- |");
    }
    w->gap = GAP_LINE;
}

static void close_element(struct writer *w)
{
    const struct frame f = w->stack[--w->depth];
    w->items_open -= f.kind == FRAME_ITEM || f.kind == FRAME_DEFINITION;
    w->quotes_open -= f.tag == LM_TAG_BLOCKQUOTE;
    w->one_line_open -= f.one_line;
    if (w->lead[0] != '\0' && w->lead_frame >= w->depth)   // nothing came
        w->lead[0] = '\0';
    if (f.label && w->out->len > f.start) {
        w->label = true;
        return;
    }
    if (f.tag == LM_TAG_Q) {
        w->gap = GAP_NONE;
        put(w, "\xe2\x80\x9d", 3);
    } else if (f.kind == FRAME_ROW && f.data && f.items > 0) {
        close_row(w, &f);
    } else if (f.kind == FRAME_CELL && f.data) {
        w->gap = GAP_NONE;
        lm_buf_puts(w->out, last_char(w) == ' ' ? "| " : " | ");
    } else if (f.tag == LM_TAG_DT || f.tag == LM_TAG_LI) {
        w->term_end = w->out->len;
        ask(w, GAP_LINE);
    } else if (f.kind == FRAME_LIST && w->items_open > 0) {
        ask(w, GAP_LINE);
    } else {
        ask(w, GAP_BLOCK);
    }
}

static void write_subtree(struct writer *w, size_t root)
{
    const struct lm_html_node *nodes = w->tree->nodes;
    size_t i = root;
    while (i < nodes[root].end) {
        while (w->depth > 0 && w->stack[w->depth - 1].end <= i)
            close_element(w);
        if (nodes[i].hint & LM_HINT_HIDDEN && i != root) {
            i = nodes[i].end;
            continue;
        }
        if (nodes[i].tag == LM_TAG_TEXT)
            put_text(w, lm_html_slice(w->tree, i));
        else if (open_element(w, i)) {
            i = nodes[i].end;
            continue;
        }
        i++;
    }
    while (w->depth > 0)
        close_element(w);
    w->label = false;
}

static void count_blocks(const struct writer *w, size_t root, struct lm_html_counts *ret)
{
    const struct lm_html_node *nodes = w->tree->nodes;
    size_t hidden_end = 0;
    *ret = (struct lm_html_counts){ 0 };
    for (size_t i = 1; i < w->tree->len; i++) {
        if (nodes[i].hint & LM_HINT_HIDDEN && nodes[i].end > hidden_end)
            hidden_end = nodes[i].end;
        if (!lm_html_tag_is_block(nodes[i].tag) || nodes[i].chars == 0)
            continue;
        if (i >= root && i < nodes[root].end && i >= hidden_end)
            ret->kept++;
        else
            ret->dropped++;
    }
}

void lm_html_write(const struct lm_html_tree *tree, struct lm_html_choice choice, struct lm_buf *ret,
                   struct lm_html_counts *ret_counts)
{
    struct writer *w = lm_zalloc(1, sizeof *w);
    w->tree = tree;
    w->out = ret;
    plan_headings(w, choice);
    struct table_plans plans = { 0 };
    plan_tables(tree, choice.root, &plans);
    lm_grow(&plans.items, &plans.cap, plans.len + 1, sizeof *plans.items);
    plans.items[plans.len] = (struct table_plan){ .node = UINT32_MAX };
    w->table = plans.items;

    if (choice.heading)
        write_subtree(w, choice.heading);
    write_subtree(w, choice.root);
    count_blocks(w, choice.root, ret_counts);
    free(plans.items);
    free(w);
}
