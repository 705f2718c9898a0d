#include "vocabulary.h"

#include "base/json.h"
#include "base/mem.h"
#include "token/vocab.h"

#include <stdlib.h>

struct made {
    struct lm_str bytes;
    uint32_t left, right;
};

static void put_text(struct lm_buf *json, struct lm_str bytes)
{
    struct lm_buf text = { 0 };
    lm_bytes_to_text(bytes, &text);
    lm_json_str(json, lm_buf_str(&text));
    lm_buf_release(&text);
}

static void put_head(struct lm_buf *json)
{
    static const char *const special[] = { "<|endoftext|>", "<|im_start|>", "<|im_end|>" };
    const char *byte_level = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
                             "\"use_regex\":true}";
    lm_buf_puts(json, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (unsigned i = 0; i < 3; i++) {
        lm_json_sep(json);
        lm_buf_printf(json,
                      "{\"id\":%u,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                      "\"normalized\":false,\"special\":true}",
                      i, special[i]);
    }
    lm_buf_printf(json, "],\"normalizer\":null,\"pre_tokenizer\":%s,\"post_processor\":null,\"decoder\":%s,",
                  byte_level, byte_level);
    lm_buf_puts(json, "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                      "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                      "\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{");
    for (unsigned i = 0; i < 3; i++)
        lm_json_key_int(json, special[i], i);
}

static struct lm_tokenizer *load(const struct made *made, size_t count)
{
    struct lm_buf json = { 0 };
    put_head(&json);
    for (size_t i = VOCABULARY_BYTE; i < count; i++) {
        lm_buf_putc(&json, ',');
        put_text(&json, made[i].bytes);
        lm_buf_printf(&json, ":%zu", i);
    }
    lm_buf_puts(&json, "},\"merges\":[");
    for (size_t i = VOCABULARY_FIRST; i < count; i++) {
        lm_buf_puts(&json, i > VOCABULARY_FIRST ? ",[" : "[");
        put_text(&json, made[made[i].left].bytes);
        lm_buf_putc(&json, ',');
        put_text(&json, made[made[i].right].bytes);
        lm_buf_putc(&json, ']');
    }
    lm_buf_puts(&json, "]}}");
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    if (lm_tokenizer_parse(lm_buf_str(&json), "vocabulary", &t, &err) != LM_OK)
        lm_broken(err.text, __FILE__, __LINE__);
    lm_buf_release(&json);
    return t;
}

/* Half of the parts are tokens, so lengths vary much; a few are any byte, so most tokens are text. */
static uint32_t pick(struct lm_rng *rng, size_t count, const char *often)
{
    const uint64_t draw = lm_rng_below(rng, 32);
    if (draw < 16 && count > VOCABULARY_FIRST)
        return (uint32_t)(VOCABULARY_FIRST + lm_rng_below(rng, count - VOCABULARY_FIRST));
    if (draw < 31)
        return VOCABULARY_BYTE + (uint8_t)often[lm_rng_below(rng, strlen(often))];
    return (uint32_t)(VOCABULARY_BYTE + lm_rng_below(rng, 256));
}

/* Whether there is a token of these bytes: a set by hash, open addressing. */
static bool is_new(uint32_t *slots, size_t size, const struct made *made, struct lm_str bytes, uint32_t id)
{
    uint64_t hash = 1;
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (uint8_t)bytes.ptr[i]) * 0x100000001b3;
    size_t at = (hash ^ hash >> 32) & (size - 1);
    for (; slots[at]; at = (at + 1) & (size - 1))
        if (lm_str_eq(made[slots[at]].bytes, bytes))
            return false;
    slots[at] = id;
    return true;
}

struct lm_tokenizer *random_vocabulary(struct lm_rng *rng, size_t count, size_t bytes_max, const char *often)
{
    LM_FREE struct made *made = lm_zalloc(count, sizeof(*made));
    size_t size = 1024, filled = VOCABULARY_FIRST;
    while (size < 2 * count)
        size *= 2;
    LM_FREE uint32_t *slots = lm_zalloc(size, sizeof(*slots));
    struct lm_arena arena = { 0 };
    for (size_t b = 0; b < 256; b++) {
        char *byte = lm_arena_alloc(&arena, 1);
        *byte = (char)b;
        made[VOCABULARY_BYTE + b].bytes = (struct lm_str){ byte, 1 };
    }
    while (filled < count) {
        const uint32_t left = pick(rng, filled, often), right = pick(rng, filled, often);
        const struct lm_str a = made[left].bytes, b = made[right].bytes;
        if (a.len + b.len > bytes_max)
            continue;
        char *both = lm_arena_alloc(&arena, a.len + b.len);
        memcpy(both, a.ptr, a.len);
        memcpy(both + a.len, b.ptr, b.len);
        made[filled] = (struct made){ { both, a.len + b.len }, left, right };
        filled += is_new(slots, size, made, made[filled].bytes, (uint32_t)filled);
    }
    struct lm_tokenizer *t = load(made, count);
    lm_arena_release(&arena);
    return t;
}

bool mask_has(const uint64_t *mask, uint32_t id)
{
    return mask[id / 64] >> id % 64 & 1;
}

uint32_t random_token(struct lm_rng *rng, const uint64_t *mask, uint32_t count)
{
    uint32_t id = (uint32_t)lm_rng_below(rng, count);
    while (!mask_has(mask, id))
        id = (id + 1) % count;
    return id;
}
