/* Samples as people see them: what is read, and what is trained. */
#include "model/llama.h"
#include "train/pairs.h"
#include "train/train.h"

static const struct marks {
    const char *open, *close;
} marks[] = { { "\u00ab", "\u00bb" }, { "\033[1;32m", "\033[0m" } };   // plain, coloured

/* Token j of a piece is input[j], the one behind the last is its target; it is trained when the position
 * before it has a target. */
static enum lm_rc show_piece(const struct lm_tokenizer *t, const struct lm_piece *p, const struct marks *m,
                             struct lm_buf *ret, struct lm_err *err)
{
    bool open = false;
    const bool last = p->target[p->len - 1] != LM_TARGET_NONE;
    for (size_t j = 0; j < p->len + last; j++) {
        const uint32_t id = j < p->len ? p->input[j] : (uint32_t)p->target[j - 1];
        const bool trained = j > 0 && p->target[j - 1] != LM_TARGET_NONE;
        if (trained != open)
            lm_buf_puts(ret, trained ? m->open : m->close);
        open = trained;
        LM_TRY(lm_decode(t, &id, 1, false, ret, err));
    }
    lm_buf_puts(ret, open ? m->close : "");
    lm_buf_putc(ret, '\n');
    return LM_OK;
}

static enum lm_rc show_all(const struct lm_tokenizer *t, const struct lm_pair_set *set, size_t count,
                           bool color, struct lm_buf *ret, struct lm_err *err)
{
    for (size_t i = 0; i < count && i < set->train.count; i++) {
        const struct lm_piece *p = &set->train.pieces[i];
        size_t trained = 0;
        for (size_t j = 0; j < p->len; j++)
            trained += p->target[j] != LM_TARGET_NONE;
        lm_buf_printf(ret, "-- sample %zu: %zu tokens, %zu of them trained\n", i + 1, p->len + 1, trained);
        LM_TRY(show_piece(t, p, &marks[color], ret, err));
    }
    return LM_OK;
}

enum lm_rc lm_pairs_show(const struct lm_finetune_config *config, const char *model_dir,
                         const char *pairs_path, size_t count, bool color, struct lm_buf *ret,
                         struct lm_err *err)
{
    struct lm_llama_config model;
    struct lm_tokenizer *tokenizer = NULL;
    struct lm_pair_set set = { 0 };
    LM_TRY(lm_llama_load_config(&model, model_dir, err));
    struct lm_pair_spec spec;
    LM_TRY(lm_finetune_spec(config, &model, &spec, err));
    LM_TRY(lm_tokenizer_load(model_dir, &tokenizer, err));
    enum lm_rc rc = lm_pair_set_read(&set, pairs_path, tokenizer, &spec, err);
    if (rc == LM_OK)
        rc = show_all(tokenizer, &set, count, color, ret, err);
    lm_pair_set_release(&set);
    lm_tokenizer_free(tokenizer);
    return rc;
}
