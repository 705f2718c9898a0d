/* fuzz_split: a pattern, a line end, a text.  What compiles cuts the whole text into pieces, the same in
 * batches of one as in one batch; what does not says why. */
#include <stdlib.h>

#include "token/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t scan(const struct lm_split *split, struct lm_str text, uint32_t *ends, size_t ends_max)
{
    size_t at = 0, count = 0;
    for (size_t n; (n = lm_split_scan(split, text, &at, ends + count, ends_max)) > 0;)
        count += n;
    if (at != text.len)
        abort();
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { TEXT_MAX = 2048 };
    struct lm_str text = { (const char *)data, size }, pattern;
    struct lm_err err = { 0 };
    lm_str_split(&text, '\n', &pattern);
    if (text.len > TEXT_MAX)
        text.len = TEXT_MAX;
    struct lm_split *split = lm_zalloc(1, sizeof(*split));
    if (lm_split_compile(pattern, &split->stages[0].dfa, &err) == LM_OK) {
        static uint32_t one[TEXT_MAX + 1], all[2 * TEXT_MAX + 1];
        split->count = 1;
        for (int behavior = 0; behavior < 4; behavior++) {
            split->stages[0].behavior = (enum lm_split_behavior)behavior;
            const size_t count = scan(split, text, one, 1);
            if (scan(split, text, all, TEXT_MAX) != count || memcmp(one, all, count * sizeof(*one)) != 0)
                abort();
        }
    } else if (!err.text[0]) {
        abort();
    }
    lm_split_free(split);
    return 0;
}
