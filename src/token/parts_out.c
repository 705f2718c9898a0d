/* token/parts_out.c - from a tokenizer to the arrays of a GGUF file. */
#include "token/load.h"
#include "token/parts_impl.h"

#include "token/pieces.h"
#include "token/words.h"
#include "token/write.h"

/* ---- roles and the tokens around a text ---- */

static void set_roles(const struct lm_tokenizer *t, struct lm_tokenizer_parts *p)
{
    for (size_t role = 0; role < LM_ROLE_COUNT; role++)
        lm_parts_set_role(p, role, t->roles[role] == LM_TOKEN_NONE ? -1 : (int64_t)t->roles[role]);
    if (p->eos_id < 0 && t->family != LM_FAMILY_WORDS && t->end_of_text != LM_TOKEN_NONE)
        p->eos_id = t->end_of_text;
}

/* One side: nothing, or exactly the token of the role; a role that nobody has named yet gets it. */
static enum lm_rc set_side(const uint32_t *ids, size_t count, const char *what, int64_t *role, int *ret_flag,
                           struct lm_err *err)
{
    *ret_flag = count > 0;
    if (count == 0)
        return LM_OK;
    if (*role < 0)
        *role = ids[0];
    if (count > 1 || *role != ids[0])
        return lm_fail(err, LM_EINVAL,
                       "GGUF cannot say that other tokens than %s stand at one end of every text", what);
    return LM_OK;
}

static enum lm_rc set_around(const struct lm_tokenizer *t, struct lm_tokenizer_parts *p, struct lm_err *err)
{
    const struct lm_around *a = &t->around;
    const bool words = t->family == LM_FAMILY_WORDS;
    LM_TRY(set_side(a->before, a->before_count, words ? "[CLS]" : "BOS", words ? &p->cls_id : &p->bos_id,
                    &p->add_bos, err));
    return set_side(a->after, a->after_count, words ? "[SEP]" : "EOS", words ? &p->sep_id : &p->eos_id,
                    &p->add_eos, err);
}

/* ---- vocabulary ---- */

static struct lm_str keep(struct lm_arena *arena, struct lm_str text)
{
    return (struct lm_str){ lm_arena_strndup(arena, text.ptr, text.len), text.len };
}

/* As the file spelt it: a token that merges have nothing to do with is in no map, and stands for itself. */
struct lm_str lm_token_spelling(const struct lm_tokenizer *t, uint32_t id, struct lm_buf *scratch)
{
    const struct lm_added *const added[] = { &t->added, &t->later };
    const struct lm_str bytes = lm_vocab_bytes(&t->vocab, id);
    for (size_t i = 0; i < 2; i++)
        if (id < added[i]->texts.size && added[i]->texts.items[id].kind != LM_TOKEN_HOLE)
            return i == 0 ? lm_vocab_bytes(&added[i]->texts, id) : bytes;
    lm_buf_reset(scratch);
    const bool pieces = t->family == LM_FAMILY_PIECES;
    if (pieces && bytes.len == 1 && t->pieces.byte_fallback && t->bpe.byte_id[(uint8_t)*bytes.ptr] == id)
        lm_buf_printf(scratch, "<0x%02X>", (unsigned)(uint8_t)*bytes.ptr);
    else if (lm_token_map_find(&t->model, &t->vocab, bytes) != id)
        return bytes;
    else if (pieces)
        lm_piece_from_text(bytes, scratch);
    else if (t->family == LM_FAMILY_WORDS || t->family == LM_FAMILY_CHAIN)
        return bytes;
    else
        lm_bytes_to_text(bytes, scratch);
    return lm_buf_str(scratch);
}

static struct lm_str gguf_spelling(const struct lm_tokenizer *t, uint32_t id, struct lm_buf *scratch)
{
    const struct lm_str text = lm_token_spelling(t, id, scratch);
    if (t->family != LM_FAMILY_WORDS || t->vocab.items[id].kind != LM_TOKEN_MODEL)
        return text;
    lm_buf_reset(scratch);
    lm_word_to_gguf(text, scratch);
    return lm_buf_str(scratch);
}

