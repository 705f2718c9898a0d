/* fuzz_tokenizer: any bytes as tokenizer.json.  What loads must encode any bytes and, when it is byte-level
 * and changes nothing, decode to the same; twice the same ids, the second time from the cache; streaming
 * gives what decoding at once gives.  What GGUF's arrays can hold must come back from them with the same ids.
 */
#include <stdlib.h>

#include "text/text.h"
#include "token/parts.h"
#include "token/tokenizer_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes that are not UTF-8 become U+FFFD on the way out, so only texts without are compared. */
static void check_streaming(const struct lm_tokenizer *t, const uint32_t *ids, size_t count)
{
    struct lm_buf whole = { 0 }, out = { 0 };
    struct lm_decode_stream stream = { 0 };
    for (size_t i = 0; i < count; i++)
        lm_decode_step(t, &stream, ids[i], true, &out);
    lm_decode_end(&stream, &out);
    if (lm_decode(t, ids, count, true, &whole, NULL) != LM_OK)
        abort();
    if (lm_utf8_valid(lm_buf_str(&whole)) && !lm_str_eq(lm_buf_str(&whole), lm_buf_str(&out)))
        abort();
    if (!lm_utf8_valid(lm_buf_str(&out)))
        abort();
    lm_buf_release(&whole);
    lm_buf_release(&out);
}

/* Through the arrays and back: the same ids. */
static void check_parts(const struct lm_tokenizer *t, struct lm_str text)
{
    struct lm_arena arena = { 0 };
    struct lm_tokenizer_parts parts;
    struct lm_tokenizer *again = NULL;
    if (lm_tokenizer_to_parts(t, &arena, &parts, NULL) == LM_OK &&
        lm_tokenizer_from_parts(&parts, "again", &again, NULL) == LM_OK) {
        struct lm_tokens ids[2] = { { 0 }, { 0 } };
        for (size_t i = 0; i < 2; i++) {
            struct lm_encoder *e = lm_encoder_new(i == 0 ? t : again);
            lm_encode(e, text, false, &ids[i]);
            lm_encoder_free(e);
        }
        if (ids[0].len != ids[1].len ||
            (ids[0].len > 0 && memcmp(ids[0].ids, ids[1].ids, ids[0].len * sizeof(*ids[0].ids)) != 0))
            abort();
        lm_tokens_release(&ids[0]);
        lm_tokens_release(&ids[1]);
    }
    lm_tokenizer_free(again);
    lm_arena_release(&arena);
}

/* As many ids when they are counted or have ranges, and the ranges lie in the text. */
static void check_spans(struct lm_encoder *e, struct lm_str text)
{
    struct lm_tokens ids = { 0 }, again = { 0 };
    struct lm_spans spans = { 0 };
    lm_encode(e, text, true, &ids);
    lm_encode_spans(e, text, true, &again, &spans);
    if (ids.len != again.len || ids.len != spans.len || ids.len != lm_encode_count(e, text, true) ||
        (ids.len > 0 && memcmp(ids.ids, again.ids, ids.len * sizeof(*ids.ids)) != 0))
        abort();
    for (size_t i = 0; i < spans.len; i++)
        if (spans.items[i].start > spans.items[i].end || spans.items[i].end > text.len)
            abort();
    lm_tokens_release(&ids);
    lm_tokens_release(&again);
    lm_spans_release(&spans);
}

static void encode_and_back(const struct lm_tokenizer *t, struct lm_str text, bool exact)
{
    lm_tokenizer_prepare(t);
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_tokens tokens = { 0 };
    struct lm_buf back = { 0 };
    for (size_t pass = 0; pass < 2; pass++)
        lm_encode(e, text, pass == 0, &tokens);
    const size_t first = tokens.len;
    lm_encode(e, text, false, &tokens);
    check_spans(e, text);
    if (lm_decode(t, tokens.ids, tokens.len, false, &back, NULL) != LM_OK)
        abort();
    if (exact && (back.len != 3 * text.len || memcmp(back.ptr + 2 * text.len, text.ptr, text.len) != 0))
        abort();
    for (size_t i = first; i < tokens.len; i++)   // not allowed in the last pass
        if (lm_tokenizer_is_special(t, tokens.ids[i]) && tokens.ids[i] != t->unknown)
            abort();
    check_streaming(t, tokens.ids, tokens.len);
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
    const bool exact = t->family == LM_FAMILY_BYTES && !t->nfc && !t->bytes_missing;
    struct lm_buf ascii = { 0 };
    for (int c = 0; c < 128; c++)
        lm_buf_putc(&ascii, (char)c);
    encode_and_back(t, lm_buf_str(&ascii), exact);
    encode_and_back(t, (struct lm_str){ sample, sizeof(sample) - 1 }, false);
    encode_and_back(t, (struct lm_str){ json.ptr, size < 4096 ? size : 4096 }, false);
    check_parts(t, (struct lm_str){ sample, sizeof(sample) - 1 });
    lm_buf_release(&ascii);
    lm_tokenizer_free(t);
    return 0;
}
