/* token/parts_unigram.c - "t5": a Unigram model of sentencepiece as tokenizer.json.
 *
 * Hugging Face reads the file with components that imitate sentencepiece; loom reads the option
 * LM_CHAIN_SENTENCEPIECE of its model and does what sentencepiece does. */
#include "token/load_chain.h"
#include "token/parts_impl.h"

#include "base/json.h"

#include <math.h>

#define BLANK "\\u2581"

static void write_base64(struct lm_str bytes, struct lm_buf *ret)
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

static void write_normalizer(const struct lm_tokenizer_parts *p, struct lm_buf *ret)
{
    lm_buf_puts(ret, ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    if (p->charsmap.len > 0) {
        lm_buf_puts(ret, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"");
        write_base64(p->charsmap, ret);
        lm_buf_puts(ret, "\"}");
    }
    if (p->remove_extra_blanks != 0)
        lm_buf_printf(ret,
                      "%s{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true},{\"type\":\"Replace\","
                      "\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}",
                      p->charsmap.len > 0 ? "," : "");
    lm_buf_puts(ret, "]}");
}

static void write_metaspace(bool prefix, struct lm_buf *ret)
{
    lm_buf_printf(ret,
                  "{\"type\":\"Metaspace\",\"replacement\":\"" BLANK
                  "\",\"prepend_scheme\":\"%s\",\"split\":true}",
                  prefix ? "always" : "never");
}

static bool is_of(const struct lm_tokenizer_parts *p, size_t id, enum lm_token_type type)
{
    return p->types && p->types[id] == (int32_t)type;
}

static bool has_bytes(const struct lm_tokenizer_parts *p)
{
    for (size_t id = 0; id < p->token_count; id++)
        if (is_of(p, id, LM_TOKEN_BYTE))
            return true;
    return false;
}

static void write_unused(const struct lm_tokenizer_parts *p, struct lm_buf *ret)
{
    lm_buf_puts(ret, "\"unused\":[");
    for (size_t id = 0; id < p->token_count; id++)
        if (is_of(p, id, LM_TOKEN_UNUSED)) {
            lm_json_sep(ret);
            lm_buf_printf(ret, "%zu", id);
        }
    lm_buf_puts(ret, "]");
}

static enum lm_rc write_model(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                              struct lm_err *err)
{
    lm_buf_printf(ret, ",\"model\":{\"type\":\"Unigram\",\"unk_id\":%lld,\"byte_fallback\":%s,\"%s\":{",
                  (long long)p->unk_id, has_bytes(p) ? "true" : "false", LM_CHAIN_SENTENCEPIECE);
    lm_json_key_bool(ret, "add_dummy_prefix", p->add_space_prefix != 0);
    lm_json_key_bool(ret, "remove_extra_whitespaces", p->remove_extra_blanks != 0);
    lm_buf_putc(ret, ',');
    write_unused(p, ret);
    lm_buf_puts(ret, "},\"vocab\":[");
    for (size_t id = 0; id < p->token_count; id++) {
        char score[LM_F64_TEXT];
        if (!isfinite(p->scores[id]))
            return lm_fail(err, LM_EFORMAT, "%s: tokenizer.ggml.scores[%zu] is no finite number", name, id);
        lm_f64_text((double)p->scores[id], score);
        lm_json_sep(ret);
        lm_buf_putc(ret, '[');
        lm_json_str(ret, p->tokens[id]);
        lm_buf_printf(ret, ",%s]", score);
    }
    lm_buf_puts(ret, "]}}");
    return LM_OK;
}

enum lm_rc lm_parts_write_unigram(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                                  struct lm_err *err)
{
    struct lm_parts_around around;
    if (p->score_count != p->token_count)
        return lm_fail(err, LM_EFORMAT, "%s: tokenizer.ggml.scores has %zu numbers for %zu tokens", name,
                       p->score_count, p->token_count);
    if (p->unk_id < 0)
        return lm_fail(err, LM_EFORMAT, "%s: a Unigram model needs a tokenizer.ggml.unknown_token_id", name);
    LM_TRY(lm_parts_find_around(p, name, false, &around, err));
    lm_parts_write_start(p, ret);
    write_normalizer(p, ret);
    lm_buf_puts(ret, ",\"pre_tokenizer\":");
    write_metaspace(p->add_space_prefix != 0, ret);
    lm_buf_puts(ret, ",\"post_processor\":");
    if (around.before < 0 && around.after < 0)
        lm_buf_puts(ret, "null");
    else
        lm_parts_write_template(p, around, true, ret);
    lm_buf_puts(ret, ",\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},");
    write_metaspace(p->add_space_prefix != 0, ret);
    lm_buf_puts(ret, "]}");
    return write_model(p, name, ret, err);
}
