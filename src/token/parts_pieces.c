/* token/parts_pieces.c - "llama" in a GGUF file: sentencepiece's BPE. */
#include "token/parts_impl.h"

#include "base/json.h"
#include "token/pieces.h"

#define BLANK "\xe2\x96\x81"
#define REPLACE(find, pattern, content)                                                                      \
    "{\"type\":\"Replace\",\"pattern\":{\"" find "\":\"" pattern "\"},\"content\":\"" content "\"}"

/* A map of characters makes it a chain. */
static void write_normalizer(const struct lm_tokenizer_parts *p, bool prefix, struct lm_buf *ret)
{
    lm_parts_write_normalizer(p,
                              prefix ? ",{\"type\":\"Prepend\",\"prepend\":\"" BLANK
                                       "\"}," REPLACE("String", " ", BLANK)
                                     : "," REPLACE("String", " ", BLANK),
                              ret);
}

static enum lm_rc check_map(const struct lm_tokenizer_parts *p, const char *name, struct lm_err *err)
{
    for (size_t id = 0; p->types && id < p->token_count; id++)
        if (p->types[id] == LM_TOKEN_USER_DEFINED)
            return lm_fail(err, LM_EFORMAT,
                           "%s: piece %zu, '%.*s', is user-defined, which is not supported in BPE that has a "
                           "map of characters (precompiled_charsmap)",
                           name, id, p->tokens[id].len < 40 ? (int)p->tokens[id].len : 40, p->tokens[id].ptr);
    return LM_OK;
}

static void write_blank_rules(bool trim, bool prefix, struct lm_buf *ret)
{
    lm_buf_puts(ret, "{\"type\":\"Sequence\",\"normalizers\":[");
    if (trim)
        lm_buf_puts(
            ret, REPLACE("Regex", "\\\\A +|[ " BLANK "]+\\\\z", "") "," REPLACE("Regex", " {2,}", " ") ",");
    if (prefix)
        lm_buf_puts(ret, "{\"type\":\"Prepend\",\"prepend\":\"" BLANK "\"},");
    lm_buf_puts(ret, REPLACE("String", " ", BLANK) "]}");
}

static void write_piece_decoder(bool strip, struct lm_buf *ret)
{
    lm_buf_puts(ret, "{\"type\":\"Sequence\",\"decoders\":[" REPLACE("String", BLANK, " "));
    lm_buf_puts(ret, ",{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}");
    if (strip)
        lm_buf_puts(ret, ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}");
    lm_buf_puts(ret, "]}");
}

/* Whether unknown characters become bytes: there are byte pieces, by their type or, without types, by name.
 */
static enum lm_rc find_bytes(const struct lm_tokenizer_parts *p, const char *name, bool *ret,
                             struct lm_err *err)
{
    *ret = false;
    for (size_t id = 0; id < p->token_count; id++) {
        const bool named = lm_piece_byte(p->tokens[id]) >= 0;
        if (p->types && p->types[id] == LM_TOKEN_BYTE && !named)
            return lm_fail(err, LM_EFORMAT,
                           "%s: tokenizer.ggml.tokens[%zu] is a byte by its type, but not <0xHH>", name, id);
        *ret |= named && (!p->types || p->types[id] == LM_TOKEN_BYTE);
    }
    return LM_OK;
}

static int64_t find_unknown(const struct lm_tokenizer_parts *p)
{
    for (size_t id = 0; p->types && id < p->token_count; id++)
        if (p->types[id] == LM_TOKEN_UNKNOWN)
            return (int64_t)id;
    return p->unk_id;
}

static void write_piece_model(const struct lm_tokenizer_parts *p, bool bytes,
                              const struct lm_score_lines *lines, struct lm_buf *ret)
{
    const int64_t unknown = find_unknown(p);
    lm_buf_puts(ret, "{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":");
    if (unknown >= 0)
        lm_json_str(ret, p->tokens[unknown]);
    else
        lm_buf_puts(ret, "null");
    lm_buf_puts(ret, ",\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":true");
    lm_json_key_bool(ret, "byte_fallback", bytes);
    lm_buf_puts(ret, ",\"ignore_merges\":false,");
    if (p->charsmap.len > 0) {
        lm_parts_write_sentencepiece(p, ret);
        lm_buf_putc(ret, ',');
    }
    lm_buf_puts(ret, "\"vocab\":");
    lm_parts_write_vocab(p, ret);
    lm_buf_puts(ret, ",\"merges\":[");
    for (size_t i = 0; i < lines->len; i++)
        lm_parts_write_merge(p->tokens[lines->items[i].left], p->tokens[lines->items[i].right], ret);
    lm_buf_puts(ret, "]}");
}

enum lm_rc lm_parts_write_pieces(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                                 struct lm_err *err)
{
    const bool prefix = p->add_space_prefix != 0, trim = p->remove_extra_blanks > 0;
    struct lm_score_lines lines = { 0 };
    struct lm_parts_around around;
    bool bytes = false;
    if (!p->scores || p->score_count != p->token_count)
        return lm_fail(err, LM_EFORMAT, "%s: tokenizer.ggml.scores has %zu numbers for %zu tokens", name,
                       p->score_count, p->token_count);
    LM_TRY(find_bytes(p, name, &bytes, err));
    if (p->charsmap.len > 0)
        LM_TRY(check_map(p, name, err));
    LM_TRY(lm_parts_find_around(p, name, true, &around, err));
    const enum lm_rc rc = lm_parts_score_lines(p, name, &lines, err);
    if (rc == LM_OK) {
        lm_parts_write_start(p, ret);
        if (p->charsmap.len > 0) {
            write_normalizer(p, prefix, ret);
        } else {
            lm_buf_puts(ret, ",\"normalizer\":");
            write_blank_rules(trim, prefix, ret);
        }
        lm_buf_puts(ret, ",\"pre_tokenizer\":null,\"post_processor\":");
        lm_parts_write_template(p, around, true, ret);
        lm_buf_puts(ret, ",\"decoder\":");
        write_piece_decoder(prefix, ret);
        lm_buf_puts(ret, ",\"model\":");
        write_piece_model(p, bytes, &lines, ret);
        lm_buf_putc(ret, '}');
    }
    free(lines.items);
    return rc;
}
