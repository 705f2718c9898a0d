/* token/write_tiktoken.c - a byte-level BPE tokenizer as tiktoken's ranks and settings.
 *
 * tiktoken merges whichever neighbours spell the token of the lowest rank, and takes a whole piece that is a
 * token as it is.  A list of merges means the same when
 *
 *     each token is made by one merge, in the order of ids, and comes out of its own bytes: where every lower
 *     rank is used up, the neighbours inside of a token's bytes can only be the two of its merge; or
 *     all ways to make a token are merges of one rank: it was read from ranks. */
#include "token/write_files.h"

#include "base/base64.h"
#include "base/json.h"
#include "token/load.h"

static enum lm_rc refuse(const char *why, struct lm_err *err)
{
    return lm_fail(err, LM_EINVAL, "convert: tiktoken's ranks cannot say this tokenizer: %s", why);
}

/* ---- merges ---- */

static int by_rank(const void *a, const void *b)
{
    const struct lm_merge *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Ascending ranks are ascending ids, and merges of one rank make one token. */
static bool has_order_of_ids(const struct lm_bpe *bpe)
{
    struct lm_merge *all = lm_alloc((bpe->len + 1) * sizeof(*all));
    size_t count = 0;
    for (size_t i = 0; bpe->len > 0 && i <= bpe->mask; i++)
        if (bpe->slots[i].pair != LM_MERGE_FREE)
            all[count++] = bpe->slots[i];
    qsort(all, count, sizeof(*all), by_rank);
    bool same = true;
    for (size_t i = 1; same && i < count; i++)
        same = all[i - 1].rank == all[i].rank ? all[i - 1].id == all[i].id : all[i - 1].id < all[i].id;
    free(all);
    return same;
}

static bool has_all_ways(const struct lm_tokenizer *t)
{
    for (uint32_t id = 0; id < t->vocab.size; id++) {
        const struct lm_str token = lm_vocab_bytes(&t->vocab, id);
        if (t->vocab.items[id].kind != LM_TOKEN_MODEL)
            continue;
        for (size_t k = 1; k < token.len; k++) {
            const struct lm_str left = { token.ptr, k }, right = { token.ptr + k, token.len - k };
            const uint32_t a = lm_token_map_find(&t->model, &t->vocab, left);
            const uint32_t b = a == LM_TOKEN_NONE ? a : lm_token_map_find(&t->model, &t->vocab, right);
            if (b != LM_TOKEN_NONE && !lm_bpe_find(&t->bpe, a, b))
                return false;
        }
    }
    return true;
}

static enum lm_rc check_merges(const struct lm_tokenizer *t, struct lm_err *err)
{
    if (t->bytes_missing)
        return refuse("some byte is no token", err);
    if (!has_order_of_ids(&t->bpe))
        return refuse("its merges are not in the order of ids, or several make one token", err);
    const bool single = !t->bpe.several_ways && lm_merges_reach_all(t);
    if (!single && !(t->ignore_merges && has_all_ways(t)))
        return refuse("some token does not come out of its own bytes", err);
    return LM_OK;
}

static enum lm_rc check_tokens(const struct lm_tokenizer *t, struct lm_err *err)
{
    for (uint32_t id = 0; id < t->vocab.size; id++) {
        const enum lm_token_kind kind = t->vocab.items[id].kind;
        if (kind == LM_TOKEN_ADDED)
            return refuse("an added token is not special", err);
        if (kind == LM_TOKEN_MODEL &&
            lm_token_map_find(&t->model, &t->vocab, lm_vocab_bytes(&t->vocab, id)) != id)
            return refuse("some token stands for no bytes", err);
        if (kind == LM_TOKEN_SPECIAL && id < t->added.texts.size &&
            (t->added.texts.items[id].lstrip || t->added.texts.items[id].rstrip ||
             t->added.texts.items[id].single_word))
            return refuse("a special token swallows blanks, or stands alone only", err);
    }
    return t->later.map.len > 0 ? refuse("special tokens are normalised", err) : LM_OK;
}

/* ---- the pattern ---- */

/* Where tiktoken's engine reads something else. */
static enum lm_rc check_dialect(struct lm_str pattern, struct lm_err *err)
{
    static const char *const other[] = { "$", "}+", "}?", "\\h", "(?m", "(?i)", "[:" };
    for (size_t at = 0, len; at < pattern.len; at += len) {
        const struct lm_str rest = { pattern.ptr + at, pattern.len - at };
        len = lm_pattern_escape(rest);
        for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
            if (lm_str_starts(rest, lm_str(other[i])))
                return lm_fail(
                    err, LM_EINVAL,
                    "convert: '%s' in the pattern means something else to tiktoken than to Hugging "
                    "Face",
                    other[i]);
        len = len > 0 ? len : 1;
    }
    return LM_OK;
}

static struct lm_str text_of(const json_t *text)
{
    return (struct lm_str){ json_string_value(text), json_string_length(text) };
}

/* pre_tokenizer: one Split before ByteLevel, or ByteLevel's own. */
static enum lm_rc find_pattern(const json_t *pre, struct lm_str *ret, struct lm_err *err)
{
    const json_t *list = json_object_get(pre, "pretokenizers");
    const size_t count = json_is_array(list) ? json_array_size(list) : 1;
    const json_t *level = json_is_array(list) ? json_array_get(list, count - 1) : pre;
    const json_t *split = json_array_get(list, 0);
    if (count > 2 || !lm_load_is(level, "ByteLevel") ||
        json_is_true(json_object_get(level, "add_prefix_space")))
        return refuse("its pre-tokeniser is more than one pattern", err);
    const bool own = !json_is_false(json_object_get(level, "use_regex"));
    if (count == 1 && own) {
        *ret = lm_str(lm_gpt2_pattern);
        return LM_OK;
    }
    const json_t *regex = lm_load_split_regex(split);
    if (count != 2 || own || !regex)
        return refuse("its pre-tokeniser is more than one pattern", err);
    *ret = text_of(regex);
    return check_dialect(*ret, err);
}

/* ---- the files ---- */

static void put_ranks(const struct lm_tokenizer *t, struct lm_buf *ret)
{
    for (uint32_t id = 0; id < t->vocab.size; id++)
        if (t->vocab.items[id].kind == LM_TOKEN_MODEL) {
            lm_base64_put(lm_vocab_bytes(&t->vocab, id), ret);
            lm_buf_printf(ret, " %u\n", id);
        }
}

static void put_settings(const struct lm_tokenizer *t, struct lm_str pattern, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "pat_str", pattern);
    lm_buf_puts(ret, ",\"special_tokens\":{");
    for (uint32_t id = 0; id < t->vocab.size; id++)
        if (t->vocab.items[id].kind == LM_TOKEN_SPECIAL) {
            lm_json_sep(ret);
            lm_json_str(ret, lm_vocab_bytes(&t->vocab, id));
            lm_buf_printf(ret, ":%u", id);
        }
    lm_buf_puts(ret, "}}\n");
}

enum lm_rc lm_write_ranks(const struct lm_tokenizer *t, struct lm_buf *ret_ranks, struct lm_buf *ret_settings,
                          struct lm_err *err)
{
    struct lm_str pattern;
    if (t->family != LM_FAMILY_BYTES)
        return refuse("they hold byte-level BPE only", err);
    if (t->nfc)
        return refuse("it normalises text", err);
    if (t->split && !t->split->stages[0].dfa.total)
        return refuse("its pattern leaves text between its matches", err);
    LM_TRY(check_tokens(t, err));
    LM_TRY(check_merges(t, err));
    const struct lm_str json = lm_tokenizer_json(t);
    LM_TREE_FREE json_t *tree = json_loadb(json.ptr, json.len, JSON_ALLOW_NUL, NULL);
    LM_TRY(find_pattern(json_object_get(tree, "pre_tokenizer"), &pattern, err));
    put_ranks(t, ret_ranks);
    put_settings(t, pattern, ret_settings);
    return LM_OK;
}
