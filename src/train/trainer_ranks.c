/* What one rank does for all: checkpoints and measurements. */
#include "train/trainer_impl.h"

#include "base/sys.h"

struct lm_ranks *lm_trainer_ranks(const struct lm_trainer_config *config)
{
    return config->ranks ? config->ranks : &lm_ranks_alone;
}

size_t lm_trainer_parts(const struct lm_trainer_config *c, const struct lm_feed *feed)
{
    if (c->dp || c->dpo)   // whose batches are not of rows: one part without a wish
        return c->batch_parts > 0 ? (size_t)c->batch_parts : 1;
    return lm_batch_parts_count((size_t)c->batch_parts, feed->rows, feed->positions);
}

/* What a batch is cut into parts by, and how many there are. */
static enum lm_rc check_parts(const struct lm_training *t, int ranks, struct lm_err *err)
{
    const struct lm_trainer_config *c = t->config;
    const size_t parts = lm_trainer_parts(c, t->feed);
    if (c->dp)
        return lm_batch_parts_check(parts, (size_t)c->dp->source->units, "units of privacy", ranks, err);
    if (c->dpo)
        return lm_batch_parts_check(parts, c->dpo->pairs_per_step, "pairs", ranks, err);
    return lm_batch_parts_check(parts, t->feed->rows, "rows", ranks, err);
}

enum lm_rc lm_trainer_join(struct lm_training *t, struct lm_err *err)
{
    const struct lm_trainer_config *c = t->config;
    struct lm_ranks *r = lm_trainer_ranks(c);
    LM_TRY(lm_ranks_agree(r, check_parts(t, r->count, err), err));
    char kind[LM_SHA256_HEX + 16];   // the kernels too: ranks that round differently would not be one run
    snprintf(kind, sizeof kind, "%s %s", c->recipe, lm_isa_name(lm_isa()));
    return lm_ranks_same(r, "the recipe (options, data, program, instruction set)", kind, err);
}

/* By the first rank. */
static enum lm_rc write_checkpoint(const struct lm_training *t, struct lm_err *err)
{
    struct lm_err why = { 0 };
    const enum lm_rc rc = lm_checkpoint_save(&t->place, &t->state, &why);
    if (rc == LM_OK)
        return rc;
    return lm_fail(err, rc,
                   "%s: no checkpoint of step %llu: %.*s; make room or mend the disk, and the same command "
                   "goes on from the checkpoint before",
                   t->config->what, (unsigned long long)t->state.step, LM_ERR_TEXT_MAX / 2, why.text);
}

enum lm_rc lm_trainer_save(struct lm_training *t, struct lm_err *err)
{
    struct lm_ranks *r = t->optim.slices.ranks;
    LM_TRY(lm_trainer_check_params(t, err));
    LM_TRY(lm_slices_gather(&t->optim.slices, t->optim.m, err));
    LM_TRY(lm_slices_gather(&t->optim.slices, t->optim.v, err));
    return lm_ranks_agree(r, r->rank == 0 ? write_checkpoint(t, err) : LM_OK, err);
}

/* Everything but the moments, from rank 0. */
static enum lm_rc share_state(struct lm_training *t, struct lm_err *err)
{
    struct lm_ranks *r = t->optim.slices.ranks;
    struct lm_checkpoint *s = &t->state;
    struct lm_checkpoint from = *s;   // of its fields only those that are no pointers
    LM_TRY(lm_ranks_share(r, &from, sizeof from, err));
    LM_TRY(lm_ranks_share(r, s->params, s->count * sizeof *s->params, err));
    LM_TRY(lm_ranks_share_text(r, &s->log, err));
    from.log = s->log;
    from.samples = s->samples;   // rank 0's alone
    from.params = s->params;
    from.m = s->m;
    from.v = s->v;
    *s = from;
    return LM_OK;
}

/* What rank 0 has read, to all. */
static enum lm_rc spread_state(struct lm_training *t, struct lm_err *err)
{
    LM_TRY(share_state(t, err));
    LM_TRY(lm_slices_scatter(&t->optim.slices, t->optim.m, err));
    return lm_slices_scatter(&t->optim.slices, t->optim.v, err);
}

enum lm_rc lm_trainer_load(struct lm_training *t, struct lm_err *err)
{
    struct lm_ranks *r = t->optim.slices.ranks;
    int rc = r->rank == 0 ? lm_checkpoint_load(&t->place, &t->state, err) : LM_OK;
    LM_TRY(lm_ranks_agree(r, rc == LM_ENOTHING ? LM_OK : rc, err));
    LM_TRY(lm_ranks_share(r, &rc, sizeof rc, err));
    if (rc == LM_ENOTHING || r->count == 1)
        return rc;
    return spread_state(t, err);
}

enum lm_rc lm_trainer_rewind(struct lm_training *t, uint64_t step, struct lm_err *err)
{
    struct lm_ranks *r = t->optim.slices.ranks;
    const enum lm_rc rc = r->rank == 0 ? lm_checkpoint_rewind(&t->place, step, &t->state, err) : LM_OK;
    LM_TRY(lm_ranks_agree(r, rc, err));
    return r->count == 1 ? LM_OK : spread_state(t, err);
}

enum lm_rc lm_trainer_measure(struct lm_training *t, struct lm_measure *ret, struct lm_err *err)
{
    struct lm_ranks *r = t->optim.slices.ranks;
    enum lm_rc rc = LM_OK;
    struct lm_measure m = { 0 };
    lm_net_refresh(t->net);
    if (r->rank == 0)
        rc = lm_eval_measure(t->net, &t->eval_batch, t->heldout, &m, err);
    LM_TRY(lm_ranks_agree(r, rc, err));
    LM_TRY(lm_ranks_share(r, &m, sizeof m, err));
    *ret = m;
    return LM_OK;
}
