#include "token/tokenizer_impl.h"

void lm_tokenizer_free(struct lm_tokenizer *t)
{
    if (!t)
        return;
    lm_vocab_release(&t->vocab);
    lm_token_map_release(&t->model);
    lm_added_release(&t->added);
    lm_bpe_release(&t->bpe);
    lm_buf_release(&t->json);
    free(t);
}

uint32_t lm_tokenizer_vocab_size(const struct lm_tokenizer *t)
{
    return (uint32_t)t->vocab.size;
}

struct lm_str lm_tokenizer_bytes(const struct lm_tokenizer *t, uint32_t id)
{
    LM_ASSERT(id < t->vocab.size);
    return lm_vocab_bytes(&t->vocab, id);
}

bool lm_tokenizer_is_special(const struct lm_tokenizer *t, uint32_t id)
{
    LM_ASSERT(id < t->vocab.size);
    return t->vocab.items[id].kind == LM_TOKEN_SPECIAL;
}

bool lm_tokenizer_find(const struct lm_tokenizer *t, struct lm_str content, uint32_t *ret)
{
    const uint32_t id = lm_token_map_find(&t->added.map, &t->vocab, content);
    if (id == LM_TOKEN_NONE || t->vocab.items[id].kind != LM_TOKEN_SPECIAL)
        return false;
    *ret = id;
    return true;
}

uint32_t lm_tokenizer_end_of_text(const struct lm_tokenizer *t)
{
    return t->end_of_text;
}

const uint8_t *lm_tokenizer_sha256(const struct lm_tokenizer *t)
{
    return t->sha256;
}

struct lm_str lm_tokenizer_json(const struct lm_tokenizer *t)
{
    return lm_buf_str(&t->json);
}