static void set_tokens(const struct lm_tokenizer *t, struct lm_arena *arena, struct lm_tokenizer_parts *p)
{
    static const int32_t types[] = {
        [LM_TOKEN_HOLE] = LM_TOKEN_UNUSED,
        [LM_TOKEN_MODEL] = LM_TOKEN_NORMAL,
        [LM_TOKEN_ADDED] = LM_TOKEN_USER_DEFINED,
        [LM_TOKEN_SPECIAL] = LM_TOKEN_CONTROL,
    };
    struct lm_str *tokens = lm_arena_alloc(arena, t->vocab.size * sizeof(*tokens));
    int32_t *codes = lm_arena_alloc(arena, t->vocab.size * sizeof(*codes));
    struct lm_buf scratch = { 0 };
    for (uint32_t id = 0; id < t->vocab.size; id++) {
        const enum lm_token_kind kind = t->vocab.items[id].kind;
        codes[id] = types[kind];
        tokens[id] = kind == LM_TOKEN_HOLE ? lm_str(lm_arena_printf(arena, "[PAD%u]", id))
                                           : keep(arena, gguf_spelling(t, id, &scratch));
    }
    lm_buf_release(&scratch);
    p->tokens = tokens;
    p->types = codes;
    p->token_count = t->vocab.size;
}

/* ---- merges ---- */

static int by_rank(const void *a, const void *b)
{
    const uint32_t ra = (*(const struct lm_merge *const *)a)->rank,
                   rb = (*(const struct lm_merge *const *)b)->rank;
    return ra < rb ? -1 : ra > rb;
}

static const struct lm_merge **merges_in_order(const struct lm_tokenizer *t, struct lm_arena *arena)
{
    const struct lm_merge **order = lm_arena_alloc(arena, (t->bpe.len + 1) * sizeof(*order));
    size_t count = 0;
    for (size_t i = 0; i <= t->bpe.mask; i++)
        if (t->bpe.slots[i].pair != LM_MERGE_FREE)
            order[count++] = &t->bpe.slots[i];
    LM_ASSERT(count == t->bpe.len);
    qsort(order, count, sizeof(*order), by_rank);
    return order;
}

static void set_merges(const struct lm_tokenizer *t, struct lm_arena *arena, struct lm_tokenizer_parts *p)
{
    const struct lm_merge **order = merges_in_order(t, arena);
    struct lm_str *merges = lm_arena_alloc(arena, (t->bpe.len + 1) * sizeof(*merges));
    struct lm_buf line = { 0 }, scratch = { 0 };
    for (size_t i = 0; i < t->bpe.len; i++) {
        lm_buf_reset(&line);
        lm_buf_add_str(&line, lm_token_spelling(t, (uint32_t)(order[i]->pair >> 32), &scratch));
        lm_buf_putc(&line, ' ');
        lm_buf_add_str(&line, lm_token_spelling(t, (uint32_t)order[i]->pair, &scratch));
        merges[i] = keep(arena, lm_buf_str(&line));
    }
    lm_buf_release(&line);
    lm_buf_release(&scratch);
    p->merges = merges;
    p->merge_count = t->bpe.len;
}

/* ---- the name of the pre-tokeniser ---- */

bool lm_merges_reach_all(const struct lm_tokenizer *t)
{
    struct lm_bpe_scratch scratch = { 0 };
    struct lm_buf ids = { 0 };
    bool all = true;
    for (uint32_t id = 0; all && id < t->vocab.size; id++) {
        const struct lm_str bytes = lm_vocab_bytes(&t->vocab, id);
        if (lm_token_map_find(&t->model, &t->vocab, bytes) != id ||
            t->vocab.items[id].kind == LM_TOKEN_SPECIAL)
            continue;
        lm_buf_reset(&ids);
        for (size_t i = 0; i < bytes.len; i++)
            lm_buf_add(&ids, &t->bpe.byte_id[(uint8_t)bytes.ptr[i]], sizeof(uint32_t));
        uint32_t *made = (uint32_t *)ids.ptr;
        all = lm_bpe_merge(&t->bpe, &scratch, made, bytes.len) == 1 && made[0] == id;
    }
    lm_bpe_scratch_release(&scratch);
    lm_buf_release(&ids);
    return all;
}

/* The patterns of Splits before a ByteLevel without its own, in order; NULL: it is something else. */
static json_t *patterns_of(const json_t *pre)
{
    const json_t *list = json_object_get(pre, "pretokenizers");
    const size_t count = json_array_size(list);
    const json_t *level = count > 0 ? json_array_get(list, count - 1) : NULL;
    if (count < 2 || !lm_load_is(level, "ByteLevel") || !json_is_false(json_object_get(level, "use_regex")) ||
        json_is_true(json_object_get(level, "add_prefix_space")))
        return NULL;
    json_t *patterns = json_array();
    for (size_t i = 0; i + 1 < count; i++) {
        json_t *regex = lm_load_split_regex(json_array_get(list, i));
        if (!regex) {
            json_decref(patterns);
            return NULL;
        }
        json_array_append(patterns, regex);
    }
    return patterns;
}

