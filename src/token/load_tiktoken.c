/* token/load_tiktoken.c - tiktoken's files: a token in base64, a blank and its rank, a line each. */
#include "token/load_other.h"

#include "base/json.h"
#include "token/write.h"
#include "token/write_files.h"

enum { TOKEN_BYTES_MAX = 1024 };

struct special {
    const char *text;
    uint32_t id;
};

#define O200K                                                                                                \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"              \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"              \
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}"                                \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct special gpt2_special[] = { { "<|endoftext|>", 50256 } };
static const struct special cl100k_special[] = { { "<|endoftext|>", 100257 },
                                                 { "<|fim_prefix|>", 100258 },
                                                 { "<|fim_middle|>", 100259 },
                                                 { "<|fim_suffix|>", 100260 },
                                                 { "<|endofprompt|>", 100276 } };
static const struct special o200k_special[] = { { "<|endoftext|>", 199999 }, { "<|endofprompt|>", 200018 } };
static const struct special llama3_special[] = {
    { "<|begin_of_text|>", 128000 }, { "<|end_of_text|>", 128001 }, { "<|start_header_id|>", 128006 },
    { "<|end_header_id|>", 128007 }, { "<|eot_id|>", 128009 },
};
static const struct special qwen_special[] = { { "<|endoftext|>", 151643 },
                                               { "<|im_start|>", 151644 },
                                               { "<|im_end|>", 151645 } };

#define SPECIAL(list) (list), sizeof(list) / sizeof((list)[0])
/* What a name stands for.  To add one: a row. */
static const struct encoding {
    const char *name;
    int grammar;   // of lm_grammars, or -1: pattern
    const char *pattern;
    const struct special *special;
    size_t special_count;
    uint32_t ranks;   // how many the file must have
} encodings[] = {
    { "gpt2", LM_GRAMMAR_GPT2, NULL, SPECIAL(gpt2_special), 50256 },
    { "r50k_base", LM_GRAMMAR_GPT2, NULL, SPECIAL(gpt2_special), 50256 },
    { "p50k_base", LM_GRAMMAR_GPT2, NULL, SPECIAL(gpt2_special), 50280 },
    { "cl100k_base", LM_GRAMMAR_LLAMA3, NULL, SPECIAL(cl100k_special), 100256 },
    { "o200k_base", -1, O200K, SPECIAL(o200k_special), 199998 },
    { "llama3", LM_GRAMMAR_LLAMA3, NULL, SPECIAL(llama3_special), 128000 },
    { "qwen2", LM_GRAMMAR_QWEN2, NULL, SPECIAL(qwen_special), 151643 },
};

static enum lm_rc find_encoding(const char *wanted, const char *name, const struct encoding **ret,
                                struct lm_err *err)
{
    struct lm_buf known = { 0 };
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
        lm_buf_printf(&known, "%s%s", i ? ", " : "", encodings[i].name);
        if (wanted && strcmp(wanted, encodings[i].name) == 0)
            *ret = &encodings[i];
    }
    const enum lm_rc rc =
        *ret ? LM_OK
             : lm_fail(err, LM_EINVAL,
                       "%s: a tiktoken file does not say how text is cut: name it behind a colon, "
                       "as in '%s:cl100k_base'; known are %s",
                       name, name, known.ptr);
    lm_buf_release(&known);
    return rc;
}

/* ---- the file ---- */

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? memchr(digits, c, 64) : NULL;
    return at ? (int)(at - digits) : -1;
}

void lm_to_base64(struct lm_str bytes, struct lm_buf *ret)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t three = 0;
        for (size_t k = 0; k < 3; k++)
            three = three << 8 | (i + k < bytes.len ? (uint8_t)bytes.ptr[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            lm_buf_putc(ret, i + k > bytes.len ? '=' : digits[three >> (18 - 6 * k) & 63]);
    }
}

