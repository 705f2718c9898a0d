#ifndef LM_TOKEN_TOKENIZER_IMPL_H
#define LM_TOKEN_TOKENIZER_IMPL_H
/* token/tokenizer_impl.h - what the files of this module share of struct lm_tokenizer.  Not for other
 * modules. */

#include "base/hash.h"
#include "token/bpe.h"
#include "token/pretoken.h"
#include "token/tokenizer.h"
#include "token/vocab.h"

/* Finds the added tokens in text: leftmost first, of those the longest. */
struct lm_added {
    struct lm_token_map map;
    size_t ordinary_count;   // that are not special
    bool first[256];         // some added token starts with the byte
    uint32_t *lengths;       // distinct lengths, longest first
    size_t length_count, length_cap;
};

void lm_added_put(struct lm_added *a, const struct lm_vocab *v, uint32_t id);
void lm_added_release(struct lm_added *a);

/* The first added token in text[from..): its offset and id; text.len when there is none. */
size_t lm_added_next(const struct lm_added *a, const struct lm_vocab *v, struct lm_str text, size_t from,
                     bool allow_special, uint32_t *ret_id);

/* Special tokens around a text on its own, as the post-processor of tokenizer.json names them. */
enum { LM_AROUND_MAX = 8 };   // on each side
struct lm_around {
    uint32_t before[LM_AROUND_MAX], after[LM_AROUND_MAX];
    size_t before_count, after_count;
};

struct lm_tokenizer {
    struct lm_vocab vocab;
    struct lm_token_map model;   // every token but the special ones, for whole-piece look-up
    struct lm_added added;
    struct lm_bpe bpe;
    const struct lm_grammar *grammar;
    bool nfc;             // normalise before cutting
    bool ignore_merges;   // a piece that is a token is that token, whatever the merges say
    bool bytes_missing;   // some byte is no token
    struct lm_around around;
    uint32_t roles[LM_ROLE_COUNT];                // LM_TOKEN_NONE: nobody said
    uint32_t end_of_text, turn_start, turn_end;   // LM_TOKEN_NONE: not in the vocabulary
    struct lm_buf chat_template;
    uint8_t sha256[LM_SHA256_BYTES];
    struct lm_buf json;
};

static inline bool lm_utf8_has(unsigned byte)   // whether well-formed UTF-8 can hold the byte
{
    return byte != 0xc0 && byte != 0xc1 && byte < 0xf5;
}

/* Sets end_of_text, turn_start and turn_end by the usual names, then by roles. */
void lm_tokenizer_find_roles(struct lm_tokenizer *t);

const struct lm_tokenizer *lm_encoder_tokenizer(const struct lm_encoder *e);

#endif
