/* token/load_chain.c - models of a chain: BPE with any options, Unigram, WordPiece, WordLevel. */
#include "token/load_chain.h"

#include "base/json.h"
#include "token/pieces.h"
#include "token/words.h"

#include <math.h>

static bool is_true(struct lm_str value)
{
    return lm_str_eq(value, LM_STR("true"));
}

static struct lm_chain *chain_of(struct lm_token_load *l)
{
    if (!l->t->chain)
        l->t->chain = lm_zalloc(1, sizeof(*l->t->chain));
    return l->t->chain;
}

/* ---- options ---- */

static const struct lm_model_option bpe_options[] = {
    { "type", "\"BPE\"" },
    { "dropout", "null 0 0.0" },
    { "unk_token", NULL },
    { "continuing_subword_prefix", NULL },
    { "end_of_word_suffix", NULL },
    { "fuse_unk", "false true" },
    { "byte_fallback", "false true" },
    { "ignore_merges", "false true" },
    { LM_CHAIN_SENTENCEPIECE, NULL },
    { NULL, NULL },
};

static const struct lm_model_option unigram_options[] = {
    { "type", "\"Unigram\"" },        { "unk_id", NULL }, { "byte_fallback", "false true" },
    { LM_CHAIN_SENTENCEPIECE, NULL }, { NULL, NULL },
};

static const struct lm_model_option wordpiece_options[] = {
    { "type", "\"WordPiece\"" },          { "unk_token", NULL }, { "continuing_subword_prefix", NULL },
    { "max_input_chars_per_word", NULL }, { NULL, NULL },
};

static const struct lm_model_option wordlevel_options[] = {
    { "type", "\"WordLevel\"" },
    { "unk_token", NULL },
    { NULL, NULL },
};

/* What stands before or behind the pieces of words. */
static enum lm_rc read_affix(struct lm_token_load *l, const char *key, struct lm_str value, const char *usual,
                             struct lm_str *ret, struct lm_err *err)
{
    LM_TREE_FREE json_t *text = NULL;
    LM_TRY(lm_load_part(l, key, value, &text, err));
    const struct lm_str affix = json_is_string(text)
                                    ? (struct lm_str){ json_string_value(text), json_string_length(text) }
                                    : lm_str(usual);
    if (affix.len > LM_CHAIN_AFFIX_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: model option %s has %zu bytes, more than %d", l->name, key,
                       affix.len, LM_CHAIN_AFFIX_MAX);
    *ret = (struct lm_str){ lm_arena_strndup(&chain_of(l)->arena, affix.ptr, affix.len), affix.len };
    return LM_OK;
}

static enum lm_rc read_number(struct lm_token_load *l, const char *key, struct lm_str value, int64_t max,
                              int64_t *ret, struct lm_err *err)
{
    if (value.len == 0 || lm_str_eq(value, LM_STR("null")))
        return LM_OK;
    if (!lm_str_to_i64(value, ret) || *ret < 0 || *ret > max)
        return lm_fail(err, LM_EFORMAT, "%s: model option %s is outside 0..%lld", l->name, key,
                       (long long)max);
    return LM_OK;
}

static enum lm_rc read_option(struct lm_token_load *l, const char *key, struct lm_str value,
                              struct lm_err *err)
{
    struct lm_chain *c = chain_of(l);
    const bool words = c->model == LM_CHAIN_WORDPIECE;
    int64_t number = -1;
    if (strcmp(key, "fuse_unk") == 0)
        c->fuse_unknown = is_true(value);
    if (strcmp(key, "byte_fallback") == 0)
        c->byte_fallback = is_true(value);
    if (strcmp(key, "ignore_merges") == 0)
        l->t->ignore_merges = is_true(value);
    if (strcmp(key, "continuing_subword_prefix") == 0)
        return read_affix(l, key, value, words ? LM_WORDS_INSIDE : "", &c->prefix, err);
    if (strcmp(key, "end_of_word_suffix") == 0)
        return read_affix(l, key, value, "", &c->suffix, err);
    if (strcmp(key, LM_CHAIN_SENTENCEPIECE) == 0)
        return lm_load_part(l, key, value, &l->sentencepiece, err);
    if (strcmp(key, "unk_id") == 0) {
        LM_TRY(read_number(l, key, value, LM_VOCAB_SIZE_MAX - 1, &number, err));
        l->unknown_id = number < 0 ? LM_TOKEN_NONE : (uint32_t)number;
    }
    if (strcmp(key, "max_input_chars_per_word") == 0) {
        number = LM_WORDS_CHARS_MAX;
        LM_TRY(read_number(l, key, value, INT32_MAX, &number, err));
        c->chars_max = (size_t)number;
    }
    return LM_OK;
}

/* ---- vocabulary ---- */

static bool spell(struct lm_token_load *l, struct lm_str text, struct lm_buf *ret)
{
    (void)l;
    lm_buf_add_str(ret, text);
    return true;
}

static void place(struct lm_token_load *l, struct lm_str text, uint32_t id)
{
    const int byte = lm_piece_byte(text);
    if (byte >= 0)
        l->byte_id[byte] = id;
}

