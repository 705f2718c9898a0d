#include "corpus/blocks.h"

/* What a line looks like by itself. */
struct line {
    size_t start, end;       // end is behind the LF
    struct lm_str text;      // without LF
    size_t indent, marker;   // blanks in front; bytes of list marker with its blank, 0: none
    size_t fence;            // backticks in front, 0 if fewer than three
    int level;               // heading, 0: none
    char mark;
};

static size_t run_of(struct lm_str s, size_t at, char c)
{
    size_t len = 0;
    while (at + len < s.len && s.ptr[at + len] == c)
        len++;
    return len;
}

static void find_marker(struct line *line)
{
    const struct lm_str s = line->text;
    size_t at = line->indent;
    if (at < s.len && memchr("-*+:>", s.ptr[at], 5)) {
        line->mark = s.ptr[at++];
    } else {
        const size_t first = at;
        while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9')
            at++;
        if (at == first || at - first > 9 || at == s.len || s.ptr[at] != '.')
            return;
        line->mark = '1';
        at++;
    }
    if (at < s.len && s.ptr[at] == ' ')
        line->marker = at + 1 - line->indent;
    else
        line->mark = 0;
}

static bool line_at(struct lm_str text, size_t at, struct line *ret)
{
    if (at >= text.len)
        return false;
    const char *lf = memchr(text.ptr + at, '\n', text.len - at);
    const size_t stop = lf ? (size_t)(lf - text.ptr) : text.len;
    *ret = (struct line){ .start = at, .end = lf ? stop + 1 : stop, .text = { text.ptr + at, stop - at } };
    const struct lm_str s = ret->text;
    ret->indent = run_of(s, 0, ' ');
    const size_t ticks = run_of(s, ret->indent, '`'), hashes = run_of(s, 0, '#');
    ret->fence = ticks >= 3 ? ticks : 0;
    if (hashes >= 1 && hashes <= 6 && hashes < s.len && s.ptr[hashes] == ' ')
        ret->level = (int)hashes;
    find_marker(ret);
    return true;
}

static bool is_blank(const struct line *line)
{
    return lm_str_trim(line->text).len == 0;
}

static bool is_table(const struct line *line)
{
    return line->text.len > line->indent && line->text.ptr[line->indent] == '|';
}

static bool starts_block(const struct line *line)
{
    return line->fence || line->level || line->marker || is_table(line);
}

/* The offset behind the closing fence, or the end of the text. */
static size_t code_end(struct lm_str text, const struct line *open)
{
    struct line line;
    size_t at = open->end;
    while (line_at(text, at, &line)) {
        at = line.end;
        if (line.fence >= open->fence && lm_str_trim(line.text).len == line.fence)
            break;
    }
    return at;
}

/* The offset behind the lines that go on a table, an item or a paragraph. */
static size_t run_end(struct lm_str text, const struct line *first, enum lm_block_kind kind)
{
    struct line line;
    size_t at = first->end;
    while (line_at(text, at, &line) && !is_blank(&line)) {
        if (kind == LM_BLOCK_TABLE ? !is_table(&line) : starts_block(&line))
            break;
        at = line.end;
    }
    return at;
}

static struct lm_str slice(struct lm_str s, size_t from, size_t to)
{
    return (struct lm_str){ s.ptr + from, to > from ? to - from : 0 };
}

static struct lm_str trim_end(struct lm_str s)
{
    while (s.len && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == ' '))
        s.len--;
    return s;
}

/* The text between the fences; an unclosed block ends with the text. */
static struct lm_str code_inner(struct lm_str block, const struct line *open)
{
    struct lm_str inner = slice(block, open->end - open->start, block.len);
    size_t last = inner.len;
    while (last && inner.ptr[last - 1] != '\n')
        last--;
    const struct lm_str close = lm_str_trim(slice(inner, last, inner.len));
    if (close.len >= open->fence && run_of(close, 0, '`') == close.len)
        inner.len = last;
    return trim_end(inner);
}

bool lm_blocks_next(struct lm_blocks *it, struct lm_block *ret)
{
    struct line line;
    do {
        if (!line_at(it->text, it->at, &line))
            return false;
        it->at = line.end;
    } while (is_blank(&line));

    struct lm_block b = {
        .start = line.start, .indent = line.indent, .level = line.level, .mark = line.mark
    };
    b.kind = line.fence        ? LM_BLOCK_CODE
             : line.level      ? LM_BLOCK_HEADING
             : line.marker     ? LM_BLOCK_ITEM
             : is_table(&line) ? LM_BLOCK_TABLE
                               : LM_BLOCK_PROSE;
    b.end = b.kind == LM_BLOCK_HEADING ? line.end
            : b.kind == LM_BLOCK_CODE  ? code_end(it->text, &line)
                                       : run_end(it->text, &line, b.kind);
    b.text = trim_end(slice(it->text, b.start, b.end));
    b.inner = b.text;
    if (b.kind == LM_BLOCK_HEADING)
        b.inner = lm_str_trim(slice(b.text, (size_t)b.level, b.text.len));
    else if (b.kind == LM_BLOCK_ITEM)
        b.inner = lm_str_trim(slice(b.text, line.indent + line.marker, b.text.len));
    else if (b.kind == LM_BLOCK_CODE)
        b.inner = code_inner(b.text, &line);
    it->at = b.end;
    *ret = b;
    return true;
}
