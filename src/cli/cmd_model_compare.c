/* cli/cmd_model_compare.c - several models on the user's own text: how well each predicts it, how fast, how
 * large.
 *
 * Models have different tokens, so what is compared is bits per byte of UTF-8.  Every byte is predicted, by
 * each model in the same passages: a passage is scored on its own behind one begin token (BOS where the
 * tokenizer puts one, else end of text), so that its first token has something to follow from.  A tokenizer
 * without either pays ln V for the first token. */

#include "cli/cmd_model_compare.h"

#include "base/sys.h"
#include "cli/model.h"
#include "infer/engine.h"
#include "infer/measure.h"

#include <math.h>
#include <stdlib.h>

/* ---- tokens of the passages ---- */

struct encoded {
    struct lm_tokens tokens;   // of all passages, one behind the other
    size_t *ends;              // (passages)
    size_t longest;
    uint32_t begin;   // UINT32_MAX: none
};

/* What the tokenizer puts before a text of its own accord, else what ends a document. */
static uint32_t begin_of(const struct lm_tokenizer *t, struct lm_encoder *encoder)
{
    struct lm_tokens some = { 0 };
    lm_encode_with_specials(encoder, LM_STR("a"), false, &some);
    const bool puts_one = some.len > 0 && lm_tokenizer_is_special(t, some.ids[0]);
    const uint32_t begin = puts_one ? some.ids[0] : lm_tokenizer_end_of_text(t);
    lm_tokens_release(&some);
    return begin;
}

/* Tokens that do not give the text back stand for a simpler text: without case, or with unknown words. */
static bool comes_back(const struct lm_tokenizer *t, struct lm_str text, const uint32_t *ids, size_t count)
{
    struct lm_buf back = { 0 };
    const bool same =
        lm_decode(t, ids, count, false, &back, NULL) == LM_OK && lm_str_eq(lm_buf_str(&back), text);
    lm_buf_release(&back);
    return same;
}

static void encode(const struct lm_tokenizer *t, const struct lm_passages *p, struct encoded *e,
                   struct lm_candidate *ret)
{
    struct lm_encoder *encoder = lm_encoder_new(t);
    e->ends = lm_zalloc(p->count, sizeof *e->ends);
    e->begin = begin_of(t, encoder);
    for (size_t i = 0, start = 0; i < p->count; i++) {
        lm_encode(encoder, p->items[i], false, &e->tokens);
        const size_t len = e->tokens.len - start;
        ret->changed += !comes_back(t, p->items[i], e->tokens.ids + start, len);
        e->longest = len > e->longest ? len : e->longest;
        e->ends[i] = start = e->tokens.len;
    }
    lm_encoder_free(encoder);
}

/* ---- bits per byte ---- */

static enum lm_rc score(const struct lm_model *m, const struct encoded *e, size_t count,
                        struct lm_candidate *ret, struct lm_err *err)
{
    const bool begins = e->begin != UINT32_MAX;
    struct lm_scorer *scorer = NULL;
    LM_TRY(lm_scorer_new_window(m, e->longest + 2, &scorer, err));
    LM_FREE uint32_t *ids = lm_zalloc(e->longest + 1, sizeof *ids);
    LM_FREE double *logs = lm_zalloc(e->longest + 1, sizeof *logs);
    struct lm_progress progress = lm_progress_start("compare", "passages", count);
    enum lm_rc rc = LM_OK;
    for (size_t i = 0, start = 0; i < count && rc == LM_OK; start = e->ends[i++]) {
        const size_t len = e->ends[i] - start;
        ids[0] = e->begin;
        memcpy(ids + begins, e->tokens.ids + start, len * sizeof *ids);
        rc = lm_stop_asked() ? lm_fail(err, LM_ESTOP, "compare: asked to stop")
                             : lm_scorer_run(scorer, ids, len + begins, logs, err);
        ret->nats[i] = begins ? 0 : log((double)m->config.vocab_size);
        for (size_t k = 1; k < len + begins; k++)
            ret->nats[i] -= logs[k];
        lm_progress_at(&progress, i + 1, ret->path);
    }
    lm_progress_end(&progress, count);
    lm_scorer_free(scorer);
    return rc;
}

