/* Regular expressions and grammars: what is compiled follows its masks to texts that it takes byte by byte,
 * too; what is refused says why.  The first byte of the input chooses. */
#include "base/mem.h"
#include "infer/constraint.h"
#include "vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VOCAB = 400, TOKENS_MAX = 60 };

static struct lm_constraint_vocab *vocab(struct lm_tokenizer **ret_tokenizer)
{
    static struct lm_tokenizer *tokenizer;
    static struct lm_constraint_vocab *made;
    if (!made) {
        struct lm_rng rng = lm_rng_make(1, 0);
        tokenizer = random_vocabulary(&rng, VOCAB, 6, "abcxyz019 \n-.()\xc3\xa9");
        made = lm_constraint_vocab_new(tokenizer);
    }
    *ret_tokenizer = tokenizer;
    return made;
}

static void check_bytes(struct lm_constraint_walk *bytewise, struct lm_str token, bool may_end)
{
    for (size_t i = 0; i < token.len; i++)
        LM_ASSERT(lm_constraint_accept(bytewise, VOCABULARY_BYTE + (uint8_t)token.ptr[i]));
    LM_ASSERT(lm_constraint_may_end(bytewise) == may_end);
}

static void walk(const struct lm_constraint *c, const struct lm_tokenizer *tokenizer, struct lm_rng *rng)
{
    struct lm_constraint_walk *w = lm_constraint_walk_new(c), *bytewise = lm_constraint_walk_new(c);
    for (size_t i = 0; i < TOKENS_MAX; i++) {
        size_t count;
        const uint64_t *mask = lm_constraint_mask(w, NULL, 0, &count);
        if (count == 0)
            break;
        const uint32_t id = random_token(rng, mask, VOCAB);
        LM_ASSERT(lm_constraint_accept(w, id));
        check_bytes(bytewise, lm_tokenizer_bytes(tokenizer, id), lm_constraint_may_end(w));
    }
    lm_constraint_walk_free(w);
    lm_constraint_walk_free(bytewise);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct lm_tokenizer *tokenizer;
    struct lm_constraint *c = NULL;
    struct lm_err err = { 0 };
    const struct lm_constraint_vocab *v = vocab(&tokenizer);
    const struct lm_constraint_limits limits = { .states = 20000, .bytes = 4 << 20, .ms = 1000 };
    const enum lm_constraint_kind kind = data[0] & 1 ? LM_CONSTRAINT_GRAMMAR : LM_CONSTRAINT_REGEX;
    const struct lm_str source = { (const char *)data + 1, size - 1 };
    const enum lm_rc rc = lm_constraint_new(v, kind, source, &limits, &c, &err);
    LM_ASSERT(rc == LM_OK || ((rc == LM_EINVAL || rc == LM_ELIMIT) && err.text[0] && !c));
    if (rc != LM_OK)
        return 0;
    struct lm_rng rng = lm_rng_make(size, data[size - 1]);
    walk(c, tokenizer, &rng);
    lm_constraint_free(c);
    return 0;
}
