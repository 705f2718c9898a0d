#include "token/chain.h"
#include "token/compiled.h"
#include "token/plan.h"
#include "token/words.h"

#include <pthread.h>

void lm_tokenizer_free(struct lm_tokenizer *t)
{
    if (!t)
        return;
    lm_compiled_detach(t);
    lm_vocab_release(&t->vocab);
    lm_token_map_release(&t->model);
    lm_added_release(&t->added);
    lm_added_release(&t->later);
    lm_token_plan_free(t->plan);
    lm_token_slices_free(t->slices);
    lm_bpe_release(&t->bpe);
    lm_split_free(t->split);
    lm_chain_free(t->chain);
    lm_buf_release(&t->json);
    lm_chat_release(t);
    lm_buf_release(&t->chat_template);
    lm_map_close(&t->map);
    free(t);
}

uint32_t lm_tokenizer_vocab_size(const struct lm_tokenizer *t)
{
    return (uint32_t)t->vocab.size;
}

struct lm_str lm_tokenizer_bytes(const struct lm_tokenizer *t, uint32_t id)
{
    LM_ASSERT(id < t->vocab.size);
    if (t->family == LM_FAMILY_CHAIN)
        return lm_vocab_bytes(&lm_chain_shown(t)[0], id);
    const struct lm_str bytes = lm_vocab_bytes(&t->vocab, id);
    if (t->family == LM_FAMILY_WORDS && bytes.len > 2 && lm_str_starts(bytes, LM_STR(LM_WORDS_INSIDE)))
        return (struct lm_str){ bytes.ptr + 2, bytes.len - 2 };
    return bytes;
}

bool lm_tokenizer_is_special(const struct lm_tokenizer *t, uint32_t id)
{
    LM_ASSERT(id < t->vocab.size);
    return t->vocab.items[id].kind == LM_TOKEN_SPECIAL;
}

/* Tokens of normal text are few, and known there by their normalised content. */
static uint32_t find_later(const struct lm_tokenizer *t, struct lm_str content)
{
    for (uint32_t id = 0; id < t->later.texts.size; id++)
        if (t->later.texts.items[id].kind != LM_TOKEN_HOLE &&
            lm_str_eq(lm_vocab_bytes(&t->vocab, id), content))
            return id;
    return LM_TOKEN_NONE;
}

bool lm_tokenizer_find(const struct lm_tokenizer *t, struct lm_str content, uint32_t *ret)
{
    uint32_t id = lm_token_map_find(&t->added.map, &t->added.texts, content);
    if (id == LM_TOKEN_NONE)
        id = find_later(t, content);
    if (id == LM_TOKEN_NONE || t->vocab.items[id].kind != LM_TOKEN_SPECIAL)
        return false;
    *ret = id;
    return true;
}

uint32_t lm_tokenizer_end_of_text(const struct lm_tokenizer *t)
{
    return t->end_of_text;
}

static pthread_mutex_t hashing = PTHREAD_MUTEX_INITIALIZER;

/* Made when somebody asks: it takes longer than a tenth of the loading. */
const uint8_t *lm_tokenizer_sha256(const struct lm_tokenizer *t)
{
    struct lm_tokenizer *late = (struct lm_tokenizer *)t;
    if (__atomic_load_n(&t->sha256_made, __ATOMIC_ACQUIRE))
        return t->sha256;
    pthread_mutex_lock(&hashing);
    if (!t->sha256_made) {
        struct lm_sha256 sha;
        lm_sha256_init(&sha);
        lm_sha256_add(&sha, t->json.ptr, t->json.len);
        lm_sha256_end(&sha, late->sha256);
        __atomic_store_n(&late->sha256_made, true, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&hashing);
    return t->sha256;
}

struct lm_str lm_tokenizer_json(const struct lm_tokenizer *t)
{
    return lm_buf_str(&t->json);
}

uint32_t lm_tokenizer_role(const struct lm_tokenizer *t, enum lm_token_role role)
{
    LM_ASSERT(role < LM_ROLE_COUNT);
    return t->roles[role];
}

size_t lm_tokenizer_starts(const struct lm_tokenizer *t)
{
    return t->around.before_count;
}

struct lm_str lm_tokenizer_chat_template(const struct lm_tokenizer *t)
{
    return lm_buf_str(&t->chat_template);
}

/* The first of these names that is a special token, else LM_TOKEN_NONE. */
static uint32_t find_any(const struct lm_tokenizer *t, const char *const *names, size_t count)
{
    uint32_t id = LM_TOKEN_NONE;
    for (size_t i = 0; i < count && id == LM_TOKEN_NONE; i++)
        lm_tokenizer_find(t, lm_str(names[i]), &id);
    return id;
}

static uint32_t first_special(const struct lm_tokenizer *t)
{
    for (uint32_t id = 0; id < t->vocab.size; id++)
        if (t->vocab.items[id].kind == LM_TOKEN_SPECIAL)
            return id;
    return LM_TOKEN_NONE;
}

void lm_tokenizer_find_roles(struct lm_tokenizer *t)
{
    static const char *const ends[] = { "<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>" };
    static const char *const start[] = { "<|im_start|>" }, *const end[] = { "<|im_end|>" };
    const uint32_t eos = t->roles[LM_ROLE_EOS], eot = t->roles[LM_ROLE_EOT];
    t->end_of_text = find_any(t, ends, sizeof(ends) / sizeof(ends[0]));
    if (t->end_of_text == LM_TOKEN_NONE)
        t->end_of_text = eos != LM_TOKEN_NONE ? eos : first_special(t);
    t->turn_start = find_any(t, start, 1);
    t->turn_end = find_any(t, end, 1);
    if (t->turn_end == LM_TOKEN_NONE)
        t->turn_end = eot != LM_TOKEN_NONE ? eot : eos;
    lm_chat_prepare(t);
}
