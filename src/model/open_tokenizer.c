/* The tokenizer of a model: from its folder, or from the arrays of its GGUF file. */
#include "model/gguf.h"
#include "model/gguf_keys.h"
#include "model/hf_config.h"

/* ---- GGUF ---- */

static enum lm_rc read_scalars(const struct lm_gguf *g, struct lm_tokenizer_parts *p, struct lm_err *err)
{
    char *base = (char *)p;
    for (size_t i = 0; i < lm_gguf_token_id_count; i++) {
        int64_t *to = (int64_t *)(base + lm_gguf_token_ids[i].offset);
        *to = -1;
        LM_TRY(lm_gguf_get_int(g, lm_gguf_token_ids[i].key, to, err));
    }
    for (size_t i = 0; i < lm_gguf_token_flag_count; i++) {
        bool on = false;
        LM_TRY(lm_gguf_get_bool(g, lm_gguf_token_flags[i].key, &on, err));
        *(int *)(base + lm_gguf_token_flags[i].offset) =
            lm_gguf_find(g, lm_gguf_token_flags[i].key) ? on : -1;
    }
    for (size_t i = 0; i < lm_gguf_token_text_count; i++) {
        struct lm_str *to = (struct lm_str *)(base + lm_gguf_token_texts[i].offset);
        *to = LM_STR("");
        LM_TRY(lm_gguf_get_str(g, lm_gguf_token_texts[i].key, to, err));
    }
    return LM_OK;
}

/* The numbers of an array, aligned; NULL when the key is absent.  Any other count than `count` is refused. */
static enum lm_rc read_numbers(struct lm_gguf *g, const char *key, enum lm_gguf_kind item, size_t size,
                               size_t count, const void **ret, struct lm_err *err)
{
    const struct lm_gguf_value *v = lm_gguf_find(g, key);
    *ret = NULL;
    if (!v)
        return LM_OK;
    if (v->kind != LM_GGUF_ARRAY || v->item != item || v->count != count)
        return lm_fail(err, LM_EFORMAT,
                       "%s: key '%s' (byte %llu) is not a list of %zu numbers, one for each token", g->name,
                       key, (unsigned long long)v->offset, count);
    void *copy = lm_arena_alloc(&g->arena, count * size + 1);
    *ret = memcpy(copy, v->bytes, count * size);
    return LM_OK;
}

/* sentencepiece's table of replacements: bytes, borrowed from the file. */
static enum lm_rc read_charsmap(const struct lm_gguf *g, struct lm_str *ret, struct lm_err *err)
{
    static const char key[] = "tokenizer.ggml.precompiled_charsmap";
    const struct lm_gguf_value *v = lm_gguf_find(g, key);
    if (!v)
        return LM_OK;
    if (v->kind != LM_GGUF_ARRAY || (v->item != LM_GGUF_U8 && v->item != LM_GGUF_I8))
        return lm_fail(err, LM_EFORMAT, "%s: key '%s' (byte %llu) is not a list of bytes", g->name, key,
                       (unsigned long long)v->offset);
    *ret = (struct lm_str){ (const char *)v->bytes, (size_t)v->count };
    return LM_OK;
}

static enum lm_rc read_parts(struct lm_gguf *g, struct lm_tokenizer_parts *p, struct lm_err *err)
{
    struct lm_str *tokens = NULL, *merges = NULL;
    const void *types, *scores;
    LM_TRY(read_scalars(g, p, err));
    if (!lm_gguf_find(g, "tokenizer.ggml.tokens"))
        return lm_fail(err, LM_EFORMAT,
                       "%s: key 'tokenizer.ggml.tokens' is missing: the file has no tokenizer", g->name);
    LM_TRY(lm_gguf_get_strings(g, "tokenizer.ggml.tokens", &tokens, &p->token_count, err));
    LM_TRY(lm_gguf_get_strings(g, "tokenizer.ggml.merges", &merges, &p->merge_count, err));
    LM_TRY(read_numbers(g, "tokenizer.ggml.token_type", LM_GGUF_I32, 4, p->token_count, &types, err));
    LM_TRY(read_numbers(g, "tokenizer.ggml.scores", LM_GGUF_F32, 4, p->token_count, &scores, err));
    LM_TRY(read_charsmap(g, &p->charsmap, err));
    p->tokens = tokens;
    p->merges = merges;
    p->types = types;
    p->scores = scores;
    p->score_count = scores ? p->token_count : 0;
    return LM_OK;
}

/* More tokens than rows: some text could not be computed.  Fewer is usual: rows are padded. */
static enum lm_rc check_rows(struct lm_str name, size_t tokens, uint64_t rows, struct lm_err *err)
{
    if (tokens <= rows)
        return LM_OK;
    return lm_fail(err, LM_EFORMAT, "%.*s: the tokenizer has %zu tokens, but the embedding has %llu rows",
                   (int)name.len, name.ptr, tokens, (unsigned long long)rows);
}

static enum lm_rc from_gguf(struct lm_gguf *g, struct lm_tokenizer **ret, struct lm_err *err)
{
    struct lm_tokenizer_parts parts = { 0 };
    LM_TRY(read_parts(g, &parts, err));
    const struct lm_gguf_tensor *embed = lm_gguf_tensor_find(g, "token_embd.weight");
    if (g->tensor_count == 0)   // a file of a vocabulary alone
        return lm_tokenizer_from_parts(&parts, g->name, ret, err);
    if (!embed || embed->dims != 2)
        return lm_fail(err, LM_EFORMAT, "%s: tensor 'token_embd.weight' is missing or no matrix", g->name);
    LM_TRY(check_rows(lm_str(g->name), parts.token_count, embed->shape[1], err));
    return lm_tokenizer_from_parts(&parts, g->name, ret, err);
}

/* ---- a folder ---- */

static enum lm_rc from_folder(const char *dir, struct lm_tokenizer **ret, struct lm_err *err)
{
    struct lm_model_config config;
    uint32_t biases;
    struct lm_tokenizer *t;
    LM_TRY(lm_hf_config_load(dir, &config, &biases, err));
    LM_TRY(lm_tokenizer_load(dir, &t, err));
    const enum lm_rc rc =
        check_rows(lm_str(dir), lm_tokenizer_vocab_size(t), (uint64_t)config.vocab_size, err);
    if (rc == LM_OK)
        *ret = t;
    else
        lm_tokenizer_free(t);
    return rc;
}

enum lm_rc lm_model_tokenizer(const char *path, struct lm_tokenizer **ret, struct lm_err *err)
{
    if (lm_path_is_dir(path))
        return from_folder(path, ret, err);
    struct lm_gguf g;
    LM_TRY(lm_gguf_open(&g, path, err));
    const enum lm_rc rc = from_gguf(&g, ret, err);
    lm_gguf_close(&g);
    return rc;
}
