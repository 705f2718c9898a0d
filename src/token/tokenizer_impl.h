#ifndef LM_TOKEN_TOKENIZER_IMPL_H
#define LM_TOKEN_TOKENIZER_IMPL_H
/* token/tokenizer_impl.h - what the files of this module share of struct lm_tokenizer.  Not for other
 * modules. */

#include "base/file.h"
#include "base/hash.h"
#include "token/bpe.h"
#include "token/normal.h"
#include "token/pretoken.h"
#include "token/split.h"
#include "token/tokenizer.h"
#include "token/vocab.h"

/* Added tokens to be found in text: leftmost first, of those the longest. */
struct lm_added {
    struct lm_vocab texts;   // by id; kind as in the tokenizer's
    struct lm_token_map map;
    size_t ordinary_count;    // that are not special
    bool first[256];          // some added token starts with the byte
    size_t first_count;       // how many such bytes there are
    char first_byte;          // one of them
    uint32_t longest[256];    // bytes of those that start with the byte
    uint32_t single[256];     // 1 + the id of the one that is the byte; 0: there is none
    uint64_t pairs[256][4];   // a bit for each second byte that follows a first
    struct lm_added_length {
        uint32_t len;
        uint64_t last[4];   // a bit for each byte that one of this length ends with
    } * lengths;            // distinct lengths, longest first
    size_t length_count, length_cap;
};

/* lstrip, rstrip: it swallows the blanks before or behind it. */
void lm_added_put(struct lm_added *a, uint32_t id, struct lm_str text, enum lm_token_kind kind, bool lstrip,
                  bool rstrip);
void lm_added_release(struct lm_added *a);

/* Which special tokens text may spell: none, or those outside of `plain`. */
struct lm_allow {
    bool special;
    const struct lm_span *plain;   // ascending
    size_t plain_count;
};

/* As Hugging Face, the search goes on behind the token itself, not behind the blanks it swallows: a token
 * that begins among them is found as well, and text goes on where the last one ended. */
struct lm_added_match {
    size_t start,
        end;       // with the blanks that the token swallows; start may be before the end of the last one
    size_t next;   // the search goes on here
    uint32_t id;
};

/* The first added token behind *match, all zero at first; false, and *match as it was, when there is none. */
bool lm_added_next(const struct lm_added *a, struct lm_str text, struct lm_allow allow,
                   struct lm_added_match *match);

/* How tokens spell text. */
enum lm_token_family {
    LM_FAMILY_BYTES,    // byte-level BPE: encode.c
    LM_FAMILY_PIECES,   // sentencepiece's BPE: pieces.c
    LM_FAMILY_WORDS,    // WordPiece: words.c
    LM_FAMILY_CHAIN,    // anything else: chain.h
};

/* What LM_FAMILY_PIECES does to text.  A blank is U+2581 in files and U+0020 in here. */
enum lm_blank_prefix {
    LM_BLANK_NEVER,
    LM_BLANK_ALWAYS,
    LM_BLANK_FIRST,   // only where the text starts
};
struct lm_piece_rules {
    enum lm_blank_prefix prefix;
    bool prefix_if_none;   // only when there is no blank yet
    bool late;             // blanks are made after the added tokens of normal text are cut out, not before
    bool trim;             // no blanks at the ends, single ones between
    bool strip;            // decoding leaves out one blank at the start
    bool fuse_unknown;     // unknown neighbours are one
    bool byte_fallback;    // an unknown character becomes bytes
};

/* What LM_FAMILY_WORDS does to text. */
struct lm_word_rules {
    bool clean;       // no control characters, every blank U+0020
    bool han_apart;   // blanks around Chinese characters
    bool strip_accents, lowercase;
    bool cleanup;       // decoding leaves out blanks before punctuation
    size_t chars_max;   // of a word; a longer one is unknown
    size_t longest;     // bytes of the longest token
};

/* Special tokens around a text on its own, as the post-processor of tokenizer.json names them. */
enum { LM_AROUND_MAX = 8 };   // on each side
struct lm_around {
    uint32_t before[LM_AROUND_MAX], after[LM_AROUND_MAX];
    size_t before_count, after_count;
};