/* Exact up to 1e22, the nearest beyond. */
static double power_of_ten(unsigned power)
{
    static const double exact[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    char text[8];
    double ten = 1;
    if (power < sizeof(exact) / sizeof(exact[0]))
        return exact[power];
    snprintf(text, sizeof(text), "1e%u", power);
    (void)lm_str_to_f64(lm_str(text), &ten);
    return ten;
}

/* A number in digits, at the end of the buffer. */
static struct lm_str digits_of(size_t number, char buffer[24])
{
    char *at = buffer + 24;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    return (struct lm_str){ at, (size_t)(buffer + 24 - at) };
}

/* A score as the peer reads it: digits as an integer, divided by a power of ten.  That may be another double
 * than the nearest one, and decide between two ways of equal length. */
static bool read_score(struct lm_str text, double *ret)
{
    uint64_t digits = 0;
    int exponent = 0;
    size_t at = text.len > 0 && text.ptr[0] == '-';
    bool fraction = false, full = false;
    for (; at < text.len && (text.ptr[at] | 0x20) != 'e'; at++) {
        if (text.ptr[at] == '.') {
            fraction = true;
            continue;
        }
        const uint64_t digit = (uint64_t)(text.ptr[at] - '0');
        full |= digits > (UINT64_MAX - digit) / 10;   // what does not fit is left out
        if (!full)
            digits = digits * 10 + digit;
        exponent += full ? !fraction : -(int)fraction;
    }
    int64_t power = 0;
    const struct lm_str behind = { text.ptr + at + 1, at < text.len ? text.len - at - 1 : 0 };
    if (behind.len > 0 &&
        !lm_str_to_i64(behind.ptr[0] == '+' ? (struct lm_str){ behind.ptr + 1, behind.len - 1 } : behind,
                       &power))
        return false;
    power += exponent;
    if (power < -300 || power > 300)
        return lm_str_to_f64(text, ret);
    const double ten = power_of_ten((unsigned)(power < 0 ? -power : power));
    double value = (double)digits;
    value = power < 0 ? value / ten : value * ten;
    *ret = text.ptr[0] == '-' ? -value : value;
    return isfinite(*ret);
}

/* [["piece",score],...]: the place is the id. */
static enum lm_rc read_scored(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    struct lm_json_reader r;
    lm_json_open(&r, json, lm_arena_printf(&l->arena, "%s: vocab", l->name), &l->arena);
    LM_TRY(lm_json_want(&r, LM_JSON_ARRAY, err));
    for (size_t id = 0;; id++) {
        enum lm_json_kind kind;
        char number[24];
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_ARRAY_END)
            return LM_OK;
        if (kind != LM_JSON_ARRAY)
            return lm_fail(err, LM_EFORMAT, "%s: vocab: item %zu is not a pair of piece and score", l->name,
                           id);
        LM_TRY(lm_json_want(&r, LM_JSON_STRING, err));
        const struct lm_str text = r.text;
        if (text.len > LM_UNIGRAM_PIECE_MAX)
            return lm_fail(err, LM_ELIMIT, "%s: vocab: piece %zu has %zu bytes, more than %d", l->name, id,
                           text.len, LM_UNIGRAM_PIECE_MAX);
        LM_TRY(lm_json_want(&r, LM_JSON_NUMBER, err));
        lm_grow(&l->scores, &l->scores_cap, id + 1, sizeof(*l->scores));
        if (!read_score(r.text, &l->scores[id]))
            return lm_fail(err, LM_EFORMAT, "%s: vocab: the score of piece %zu is no finite number", l->name,
                           id);
        l->scored = id + 1;
        LM_TRY(lm_json_want(&r, LM_JSON_ARRAY_END, err));
        LM_TRY(lm_load_put_token(l, text, digits_of(id, number), err));
    }
}

/* ---- merges, in both notations ---- */

static enum lm_rc put_merge(struct lm_token_load *l, size_t number, struct lm_str left, struct lm_str right,
                            struct lm_err *err)
{
    const struct lm_chain *c = l->t->chain;
    const struct lm_str sides[2] = { left, right };
    uint32_t ids[3];
    const size_t skip = right.len < c->prefix.len ? right.len : c->prefix.len;
    lm_buf_reset(&l->bytes);
    lm_buf_add_str(&l->bytes, left);
    lm_buf_add(&l->bytes, right.ptr + skip, right.len - skip);
    for (size_t i = 0; i < 2; i++) {
        ids[i] = lm_load_find(l, sides[i]);
        if (ids[i] == LM_TOKEN_NONE)
            return lm_fail(err, LM_EFORMAT, "%s: merge %zu: '%.*s' is no ordinary token of the vocabulary",
                           l->name, number, (int)sides[i].len, sides[i].ptr);
    }
    ids[2] = lm_load_find(l, lm_buf_str(&l->bytes));
    if (ids[2] == LM_TOKEN_NONE)
        return lm_fail(err, LM_EFORMAT,
                       "%s: merge %zu: '%.*s' + '%.*s' makes no ordinary token of the vocabulary", l->name,
                       number, (int)left.len, left.ptr, (int)right.len, right.ptr);
    if (l->made[ids[2]] && !lm_bpe_find(&l->t->bpe, ids[0], ids[1]))
        l->t->bpe.several_ways = true;
    l->made[ids[2]] = true;
    lm_bpe_put(&l->t->bpe, ids[0], ids[1], (uint32_t)number, ids[2]);
    return LM_OK;
}

