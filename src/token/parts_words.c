/* token/parts_words.c - "bert" in a GGUF file, and vocab.txt: WordPiece.
 *
 * GGUF spells a token that starts a word with U+2581 in front and one inside without anything, vocab.txt and
 * tokenizer.json the first as it is and the second with ##.  GGUF does not say whether text is lower-cased: a
 * vocabulary made of lower-cased text has no capital letters, any other has. */
#include "token/parts_impl.h"

#include "base/json.h"
#include "token/words.h"

#define BLANK "\xe2\x96\x81"

bool lm_words_have_capitals(const struct lm_str *tokens, size_t count)
{
    for (size_t id = 0; id < count; id++) {
        if (lm_str_starts(tokens[id], LM_STR("[")))   // [UNK], [unused1]
            continue;
        for (size_t i = 0; i < tokens[id].len; i++)
            if (tokens[id].ptr[i] >= 'A' && tokens[id].ptr[i] <= 'Z')
                return true;
    }
    return false;
}

/* ---- tokenizer.json ---- */

static void write_normalizer(const struct lm_word_rules *r, struct lm_buf *ret)
{
    lm_buf_puts(ret, "{\"type\":\"BertNormalizer\"");
    lm_json_key_bool(ret, "clean_text", r->clean);
    lm_json_key_bool(ret, "handle_chinese_chars", r->han_apart);
    if (r->strip_accents == r->lowercase)
        lm_buf_puts(ret, ",\"strip_accents\":null");
    else
        lm_json_key_bool(ret, "strip_accents", r->strip_accents);
    lm_json_key_bool(ret, "lowercase", r->lowercase);
    lm_buf_putc(ret, '}');
}

enum lm_rc lm_words_write_json(const struct lm_tokenizer_parts *p, const struct lm_word_rules *rules,
                               struct lm_parts_around around, const char *name, struct lm_buf *ret,
                               struct lm_err *err)
{
    if (p->unk_id < 0)
        return lm_fail(err, LM_EFORMAT, "%s: the vocabulary has no [UNK] token", name);
    lm_parts_write_start(p, ret);
    lm_buf_puts(ret, ",\"normalizer\":");
    write_normalizer(rules, ret);
    lm_buf_puts(ret, ",\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"post_processor\":");
    lm_parts_write_template(p, around, false, ret);
    lm_buf_puts(ret, ",\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"" LM_WORDS_INSIDE "\"");
    lm_json_key_bool(ret, "cleanup", rules->cleanup);
    lm_buf_puts(ret, "},\"model\":{\"type\":\"WordPiece\"");
    lm_json_key_str(ret, "unk_token", p->tokens[p->unk_id]);
    lm_buf_puts(ret, ",\"continuing_subword_prefix\":\"" LM_WORDS_INSIDE "\"");
    lm_json_key_int(ret, "max_input_chars_per_word", (int64_t)rules->chars_max);
    lm_buf_puts(ret, ",\"vocab\":");
    lm_parts_write_vocab(p, ret);
    lm_buf_puts(ret, "}}");
    return LM_OK;
}

/* ---- GGUF ---- */

static bool starts_word(struct lm_str token)
{
    return lm_str_starts(token, LM_STR(BLANK));
}

/* Some old files spell tokens as vocab.txt does: then none starts with U+2581. */
static bool is_converted(const struct lm_tokenizer_parts *p)
{
    for (size_t id = 0; id < p->token_count; id++)
        if (lm_parts_kind(p, id) == LM_TOKEN_MODEL && starts_word(p->tokens[id]))
            return true;
    return false;
}

static struct lm_str spelling(struct lm_str token, struct lm_arena *arena)
{
    const size_t blank = sizeof(BLANK) - 1;
    if (starts_word(token))
        return (struct lm_str){ token.ptr + blank, token.len - blank };
    const size_t inside = sizeof(LM_WORDS_INSIDE) - 1;
    char *text = lm_arena_alloc(arena, inside + token.len);   // it may hold NUL: no printf
    memcpy(text, LM_WORDS_INSIDE, inside);
    memcpy(text + inside, token.ptr, token.len);
    return (struct lm_str){ text, inside + token.len };
}

void lm_word_to_gguf(struct lm_str token, struct lm_buf *ret)
{
    const struct lm_str inside = LM_STR(LM_WORDS_INSIDE);
    if (lm_str_starts(token, inside) && token.len > inside.len) {
        lm_buf_add(ret, token.ptr + inside.len, token.len - inside.len);
        return;
    }
    lm_buf_puts(ret, BLANK);
    lm_buf_add_str(ret, token);
}

static int64_t find_token(const struct lm_tokenizer_parts *p, struct lm_str text)
{
    for (size_t id = 0; id < p->token_count; id++)
        if (lm_str_eq(p->tokens[id], text))
            return (int64_t)id;
    return -1;
}

/* A token that starts a word with ## would read as one inside. */
static enum lm_rc check_starts(const struct lm_tokenizer_parts *p, const char *name, struct lm_err *err)
{
    for (size_t id = 0; id < p->token_count; id++)
        if (lm_parts_kind(p, id) == LM_TOKEN_MODEL &&
            lm_str_starts(p->tokens[id], LM_STR(BLANK LM_WORDS_INSIDE)))
            return lm_fail(err, LM_EFORMAT,
                           "%s: tokenizer.ggml.tokens[%zu] starts a word with " LM_WORDS_INSIDE
                           ", which is not supported",
                           name, id);
    return LM_OK;
}

/* Copies of parts that spell tokens as vocab.txt does and name their roles. */
static struct lm_tokenizer_parts respell(const struct lm_tokenizer_parts *p, struct lm_arena *arena)
{
    struct lm_tokenizer_parts q = *p;
    struct lm_str *tokens = lm_arena_alloc(arena, p->token_count * sizeof(*tokens));
    const bool converted = is_converted(p);
    for (size_t id = 0; id < p->token_count; id++)
        tokens[id] = converted && lm_parts_kind(p, id) == LM_TOKEN_MODEL ? spelling(p->tokens[id], arena)
                                                                         : p->tokens[id];
    q.tokens = tokens;
    if (q.cls_id < 0)
        q.cls_id = q.bos_id;
    if (q.sep_id < 0)
        q.sep_id = q.eos_id;
    if (q.unk_id < 0)
        q.unk_id = find_token(p, LM_STR("[UNK]"));
    return q;
}

enum lm_rc lm_parts_write_words(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                                struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct lm_tokenizer_parts q = respell(p, &arena);
    enum lm_rc rc = check_starts(p, name, err);
    if (rc == LM_OK && ((q.cls_id < 0 && q.add_bos != 0) || (q.sep_id < 0 && q.add_eos != 0)))
        rc = lm_fail(err, LM_EFORMAT, "%s: tokenizer.ggml.%s_token_id is missing", name,
                     q.cls_id < 0 && q.add_bos != 0 ? "cls" : "seperator");
    const struct lm_parts_around around = { q.add_bos == 0 ? -1 : q.cls_id, q.add_eos == 0 ? -1 : q.sep_id };
    const bool lower = !lm_words_have_capitals(q.tokens, q.token_count);
    const struct lm_word_rules rules = { .clean = true,
                                         .han_apart = true,
                                         .strip_accents = lower,
                                         .lowercase = lower,
                                         .cleanup = true,
                                         .chars_max = LM_WORDS_CHARS_MAX };
    if (rc == LM_OK)
        rc = lm_words_write_json(&q, &rules, around, name, ret, err);
    lm_arena_release(&arena);
    return rc;
}
