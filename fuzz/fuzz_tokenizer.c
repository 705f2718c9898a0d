/* fuzz_tokenizer: any bytes as tokenizer.json.  What loads must encode any bytes and, unless it normalises or
 * has no token for some byte, decode to the same; twice the same ids, the second time from the cache. */
#include <stdlib.h>

#include "token/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode_and_back(const struct lm_tokenizer *t, struct lm_str text, bool exact)
{
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_tokens tokens = { 0 };
    struct lm_buf back = { 0 };
    for (size_t pass = 0; pass < 2; pass++)
        lm_encode(e, text, pass == 0, &tokens);
    const size_t first = tokens.len;
    lm_encode(e, text, false, &tokens);
    if (lm_decode(t, tokens.ids, tokens.len, false, &back, NULL) != LM_OK)
        abort();
    if (exact && (back.len != 3 * text.len || memcmp(back.ptr + 2 * text.len, text.ptr, text.len) != 0))
        abort();
    for (size_t i = first; i < tokens.len; i++)   // not allowed in the last pass
        if (lm_tokenizer_is_special(t, tokens.ids[i]))
            abort();
    lm_buf_release(&back);
    lm_tokens_release(&tokens);
    lm_encoder_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char sample[] = "Hello  wor1d's\n\n caf\xc3\xa9 <|endoftext|>\xff\xc0 \xe4\xb8\xad";
    const struct lm_str json = { (const char *)data, size };
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    const enum lm_rc rc = lm_tokenizer_parse(json, "fuzz", &t, &err);
    if (rc != LM_OK) {
        if (!err.text[0])
            abort();   // a refusal without a reason
        return 0;
    }
    const bool all_bytes = lm_str_find(json, LM_STR("\"NFC\"")) < 0;
    struct lm_buf ascii = { 0 };
    for (int c = 0; c < 128; c++)
        lm_buf_putc(&ascii, (char)c);
    encode_and_back(t, lm_buf_str(&ascii), all_bytes);
    encode_and_back(t, (struct lm_str){ sample, sizeof(sample) - 1 }, false);
    encode_and_back(t, (struct lm_str){ json.ptr, size < 4096 ? size : 4096 }, false);
    lm_buf_release(&ascii);
    lm_tokenizer_free(t);
    return 0;
}
