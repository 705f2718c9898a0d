/* token/grow_chain.c - new pieces for a Unigram model.
 *
 * A piece has a score, the logarithm of its probability.  A new one gets the sum of its old pieces and a
 * little for each of them that it saves, so that the best way through a text stays what it was, with
 * neighbours joined.  But no score is below the least old one, from which that of unknown characters follows:
 * what is raised to it may also be taken where other pieces met before.  A text in which no new piece is
 * spelt has the ids it had. */
#include "token/grow_impl.h"

#include "token/chain.h"

/* What one saved piece is worth: more than the rounding of sums, which in a sentencepiece model are float. */
static const double worth = 1.0 / 1024, worth_single = 1.0 / 16;

enum { PIECE_END = 0xff };   // behind each piece of a counted text; no UTF-8 has it

enum lm_rc lm_grow_chain_check(const struct lm_tokenizer *t, struct lm_err *err)
{
    const struct lm_chain *c = t->chain;
    if (c->model != LM_CHAIN_UNIGRAM)
        return lm_fail(
            err, LM_EINVAL,
            "grow: of tokenizers made of components only those with a Unigram model can grow; this one "
            "is BPE with other options, a WordPiece or a list of words");
    for (uint32_t id = 0; id < t->vocab.size; id++)
        if (t->vocab.items[id].kind == LM_TOKEN_HOLE)
            return lm_fail(
                err, LM_EINVAL,
                "grow: id %u of the Unigram model has no piece, and those of new pieces are their places "
                "in its list",
                id);
    return LM_OK;
}

/* ---- words ---- */

static void put_word(struct lm_str word, struct lm_buf *buf)
{
    lm_buf_add_str(buf, word);
    lm_buf_putc(buf, (char)PIECE_END);
}

/* A sentencepiece model has no pieces to cut at: words begin with a blank. */
static void put_words(struct lm_str text, struct lm_buf *buf)
{
    static const char blank[] = "\xe2\x96\x81";
    size_t start = 0;
    bool blank_before = true;
    for (size_t at = 0; at < text.len;) {
        const bool is_blank = lm_str_starts((struct lm_str){ text.ptr + at, text.len - at }, lm_str(blank));
        if (is_blank && !blank_before) {
            put_word((struct lm_str){ text.ptr + start, at - start }, buf);
            start = at;
        }
        blank_before = is_blank;
        at += is_blank ? sizeof(blank) - 1 : 1;
    }
    if (text.len > start)
        put_word((struct lm_str){ text.ptr + start, text.len - start }, buf);
}

struct lm_str lm_grow_chain_words(const struct lm_tokenizer *t, struct lm_str text, struct lm_buf *buf)
{
    const struct lm_chain *c = t->chain;
    struct lm_buf normal = { 0 };
    bool first = true;
    text = lm_chain_normal(c, text, &first, &normal, NULL);
    lm_buf_reset(buf);
    if (c->unigram->single) {
        put_words(text, buf);
    } else {
        struct lm_chain_pieces pieces = { 0 };
        lm_chain_cut(c, text, first, NULL, &pieces);
        const struct lm_chain_cut_text *p = &pieces.now;
        for (size_t i = 0, start = 0; i < p->count; start = p->ends[i++])
            put_word((struct lm_str){ p->text.ptr + start, p->ends[i] - start }, buf);
        lm_chain_pieces_release(&pieces);
    }
    lm_buf_release(&normal);
    return lm_buf_str(buf);
}

static size_t scan(struct lm_str text, size_t *at, uint32_t *ret_ends, size_t ends_max)
{
    size_t count = 0;
    for (; count < ends_max && *at < text.len; count++) {
        const char *end = memchr(text.ptr + *at, PIECE_END, text.len - *at);
        *at = end ? (size_t)(end - text.ptr) + 1 : text.len;
        ret_ends[count] = (uint32_t)*at;
    }
    return count;
}

const struct lm_grammar lm_grammar_chain_words = { .name = "pieces of a chain", .scan = scan };

struct lm_str lm_grow_chain_word(struct lm_str word)
{
    if (word.len > 0 && (uint8_t)word.ptr[word.len - 1] == PIECE_END)
        word.len--;
    return word;
}

/* ---- scores ---- */

bool lm_grow_chain_is_byte(const struct lm_tokenizer *t, uint32_t id)
{
    for (size_t b = 0; t->chain->byte_fallback && b < 256; b++)
        if (t->chain->unigram->byte_id[b] == id)
            return true;
    return false;
}

double lm_grow_chain_floor(const struct lm_tokenizer *t)
{
    static const double unknown_penalty = 10, rounding = 1e-3;
    return t->chain->unigram->unknown_score + unknown_penalty + rounding;
}

double lm_grow_chain_score(const struct lm_tokenizer *t, const uint32_t *pieces, size_t count)
{
    const struct lm_unigram *u = t->chain->unigram;
    const double least = lm_grow_chain_floor(t);
    double sum = (u->single ? worth_single : worth) * (double)(count - 1);
    for (size_t i = 0; i < count; i++)
        sum += u->scores[pieces[i]];
    sum = sum > least ? sum : least;
    return u->single ? (double)(float)sum : sum;
}
