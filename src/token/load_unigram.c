/* token/load_unigram.c - scores and pieces as a Unigram model, by the rules of its maker. */
#include "token/compiled.h"
#include "token/load_chain.h"

static const double unknown_penalty = 10;   // below the least probable piece

static bool is_option(const struct lm_token_load *l, const char *name)
{
    return json_is_true(json_object_get(l->sentencepiece, name));
}

/* Pieces that text may become: all but special ones; in a sentencepiece model bytes and unused ones neither.
 */
static enum lm_rc find_pieces(struct lm_token_load *l, bool *ret_is_piece, struct lm_err *err)
{
    const struct lm_vocab *v = &l->t->vocab;
    const json_t *unused = json_object_get(l->sentencepiece, "unused");
    for (size_t id = 0; id < v->size; id++)
        ret_is_piece[id] = v->items[id].kind != LM_TOKEN_HOLE && v->items[id].kind != LM_TOKEN_SPECIAL &&
                           id != l->t->unknown && id < l->scored;
    for (size_t b = 0; json_is_object(l->sentencepiece) && l->t->chain->byte_fallback && b < 256; b++)
        if (l->byte_id[b] != LM_TOKEN_NONE)
            ret_is_piece[l->byte_id[b]] = false;
    for (size_t i = 0; i < json_array_size(unused); i++) {
        const json_t *id = json_array_get(unused, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || (uint64_t)json_integer_value(id) >= v->size)
            return lm_fail(err, LM_EFORMAT, "%s: model option %s: an unused id is not in the vocabulary",
                           l->name, LM_CHAIN_SENTENCEPIECE);
        ret_is_piece[json_integer_value(id)] = false;
    }
    return LM_OK;
}

/* User-defined pieces always win: more than nothing for each byte but the first (sentencepiece 0.2.3; before,
 * it was as many times the best score). */
static double score_of(const struct lm_token_load *l, uint32_t id)
{
    const float bonus = 0.1F;
    const struct lm_token *token = &l->t->vocab.items[id];
    if (json_is_object(l->sentencepiece) && token->kind == LM_TOKEN_ADDED)
        return (double)((float)token->len * bonus - bonus);
    return l->scores[id];
}

static void make(struct lm_token_load *l, const bool *is_piece)
{
    const struct lm_vocab *v = &l->t->vocab;
    struct lm_unigram *u = l->t->chain->unigram;
    LM_FREE struct lm_trie_key *keys = lm_alloc((v->size + 1) * sizeof(*keys));
    size_t count = 0;
    double min = 0;
    bool any = false;
    for (size_t id = 0; u->single && id < l->scored; id++)
        l->scores[id] = (double)(float)l->scores[id];   // as they are in its file
    for (uint32_t id = 0; id < l->scored; id++) {
        if (u->single && (!is_piece[id] || v->items[id].kind != LM_TOKEN_MODEL))
            continue;
        min = !any || l->scores[id] < min ? l->scores[id] : min;
        any = true;
    }
    u->scores = lm_zalloc(v->size + 1, sizeof(*u->scores));
    for (uint32_t id = 0; id < v->size; id++) {
        if (!is_piece[id])
            continue;
        u->scores[id] = score_of(l, id);
        keys[count++] = (struct lm_trie_key){ lm_vocab_bytes(v, id), id };
    }
    lm_trie_make(&u->trie, keys, count);
    u->unknown_score = u->single ? (double)((float)min - (float)unknown_penalty) : min - unknown_penalty;
}

/* One step of sentencepiece's instead of those of the file, which imitate it. */
void lm_load_sentencepiece(struct lm_token_load *l)
{
    struct lm_chain *c = l->t->chain;
    const struct lm_vocab *v = &l->t->vocab;
    struct lm_chain_normal step = { .kind = LM_NORMAL_SENTENCEPIECE };
    step.left = is_option(l, "add_dummy_prefix");
    step.right = is_option(l, "remove_extra_whitespaces");
    for (size_t i = 0; i < c->normal_count; i++) {
        if (c->normals[i].kind == LM_NORMAL_CHARSMAP && !step.map.units)
            step.map = c->normals[i].map;
        else
            lm_charsmap_release(&c->normals[i].map);
        lm_split_release(&c->normals[i].pattern.dfa);
    }
    LM_FREE struct lm_trie_key *keys = lm_alloc((v->size + 1) * sizeof(*keys));
    size_t count = 0;
    for (uint32_t id = 0; id < v->size; id++)
        if (v->items[id].kind == LM_TOKEN_ADDED)
            keys[count++] = (struct lm_trie_key){ lm_vocab_bytes(v, id), id };
    if (count > 0)
        lm_trie_make(&step.kept, keys, count);
    lm_grow(&c->normals, &c->normal_cap, 1, sizeof(*c->normals));
    c->normals[0] = step;
    c->normal_count = 1;
    for (size_t i = 0; i < c->cut_count; i++)
        lm_split_release(&c->cuts[i].pattern.dfa);
    c->cut_count = 0;
}

/* Trie and scores of pieces that text may become. */
static enum lm_rc make_tables(struct lm_token_load *l, struct lm_err *err)
{
    LM_FREE bool *is_piece = lm_zalloc(l->t->vocab.size + 1, sizeof(*is_piece));
    LM_TRY(find_pieces(l, is_piece, err));
    make(l, is_piece);
    return LM_OK;
}

/* Whether no token has a blank behind another character. */
static bool are_words(const struct lm_vocab *v)
{
    static const char blank[] = "\xe2\x96\x81";
    const size_t len = sizeof(blank) - 1;
    for (uint32_t id = 0; id < v->size; id++) {
        struct lm_str text = lm_vocab_bytes(v, id);
        while (lm_str_starts(text, lm_str(blank)))
            text = (struct lm_str){ text.ptr + len, text.len - len };
        if (text.len >= len && memmem(text.ptr, text.len, blank, len))
            return false;
    }
    return true;
}

enum lm_rc lm_load_unigram(struct lm_token_load *l, struct lm_err *err)
{
    struct lm_chain *c = l->t->chain;
    struct lm_unigram *u = c->unigram = lm_zalloc(1, sizeof(*u));
    u->single = json_is_object(l->sentencepiece);
    u->size = l->t->vocab.size;
    u->unknown = l->t->unknown;
    u->words = u->single && are_words(&l->t->vocab);
    memset(u->byte_id, 0xff, sizeof(u->byte_id));
    if (c->byte_fallback)
        memcpy(u->byte_id, l->byte_id, sizeof(u->byte_id));
    if (l->compiled && lm_compiled_section(l->compiled, LM_COMPILED_SCORES).len == 0)
        return lm_fail(err, LM_EFORMAT,
                       "%s: damaged compiled tokenizer: a Unigram model without scores; "
                       "compile it again",
                       l->name);
    if (l->compiled)
        lm_compiled_attach_unigram(l->compiled, u);
    else
        LM_TRY(make_tables(l, err));
    if (u->single)
        lm_load_sentencepiece(l);
    return LM_OK;
}
