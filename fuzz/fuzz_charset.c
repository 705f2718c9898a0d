/* Charsets and normal form: any bytes under any label become UTF-8; normalising is idempotent; sentences
 * cover the text.  The first byte of the input chooses the declared label. */

#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sentences(struct lm_str text)
{
    struct lm_sentences s = { 0 };
    LM_ASSERT(lm_sentences_split(text, "en", &s, NULL) == LM_OK);
    size_t before = 0;
    for (size_t i = 0; i < s.len; i++) {
        LM_ASSERT(s.ends[i] > before);
        before = s.ends[i];
    }
    LM_ASSERT(before == text.len);
    lm_sentences_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const labels[] = { "",       "utf-8",       "latin1",   "shift_jis", "gb18030", "big5",
                                          "euc-jp", "iso-2022-jp", "utf-16le", "koi8-r",    "euc-kr" };
    if (size == 0)
        return 0;
    const struct lm_str declared = lm_str(labels[data[0] % (sizeof labels / sizeof *labels)]);
    struct lm_buf text = { 0 }, normal = { 0 }, again = { 0 };
    const char *name = NULL;
    LM_ASSERT(lm_charset_to_utf8((struct lm_str){ (const char *)data + 1, size - 1 }, declared, true, &text,
                                 &name, NULL) == LM_OK);
    LM_ASSERT(name && lm_utf8_valid(lm_buf_str(&text)));
    const struct lm_normalize how = { .keep_lines = true };
    LM_ASSERT(lm_normalize(lm_buf_str(&text), how, &normal, NULL) == LM_OK);
    LM_ASSERT(lm_normalize(lm_buf_str(&normal), how, &again, NULL) == LM_OK);
    LM_ASSERT(lm_str_eq(lm_buf_str(&normal), lm_buf_str(&again)));
    check_sentences(lm_buf_str(&text));
    check_sentences(lm_buf_str(&normal));
    struct lm_arena arena = { 0 };
    const struct lm_quality q = lm_quality_measure(lm_buf_str(&normal), &arena);
    LM_ASSERT(q.duplicate_line_share >= 0 && q.duplicate_line_share <= 1);
    LM_ASSERT(q.top_ngram_share >= 0 && q.top_ngram_share <= 1.5);   // joined by one space, found with none
    const struct lm_language l = lm_language_identify(lm_buf_str(&normal));
    LM_ASSERT(l.confidence >= 0 && l.confidence <= 1);
    lm_arena_release(&arena);
    lm_buf_release(&text);
    lm_buf_release(&normal);
    lm_buf_release(&again);
    return 0;
}
