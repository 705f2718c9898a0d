/* Personal data: spans are in order, in range and at character boundaries; what carries a checksum is gone
 * after one replacement. */

#include "text/text.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool at_boundary(struct lm_str text, size_t at)
{
    return at == text.len || ((unsigned char)text.ptr[at] & 0xc0) != 0x80;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lm_pii *pii;   // compiling the patterns takes longer than a scan
    if (!pii)
        LM_ASSERT(lm_pii_new((1u << LM_PII_TYPE_COUNT) - 1, 0, &pii, NULL) == LM_OK);
    struct lm_buf text = { 0 }, replaced = { 0 };
    lm_utf8_repair((struct lm_str){ (const char *)data, size }, &text);
    const struct lm_str s = lm_buf_str(&text);
    struct lm_pii_spans spans = { 0 }, left = { 0 };
    LM_ASSERT(lm_pii_find(pii, s, &spans, NULL) == LM_OK);
    size_t before = 0;
    for (size_t i = 0; i < spans.len; i++) {
        LM_ASSERT(spans.items[i].start >= before && spans.items[i].end > spans.items[i].start);
        LM_ASSERT(at_boundary(s, spans.items[i].start) && at_boundary(s, spans.items[i].end));
        LM_ASSERT(spans.items[i].score >= 0 && spans.items[i].score <= 1);
        before = spans.items[i].end;
    }
    LM_ASSERT(before <= s.len);
    lm_pii_replace(s, &spans, &replaced);
    LM_ASSERT(lm_utf8_valid(lm_buf_str(&replaced)));
    LM_ASSERT(lm_pii_find(pii, lm_buf_str(&replaced), &left, NULL) == LM_OK);
    for (size_t i = 0; i < left.len; i++)
        LM_ASSERT(left.items[i].type != LM_PII_CARD && left.items[i].type != LM_PII_IBAN);
    lm_pii_spans_release(&spans);
    lm_pii_spans_release(&left);
    lm_buf_release(&text);
    lm_buf_release(&replaced);
    return 0;
}