static enum lm_rc read_merge(struct lm_token_load *l, struct lm_json_reader *r, enum lm_json_kind kind,
                             size_t number, struct lm_err *err)
{
    struct lm_str left, right;
    LM_TRY(lm_load_merge_sides(l, r, kind, number, &left, &right, err));
    return put_merge(l, number, left, right, err);
}

static enum lm_rc read_merges(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    struct lm_json_reader r;
    size_t room = 1;
    for (size_t i = 0; i < json.len; i++)
        room += json.ptr[i] == '"';   // at least two a list, and two a text
    lm_bpe_init(&l->t->bpe, room / 2 + 1);
    l->made = lm_arena_alloc(&l->arena, l->t->vocab.size + 1);
    lm_json_open(&r, json, lm_arena_printf(&l->arena, "%s: merges", l->name), &l->arena);
    LM_TRY(lm_json_want(&r, LM_JSON_ARRAY, err));
    for (size_t number = 0;; number++) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_ARRAY_END)
            return LM_OK;
        LM_TRY(read_merge(l, &r, kind, number, err));
    }
}

/* ---- what is left to do ---- */

/* No text may make a special token out of bytes. */
static enum lm_rc check_bytes(struct lm_token_load *l, struct lm_err *err)
{
    for (size_t b = 0; l->t->chain->byte_fallback && b < 256; b++)
        if (l->byte_id[b] != LM_TOKEN_NONE && l->t->vocab.items[l->byte_id[b]].kind == LM_TOKEN_SPECIAL)
            return lm_fail(err, LM_EFORMAT, "%s: token <0x%02zX> is a byte and cannot be a special token too",
                           l->name, b);
    return LM_OK;
}

static enum lm_rc finish_bpe(struct lm_token_load *l, struct lm_err *err)
{
    LM_TRY(check_bytes(l, err));
    LM_TRY(lm_load_unknown(l, &l->t->unknown, err));
    if (l->t->chain->byte_fallback)
        memcpy(l->t->bpe.byte_id, l->byte_id, sizeof(l->byte_id));
    if (json_is_object(l->sentencepiece))
        lm_load_sentencepiece(l);
    return LM_OK;
}

static enum lm_rc finish_words(struct lm_token_load *l, struct lm_err *err)
{
    return lm_load_words_end(l, err);
}

static enum lm_rc finish_unigram(struct lm_token_load *l, struct lm_err *err)
{
    struct lm_tokenizer *t = l->t;
    if (l->unknown_id == LM_TOKEN_NONE || l->unknown_id >= t->vocab.size)
        return lm_fail(err, LM_EFORMAT, "%s: the model has no unk_id, or one outside its vocabulary",
                       l->name);
    LM_TRY(check_bytes(l, err));
    t->unknown = l->unknown_id;
    return lm_load_unigram(l, err);
}

// clang-format off
#define CHAIN_FAMILY(name, kind_)                                                                                  \
    static enum lm_rc name##_decode(struct lm_token_load *l, const json_t *d, struct lm_err *err)                  \
    {                                                                                                              \
        chain_of(l)->model = kind_;                                                                                \
        return lm_load_chain_decoder(l, d, err);                                                                   \
    }
// clang-format on
CHAIN_FAMILY(bpe, LM_CHAIN_BPE)
CHAIN_FAMILY(unigram, LM_CHAIN_UNIGRAM)
CHAIN_FAMILY(wordpiece, LM_CHAIN_WORDPIECE)
CHAIN_FAMILY(wordlevel, LM_CHAIN_WORDLEVEL)

const struct lm_load_family lm_load_chains[LM_CHAIN_MODELS] = {
    { LM_FAMILY_CHAIN, "BPE", NULL, bpe_options, true, lm_load_chain_normalizer, lm_load_chain_pre_tokenizer,
      bpe_decode, read_option, spell, place, finish_bpe, NULL, read_merges },
    { LM_FAMILY_CHAIN, "Unigram", NULL, unigram_options, false, lm_load_chain_normalizer,
      lm_load_chain_pre_tokenizer, unigram_decode, read_option, spell, place, finish_unigram, read_scored,
      NULL },
    { LM_FAMILY_CHAIN, "WordPiece", NULL, wordpiece_options, false, lm_load_chain_normalizer,
      lm_load_chain_pre_tokenizer, wordpiece_decode, read_option, spell, NULL, finish_words, NULL, NULL },
    { LM_FAMILY_CHAIN, "WordLevel", NULL, wordlevel_options, false, lm_load_chain_normalizer,
      lm_load_chain_pre_tokenizer, wordlevel_decode, read_option, spell, NULL, finish_words, NULL, NULL },
};