bool lm_from_base64(struct lm_str text, struct lm_buf *ret)
{
    uint32_t held = 0;
    unsigned bits = 0;
    if (text.len == 0 || text.len % 4 != 0)
        return false;
    for (size_t pad = 0; pad < 2 && lm_str_ends(text, LM_STR("=")); pad++)
        text.len--;
    for (size_t i = 0; i < text.len; i++) {
        const int digit = base64_digit(text.ptr[i]);
        if (digit < 0)
            return false;
        held = held << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            lm_buf_putc(ret, (char)(held >> bits));
        }
    }
    return (held & ((1U << bits) - 1)) == 0;
}

struct ranks {
    struct lm_vocab vocab;
    struct lm_token_map map;
};

static enum lm_rc read_line(struct lm_str line, size_t number, const char *name, struct ranks *r,
                            struct lm_buf *bytes, struct lm_err *err)
{
    struct lm_str rank = line, text;
    int64_t id = -1;
    lm_buf_reset(bytes);
    lm_str_split(&rank, ' ', &text);
    if (!lm_from_base64(text, bytes) || bytes->len == 0 || !lm_str_to_i64(rank, &id))
        return lm_fail(err, LM_EFORMAT, "%s:%zu: not a token in base64, a blank and a rank", name, number);
    if (id < 0 || id >= LM_VOCAB_SIZE_MAX || bytes->len > TOKEN_BYTES_MAX)
        return lm_fail(err, LM_EFORMAT, "%s:%zu: the rank is outside 0..%d or the token longer than %d bytes",
                       name, number, LM_VOCAB_SIZE_MAX - 1, TOKEN_BYTES_MAX);
    if (((size_t)id < r->vocab.size && r->vocab.items[id].kind != LM_TOKEN_HOLE) ||
        lm_token_map_find(&r->map, &r->vocab, lm_buf_str(bytes)) != LM_TOKEN_NONE)
        return lm_fail(err, LM_EFORMAT, "%s:%zu: the rank or the token is there twice", name, number);
    lm_vocab_set(&r->vocab, (uint32_t)id, lm_buf_str(bytes), LM_TOKEN_MODEL);
    lm_token_map_put(&r->map, &r->vocab, (uint32_t)id);
    return LM_OK;
}

static enum lm_rc read_ranks(struct lm_str file, const char *name, struct ranks *r, struct lm_err *err)
{
    struct lm_buf bytes = { 0 };
    struct lm_str rest = file, line;
    enum lm_rc rc = LM_OK;
    for (size_t number = 1; rc == LM_OK && rest.len > 0 && lm_str_split(&rest, '\n', &line); number++) {
        if (lm_str_ends(line, LM_STR("\r")))
            line.len--;
        if (line.len > 0)
            rc = read_line(line, number, name, r, &bytes, err);
    }
    lm_buf_release(&bytes);
    return rc;
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
static void write_ways(const struct ranks *r, uint32_t id, struct lm_buf *texts, struct lm_buf *ret)
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

static void write_pre_tokenizer(const struct encoding *e, struct lm_buf *ret)
{
    if (e->grammar >= 0) {
        lm_write_pre_tokenizer(&lm_grammars[e->grammar], ret);
        return;
    }
    lm_write_pre_tokenizer(&(struct lm_grammar){ .pattern = e->pattern }, ret);
}

static void write_json(const struct encoding *e, const struct ranks *r, struct lm_buf *ret)
{
    struct lm_buf text = { 0 };
    lm_buf_puts(ret, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (size_t i = 0; i < e->special_count; i++)
        lm_write_added_token(e->special[i].id, lm_str(e->special[i].text), true, ret);
    lm_buf_puts(ret, "],\"normalizer\":");
    lm_buf_puts(ret, e->grammar >= 0 && lm_grammars[e->grammar].nfc ? "{\"type\":\"NFC\"}" : "null");
    lm_buf_puts(ret, ",\"pre_tokenizer\":");
    write_pre_tokenizer(e, ret);
    lm_buf_puts(ret, ",\"post_processor\":");
    lm_write_byte_level(true, ret);
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

/* ---- settings of a file's own ---- */

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
            return lm_fail(err, LM_EFORMAT, "%s: 'pat_str': '}%c' inside of an alternative is not supported",
                           name, next);
    }
    return LM_OK;
}

static enum lm_rc read_special(const json_t *list, const char *name, struct lm_arena *arena,
                               struct encoding *ret, struct lm_err *err)
{
    const size_t count = json_object_size(list);
    struct special *special = lm_arena_alloc(arena, (count + 1) * sizeof(*special));
    const char *key;
    const json_t *id;
    size_t i = 0;
    json_object_foreach((json_t *)list, key, id)
    {
        const json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= LM_VOCAB_SIZE_MAX || !*key)
            return lm_fail(err, LM_EFORMAT, "%s: 'special_tokens' has an empty token or an id outside 0..%d",
                           name, LM_VOCAB_SIZE_MAX - 1);
        special[i].text = lm_arena_strndup(arena, key, strlen(key));
        special[i++].id = (uint32_t)value;
    }
    ret->special = special;
    ret->special_count = count;
    return LM_OK;
}

