#include "token/write.h"

#include "base/json.h"

/* A token as vocabularies spell it: special ones as they are, others in the printable form of bytes. */
static struct lm_str token_text(const struct lm_vocab *v, uint32_t id, struct lm_buf *scratch)
{
    const struct lm_str bytes = lm_vocab_bytes(v, id);
    if (v->items[id].kind != LM_TOKEN_MODEL)
        return bytes;
    lm_buf_reset(scratch);
    lm_bytes_to_text(bytes, scratch);
    return lm_buf_str(scratch);
}

static void write_learned_vocab(const struct lm_vocab *v, struct lm_buf *ret)
{
    struct lm_buf text = { 0 };
    lm_buf_putc(ret, '{');
    for (uint32_t id = 0; id < v->size; id++) {
        lm_json_sep(ret);
        lm_json_str(ret, token_text(v, id, &text));
        lm_buf_printf(ret, ":%u", id);
    }
    lm_buf_putc(ret, '}');
    lm_buf_release(&text);
}

void lm_write_vocab_json(const struct lm_tokenizer *t, struct lm_buf *ret)
{
    struct lm_buf text = { 0 };
    lm_buf_putc(ret, '{');
    for (uint32_t id = 0; id < t->vocab.size; id++) {
        if (t->vocab.items[id].kind == LM_TOKEN_HOLE)
            continue;
        lm_json_sep(ret);
        lm_json_str(ret, lm_token_spelling(t, id, &text));
        lm_buf_printf(ret, ":%u", id);
    }
    lm_buf_putc(ret, '}');
    lm_buf_release(&text);
}

void lm_write_vocab_txt(const struct lm_tokenizer *t, struct lm_buf *ret)
{
    struct lm_buf text = { 0 };
    for (uint32_t id = 0; id < t->vocab.size; id++) {
        if (t->vocab.items[id].kind == LM_TOKEN_HOLE)
            lm_buf_printf(ret, "[unused%u]", id);
        else
            lm_buf_add_str(ret, lm_token_spelling(t, id, &text));
        lm_buf_putc(ret, '\n');
    }
    lm_buf_release(&text);
}

void lm_write_added_token(uint32_t id, struct lm_str content, bool special, struct lm_buf *ret)
{
    static const char *const off[] = { "single_word", "lstrip", "rstrip", "normalized" };
    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "id", id);
    lm_json_key_str(ret, "content", content);
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
        lm_json_key_bool(ret, off[i], false);
    lm_json_key_bool(ret, "special", special);
    lm_buf_putc(ret, '}');
}

static void write_added(const struct lm_vocab *v, struct lm_buf *ret)
{
    lm_buf_putc(ret, '[');
    for (uint32_t id = 0; id < v->size; id++)
        if (v->items[id].kind == LM_TOKEN_SPECIAL)
            lm_write_added_token(id, lm_vocab_bytes(v, id), true, ret);
    lm_buf_putc(ret, ']');
}

void lm_write_byte_level(bool use_regex, struct lm_buf *ret)
{
    lm_buf_puts(ret, "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true");
    lm_json_key_bool(ret, "use_regex", use_regex);
    lm_buf_putc(ret, '}');
}

void lm_write_pre_tokenizer(const struct lm_grammar *g, struct lm_buf *ret)
{
    if (!g->pattern && !g->digits_apart) {
        lm_write_byte_level(true, ret);
        return;
    }
    lm_buf_puts(ret, "{\"type\":\"Sequence\",\"pretokenizers\":[");
    if (g->digits_apart)
        lm_buf_puts(ret, "{\"type\":\"Digits\",\"individual_digits\":true},");
    if (g->pattern) {
        lm_buf_puts(ret, "{\"type\":\"Split\",\"pattern\":{");
        lm_json_key_str(ret, "Regex", lm_str(g->pattern));
        lm_buf_puts(ret, "},\"behavior\":\"Isolated\",\"invert\":false},");
    }
    lm_write_byte_level(!g->pattern, ret);
    lm_buf_puts(ret, "]}");
}

