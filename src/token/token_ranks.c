#include "token/token_ranks.h"

#include "base/json.h"
#include "token/parts_impl.h"
#include "token/write.h"
#include "token/write_files.h"

enum { TOKEN_BYTES_MAX = 1024 };

const char *lm_token_ranks_add(struct lm_token_ranks *r, int64_t id, struct lm_str bytes)
{
    if (id < 0 || id >= LM_VOCAB_SIZE_MAX)
        return "the rank is outside of what a vocabulary may have";
    if (bytes.len == 0 || bytes.len > TOKEN_BYTES_MAX)
        return "the token is empty or too long";
    if (((size_t)id < r->vocab.size && r->vocab.items[id].kind != LM_TOKEN_HOLE) ||
        lm_token_map_find(&r->map, &r->vocab, bytes) != LM_TOKEN_NONE)
        return "the rank or the token is there twice";
    lm_vocab_set(&r->vocab, (uint32_t)id, bytes, LM_TOKEN_MODEL);
    lm_token_map_put(&r->map, &r->vocab, (uint32_t)id);
    return NULL;
}

void lm_token_ranks_release(struct lm_token_ranks *r)
{
    lm_token_map_release(&r->map);
    lm_vocab_release(&r->vocab);
}

/* ---- as tokenizer.json ---- */

struct way {
    uint32_t left, right;
};

static int by_ids(const void *a, const void *b)
{
    const struct way *x = a, *y = b;
    if (x->left != y->left)
        return x->left < y->left ? -1 : 1;
    return (x->right > y->right) - (x->right < y->right);
}

/* Every way to make the token of two others: whichever pair of neighbours spells it has its rank. */
static void write_ways(const struct lm_token_ranks *r, uint32_t id, struct lm_buf *texts, struct lm_buf *ret)
{
    const struct lm_str token = lm_vocab_bytes(&r->vocab, id);
    struct way ways[TOKEN_BYTES_MAX];
    size_t count = 0;
    for (size_t k = 1; k < token.len; k++) {
        const struct lm_str left = { token.ptr, k }, right = { token.ptr + k, token.len - k };
        const uint32_t a = lm_token_map_find(&r->map, &r->vocab, left);
        const uint32_t b = a == LM_TOKEN_NONE ? a : lm_token_map_find(&r->map, &r->vocab, right);
        if (b != LM_TOKEN_NONE)
            ways[count++] = (struct way){ a, b };
    }
    if (count > 1)
        qsort(ways, count, sizeof(*ways), by_ids);
    for (size_t i = 0; i < count; i++) {
        lm_buf_reset(texts);
        lm_bytes_to_text(lm_vocab_bytes(&r->vocab, ways[i].left), texts);
        const size_t middle = texts->len;
        lm_bytes_to_text(lm_vocab_bytes(&r->vocab, ways[i].right), texts);
        lm_parts_write_merge((struct lm_str){ texts->ptr, middle },
                             (struct lm_str){ texts->ptr + middle, texts->len - middle }, ret);
    }
}

static void write_pre_tokenizer(const struct lm_token_ranks_settings *s, struct lm_buf *ret)
{
    if (s->grammar >= 0) {
        lm_write_pre_tokenizer(&lm_grammars[s->grammar], ret);
        return;
    }
    lm_write_pre_tokenizer(&(struct lm_grammar){ .pattern = s->pattern }, ret);
}

static void write_post_processor(const struct lm_token_ranks_settings *s, struct lm_buf *ret)
{
    if (s->first < 0) {
        lm_write_byte_level(true, ret);
        return;
    }
    const struct lm_token_rank_special first = s->special[s->first];
    struct lm_str *tokens = lm_zalloc((size_t)first.id + 1, sizeof(*tokens));
    tokens[first.id] = lm_str(first.text);
    const struct lm_tokenizer_parts parts = { .tokens = tokens };
    lm_parts_write_template(&parts, (struct lm_parts_around){ first.id, -1 }, true, ret);
    free(tokens);
}