static enum lm_rc read_settings(struct lm_str settings, const char *name, struct lm_arena *arena,
                                struct encoding *ret, struct lm_err *err)
{
    json_error_t problem;
    struct lm_buf pattern = { 0 };
    LM_TREE_FREE json_t *tree = json_loadb(settings.ptr, settings.len, 0, &problem);
    if (!tree)
        return lm_fail(err, LM_EFORMAT, "%s: line %d: %s", name, problem.line, problem.text);
    const json_t *text = json_object_get(tree, "pat_str");
    if (!json_is_string(text) || json_string_length(text) == 0)
        return lm_fail(err, LM_EFORMAT, "%s: 'pat_str', the pattern that cuts text, is missing", name);
    const enum lm_rc rc =
        translate((struct lm_str){ json_string_value(text), json_string_length(text) }, name, &pattern, err);
    if (rc == LM_OK)
        ret->pattern = lm_arena_strndup(arena, pattern.ptr, pattern.len);
    lm_buf_release(&pattern);
    LM_TRY(rc);
    return read_special(json_object_get(tree, "special_tokens"), name, arena, ret, err);
}

bool lm_load_looks_like_tiktoken(struct lm_str file)
{
    struct lm_str rest = file, line, token;
    struct lm_buf bytes = { 0 };
    int64_t rank;
    lm_str_split(&rest, '\n', &line);
    const bool yes = line.len < 4096 && lm_str_split(&line, ' ', &token) && lm_from_base64(token, &bytes) &&
                     lm_str_to_i64(lm_str_trim(line), &rank);
    lm_buf_release(&bytes);
    return yes;
}

static enum lm_rc load(struct lm_str file, const struct encoding *e, const char *name, struct lm_buf *ret,
                       struct lm_err *err)
{
    struct ranks r = { 0 };
    enum lm_rc rc = read_ranks(file, name, &r, err);
    if (rc == LM_OK && e->ranks > 0 && r.map.len != e->ranks)
        rc = lm_fail(err, LM_EFORMAT, "%s: %zu ranks, but %s has %u", name, r.map.len, e->name, e->ranks);
    if (rc == LM_OK)
        write_json(e, &r, ret);
    lm_token_map_release(&r.map);
    lm_vocab_release(&r.vocab);
    return rc;
}

enum lm_rc lm_load_tiktoken(struct lm_str file, const char *encoding, const char *name, struct lm_buf *ret,
                            struct lm_err *err)
{
    const struct encoding *e = NULL;
    LM_TRY(find_encoding(encoding, name, &e, err));
    return load(file, e, name, ret, err);
}

enum lm_rc lm_load_ranks(struct lm_str file, struct lm_str settings, const char *name, struct lm_buf *ret,
                         struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct encoding e = { .name = name, .grammar = -1 };
    enum lm_rc rc = read_settings(settings, name, &arena, &e, err);
    if (rc == LM_OK)
        rc = load(file, &e, name, ret, err);
    lm_arena_release(&arena);
    return rc;
}
