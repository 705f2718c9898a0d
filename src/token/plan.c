#include "token/plan.h"

#include "token/cuts.h"
#include "token/grams.h"

#include <pthread.h>

static struct lm_token_plan *make(const struct lm_tokenizer *t)
{
    struct lm_token_plan *plan = lm_zalloc(1, sizeof(*plan));
    plan->bpe.bpe = &t->bpe;
    if (t->bpe.slots)
        (void)lm_bpe_wide_init(&plan->bpe, &t->bpe);
    plan->cuts = lm_cuts_make(t);
    plan->grams = lm_grams_make(t);
    return plan;
}

const struct lm_token_plan *lm_token_plan(const struct lm_tokenizer *t)
{
    static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
    struct lm_token_plan **place = &((struct lm_tokenizer *)t)->plan;   // the one part that is made later
    struct lm_token_plan *plan = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (plan)
        return plan;
    pthread_mutex_lock(&making);
    plan = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (!plan) {
        plan = make(t);
        __atomic_store_n(place, plan, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&making);
    return plan;
}

void lm_token_plan_free(struct lm_token_plan *plan)
{
    if (!plan)
        return;
    lm_bpe_wide_release(&plan->bpe);
    free(plan->cuts);
    lm_grams_free(plan->grams);
    free(plan);
}
