/* token/parts_json.c - the arrays of a GGUF file as a tokenizer.json with the same meaning. */
#include "token/parts_impl.h"

#include "base/json.h"
#include "token/write.h"

/* ---- what all models have ---- */

static void write_added(const struct lm_tokenizer_parts *p, struct lm_buf *ret)
{
    lm_buf_putc(ret, '[');
    for (size_t id = 0; id < p->token_count; id++) {
        const enum lm_token_kind kind = lm_parts_kind(p, id);
        if (kind != LM_TOKEN_MODEL)
            lm_write_added_token((uint32_t)id, p->tokens[id], kind == LM_TOKEN_SPECIAL, ret);
    }
    lm_buf_putc(ret, ']');
}

void lm_parts_write_vocab(const struct lm_tokenizer_parts *p, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    for (size_t id = 0; id < p->token_count; id++) {
        lm_json_sep(ret);
        lm_json_str(ret, p->tokens[id]);
        lm_buf_printf(ret, ":%zu", id);
    }
    lm_buf_putc(ret, '}');
}

static void write_item(const struct lm_tokenizer_parts *p, int64_t id, int type, struct lm_buf *ret)
{
    if (id < 0)
        return;
    lm_json_sep(ret);
    lm_buf_puts(ret, "{\"SpecialToken\":{");
    lm_json_key_str(ret, "id", p->tokens[id]);
    lm_json_key_int(ret, "type_id", type);
    lm_buf_puts(ret, "}}");
}

static void write_text(const char *text, int type, struct lm_buf *ret)
{
    lm_json_sep(ret);
    lm_buf_puts(ret, "{\"Sequence\":{");
    lm_json_key_str(ret, "id", lm_str(text));
    lm_json_key_int(ret, "type_id", type);
    lm_buf_puts(ret, "}}");
}

static void write_special(const struct lm_tokenizer_parts *p, int64_t id, struct lm_buf *ret)
{
    if (id < 0)
        return;
    lm_json_sep(ret);
    lm_json_str(ret, p->tokens[id]);
    lm_buf_puts(ret, ":{");
    lm_json_key_str(ret, "id", p->tokens[id]);
    lm_buf_printf(ret, ",\"ids\":[%lld],\"tokens\":[", (long long)id);
    lm_json_str(ret, p->tokens[id]);
    lm_buf_puts(ret, "]}");
}

/* The second text of a pair has its own type and, in BERT, no token before it. */
void lm_parts_write_template(const struct lm_tokenizer_parts *p, struct lm_parts_around a, bool again_before,
                             struct lm_buf *ret)
{
    lm_buf_puts(ret, "{\"type\":\"TemplateProcessing\",\"single\":[");
    write_item(p, a.before, 0, ret);
    write_text("A", 0, ret);
    write_item(p, a.after, 0, ret);
    lm_buf_puts(ret, "],\"pair\":[");
    write_item(p, a.before, 0, ret);
    write_text("A", 0, ret);
    write_item(p, a.after, 0, ret);
    if (again_before)
        write_item(p, a.before, 1, ret);
    write_text("B", 1, ret);
    write_item(p, a.after, 1, ret);
    lm_buf_puts(ret, "],\"special_tokens\":{");
    write_special(p, a.before, ret);
    if (a.after != a.before)
        write_special(p, a.after, ret);
    lm_buf_puts(ret, "}}");
}

/* Whether the file asks for BOS and EOS around a text; a flag without a token is refused. */
enum lm_rc lm_parts_find_around(const struct lm_tokenizer_parts *p, const char *name, bool bos_usual,
                                struct lm_parts_around *ret, struct lm_err *err)
{
    const bool bos = p->add_bos < 0 ? bos_usual && p->bos_id >= 0 : p->add_bos > 0;
    const bool eos = p->add_eos > 0;
    if ((bos && p->bos_id < 0) || (eos && p->eos_id < 0))
        return lm_fail(err, LM_EFORMAT,
                       "%s: tokenizer.ggml.add_%s_token is set, but tokenizer.ggml.%s_token_id is missing",
                       name, bos && p->bos_id < 0 ? "bos" : "eos", bos && p->bos_id < 0 ? "bos" : "eos");
    *ret = (struct lm_parts_around){ bos ? p->bos_id : -1, eos ? p->eos_id : -1 };
    return LM_OK;
}

void lm_parts_write_start(const struct lm_tokenizer_parts *p, struct lm_buf *ret)
{
    lm_buf_puts(ret, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":");
    write_added(p, ret);
}

/* ---- "gpt2": byte-level BPE ---- */

static const struct lm_parts_pre *find_pre(struct lm_str name)
{
    for (size_t i = 0; i < LM_PARTS_PRE_COUNT; i++)
        if (lm_str_eq(name, lm_str(lm_parts_pre[i].name)))
            return &lm_parts_pre[i];
    return NULL;
}

void lm_parts_write_merge(struct lm_str left, struct lm_str right, struct lm_buf *ret)
{
    lm_json_sep(ret);
    lm_buf_putc(ret, '[');
    lm_json_str(ret, left);
    lm_buf_putc(ret, ',');
    lm_json_str(ret, right);
    lm_buf_putc(ret, ']');
}

static enum lm_rc write_merges(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                               struct lm_err *err)
{
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < p->merge_count; i++) {
        struct lm_str right = p->merges[i], left;
        lm_str_split(&right, ' ', &left);
        if (left.len == 0 || right.len == 0 || right.ptr == left.ptr)
            return lm_fail(err, LM_EFORMAT, "%s: tokenizer.ggml.merges[%zu] is not two tokens and a space",
                           name, i);
        lm_parts_write_merge(left, right, ret);
    }
    lm_buf_putc(ret, ']');
    return LM_OK;
}

enum lm_rc lm_parts_write_bytes(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                                struct lm_err *err)
{
    const struct lm_parts_pre *pre = find_pre(p->pre);
    struct lm_parts_around around;
    if (!pre)
        return lm_fail(err, LM_EFORMAT, "%s: tokenizer.ggml.pre '%.*s' is not one of those supported", name,
                       p->pre.len < 40 ? (int)p->pre.len : 40, p->pre.ptr);
    if (p->merge_count == 0)
        return lm_fail(err, LM_EFORMAT, "%s: tokenizer.ggml.merges is missing", name);
    LM_TRY(lm_parts_find_around(p, name, pre->add_bos, &around, err));

    lm_parts_write_start(p, ret);
    lm_buf_puts(ret, pre->nfc ? ",\"normalizer\":{\"type\":\"NFC\"}" : ",\"normalizer\":null");
    lm_buf_puts(ret, ",\"pre_tokenizer\":");
    if (pre->splits)
        lm_buf_puts(ret, pre->splits);
    else
        lm_write_pre_tokenizer(&lm_grammars[pre->grammar], ret);
    lm_buf_puts(ret, ",\"post_processor\":");
    if (around.before < 0 && around.after < 0)
        lm_write_byte_level(true, ret);
    else
        lm_parts_write_template(p, around, true, ret);
    lm_buf_puts(ret, ",\"decoder\":");
    lm_write_byte_level(true, ret);
    lm_buf_puts(ret, ",\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                     "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                     "\"byte_fallback\":false");
    lm_json_key_bool(ret, "ignore_merges", pre->ignore_merges);
    lm_buf_puts(ret, ",\"vocab\":");
    lm_parts_write_vocab(p, ret);
    lm_buf_puts(ret, ",\"merges\":");
    LM_TRY(write_merges(p, name, ret, err));
    lm_buf_puts(ret, "}}");
    return LM_OK;
}
