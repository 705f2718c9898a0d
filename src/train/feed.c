#include "train/feed.h"

#include "base/mem.h"

#include <stdlib.h>

void lm_eval_set_release(struct lm_eval_set *set)
{
    free(set->pieces);
    free(set->inputs);
    free(set->targets);
    *set = (struct lm_eval_set){ 0 };
}

bool lm_pack(struct lm_packing *p, struct lm_batch *ret)
{
    lm_batch_clear(ret);
    const size_t before = p->next;
    for (size_t row = 0; row < ret->rows; row++)
        for (size_t at = 0; p->next < p->count && at + p->pieces[p->next].len <= ret->positions; p->next++) {
            LM_DASSERT(p->pieces[p->next].len > 0);
            lm_batch_put(ret, row, at, &p->pieces[p->next]);
            at += p->pieces[p->next].len;
        }
    LM_ASSERT(p->next > before || p->next == p->count);
    return p->next > before;
}
