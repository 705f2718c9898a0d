/* Bytes as a GGUF file: what is accepted lies inside the file, is found by name, and means the same when its
 * keys are written again. */
#include "model/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tensors(const struct lm_gguf *g, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < g->tensor_count; i++) {
        const struct lm_gguf_tensor *t = &g->tensors[i];
        char name[LM_GGUF_NAME_MAX + 1] = { 0 };
        memcpy(name, t->name.ptr, t->name.len);
        LM_ASSERT(lm_gguf_tensor_find(g, name) == t);
        const uint8_t *begin = t->data;
        LM_ASSERT(t->bytes > 0 && begin > data && t->bytes <= size - (size_t)(begin - data));
        float row[256];
        lm_types[t->type].decode(row, begin, lm_types[t->type].block_len);
    }
}

static void check_values(const struct lm_gguf *g)
{
    for (size_t i = 0; i < g->value_count; i++) {
        const struct lm_gguf_value *v = &g->values[i];
        LM_FREE char *key = lm_memdup(v->key.ptr, v->key.len + 1);   // + 1: the type follows the key
        key[v->key.len] = '\0';
        int64_t whole;
        double real;
        bool flag;
        struct lm_str text = { 0 }, *items = NULL;
        size_t count = 0;
        LM_ASSERT(lm_gguf_find(g, key) == v);
        (void)lm_gguf_get_int(g, key, &whole, NULL);
        (void)lm_gguf_get_real(g, key, &real, NULL);
        (void)lm_gguf_get_bool(g, key, &flag, NULL);
        (void)lm_gguf_get_str(g, key, &text, NULL);
        if (lm_gguf_get_strings(g, key, &items, &count, NULL) != LM_OK)
            continue;
        LM_ASSERT(count == v->count);
        struct lm_gguf_out again = { 0 };
        lm_gguf_put_strings(&again, key, items, count);
        const size_t head = sizeof(uint64_t) + v->key.len + 2 * sizeof(uint32_t) + sizeof(uint64_t);
        LM_ASSERT(again.keys.len == head + v->bytes_len);
        LM_ASSERT(v->bytes_len == 0 || memcmp(again.keys.ptr + head, v->bytes, v->bytes_len) == 0);
        lm_gguf_out_release(&again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_err err = { 0 };
    struct lm_gguf g;
    if (lm_gguf_parse(&g, (struct lm_str){ (const char *)data, size }, "fuzz", &err) != LM_OK) {
        LM_ASSERT(err.text[0] != '\0');
        return 0;
    }
    check_tensors(&g, data, size);
    check_values(&g);
    lm_gguf_close(&g);
    return 0;
}