static bool cuts_as(const struct lm_tokenizer *t, const json_t *patterns, const struct lm_parts_pre *pre)
{
    if (!pre->splits)
        return &lm_grammars[pre->grammar] == t->grammar;
    LM_TREE_FREE json_t *tree = json_loads(pre->splits, 0, NULL);
    LM_TREE_FREE json_t *wanted = patterns_of(tree);
    return patterns && wanted && json_equal(patterns, wanted);
}

static enum lm_rc set_pre(const struct lm_tokenizer *t, struct lm_tokenizer_parts *p, struct lm_err *err)
{
    const struct lm_str json = lm_tokenizer_json(t);
    const bool splits = t->split || lm_grammar_is_known(t->grammar);
    LM_TREE_FREE json_t *tree = splits ? json_loadb(json.ptr, json.len, JSON_ALLOW_NUL, NULL) : NULL;
    LM_TREE_FREE json_t *patterns = patterns_of(json_object_get(tree, "pre_tokenizer"));
    for (size_t i = 0; i < LM_PARTS_PRE_COUNT; i++) {
        const struct lm_parts_pre *pre = &lm_parts_pre[i];
        if (pre->nfc != t->nfc || (t->nfc && t->form != LM_FORM_NFC) || !cuts_as(t, patterns, pre))
            continue;
        if (pre->ignore_merges != t->ignore_merges && !lm_merges_reach_all(t))
            continue;
        p->pre = lm_str(pre->name);
        return LM_OK;
    }
    return lm_fail(err, LM_EINVAL,
                   "GGUF has no name for this pre-tokeniser (grammar %s, %s a normaliser, ignore_merges %s)",
                   t->grammar->name, t->nfc ? "with" : "without", t->ignore_merges ? "true" : "false");
}

static enum lm_rc set_bytes(const struct lm_tokenizer *t, struct lm_arena *arena,
                            struct lm_tokenizer_parts *p, struct lm_err *err)
{
    p->model = LM_STR("gpt2");
    p->add_space_prefix = 0;
    set_merges(t, arena, p);
    return set_pre(t, p, err);
}

/* ---- sentencepiece: scores instead of merges ---- */

static bool swallows_blanks(const struct lm_added *a)
{
    for (size_t id = 0; id < a->texts.size; id++)
        if (a->texts.items[id].lstrip || a->texts.items[id].rstrip)
            return true;
    return false;
}

static enum lm_rc set_blank_rules(const struct lm_tokenizer *t, struct lm_tokenizer_parts *p,
                                  struct lm_err *err)
{
    const struct lm_piece_rules *r = &t->pieces;
    const bool prefix = r->prefix != LM_BLANK_NEVER;
    if (r->late && prefix)
        return lm_fail(err, LM_EINVAL, "GGUF cannot say that a blank is put before text only %s",
                       r->prefix == LM_BLANK_FIRST ? "at its start" : "where there is none");
    if (t->grammar == &lm_grammar_blanks)
        return lm_fail(err, LM_EINVAL, "GGUF cannot say that text is cut at every blank");
    if (t->later.map.len > 0 || swallows_blanks(&t->added))
        return lm_fail(err, LM_EINVAL,
                       "GGUF cannot say that added tokens are normalised or swallow blanks (lstrip, rstrip)");
    if (r->strip != prefix || (!r->byte_fallback && !r->fuse_unknown))
        return lm_fail(err, LM_EINVAL, "GGUF cannot say %s",
                       r->strip != prefix ? "that decoding keeps the blank that encoding adds, or the reverse"
                                          : "that unknown neighbours stay apart");
    p->add_space_prefix = prefix;
    p->remove_extra_blanks = r->trim;
    return LM_OK;
}

static void set_piece_types(const struct lm_tokenizer *t, struct lm_tokenizer_parts *p)
{
    int32_t *types = (int32_t *)p->types;   // made by set_tokens
    for (size_t b = 0; t->pieces.byte_fallback && b < 256; b++)
        if (t->bpe.byte_id[b] != LM_TOKEN_NONE)
            types[t->bpe.byte_id[b]] = LM_TOKEN_BYTE;
    if (t->unknown != LM_TOKEN_NONE) {
        if (t->vocab.items[t->unknown].kind == LM_TOKEN_SPECIAL)   // else it is a piece of text too
            types[t->unknown] = LM_TOKEN_UNKNOWN;
        p->unk_id = t->unknown;
    }
}

/* A piece scores higher the earlier a merge makes it.  Merges that no scores can put in this order are
 * refused. */
