/* Attention: fast rows against the definition, with documents, shared KV heads and odd sizes; and what
 * packing promises. */
#include "tensor/kernels.h"

#include "values.h"

#include <string.h>

/* One problem and its results. */
struct problem {
    struct lm_attention shape;
    uint32_t *start;
    size_t q_len, kv_len;
    float *q, *k, *v, *dout, *out, *lse, *dq, *dk, *dv, *scratch;
};

static void make(struct problem *p, size_t positions, size_t heads, size_t kv_heads, size_t head_dim,
                 const uint32_t *ends, size_t end_count)
{
    *p = (struct problem){ .q_len = positions * heads * head_dim, .kv_len = positions * kv_heads * head_dim };
    p->start = lm_zalloc(positions, sizeof *p->start);
    for (size_t t = 0; t < positions; t++)
        for (size_t i = 0; i < end_count; i++)
            if (ends[i] <= t)
                p->start[t] = ends[i];
    p->shape = (struct lm_attention){ positions, heads, kv_heads, head_dim, p->start };
    p->q = random_values(1, p->q_len, 1);
    p->k = random_values(2, p->kv_len, 1);
    p->v = random_values(3, p->kv_len, 1);
    p->dout = random_values(4, p->q_len, 1);
    p->out = random_values(5, p->q_len, 1);   // results start as rubbish: they must be written
    p->lse = random_values(6, positions * heads, 1);
    p->dq = random_values(7, p->q_len, 1);
    p->dk = random_values(8, p->kv_len, 1);
    p->dv = random_values(9, p->kv_len, 1);
    p->scratch = lm_slab_alloc(lm_attention_scratch(positions, head_dim) * sizeof *p->scratch);
}

static void release(struct problem *p)
{
    float *all[] = { p->q, p->k, p->v, p->dout, p->out, p->lse, p->dq, p->dk, p->dv, p->scratch };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    free(p->start);
}

static void run(const struct lm_kernels *k, struct problem *p)
{
    for (size_t kv = 0; kv < p->shape.kv_heads; kv++) {
        k->attention(&p->shape, kv, p->out, p->lse, p->q, p->k, p->v, p->scratch);
        k->attention_back(&p->shape, kv, p->dq, p->dk, p->dv, p->dout, p->out, p->lse, p->q, p->k, p->v,
                          p->scratch);
    }
}

static void compare(const struct lm_kernels *fast, size_t positions, size_t heads, size_t kv_heads,
                    size_t head_dim, const uint32_t *ends, size_t end_count)
{
    struct problem a, b;
    make(&a, positions, heads, kv_heads, head_dim, ends, end_count);
    make(&b, positions, heads, kv_heads, head_dim, ends, end_count);
    run(fast, &a);
    run(lm_kernels_table[LM_ISA_SCALAR], &b);
    assert_near(a.out, b.out, a.q_len, 2e-5, "out");
    assert_near(a.lse, b.lse, positions * heads, 2e-5, "lse");
    assert_near(a.dq, b.dq, a.q_len, 5e-5, "dq");
    assert_near(a.dk, b.dk, a.kv_len, 5e-5, "dk");
    assert_near(a.dv, b.dv, a.kv_len, 5e-5, "dv");
    release(&a);
    release(&b);
}

static void fast_attention_is_the_definition(void **state)
{
    (void)state;
    static const size_t lengths[] = { 1, 2, 63, 64, 65, 130, 200 };
    static const uint32_t none[1] = { 0 }, some[] = { 1, 20, 64, 129 };
    for (int isa = LM_ISA_SCALAR + 1; isa < LM_ISA_COUNT; isa++)
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0] && lm_isa_has(isa); i++) {
            const struct lm_kernels *fast = lm_kernels_table[isa];
            compare(fast, lengths[i], 2, 2, 16, none, 0);
            compare(fast, lengths[i], 4, 2, 10, some, 4);
            compare(fast, lengths[i], 3, 1, 34, some, 4);
            compare(fast, lengths[i], 1, 1, 64, some, 2);
        }
}

/* Two documents in one sequence give what each gives alone. */
static void packed_documents_do_not_see_each_other(void **state)
{
    (void)state;
    enum { FIRST = 70, SECOND = 61, HEADS = 2, D = 16, ROW = HEADS * D };
    const uint32_t ends[] = { FIRST };
    for (int isa = 0; isa < LM_ISA_COUNT; isa++) {
        if (!lm_isa_has(isa))
            continue;
        const struct lm_kernels *k = lm_kernels_table[isa];
        struct problem both, alone;
        make(&both, FIRST + SECOND, HEADS, HEADS, D, ends, 1);
        run(k, &both);
        make(&alone, SECOND, HEADS, HEADS, D, NULL, 0);
        memcpy(alone.q, both.q + (size_t)FIRST * ROW, alone.q_len * sizeof(float));
        memcpy(alone.k, both.k + (size_t)FIRST * ROW, alone.q_len * sizeof(float));
        memcpy(alone.v, both.v + (size_t)FIRST * ROW, alone.q_len * sizeof(float));
        memcpy(alone.dout, both.dout + (size_t)FIRST * ROW, alone.q_len * sizeof(float));
        run(k, &alone);
        assert_near(both.out + (size_t)FIRST * ROW, alone.out, alone.q_len, 1e-5, "out");
        assert_near(both.dq + (size_t)FIRST * ROW, alone.dq, alone.q_len, 1e-5, "dq");
        assert_near(both.dk + (size_t)FIRST * ROW, alone.dk, alone.q_len, 1e-5, "dk");
        assert_near(both.dv + (size_t)FIRST * ROW, alone.dv, alone.q_len, 1e-5, "dv");
        release(&both);
        release(&alone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_attention_is_the_definition),
        cmocka_unit_test(packed_documents_do_not_see_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