static void write_merges(const struct lm_learned *l, struct lm_buf *ret)
{
    struct lm_buf text = { 0 };
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < l->merge_count; i++) {
        lm_json_sep(ret);
        lm_buf_putc(ret, '[');
        lm_json_str(ret, token_text(&l->vocab, l->merges[i].left, &text));
        lm_buf_putc(ret, ',');
        lm_json_str(ret, token_text(&l->vocab, l->merges[i].right, &text));
        lm_buf_putc(ret, ']');
    }
    lm_buf_putc(ret, ']');
    lm_buf_release(&text);
}

void lm_write_tokenizer_json(const struct lm_learned *l, const struct lm_grammar *g, struct lm_buf *ret)
{
    lm_buf_puts(ret, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":");
    write_added(&l->vocab, ret);
    lm_buf_puts(ret, g->nfc ? ",\"normalizer\":{\"type\":\"NFC\"}" : ",\"normalizer\":null");
    lm_buf_puts(ret, ",\"pre_tokenizer\":");
    lm_write_pre_tokenizer(g, ret);
    lm_buf_puts(ret, ",\"post_processor\":");
    lm_write_byte_level(true, ret);
    lm_buf_puts(ret, ",\"decoder\":");
    lm_write_byte_level(true, ret);
    lm_buf_puts(ret, ",\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                     "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                     "\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":");
    write_learned_vocab(&l->vocab, ret);
    lm_buf_puts(ret, ",\"merges\":");
    write_merges(l, ret);
    lm_buf_puts(ret, "}}");
}

void lm_write_tokenizer_config(const struct lm_tokenizer *t, struct lm_str chat_template, struct lm_buf *ret)
{
    static const struct {
        const char *key;
        enum lm_token_role role;
        bool end_of_text;   // stands in where nobody has the role
    } roles[] = {
        { "bos_token", LM_ROLE_BOS, true },    { "eos_token", LM_ROLE_EOS, true },
        { "pad_token", LM_ROLE_PAD, true },    { "unk_token", LM_ROLE_UNK, false },
        { "sep_token", LM_ROLE_SEP, false },   { "cls_token", LM_ROLE_CLS, false },
        { "mask_token", LM_ROLE_MASK, false },
    };
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "tokenizer_class", LM_STR("PreTrainedTokenizerFast"));
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        uint32_t id = t->roles[roles[i].role];
        if (id == LM_TOKEN_NONE && roles[i].end_of_text && t->family != LM_FAMILY_WORDS)
            id = t->end_of_text;
        if (id != LM_TOKEN_NONE)
            lm_json_key_str(ret, roles[i].key, lm_vocab_bytes(&t->vocab, id));
    }
    lm_json_key_bool(ret, "clean_up_tokenization_spaces", false);
    if (chat_template.len > 0)
        lm_json_key_str(ret, "chat_template", chat_template);
    lm_buf_putc(ret, '}');
}

/* ---- vocab.bin ---- */

static void add_u64(struct lm_buf *ret, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        lm_buf_putc(ret, (char)(value >> (8 * i)));   // little endian on any machine
}

static void pad_to_8(struct lm_buf *ret)
{
    while (ret->len % 8 != 0)
        lm_buf_putc(ret, 0);
}

void lm_write_vocab_bin(const struct lm_tokenizer *t, struct lm_buf *ret)
{
    LM_ASSERT(ret->len == 0);
    const struct lm_vocab *v = &t->vocab;
    uint64_t bytes = 0;
    for (uint32_t id = 0; id < v->size; id++)
        bytes += v->items[id].len;
    lm_buf_puts(ret, "LOOMVOC1");
    add_u64(ret, v->size, 4);
    add_u64(ret, t->end_of_text, 4);
    add_u64(ret, bytes, 8);
    lm_buf_add(ret, lm_tokenizer_sha256(t), LM_SHA256_BYTES);
    add_u64(ret, 0, 8);

    uint64_t at = 0;
    for (uint32_t id = 0; id < v->size; at += v->items[id++].len)
        add_u64(ret, at, 4);
    add_u64(ret, at, 4);
    pad_to_8(ret);
    for (uint32_t id = 0; id < v->size; id++)
        lm_buf_putc(ret, (char)v->items[id].kind);
    pad_to_8(ret);
    for (uint32_t id = 0; id < v->size; id++)
        lm_buf_add_str(ret, lm_vocab_bytes(v, id));
}