static enum lm_rc set_scores(const struct lm_tokenizer *t, struct lm_arena *arena,
                             struct lm_tokenizer_parts *p, struct lm_err *err)
{
    const struct lm_merge **order = merges_in_order(t, arena);
    float *scores = lm_arena_alloc(arena, (p->token_count + 1) * sizeof(*scores));
    for (size_t id = 0; id < p->token_count; id++)
        scores[id] = p->types[id] == LM_TOKEN_NORMAL ? -(float)(t->bpe.len + 1) : 0;
    for (size_t i = t->bpe.len; i-- > 0;)
        scores[order[i]->id] = -(float)i;   // the first line stays
    p->scores = scores;
    p->score_count = p->token_count;

    struct lm_score_lines lines = { 0 };
    enum lm_rc rc = lm_parts_score_lines(p, "GGUF cannot hold this vocabulary", &lines, err);
    bool same = rc == LM_OK && lines.len == t->bpe.len;
    for (size_t i = 0; same && i < lines.len; i++)
        same = order[i]->pair == ((uint64_t)lines.items[i].left << 32 | lines.items[i].right);
    if (rc == LM_OK && !same)
        rc = lm_fail(err, LM_EINVAL,
                     "GGUF cannot hold these merges: scores of pieces do not give their order");
    free(lines.items);
    return rc;
}

static enum lm_rc set_pieces(const struct lm_tokenizer *t, struct lm_arena *arena,
                             struct lm_tokenizer_parts *p, struct lm_err *err)
{
    p->model = LM_STR("llama");
    p->pre = LM_STR("default");
    LM_TRY(set_blank_rules(t, p, err));
    set_piece_types(t, p);
    return set_scores(t, arena, p, err);
}

/* ---- WordPiece ---- */

static enum lm_rc set_words(const struct lm_tokenizer *t, struct lm_arena *arena,
                            struct lm_tokenizer_parts *p, struct lm_err *err)
{
    const struct lm_word_rules *r = &t->words;
    struct lm_str *texts = lm_arena_alloc(arena, t->vocab.size * sizeof(*texts));
    for (uint32_t id = 0; id < t->vocab.size; id++)
        texts[id] = p->types[id] == LM_TOKEN_NORMAL ? lm_vocab_bytes(&t->vocab, id) : LM_STR("[");
    if (r->lowercase == lm_words_have_capitals(texts, t->vocab.size) || r->strip_accents != r->lowercase)
        return lm_fail(err, LM_EINVAL, "GGUF cannot say that text is %slower-cased and accents are %s",
                       r->lowercase ? "" : "not ", r->strip_accents ? "left out" : "kept");
    if (!r->clean || !r->han_apart || r->chars_max != LM_WORDS_CHARS_MAX)
        return lm_fail(err, LM_EINVAL, "GGUF cannot say %s",
                       r->chars_max != LM_WORDS_CHARS_MAX ? "how long a word may be"
                                                          : "that text is not cleaned or Chinese is not cut");
    if (t->later.map.len > 0 || swallows_blanks(&t->added))
        return lm_fail(err, LM_EINVAL,
                       "GGUF cannot say that added tokens are normalised or swallow blanks (lstrip, rstrip)");
    p->model = LM_STR("bert");
    p->unk_id = t->unknown;
    return LM_OK;
}

/* ---- the whole ---- */

/* Spellings of two tokens may meet in GGUF: then the arrays are refused here, not by their reader. */
static enum lm_rc check_loads(const struct lm_tokenizer_parts *p, struct lm_err *err)
{
    struct lm_tokenizer *t = NULL;
    const enum lm_rc rc = lm_tokenizer_from_parts(p, "GGUF cannot hold this vocabulary", &t, err);
    lm_tokenizer_free(t);
    return rc == LM_OK ? LM_OK : LM_EINVAL;
}

static enum lm_rc (*const families[])(const struct lm_tokenizer *, struct lm_arena *,
                                      struct lm_tokenizer_parts *, struct lm_err *) = {
    [LM_FAMILY_BYTES] = set_bytes,
    [LM_FAMILY_PIECES] = set_pieces,
    [LM_FAMILY_WORDS] = set_words,
    [LM_FAMILY_CHAIN] = lm_parts_set_unigram,
};

enum lm_rc lm_tokenizer_to_parts(const struct lm_tokenizer *t, struct lm_arena *arena,
                                 struct lm_tokenizer_parts *ret, struct lm_err *err)
{
    struct lm_tokenizer_parts p = { .add_space_prefix = -1, .remove_extra_blanks = -1 };
    set_roles(t, &p);
    LM_TRY(set_around(t, &p, err));
    set_tokens(t, arena, &p);
    LM_TRY(families[t->family](t, arena, &p, err));
    p.chat_template = lm_buf_str(&t->chat_template);
    LM_TRY(check_loads(&p, err));
    *ret = p;
    return LM_OK;
}
