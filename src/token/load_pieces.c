/* token/load_pieces.c - the components of a sentencepiece BPE: Llama 2, Mistral, TinyLlama, Phi-3, Gemma.
 *
 * Blanks are made by the normaliser (Prepend and Replace) or by the pre-tokeniser (Metaspace), not by both.
 */
#include "token/load.h"
#include "token/pieces.h"

#define BLANK "\xe2\x96\x81"

static const struct lm_model_option options[] = {
    { "type", "\"BPE\"" },
    { "dropout", "null 0 0.0" },
    { "unk_token", NULL },
    { "continuing_subword_prefix", "null \"\"" },
    { "end_of_word_suffix", "null \"\"" },
    { "fuse_unk", "false true" },
    { "byte_fallback", "false true" },
    { "ignore_merges", "false" },
    { NULL, NULL },
};

static enum lm_rc read_option(struct lm_token_load *l, const char *key, struct lm_str value,
                              struct lm_err *err)
{
    (void)err;
    if (strcmp(key, "fuse_unk") == 0)
        l->t->pieces.fuse_unknown = lm_str_eq(value, LM_STR("true"));
    if (strcmp(key, "byte_fallback") == 0)
        l->t->pieces.byte_fallback = lm_str_eq(value, LM_STR("true"));
    return LM_OK;
}

/* ---- normalizer ---- */

/* What a step of the normaliser may be, in this order.  The first three are ours (lm_parts_write_pieces), for
 * sentencepiece's remove_extra_whitespaces. */
enum step { TRIM, SQUEEZE, PREPEND, REPLACE, STEPS };

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static enum step step_of(const json_t *n)
{
    const json_t *pattern = json_object_get(n, "pattern"), *content = json_object_get(n, "content");
    if (lm_load_is(n, "Prepend") && is_text(json_object_get(n, "prepend"), BLANK))
        return PREPEND;
    if (!lm_load_is(n, "Replace"))
        return STEPS;
    if (is_text(json_object_get(pattern, "String"), " ") && is_text(content, BLANK))
        return REPLACE;
    if (is_text(json_object_get(pattern, "Regex"), LM_PIECES_TRIM) && is_text(content, ""))
        return TRIM;
    if (is_text(json_object_get(pattern, "Regex"), LM_PIECES_SQUEEZE) && is_text(content, " "))
        return SQUEEZE;
    return STEPS;
}

static enum lm_rc read_normalizer(struct lm_token_load *l, const json_t *n, struct lm_err *err)
{
    bool seen[STEPS] = { false };
    const json_t *item;
    if (json_is_null(n)) {
        l->t->pieces.late = true;
        return LM_OK;
    }
    for (size_t i = 0; (item = lm_load_item(n, "normalizers", i)); i++) {
        const enum step step = step_of(item);
        if (step == STEPS)
            return lm_load_refuse(l, "with these options, normalizer", item, err);
        for (size_t later = step; later < STEPS; later++)
            if (seen[later])
                return lm_load_refuse(l, "in this order, normalizer", item, err);
        seen[step] = true;
    }
    if (!seen[REPLACE] || seen[TRIM] != seen[SQUEEZE])
        return lm_load_refuse(l, "with these parts, normalizer", n, err);
    l->t->pieces.trim = seen[TRIM];
    l->t->pieces.prefix = seen[PREPEND] ? LM_BLANK_ALWAYS : LM_BLANK_NEVER;
    return LM_OK;
}

/* ---- pre_tokenizer ---- */

static enum lm_rc read_metaspace(struct lm_token_load *l, const json_t *p, struct lm_err *err)
{
    static const char *const schemes[] = {
        [LM_BLANK_NEVER] = "never", [LM_BLANK_ALWAYS] = "always", [LM_BLANK_FIRST] = "first"
    };
    const json_t *scheme = json_object_get(p, "prepend_scheme");
    struct lm_piece_rules *r = &l->t->pieces;
    size_t found = scheme ? 0 : LM_BLANK_ALWAYS;
    if (!is_text(json_object_get(p, "replacement"), BLANK))
        return lm_load_refuse_option(l, "pre_tokenizer", p, "replacement", err);
    while (scheme && found <= LM_BLANK_FIRST && !is_text(scheme, schemes[found]))
        found++;
    if (found > LM_BLANK_FIRST)
        return lm_load_refuse_option(l, "pre_tokenizer", p, "prepend_scheme", err);
    if (json_is_false(json_object_get(p, "add_prefix_space")) && found != LM_BLANK_NEVER)
        return lm_load_refuse_option(l, "pre_tokenizer", p, "add_prefix_space", err);
    r->prefix = (enum lm_blank_prefix)found;
    r->prefix_if_none = true;
    l->t->grammar = json_is_false(json_object_get(p, "split")) ? &lm_grammar_whole : &lm_grammar_blanks;
    return LM_OK;
}

/* Gemma's: at U+0020, of which the normaliser has left none. */
static bool is_idle_split(const json_t *p)
{
    return lm_load_is(p, "Split") && is_text(json_object_get(json_object_get(p, "pattern"), "String"), " ");
}

static enum lm_rc read_pre_tokenizer(struct lm_token_load *l, const json_t *p, struct lm_err *err)
{
    l->t->grammar = &lm_grammar_whole;
    if (l->t->pieces.late && lm_load_is(p, "Metaspace"))
        return read_metaspace(l, p, err);
    if (!l->t->pieces.late && (json_is_null(p) || is_idle_split(p)))
        return LM_OK;
    if (!json_is_null(p))
        return lm_load_refuse(l, "with this normalizer, pre_tokenizer", p, err);
    return lm_fail(err, LM_EFORMAT, "%s: neither normalizer nor pre_tokenizer makes U+2581 of blanks",
                   l->name);
}