/* Which single blank at the start of a token stays in its range: it may have been put there. */
enum lm_trim {
    LM_TRIM_ALL,         // none
    LM_TRIM_BUT_FIRST,   // that of the first token, and where a text starts
    LM_TRIM_BUT_START,   // where a text starts: another token is the first by then
};
enum { LM_TRIMS_MAX = 4 };

/* What conversations are written with: chat_setup.c. */
struct lm_chat {
    struct lm_template *template;   // NULL: there is none, or
    struct lm_err problem;          // none that can be used
    bool builtin;                   // ChatML, whether the file says so or nothing
    uint32_t end;                   // ends a turn
};

struct lm_tokenizer {
    struct lm_vocab vocab;
    struct lm_token_map model;   // every token but the special ones, for whole-piece look-up
    struct lm_added added;       // in text as it comes
    struct lm_added later;       // in normalised text
    enum lm_token_family family;
    struct lm_piece_rules pieces;
    struct lm_word_rules words;
    uint32_t unknown;   // for what has no token; LM_TOKEN_NONE: there is none
    struct lm_bpe bpe;
    const struct lm_grammar *grammar;
    struct lm_grammar own;      // when the file has a pre-tokeniser of its own
    struct lm_split *split;     // of `own`
    bool nfc;                   // normalise before cutting,
    enum lm_normal_form form;   // to this form
    bool ignore_merges;         // a piece that is a token is that token, whatever the merges say
    bool bytes_missing;         // some byte is no token
    enum lm_trim
        trims[LM_TRIMS_MAX];   // what takes blanks at the ends of tokens out of their ranges, in turn
    size_t trim_count;
    struct lm_around around;
    uint32_t roles[LM_ROLE_COUNT];                // LM_TOKEN_NONE: nobody said
    uint32_t end_of_text, turn_start, turn_end;   // LM_TOKEN_NONE: not in the vocabulary
    struct lm_buf chat_template;
    struct lm_chain *chain;   // of LM_FAMILY_CHAIN
    struct lm_chat chat;
    uint8_t sha256[LM_SHA256_BYTES];   // of json, when sha256_made
    bool sha256_made;
    bool shared;         // tables and json lie in a compiled file: token/compiled.h,
    struct lm_map map;   // this one, or memory of the caller
    struct lm_buf json;
    struct lm_token_plan *plan;             // token/plan.h; NULL until much text is encoded,
    struct lm_token_slices *slices;         // or decoded
    size_t encoded_bytes, decoded_tokens;   // while these are NULL
};

static inline bool lm_utf8_has(unsigned byte)   // whether well-formed UTF-8 can hold the byte
{
    return byte != 0xc0 && byte != 0xc1 && byte < 0xf5;
}

/* Sets end_of_text, turn_start and turn_end by the usual names, then by roles. */
void lm_tokenizer_find_roles(struct lm_tokenizer *t);

/* From chat_template, roles and added tokens; again when these change. */
void lm_chat_prepare(struct lm_tokenizer *t);
void lm_chat_release(struct lm_tokenizer *t);

/* Text without added tokens as the normaliser leaves it: itself or what is written into buf.  starts: it is
 * the start of the text. */
struct lm_str lm_token_normal(const struct lm_tokenizer *t, struct lm_str text, bool starts,
                              struct lm_buf *buf);

/* What the id adds to a text, perhaps behind a blank; *inside: some text is before it. */
struct lm_str lm_decode_bytes(const struct lm_tokenizer *t, uint32_t id, bool *inside, bool *blank);

void lm_tokens_room(struct lm_tokens *tokens, size_t count);   // for as many ids in all

/* lm_encode of bytes start to end of a text, which were cut where that makes no difference. */
void lm_encode_part(struct lm_encoder *e, struct lm_str text, size_t start, size_t end, bool allow_special,
                    struct lm_tokens *ret);

/* The ids of one word, normal and cut as the grammar cuts. */
void lm_encode_word(struct lm_encoder *e, struct lm_str word, struct lm_tokens *ret);

/* lm_encode that tells of each id what it stands for: token/spans.h. */
struct lm_span_work;
void lm_encode_traced(struct lm_encoder *e, struct lm_str text, bool allow_special,
                      struct lm_span_work *spans, struct lm_tokens *ret);
const struct lm_tokenizer *lm_encoder_tokenizer(const struct lm_encoder *e);

#endif
