/* fuzz_charsmap: any bytes as a precompiled_charsmap.  What loads is asked for its own bytes and for a
 * sample: no answer lies outside its texts, and the longest match is no shorter than none. */
#include <stdlib.h>

#include "token/charsmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct lm_charsmap *m, struct lm_str text)
{
    struct lm_buf out = { 0 };
    for (size_t at = 0; at < text.len; at++) {
        const struct lm_str rest = { text.ptr + at, text.len - at };
        struct lm_str longest, shortest;
        size_t len = 0;
        const bool found = lm_charsmap_longest(m, rest, &longest, &len);
        if (found != lm_charsmap_shortest(m, rest, &shortest))
            abort();
        if (found && (len == 0 || len > rest.len || longest.ptr < m->texts ||
                      longest.ptr + longest.len >= m->texts + m->texts_len))
            abort();
    }
    (void)lm_charsmap_graphemes(m, text, &out);
    lm_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct lm_str blob = { (const char *)data, size };
    struct lm_charsmap map = { 0 };
    struct lm_err err = { 0 };
    if (lm_charsmap_load(blob, &map, &err) != LM_OK) {
        if (!err.text[0])
            abort();
        return 0;
    }
    ask(&map, LM_STR("abc e\xcc\x81 \xea\xb0\x80\xe1\x86\xa8 \xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\r\n\xff"));
    ask(&map, (struct lm_str){ blob.ptr, size < 512 ? size : 512 });
    lm_charsmap_release(&map);
    return 0;
}
