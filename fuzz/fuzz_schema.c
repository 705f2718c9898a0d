/* JSON Schemas: whatever is compiled, is within its limits, and a walk that follows the masks writes text
 * that the JSON reader accepts.  Refusals say why.
 *
 * The vocabulary is the bytes and some pairs; the input is the schema, and its bytes also choose the tokens.
 */
#include "base/json.h"
#include "infer/constraint.h"
#include "vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VOCAB = 400, TOKENS_MAX = 120 };

static struct lm_constraint_vocab *vocab(struct lm_tokenizer **ret_tokenizer)
{
    static struct lm_tokenizer *tokenizer;
    static struct lm_constraint_vocab *made;
    if (!made) {
        struct lm_rng rng = lm_rng_make(1, 0);
        tokenizer = random_vocabulary(&rng, VOCAB, 6, "\"\"{}[]:,0123456789abctrue \n-.\\\xc3\xa9");
        made = lm_constraint_vocab_new(tokenizer);
    }
    *ret_tokenizer = tokenizer;
    return made;
}

static void read_back(struct lm_str text)
{
    struct lm_arena arena = { 0 };
    struct lm_json_reader r;
    struct lm_err err = { 0 };
    enum lm_json_kind kind;
    lm_json_open(&r, text, "text", &arena);
    do
        LM_ASSERT(lm_json_next(&r, &kind, &err) == LM_OK);
    while (kind != LM_JSON_END);
    lm_arena_release(&arena);
}

static void walk(const struct lm_constraint *c, const struct lm_tokenizer *tokenizer, struct lm_rng *rng)
{
    static const uint32_t ends[] = { VOCABULARY_END };
    struct lm_constraint_walk *w = lm_constraint_walk_new(c);
    struct lm_buf text = { 0 };
    bool ended = false;
    for (size_t i = 0; i < TOKENS_MAX && !ended; i++) {
        size_t count;
        const uint64_t *mask = lm_constraint_mask(w, ends, 1, &count);
        if (count == 0)
            break;   // too ambiguous
        const uint32_t id = random_token(rng, mask, VOCAB);
        ended = id == VOCABULARY_END;
        if (!ended) {
            LM_ASSERT(lm_constraint_accept(w, id));
            lm_buf_add_str(&text, lm_tokenizer_bytes(tokenizer, id));
        }
    }
    if (ended)
        read_back(lm_buf_str(&text));
    lm_constraint_walk_free(w);
    lm_buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_tokenizer *tokenizer;
    struct lm_constraint *c = NULL;
    struct lm_err err = { 0 };
    const struct lm_constraint_vocab *v = vocab(&tokenizer);
    const struct lm_constraint_limits limits = { .states = 20000, .bytes = 4 << 20, .ms = 1000 };
    const struct lm_str source = { (const char *)data, size };
    const enum lm_rc rc = lm_constraint_new(v, LM_CONSTRAINT_JSON_SCHEMA, source, &limits, &c, &err);
    LM_ASSERT(rc == LM_OK || ((rc == LM_EINVAL || rc == LM_ELIMIT) && err.text[0] && !c));
    if (rc != LM_OK)
        return 0;
    struct lm_rng rng = lm_rng_make(size, size > 0 ? data[size - 1] : 0);
    walk(c, tokenizer, &rng);
    lm_constraint_free(c);
    return 0;
}
