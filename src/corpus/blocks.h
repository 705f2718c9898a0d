#ifndef LM_CORPUS_BLOCKS_H
#define LM_CORPUS_BLOCKS_H
/* corpus/blocks.h - the blocks of a prepared text (the Markdown-like form of text/html.c), one after another.
 *
 *     # Heading             one line
 *     ```                   code: from its fence to the closing one, blank lines and all
 *     | cell | cell         table: the lines that begin with "|"
 *     - item                item: list item, definition (": ") or quote (">") and its continuation lines
 *     term                  prose: the other runs of lines between blank ones; a line directly above a
 *     : definition          definition is its term, a prose block of its own */

#include "base/str.h"

enum lm_block_kind { LM_BLOCK_HEADING, LM_BLOCK_CODE, LM_BLOCK_TABLE, LM_BLOCK_ITEM, LM_BLOCK_PROSE };

struct lm_block {
    enum lm_block_kind kind;
    int level;             // of a heading, 1..6
    size_t indent;         // blanks before the first line
    size_t start, end;     // bytes in the text; end is behind the last line's LF
    struct lm_str text;    // without the LF and blanks at the end, markers included
    struct lm_str inner;   // without marker: heading text, first line of an item, code between its fences
    char mark;             // of an item: first character of its marker, '1' for numbers; else 0
};

/* Start with { .text = ... }. */
struct lm_blocks {
    struct lm_str text;
    size_t at;
};

bool lm_blocks_next(struct lm_blocks *it, struct lm_block *ret);   // false at the end

#endif