static enum lm_rc score_text(const struct lm_model *m, const struct lm_tokenizer *t,
                             const struct lm_passages *p, struct lm_arena *arena, struct lm_candidate *ret,
                             struct lm_err *err)
{
    struct encoded e = { 0 };
    encode(t, p, &e, ret);
    ret->nats = lm_arena_alloc(arena, p->count * sizeof *ret->nats);
    const enum lm_rc rc = score(m, &e, p->count, ret, err);
    if (e.begin != UINT32_MAX) {
        const struct lm_str begin = lm_tokenizer_bytes(t, e.begin);
        ret->begin = lm_arena_strndup(arena, begin.ptr, begin.len);
    }
    for (size_t i = 0; i < p->count; i++)
        ret->nats_sum += ret->nats[i];
    ret->tokens = e.tokens.len;
    ret->bits_per_byte = ret->nats_sum / ((double)p->bytes * M_LN2);
    ret->perplexity = exp(ret->nats_sum / (double)ret->tokens);
    ret->tokens_per_byte = (double)ret->tokens / (double)p->bytes;
    lm_tokens_release(&e.tokens);
    free(e.ends);
    return rc;
}

/* ---- speed and facts ---- */

static const struct lm_measure_case *find_case(const char *name)
{
    const struct lm_measure_case *c = lm_measure_cases;
    while (strcmp(c->name, name) != 0)
        c++;
    return c;
}

/* A context too short for a case leaves its number NaN: that is no error of the model. */
static enum lm_rc measure(const struct lm_model *m, int runs, enum lm_kv_type kv, struct lm_candidate *ret,
                          struct lm_err *err)
{
    if (runs == 0)
        return LM_OK;
    if (lm_stop_asked())
        return lm_fail(err, LM_ESTOP, "compare: asked to stop");
    (void)lm_measure(m, find_case("decode"), kv, runs, &ret->decode, NULL);
    (void)lm_measure(m, find_case("prompt512"), kv, runs, &ret->prompt, NULL);
    return lm_measure_load(ret->path, &ret->load, err);   // last: its file is in memory by now
}

static enum lm_rc note_facts(const struct lm_model *m, enum lm_kv_type kv, struct lm_arena *arena,
                             struct lm_candidate *ret, struct lm_err *err)
{
    int64_t kv_bytes;
    LM_TRY(lm_model_kv_bytes_per_token(&m->config, kv, &kv_bytes, err));
    const struct lm_model_types types = lm_model_count_types(m);
    const struct lm_str license = lm_model_note(m, "license");
    ret->architecture = lm_archs[m->config.arch].name;
    ret->license = license.len ? lm_arena_strndup(arena, license.ptr, license.len) : "not said";
    ret->quantization = lm_model_quantization(&types);
    ret->parameters = (double)lm_model_parameters(&m->config);
    ret->context = (double)m->config.context;
    ret->weight_bytes = (double)types.bytes;
    ret->kv_bytes_per_token = (double)kv_bytes;
    return LM_OK;
}

static enum lm_rc examine_open(const struct lm_model *m, const struct lm_comparison *c,
                               struct lm_arena *arena, struct lm_candidate *ret, struct lm_err *err)
{
    struct lm_tokenizer *t = NULL;
    if (!lm_archs[m->config.arch].causal)
        return lm_fail(err, LM_EINVAL, "%s is an encoder (%s): it predicts no text", ret->path,
                       lm_archs[m->config.arch].name);
    LM_TRY(note_facts(m, c->kv, arena, ret, err));
    LM_TRY(lm_model_check_finite(m, err));
    LM_TRY(lm_model_tokenizer(ret->path, &t, err));
    enum lm_rc rc = score_text(m, t, &c->passages, arena, ret, err);
    lm_tokenizer_free(t);
    if (rc == LM_OK)
        rc = measure(m, (int)c->runs, c->kv, ret, err);
    return rc;
}

