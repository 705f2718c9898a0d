#include "token/plan.h"

#include "base/sys.h"
#include "token/cuts.h"
#include "token/grams.h"

#include <pthread.h>

static void *make_wide(void *plan)
{
    struct lm_token_plan *p = plan;
    (void)lm_bpe_wide_init(&p->bpe, p->bpe.bpe);
    return NULL;
}

/* The merges of a large vocabulary by a thread of their own, what its bytes tell meanwhile. */
static struct lm_token_plan *make(const struct lm_tokenizer *t)
{
    enum { MANY = 1 << 16 };
    struct lm_token_plan *plan = lm_zalloc(1, sizeof(*plan));
    pthread_t thread;
    plan->bpe.bpe = &t->bpe;
    const bool apart = t->bpe.len >= MANY && lm_threads() > 1 && lm_thread_beside(&thread, make_wide, plan);
    if (t->bpe.slots && !apart)
        make_wide(plan);
    plan->cuts = lm_cuts_make(t);
    plan->grams = lm_grams_make(t);
    plan->breaks = lm_breaks_make(t, plan->cuts, plan->grams);
    if (apart)
        pthread_join(thread, NULL);
    return plan;
}

static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

const struct lm_token_plan *lm_token_plan(const struct lm_tokenizer *t)
{
    struct lm_token_plan **place = &((struct lm_tokenizer *)t)->plan;   // a part that is made later
    struct lm_token_plan *plan = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (plan)
        return plan;
    pthread_mutex_lock(&making);
    plan = *place;
    if (!plan) {
        plan = make(t);
        __atomic_store_n(place, plan, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&making);
    return plan;
}

const struct lm_token_plan *lm_token_plan_for(const struct lm_tokenizer *t, size_t bytes)
{
    enum { WORTH = 256 << 10 };   // bytes that take about as long the plain way
    struct lm_tokenizer *counted = (struct lm_tokenizer *)t;
    const struct lm_token_plan *plan = __atomic_load_n(&t->plan, __ATOMIC_ACQUIRE);
    if (plan)
        return plan;
    const size_t before = __atomic_fetch_add(&counted->encoded_bytes, bytes, __ATOMIC_RELAXED);
    return before + bytes >= WORTH ? lm_token_plan(t) : NULL;
}

void lm_tokenizer_prepare(const struct lm_tokenizer *t)
{
    (void)lm_token_plan(t);
    (void)lm_token_slices(t);
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

/* ---- decoding ---- */

static struct lm_token_slices *make_slices(const struct lm_tokenizer *t)
{
    struct lm_token_slices *s = lm_zalloc(1, sizeof(*s));
    s->size = t->vocab.size;
    s->bytes = lm_slab_alloc(s->size * sizeof(*s->bytes));
    for (size_t skip = 0; skip < 2; skip++)
        s->lens[skip] = lm_zalloc(s->size, 1);
    for (uint32_t id = 0; id < s->size; id++) {
        bool inside = true, blank;
        const struct lm_str text = lm_decode_bytes(t, id, &inside, &blank);
        const enum lm_token_kind kind = t->vocab.items[id].kind;
        const size_t len = text.len + blank;
        if (len <= LM_SLICE_MAX) {
            s->bytes[id][0] = ' ';
            memcpy(s->bytes[id] + blank, text.ptr, text.len);
        }
        s->lens[0][id] = kind == LM_TOKEN_HOLE ? LM_SLICE_HOLE
                         : len > LM_SLICE_MAX  ? LM_SLICE_LONG
                                               : (uint8_t)len;
        s->lens[1][id] = kind == LM_TOKEN_SPECIAL ? 0 : s->lens[0][id];
    }
    return s;
}

const struct lm_token_slices *lm_token_slices(const struct lm_tokenizer *t)
{
    struct lm_token_slices **place = &((struct lm_tokenizer *)t)->slices;
    struct lm_token_slices *slices = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (slices)
        return slices;
    pthread_mutex_lock(&making);
    slices = *place;
    if (!slices) {
        slices = make_slices(t);
        __atomic_store_n(place, slices, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&making);
    return slices;
}

const struct lm_token_slices *lm_token_slices_for(const struct lm_tokenizer *t, size_t ids)
{
    enum { WORTH = 128 << 10 };   // ids that take about as long the plain way
    struct lm_tokenizer *counted = (struct lm_tokenizer *)t;
    const struct lm_token_slices *slices = __atomic_load_n(&t->slices, __ATOMIC_ACQUIRE);
    if (slices)
        return slices;
    const size_t before = __atomic_fetch_add(&counted->decoded_tokens, ids, __ATOMIC_RELAXED);
    return before + ids >= WORTH ? lm_token_slices(t) : NULL;
}

void lm_token_slices_free(struct lm_token_slices *slices)
{
    if (!slices)
        return;
    free(slices->bytes);
    free(slices->lens[0]);
    free(slices->lens[1]);
    free(slices);
}
