#ifndef LM_TOKEN_CHAIN_H
#define LM_TOKEN_CHAIN_H
/* token/chain.h - a tokenizer.json component by component, each as Hugging Face means it.
 *
 * The families of load_bytes.c, load_pieces.c and load_words.c stand for the usual files and are fast; a file
 * that none of them takes becomes a chain: normalisers change text, pre-tokenisers cut and change it, the
 * model makes ids of each piece, decoders make text of tokens.  In a chain tokens are spelt as the file
 * spells them.  Immutable once made. */

#include "token/bpe.h"
#include "token/charsmap.h"
#include "token/normal.h"
#include "token/split.h"
#include "token/tokenizer_impl.h"
#include "token/trace.h"
#include "token/unigram.h"

/* What a pattern is: one character of a kind, a text, or a regular expression. */
enum lm_chain_match {
    LM_MATCH_REGEX,
    LM_MATCH_TEXT,
    LM_MATCH_BLANK,
    LM_MATCH_NUMBER,
    LM_MATCH_PUNCTUATION,
};
struct lm_chain_pattern {
    enum lm_chain_match kind;
    struct lm_str text;
    struct lm_split_dfa dfa;
};

/* The first match from `at` on; false when there is none.  Never empty. */
bool lm_chain_find(const struct lm_chain_pattern *p, struct lm_str text, size_t at,
                   struct lm_split_facts *facts, size_t *ret_start, size_t *ret_end);

/* ---- normalisers: chain_normal.c ---- */

enum lm_chain_normal_kind {
    LM_NORMAL_FORM,    // form
    LM_NORMAL_BERT,    // rules; also Lowercase
    LM_NORMAL_STRIP,   // left, right
    LM_NORMAL_ACCENTS,
    LM_NORMAL_NMT,
    LM_NORMAL_BYTES,           // ByteLevel
    LM_NORMAL_PREPEND,         // content
    LM_NORMAL_REPLACE,         // pattern, content
    LM_NORMAL_CHARSMAP,        // map
    LM_NORMAL_SENTENCEPIECE,   // map, kept, left (dummy prefix), right (remove extra blanks)
};
struct lm_chain_normal {
    enum lm_chain_normal_kind kind;
    enum lm_normal_form form;
    struct lm_word_rules rules;
    bool left, right;
    struct lm_str content;
    struct lm_chain_pattern pattern;
    struct lm_charsmap map;
    struct lm_trie kept;   // texts that stay as they are; no nodes: none
};

/* *first: the text starts where the whole does; false afterwards when its start was taken away.  trace: of
 * the text, becomes that of the result; NULL: nobody asks. */
struct lm_str lm_chain_normal(const struct lm_chain *c, struct lm_str text, bool *first, struct lm_buf *buf,
                              struct lm_trace *trace);

/* One of them: the text itself, a part of it, or what is written into buf. */
struct lm_str lm_chain_step(const struct lm_chain_normal *n, struct lm_str text, bool *first,
                            struct lm_buf *buf, struct lm_trace *trace);

/* What the step made of each character: chain_trace.c. */
void lm_chain_trace(const struct lm_chain_normal *n, struct lm_str text, struct lm_str made,
                    struct lm_trace *t);

/* ---- pre-tokenisers: chain_cut.c ---- */

enum lm_chain_behavior {
    LM_CHAIN_REMOVED,
    LM_CHAIN_ISOLATED,
    LM_CHAIN_MERGED_WITH_PREVIOUS,
    LM_CHAIN_MERGED_WITH_NEXT,
    LM_CHAIN_CONTIGUOUS,
};
enum lm_chain_cut_kind {
    LM_CUT_SPLIT,       // pattern, behavior, invert
    LM_CUT_PREFIX,      // content goes before pieces that do not start with it, as `prefix` says
    LM_CUT_METASPACE,   // U+0020 becomes content, then as LM_CUT_PREFIX; split: each content starts a piece
    LM_CUT_BYTES,       // bytes become printable characters
    LM_CUT_FIXED,       // length characters
    LM_CUT_SCRIPTS,     // at changes of script
    LM_CUT_WORDS,       // Whitespace: words, and what is neither word nor blank
};
struct lm_chain_cut {
    enum lm_chain_cut_kind kind;
    struct lm_chain_pattern pattern;
    enum lm_chain_behavior behavior;
    bool invert, split;
    enum lm_blank_prefix prefix;
    struct lm_str content;
    size_t length;
};

