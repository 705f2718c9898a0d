#ifndef LM_TOKEN_PIECES_H
#define LM_TOKEN_PIECES_H
/* token/pieces.h - sentencepiece's kind of BPE: no bytes but characters, blanks are part of the tokens.
 *
 * Files write a blank as U+2581, and encoding makes U+2581 of every U+0020, so the two mean the same.  In
 * here both are U+0020: most text is used as it stands, and what a token stands for is what it decodes to. */

#include "token/tokenizer_impl.h"

/* The regular expressions by which tokenizer.json says what rule `trim` does. */
#define LM_PIECES_TRIM "\\A +|[ \xe2\x96\x81]+\\z"
#define LM_PIECES_SQUEEZE " {2,}"

/* What lies between added tokens, with its blanks as the rules want them: itself or what is written into buf.
 * starts: it is the start of the text. */
struct lm_str lm_pieces_normal(const struct lm_piece_rules *r, struct lm_str text, bool starts,
                               struct lm_buf *buf);

/* One id a character, into ids; a byte takes three at most.  What has no token becomes bytes or the unknown
 * token. */
size_t lm_pieces_ids(const struct lm_tokenizer *t, struct lm_str piece, uint32_t *ids);

/* Where merging may be cut.  words: before blanks that follow something else, when no token crosses that;
 * blanks: before each blank (Metaspace with split); whole: nowhere. */
extern const struct lm_grammar lm_grammar_words, lm_grammar_blanks, lm_grammar_whole;

/* <0x0A>: the byte; -1 for anything else. */
int lm_piece_byte(struct lm_str spelling);

/* U+2581 to U+0020 and back; appends. */
void lm_piece_to_text(struct lm_str spelling, struct lm_buf *ret);
void lm_piece_from_text(struct lm_str text, struct lm_buf *ret);

#endif
