/* interop_model OUT: a random model as a Hugging Face folder OUT, and OUT/tokens.txt with the log-probability
 * that loom gives each of a few hundred tokens: lines "id logprob", 0 for the first.
 * tests/interop/check_model.py compares both with transformers. */
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/engine.h"

#include <stdio.h>
#include <stdlib.h>

enum { TOKENS = 200 };

static const struct lm_llama_config config = {
    .vocab_size = 1000,
    .dim = 96,
    .layers = 3,
    .heads = 6,
    .kv_heads = 2,
    .ffn_dim = 250,
    .context = 256,
    .rope_theta = 50000,
    .norm_eps = 1e-5,
    .tied = true,
    .bos_id = 1,
    .eos_id = 2,
};

static enum lm_rc write_tokens(const struct lm_llama *m, const char *dir, struct lm_err *err)
{
    static uint32_t tokens[TOKENS];
    static double scores[TOKENS];
    struct lm_rng rng = lm_rng_make(3, 0);
    for (size_t i = 0; i < TOKENS; i++)
        tokens[i] = (uint32_t)lm_rng_below(&rng, (uint64_t)config.vocab_size);
    struct lm_model view;
    lm_model_of_llama(&view, m);
    const enum lm_rc scored = lm_score(&view, tokens, TOKENS, scores, err);
    lm_model_close(&view);
    LM_TRY(scored);
    struct lm_buf text = { 0 };
    for (size_t i = 0; i < TOKENS; i++)
        lm_buf_printf(&text, "%u %.9g\n", tokens[i], scores[i]);
    LM_FREE char *path = lm_path_join(dir, "tokens.txt");
    const enum lm_rc rc = lm_file_write(path, lm_buf_str(&text), err);
    lm_buf_release(&text);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s OUT\n", argv[0]);
        return 2;
    }
    struct lm_llama m;
    struct lm_err err = { 0 };
    lm_llama_init(&m, &config);
    lm_llama_random(&m, 1);
    for (size_t i = 0; i < m.parameter_count; i++)   // larger than a fresh model's: the logits say something
        m.params[i] *= m.params[i] == 1 ? 1 : 6;
    enum lm_rc rc = lm_llama_save(&m, argv[1], &err);
    if (rc == LM_OK)
        rc = write_tokens(&m, argv[1], &err);
    if (rc != LM_OK)
        fprintf(stderr, "%s\n", err.text);
    lm_llama_release(&m);
    return rc != LM_OK;
}