/* Text as pieces: piece i ends at ends[i] of text and starts where the one before ends.  from[i]: where byte
 * i of text comes from, when it is traced. */
struct lm_chain_pieces {
    struct lm_chain_cut_text {
        struct lm_buf text;
        uint32_t *ends;
        struct lm_span *from;
        size_t count, ends_cap, from_cap;
    } now, next;   // next: what a step makes of what there is now
    bool first;    // the first piece starts where the whole text does
    bool traced;
};

/* from: of the bytes of text; NULL: nobody asks.  The pieces are ret->now. */
void lm_chain_cut(const struct lm_chain *c, struct lm_str text, bool first, const struct lm_span *from,
                  struct lm_chain_pieces *ret);
void lm_chain_pieces_release(struct lm_chain_pieces *p);

/* ---- models: chain_model.c ---- */

enum lm_chain_model { LM_CHAIN_BPE, LM_CHAIN_UNIGRAM, LM_CHAIN_WORDPIECE, LM_CHAIN_WORDLEVEL };
enum { LM_CHAIN_AFFIX_MAX = 16 };   // bytes of what pieces of a word have before or behind them

struct lm_chain_scratch {
    struct lm_bpe_scratch bpe;
    struct lm_unigram_scratch unigram;
    struct lm_buf spelling;
    struct lm_chain_pieces pieces;
    struct lm_span *spans;   // of the ids of a piece
    uint32_t *symbols;       // of BPE before it merges
    size_t spans_cap, symbols_cap;
};
void lm_chain_scratch_release(struct lm_chain_scratch *s);

/* The ids of a piece; ids has room for lm_chain_room of its bytes.  spans: as many, which bytes of the piece
 * each id is; NULL: nobody asks. */
size_t lm_chain_ids(const struct lm_tokenizer *t, struct lm_chain_scratch *s, struct lm_str piece,
                    uint32_t *ids, struct lm_span *spans);
size_t lm_chain_room(const struct lm_chain *c, size_t bytes);

/* ---- decoders: chain_decode.c ---- */

enum lm_chain_decode_kind {
    LM_DECODE_BYTES,       // ByteLevel
    LM_DECODE_WORDPIECE,   // content is the prefix, cleanup
    LM_DECODE_METASPACE,   // content is what stands for a blank; strip: not at the start
    LM_DECODE_SUFFIX,      // BPEDecoder: content is the suffix
    LM_DECODE_CTC,         // content pads, other divides words, cleanup
    LM_DECODE_REPLACE,     // pattern, content
    LM_DECODE_FUSE,
    LM_DECODE_STRIP,      // content, start, stop
    LM_DECODE_FALLBACK,   // ByteFallback
};
struct lm_chain_decode {
    enum lm_chain_decode_kind kind;
    struct lm_chain_pattern pattern;
    struct lm_str content, other;
    bool cleanup, strip;
    size_t start, stop;
};

/* Appends the text of ids that are in the vocabulary. */
void lm_chain_decode(const struct lm_tokenizer *t, const uint32_t *ids, size_t count, bool skip_special,
                     struct lm_buf *ret);

/* What each id adds to a text that has begun, and to one that has not: two vocabularies, made when somebody
 * first asks.  Any thread may. */
const struct lm_vocab *lm_chain_shown(const struct lm_tokenizer *t);

/* ---- the whole ---- */

struct lm_chain {
    struct lm_chain_normal *normals;
    struct lm_chain_cut *cuts;
    struct lm_chain_decode *decodes;
    size_t normal_count, normal_cap, cut_count, cut_cap, decode_count, decode_cap;
    bool no_decoder;   // tokens with blanks between
    enum lm_chain_model model;
    struct lm_str prefix, suffix;   // of pieces inside a word; of the last of a word
    bool fuse_unknown, byte_fallback;
    size_t chars_max;   // WordPiece: of a word
    struct lm_unigram *unigram;
    struct lm_vocab *shown;   // lm_chain_shown; NULL until then
    struct lm_arena arena;    // all texts
};
void lm_chain_free(struct lm_chain *c);   // NULL is fine

#endif
