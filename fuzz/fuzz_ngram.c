/* fuzz_ngram: any bytes as an n-gram model.  What opens answers every question in finite time, with a number
 * that is none of NaN and -infinity, and is written again as the same bytes. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "token/ngram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct lm_ngram *m)
{
    const uint32_t last = lm_ngram_vocab_size(m) - 1;
    const uint32_t tokens[] = { 0, last, last / 2, 1 % (last + 1), 0, last, 3 % (last + 1) };
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        const double p = lm_ngram_logprob(m, tokens, i, tokens[i]);
        if (isnan(p) || p == -INFINITY)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64], again[64];
    uint8_t sha[32];
    snprintf(path, sizeof path, "/dev/shm/fuzz_ngram.%d", (int)getpid());
    snprintf(again, sizeof again, "/dev/shm/fuzz_ngram_again.%d", (int)getpid());
    if (lm_file_write(path, (struct lm_str){ (const char *)data, size }, NULL) != LM_OK)
        abort();
    struct lm_ngram *m;
    struct lm_err err = { 0 };
    if (lm_ngram_open(path, sha, &m, &err) == LM_OK) {
        struct lm_buf bytes = { 0 };
        ask(m);
        if (lm_ngram_save(m, sha, again, NULL) != LM_OK || lm_file_read(again, size, &bytes, NULL) != LM_OK ||
            bytes.len != size || memcmp(bytes.ptr, data, size) != 0)
            abort();
        lm_buf_release(&bytes);
        lm_ngram_free(m);
        unlink(again);
    } else if (!err.text[0]) {
        abort();
    }
    unlink(path);
    return 0;
}
