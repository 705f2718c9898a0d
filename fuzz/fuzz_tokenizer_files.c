/* fuzz_tokenizer_files: a letter that says which reader, then a file: t tiktoken, s sentencepiece, m
 * merges.txt behind vocab.json and an empty line, r settings of tiktoken behind ranks and an empty line, k
 * tekken.json. What is read becomes a tokenizer or is refused with a reason. */
#include <stdlib.h>

#include "token/load_other.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(enum lm_rc rc, const struct lm_err *err, const struct lm_tokenizer *t)
{
    struct lm_tokens ids = { 0 };
    if (rc != LM_OK && !err->text[0])
        abort();
    if (!t)
        return;
    lm_tokenizer_prepare(t);
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_buf text = { 0 };
    lm_encode(e, LM_STR("Hello  ab\n \xff\xe4\xb8\xad"), false, &ids);
    if (lm_decode(t, ids.ids, ids.len, false, &text, NULL) != LM_OK)
        abort();
    lm_buf_release(&text);
    lm_tokens_release(&ids);
    lm_encoder_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct lm_str file = { (const char *)data + 1, size - 1 };
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    enum lm_rc rc = LM_OK;
    if (size < 1)
        return 0;
    if (*data == 't') {
        struct lm_buf json = { 0 };
        (void)lm_load_looks_like_tiktoken(file);
        rc = lm_load_tiktoken(file, "gpt2", "fuzz", &json, &err);
        lm_buf_release(&json);
    } else if (*data == 'r') {
        struct lm_buf json = { 0 };
        const ptrdiff_t cut = lm_str_find(file, LM_STR("\n\n"));
        const size_t ranks = cut < 0 ? file.len : (size_t)cut;
        rc = lm_load_ranks((struct lm_str){ file.ptr, ranks },
                           (struct lm_str){ file.ptr + ranks, file.len - ranks }, "fuzz", &json, &err);
        if (rc == LM_OK)
            rc = lm_tokenizer_take(&json, "fuzz", true, &t, &err);
        lm_buf_release(&json);
    } else if (*data == 'k') {
        struct lm_buf json = { 0 };
        (void)lm_load_looks_like_tekken(file);
        rc = lm_load_tekken(file, "fuzz", &json, &err);
        if (rc == LM_OK)
            rc = lm_tokenizer_take(&json, "fuzz", true, &t, &err);
        lm_buf_release(&json);
    } else if (*data == 'm') {
        struct lm_buf json = { 0 };
        const ptrdiff_t cut = lm_str_find(file, LM_STR("\n\n"));
        const size_t vocab = cut < 0 ? file.len : (size_t)cut;
        rc = lm_load_vocab_and_merges((struct lm_str){ file.ptr, vocab },
                                      (struct lm_str){ file.ptr + vocab, file.len - vocab }, NULL, "fuzz",
                                      &json, &err);
        if (rc == LM_OK)
            rc = lm_tokenizer_parse(lm_buf_str(&json), "fuzz", &t, &err);
        lm_buf_release(&json);
    } else {
        struct lm_arena arena = { 0 };
        struct lm_tokenizer_parts parts;
        (void)lm_load_looks_like_spm(file);
        rc = lm_load_spm(file, "fuzz", &arena, &parts, &err);
        if (rc == LM_OK)
            rc = lm_tokenizer_from_parts(&parts, "fuzz", &t, &err);
        lm_arena_release(&arena);
    }
    check(rc, &err, t);
    lm_tokenizer_free(t);
    return 0;
}
