/* token/parts_unigram.c - "t5": a Unigram model of sentencepiece as tokenizer.json.
 *
 * Hugging Face reads the file with components that imitate sentencepiece; loom reads the option
 * LM_CHAIN_SENTENCEPIECE of its model and does what sentencepiece does. */
#include "token/load_chain.h"
#include "token/load_other.h"
#include "token/parts_impl.h"
#include "token/pieces.h"
#include "token/write_files.h"

#include "base/base64.h"
#include "base/json.h"

#include <math.h>

#define BLANK "\\u2581"

void lm_parts_write_normalizer(const struct lm_tokenizer_parts *p, const char *more, struct lm_buf *ret)
{
    lm_buf_puts(ret, ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    if (p->charsmap.len > 0) {
        lm_buf_puts(ret, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"");
        lm_base64_put(p->charsmap, ret);
        lm_buf_puts(ret, "\"}");
    }
    if (p->remove_extra_blanks != 0) {
        lm_json_sep(ret);
        lm_buf_puts(ret,
                    "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true},{\"type\":\"Replace\","
                    "\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}");
    }
    lm_buf_puts(ret, more);
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

void lm_parts_write_sentencepiece(const struct lm_tokenizer_parts *p, struct lm_buf *ret)
{
    lm_buf_puts(ret, "\"" LM_CHAIN_SENTENCEPIECE "\":{");
    lm_json_key_bool(ret, "add_dummy_prefix", p->add_space_prefix != 0);
    lm_json_key_bool(ret, "remove_extra_whitespaces", p->remove_extra_blanks != 0);
    lm_buf_putc(ret, ',');
    write_unused(p, ret);
    lm_buf_putc(ret, '}');
}

static enum lm_rc write_model(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                              struct lm_err *err)
{
    lm_buf_printf(ret, ",\"model\":{\"type\":\"Unigram\",\"unk_id\":%lld,\"byte_fallback\":%s,",
                  (long long)p->unk_id, has_bytes(p) ? "true" : "false");
    lm_parts_write_sentencepiece(p, ret);
    lm_buf_puts(ret, ",\"vocab\":[");
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
    lm_parts_write_normalizer(p, "", ret);
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

/* ---- the way back ---- */

static struct lm_str text_of(const json_t *text)
{
    return (struct lm_str){ json_string_value(text), json_string_length(text) };
}

/* Tokens are as the file has them; special ones are control pieces. */
static enum lm_rc set_pieces(const struct lm_tokenizer *t, const json_t *model, struct lm_arena *arena,
                             struct lm_tokenizer_parts *p, struct lm_err *err)
{
    const json_t *vocab = json_object_get(model, "vocab"),
                 *options = json_object_get(model, LM_CHAIN_SENTENCEPIECE);
    const json_t *unused = json_object_get(options, "unused");
    int32_t *types = (int32_t *)p->types;   // made by the caller
    float *scores = lm_arena_alloc(arena, (p->token_count + 1) * sizeof(*scores));
    if (json_array_size(vocab) != p->token_count)
        return lm_fail(err, LM_EINVAL, "GGUF cannot say that tokens were added to a Unigram model");
    for (size_t id = 0; id < p->token_count; id++) {
        scores[id] = (float)json_number_value(json_array_get(json_array_get(vocab, id), 1));
        if (t->chain->byte_fallback && types[id] == LM_TOKEN_NORMAL && lm_piece_byte(p->tokens[id]) >= 0)
            types[id] = LM_TOKEN_BYTE;
    }
    for (size_t i = 0; i < json_array_size(unused); i++) {
        const json_int_t id = json_integer_value(json_array_get(unused, i));
        if (id >= 0 && (size_t)id < p->token_count)
            types[id] = LM_TOKEN_UNUSED;
    }
    types[t->unknown] = LM_TOKEN_UNKNOWN;
    p->unk_id = t->unknown;
    p->scores = scores;
    p->score_count = p->token_count;
    p->add_space_prefix = json_is_true(json_object_get(options, "add_dummy_prefix"));
    p->remove_extra_blanks = json_is_true(json_object_get(options, "remove_extra_whitespaces"));
    return LM_OK;
}

static enum lm_rc set_charsmap(const json_t *normalizer, struct lm_arena *arena, struct lm_tokenizer_parts *p,
                               struct lm_err *err)
{
    const json_t *first = json_array_get(json_object_get(normalizer, "normalizers"), 0);
    const json_t *map = json_object_get(first, "precompiled_charsmap");
    struct lm_buf bytes = { 0 };
    if (!map)
        return LM_OK;
    const bool read = json_is_string(map) && lm_base64_get(text_of(map), &bytes);
    if (read)
        p->charsmap = (struct lm_str){ lm_arena_strndup(arena, bytes.ptr, bytes.len), bytes.len };
    lm_buf_release(&bytes);
    return read ? LM_OK : lm_fail(err, LM_EINVAL, "GGUF cannot say this map of characters");
}

enum lm_rc lm_parts_set_unigram(const struct lm_tokenizer *t, struct lm_arena *arena,
                                struct lm_tokenizer_parts *p, struct lm_err *err)
{
    const struct lm_str json = lm_tokenizer_json(t);
    LM_TREE_FREE json_t *tree = json_loadb(json.ptr, json.len, JSON_ALLOW_NUL, NULL);
    const json_t *model = json_object_get(tree, "model");
    if (t->chain->model != LM_CHAIN_UNIGRAM ||
        !json_is_object(json_object_get(model, LM_CHAIN_SENTENCEPIECE)))
        return lm_fail(err, LM_EINVAL, "GGUF has no keys for the components of this tokenizer");
    p->model = LM_STR("t5");
    p->pre = LM_STR("default");
    LM_TRY(set_pieces(t, model, arena, p, err));
    return set_charsmap(json_object_get(tree, "normalizer"), arena, p, err);
}
