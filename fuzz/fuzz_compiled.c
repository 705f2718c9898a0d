/* fuzz_compiled: any bytes as a compiled tokenizer, with the digest set right where there is room for one, so
 * that mutations reach what is behind it.  What loads must encode and decode. */
#include <stdlib.h>

#include "token/compiled.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sign(char *file, size_t size)
{
    struct lm_compiled_header h;
    if (size < sizeof(h))
        return;
    memcpy(&h, file, sizeof(h));
    for (size_t i = LM_COMPILED_FRAME; i <= LM_COMPILED_TEMPLATE; i++)
        if (h.sections[i].at > size || h.sections[i].len > size - h.sections[i].at)
            return;
    struct lm_hash64_stream *hash = lm_hash64_start();
    h.digest = 0;
    lm_hash64_add(hash, &h, sizeof(h));
    for (size_t i = LM_COMPILED_FRAME; i <= LM_COMPILED_TEMPLATE; i++)
        lm_hash64_add(hash, file + h.sections[i].at, h.sections[i].len);
    h.digest = lm_hash64_value(hash);
    lm_hash64_free(hash);
    memcpy(file, &h, sizeof(h));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    LM_FREE char *file = lm_memdup(data, size);   // aligned, and exactly as long
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    sign(file, size);
    if (lm_tokenizer_from_compiled((struct lm_str){ file, size }, "fuzz", &t, &err) != LM_OK) {
        if (!err.text[0])
            abort();   // a refusal without a reason
        return 0;
    }
    lm_tokenizer_prepare(t);
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_tokens ids = { 0 };
    struct lm_buf back = { 0 };
    lm_encode_with_specials(e, LM_STR("Hello  wor1d's\n caf\xc3\xa9 <s>\xff \xe4\xb8\xad"), true, &ids);
    if (lm_decode(t, ids.ids, ids.len, false, &back, NULL) != LM_OK)
        abort();
    lm_buf_release(&back);
    lm_tokens_release(&ids);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
    return 0;
}
