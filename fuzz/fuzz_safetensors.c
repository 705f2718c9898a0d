/* What parses is written again and parses to the same tensors. */
#include "model/safetensors.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_same(const struct lm_safetensors *a, const struct lm_safetensors *b)
{
    LM_ASSERT(a->count == b->count);
    LM_ASSERT(lm_str_eq(a->metadata, b->metadata));
    for (size_t i = 0; i < a->count; i++) {
        const struct lm_tensor_view *x = &a->tensors[i];
        const struct lm_tensor_view *y = &b->tensors[i];
        LM_ASSERT(lm_str_eq(x->name, y->name));
        LM_ASSERT(x->dtype == y->dtype && x->dims == y->dims && x->bytes == y->bytes);
        LM_ASSERT(memcmp(x->shape, y->shape, sizeof x->shape) == 0);
        LM_ASSERT(x->bytes == 0 || memcmp(x->data, y->data, x->bytes) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_err err = { 0 };
    struct lm_safetensors st, again;
    const struct lm_str bytes = { (const char *)data, size };
    if (lm_safetensors_parse(&st, bytes, "fuzz", &err) != LM_OK) {
        LM_ASSERT(err.text[0] != '\0');
        return 0;
    }
    struct lm_buf written = { 0 };
    lm_safetensors_header(st.tensors, st.count, st.metadata, &written);
    for (size_t i = 0; i < st.count; i++)
        lm_buf_add(&written, st.tensors[i].data, st.tensors[i].bytes);
    const enum lm_rc rc = lm_safetensors_parse(&again, lm_buf_str(&written), "again", &err);
    LM_ASSERT(rc == LM_OK);
    assert_same(&st, &again);
    lm_safetensors_close(&again);
    lm_safetensors_close(&st);
    lm_buf_release(&written);
    return 0;
}