static enum lm_rc examine(const struct lm_comparison *c, struct lm_arena *arena, struct lm_candidate *ret,
                          struct lm_err *err)
{
    struct lm_model m = { 0 };
    LM_TRY(lm_model_open(ret->path, &m, err));
    const enum lm_rc rc = examine_open(&m, c, arena, ret, err);
    lm_model_close(&m);
    return rc;
}

/* ---- against the best ---- */

enum { MINE, BEST, BYTES, STATS };

static double bits_over(const struct lm_metric_config *config, const double *sums)
{
    (void)config;
    return (sums[MINE] - sums[BEST]) / (sums[BYTES] * M_LN2);
}

/* Both models' bits in the same passages, passages drawn again: what the two share cancels out. */
static void compare_with_best(const struct lm_comparison *c, struct lm_candidate *mine)
{
    const struct lm_passages *p = &c->passages;
    mine->over_best = mine->bits_per_byte - c->best_text->bits_per_byte;
    if (p->count < LM_COMPARE_PASSAGES_MIN)
        return;
    LM_FREE double *stats = lm_zalloc(p->count, STATS * sizeof *stats);
    for (size_t i = 0; i < p->count; i++) {
        stats[i * STATS + MINE] = mine->nats[i];
        stats[i * STATS + BEST] = c->best_text->nats[i];
        stats[i * STATS + BYTES] = (double)p->items[i].len;
    }
    mine->over_best_interval =
        lm_bootstrap(stats, p->count, STATS, bits_over, NULL, LM_COMPARE_RESAMPLES, LM_COMPARE_SEED);
}

static void find_best(struct lm_comparison *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct lm_candidate *x = &c->items[i];
        if (!x->error && x->changed == 0 && (!c->best_text || x->bits_per_byte < c->best_text->bits_per_byte))
            c->best_text = x;
    }
    for (size_t i = 0; i < c->count && c->best_text; i++)
        if (!c->items[i].error)
            compare_with_best(c, &c->items[i]);
}

/* ---- the command ---- */

static enum lm_rc examine_all(struct lm_cli *cli, struct lm_comparison *c, struct lm_err *err)
{
    for (size_t i = 0; i < c->count; i++) {
        struct lm_candidate *x = &c->items[i];
        struct lm_err why = { 0 };
        *x = (struct lm_candidate){
            .path = cli->args[i],
            .over_best = NAN,
            .over_best_interval = { NAN, NAN },
            .decode = NAN,
            .prompt = NAN,
            .load = NAN,
        };
        const enum lm_rc rc = examine(c, &cli->arena, x, &why);
        if (rc == LM_ESTOP)
            return lm_fail(err, LM_ESTOP, "%s", why.text);
        if (rc != LM_OK) {
            x->error = lm_arena_strdup(&cli->arena, why.text);
            c->failed++;
        }
    }
    return LM_OK;
}

enum lm_rc lm_model_compare(struct lm_cli *cli, struct lm_err *err)
{
    const struct lm_model_cli_config *o = cli->config[0];
    if (!o->text)
        return lm_fail(err, LM_EINVAL,
                       "--text is missing: a file of text that none of the models was made from");
    struct lm_comparison c = {
        .text = o->text,
        .max_bytes = o->max_bytes,
        .passage_bytes = o->passage_bytes,
        .runs = o->runs,
        .kv = (enum lm_kv_type)o->kv,
        .items = lm_arena_alloc(&cli->arena, cli->arg_count * sizeof *c.items),
        .count = cli->arg_count,
    };
    enum lm_rc rc =
        lm_passages_read(o->text, (size_t)o->max_bytes, (size_t)o->passage_bytes, &c.passages, err);
    if (rc == LM_OK)
        rc = examine_all(cli, &c, err);
    if (rc == LM_OK) {
        find_best(&c);
        lm_compare_tell(cli, &c);
        cli->result_stands = true;
    }
    lm_passages_release(&c.passages);
    if (rc == LM_OK && c.failed > 0)
        return lm_fail(err, LM_EFORMAT, "%zu of %zu models could not be compared: their rows say why",
                       c.failed, c.count);
    return rc;
}