void lm_token_ranks_write(const struct lm_token_ranks *r, const struct lm_token_ranks_settings *s,
                          struct lm_buf *ret)
{
    struct lm_buf text = { 0 };
    lm_buf_puts(ret, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (size_t i = 0; i < s->special_count; i++)
        lm_write_added_token(s->special[i].id, lm_str(s->special[i].text), true, ret);
    lm_buf_puts(ret, "],\"normalizer\":");
    lm_buf_puts(ret, s->grammar >= 0 && lm_grammars[s->grammar].nfc ? "{\"type\":\"NFC\"}" : "null");
    lm_buf_puts(ret, ",\"pre_tokenizer\":");
    write_pre_tokenizer(s, ret);
    lm_buf_puts(ret, ",\"post_processor\":");
    write_post_processor(s, ret);
    lm_buf_puts(ret, ",\"decoder\":");
    lm_write_byte_level(true, ret);
    lm_buf_puts(ret, ",\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                     "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                     "\"byte_fallback\":false,\"ignore_merges\":true,\"vocab\":{");
    for (uint32_t id = 0; id < r->vocab.size; id++) {
        if (r->vocab.items[id].kind == LM_TOKEN_HOLE)
            continue;
        lm_buf_reset(&text);
        lm_bytes_to_text(lm_vocab_bytes(&r->vocab, id), &text);
        lm_json_sep(ret);
        lm_json_str(ret, lm_buf_str(&text));
        lm_buf_printf(ret, ":%u", id);
    }
    lm_buf_puts(ret, "},\"merges\":[");
    for (uint32_t id = 0; id < r->vocab.size; id++)
        write_ways(r, id, &text, ret);
    lm_buf_puts(ret, "]}}");
    lm_buf_release(&text);
}

/* ---- patterns ---- */

size_t lm_pattern_escape(struct lm_str rest)
{
    if (rest.len < 2 || rest.ptr[0] != '\\')
        return 0;
    const char *end = rest.len > 2 && rest.ptr[2] == '{' ? memchr(rest.ptr, '}', rest.len) : NULL;
    return end ? (size_t)(end - rest.ptr) + 1 : 2;
}

/* tiktoken's engine reads $ as the end of the text, and {n,m}+ as giving nothing back, which at the end of an
 * alternative is how {n,m} matches. */
static enum lm_rc translate(struct lm_str pattern, const char *name, struct lm_buf *ret, struct lm_err *err)
{
    bool in_set = false;
    for (size_t i = 0; i < pattern.len; i++) {
        const char c = pattern.ptr[i], next = i + 1 < pattern.len ? pattern.ptr[i + 1] : '|';
        const char then = i + 2 < pattern.len ? pattern.ptr[i + 2] : '|';
        const size_t escape = lm_pattern_escape((struct lm_str){ pattern.ptr + i, pattern.len - i });
        if (escape > 0) {
            lm_buf_add(ret, pattern.ptr + i, escape);
            i += escape - 1;
            continue;
        }
        if (!in_set && c == '$') {
            lm_buf_puts(ret, "\\z");
            continue;
        }
        lm_buf_putc(ret, c);
        if (c == '[' || c == ']')
            in_set = c == '[';
        else if (!in_set && c == '}' && next == '+' && then == '|')
            i++;
        else if (!in_set && c == '}' && (next == '+' || next == '?'))
            return lm_fail(err, LM_EFORMAT,
                           "%s: the pattern: '}%c' inside of an alternative is not supported", name, next);
    }
    return LM_OK;
}

enum lm_rc lm_token_ranks_pattern(struct lm_str pattern, const char *name, struct lm_arena *arena,
                                  const char **ret, struct lm_err *err)
{
    struct lm_buf text = { 0 };
    const enum lm_rc rc = translate(pattern, name, &text, err);
    if (rc == LM_OK)
        *ret = lm_arena_strndup(arena, text.ptr ? text.ptr : "", text.len);
    lm_buf_release(&text);
    return rc;
}
