/* HTML: whatever comes in, the text is UTF-8 without NUL, not much longer than the page, the same a second
 * time. */

#include "text/text.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_buf page = { 0 };
    lm_utf8_repair((struct lm_str){ (const char *)data, size }, &page);
    struct lm_arena arena = { 0 };
    struct lm_html_result first, again;
    LM_ASSERT(lm_html_extract(lm_buf_str(&page), &arena, &first, NULL) == LM_OK);
    LM_ASSERT(lm_html_extract(lm_buf_str(&page), &arena, &again, NULL) == LM_OK);
    LM_ASSERT(lm_str_eq(first.text, again.text));
    LM_ASSERT(lm_utf8_valid(first.text) && lm_utf8_valid(first.title));
    LM_ASSERT(lm_utf8_valid(first.author) && lm_utf8_valid(first.date_published));
    LM_ASSERT(first.text.len <= page.len * 32 + 64);   // indentation and table rules are what adds
    lm_arena_release(&arena);
    lm_buf_release(&page);
    return 0;
}