/* ---- decoder: Replace, ByteFallback, Fuse and perhaps Strip ---- */

static enum lm_rc read_decoder(struct lm_token_load *l, const json_t *d, struct lm_err *err)
{
    static const char *const order[] = { "Replace", "ByteFallback", "Fuse", "Strip" };
    enum { ORDER = sizeof(order) / sizeof(order[0]), NEEDED = 3 };
    const json_t *items[ORDER + 1] = { NULL };
    for (size_t i = 0; i <= ORDER; i++)
        items[i] = lm_load_item(d, "decoders", i);
    for (size_t i = 0; i < ORDER; i++)
        if (items[i] ? !lm_load_is(items[i], order[i]) : i < NEEDED)
            return lm_fail(
                err, LM_EFORMAT,
                "%s: decoder Sequence: item %zu is %s, not %s; only Replace, ByteFallback, Fuse, Strip "
                "are supported, in this order",
                l->name, i, items[i] ? lm_load_type(items[i]) : "missing", order[i]);
    if (items[ORDER])
        return lm_load_refuse(l, "after Strip, decoder", items[ORDER], err);
    if (!is_text(json_object_get(json_object_get(items[0], "pattern"), "String"), BLANK) ||
        !is_text(json_object_get(items[0], "content"), " "))
        return lm_load_refuse_option(l, "decoder", items[0], "pattern", err);
    if (items[3] && (!is_text(json_object_get(items[3], "content"), " ") ||
                     json_integer_value(json_object_get(items[3], "start")) != 1 ||
                     json_integer_value(json_object_get(items[3], "stop")) != 0))
        return lm_load_refuse_option(l, "decoder", items[3], "start", err);
    l->t->pieces.strip = items[3] != NULL;
    return LM_OK;
}

/* ---- vocabulary ---- */

static bool spell(struct lm_token_load *l, struct lm_str text, struct lm_buf *ret)
{
    const int byte = l->t->pieces.byte_fallback ? lm_piece_byte(text) : -1;
    if (byte >= 0) {
        lm_buf_putc(ret, (char)byte);
        return false;
    }
    lm_piece_to_text(text, ret);
    return lm_str_find(text, LM_STR(" ")) < 0;   // normal text has no U+0020
}

static void place(struct lm_token_load *l, struct lm_str text, uint32_t id)
{
    const int byte = lm_piece_byte(text);
    if (byte >= 0 && l->t->pieces.byte_fallback)
        l->byte_id[byte] = id;
}

/* With all 256 bytes nothing is unknown; with some or none (then there is no fallback) a token must say so.
 */
static enum lm_rc check_bytes(struct lm_token_load *l, struct lm_err *err)
{
    size_t count = 0;
    for (size_t b = 0; b < 256; b++) {
        if (l->byte_id[b] == LM_TOKEN_NONE)
            continue;
        count++;
        if (l->t->vocab.items[l->byte_id[b]].kind != LM_TOKEN_MODEL)
            return lm_fail(err, LM_EFORMAT, "%s: token <0x%02zX> is a byte and cannot be an added token too",
                           l->name, b);
    }
    l->t->pieces.byte_fallback = count > 0;
    memcpy(l->t->bpe.byte_id, l->byte_id, sizeof(l->byte_id));
    if (count < 256 && l->t->unknown == LM_TOKEN_NONE)
        return lm_fail(err, LM_EFORMAT,
                       "%s: the vocabulary has %zu of the 256 bytes and no unk_token for other characters",
                       l->name, count);
    return LM_OK;
}

static bool has_later_blank(struct lm_str text)
{
    size_t first = 0;
    while (first < text.len && text.ptr[first] == ' ')
        first++;
    return first < text.len && memchr(text.ptr + first, ' ', text.len - first);
}

/* Some merge joins a blank to what is before it.  Mostly no token could come of that. */
static bool crosses_blank(const struct lm_tokenizer *t)
{
    bool some = false;
    for (uint32_t id = 0; id < t->vocab.size && !some; id++)
        some = has_later_blank(lm_vocab_bytes(&t->vocab, id));
    for (size_t i = 0; some && i <= t->bpe.mask; i++)
        if (t->bpe.slots[i].pair != LM_MERGE_FREE &&
            has_later_blank(lm_vocab_bytes(&t->vocab, t->bpe.slots[i].id)))
            return true;
    return false;
}

static enum lm_rc finish(struct lm_token_load *l, struct lm_err *err)
{
    struct lm_tokenizer *t = l->t;
    const bool blank_known = lm_load_find(l, LM_STR(" ")) != LM_TOKEN_NONE;
    LM_TRY(lm_load_unknown(l, &t->unknown, err));
    LM_TRY(check_bytes(l, err));
    t->bytes_missing = !blank_known;   // a blank is three bytes then
    if (t->grammar == &lm_grammar_whole && blank_known && !crosses_blank(t))
        t->grammar = &lm_grammar_words;   // same result, and the cache works
    return LM_OK;
}

const struct lm_load_family lm_load_pieces = {
    .id = LM_FAMILY_PIECES,
    .model = "BPE",
    .decoder = "Sequence",
    .options = options,
    .has_merges = true,
    .normalizer = read_normalizer,
    .pre_tokenizer = read_pre_tokenizer,
    .decode = read_decoder,
    .option = read_option,
    .spell = spell,
    .place = place,
    .finish = finish,
};
