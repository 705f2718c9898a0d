/* All calls of oneDNN.  Version 3 dropped operation descriptors and made memory descriptors opaque: this is
 * the one file to change for it. */
#include "tensor/gemm.h"

#include "base/mem.h"
#include "base/sys.h"

#include <dnnl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#if DNNL_VERSION_MAJOR != 2
#error "tensor/gemm.c is written for oneDNN 2"
#endif

/* What a primitive is made for; compared as bytes, so always zeroed first. */
struct shape {
    size_t m, n, k;
    bool a_t, b_t, accumulate, bf16;
};

/* Rounds one operand to bf16, into the layout the product wants. */
struct rounding {
    dnnl_primitive_t primitive;
    dnnl_memory_t from, to;
    dnnl_memory_desc_t wanted;
    size_t bytes;
};

/* A product of one shape, ready to run. */
struct prepared {
    struct shape shape;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c, scratchpad;
    size_t scratchpad_bytes;
    struct rounding round_a, round_b;   // bf16 only
};

/* A weight in one of the layouts its products want: forward and backward have one each, as a rule. */
enum { PACKS_MAX = 4 };
struct pack {
    dnnl_memory_desc_t layout;
    void *data;
    size_t bytes;
    bool stale;
};

struct weight {
    const float *w;
    struct pack packs[PACKS_MAX];
    size_t pack_count;
};

struct scratch {
    void *data;
    size_t bytes;
};

struct lm_gemm {
    enum lm_gemm_type type;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct prepared *prepared;
    size_t prepared_count, prepared_cap;
    struct weight *weights;
    size_t weight_count, weight_cap;
    struct scratch scratchpad, rounded_a, rounded_b;
};

static enum lm_rc check(dnnl_status_t status, const char *what, struct lm_err *err)
{
    if (status == dnnl_success)
        return LM_OK;
    const bool memory = status == dnnl_out_of_memory;
    return lm_fail(err, memory ? LM_ENOMEM : LM_EINVAL, "oneDNN: cannot %s (status %d)", what, (int)status);
}

#define TRY_DNNL(call, what) LM_TRY(check(call, what, err))

static void *scratch_get(struct scratch *s, size_t bytes)
{
    if (bytes > s->bytes) {
        free(s->data);
        s->data = lm_slab_alloc(bytes);
        s->bytes = bytes;
    }
    return s->data;
}

/* A (rows, cols) matrix stored by rows, or stored transposed. */
static enum lm_rc describe(dnnl_memory_desc_t *ret, size_t rows, size_t cols, bool transposed,
                           dnnl_data_type_t type, struct lm_err *err)
{
    const dnnl_dims_t dims = { (dnnl_dim_t)rows, (dnnl_dim_t)cols };
    const dnnl_dims_t strides = { transposed ? 1 : (dnnl_dim_t)cols, transposed ? (dnnl_dim_t)rows : 1 };
    return check(dnnl_memory_desc_init_by_strides(ret, 2, dims, type, strides), "describe a matrix", err);
}

static enum lm_rc make_attributes(bool accumulate, dnnl_primitive_attr_t *ret, struct lm_err *err)
{
    dnnl_post_ops_t ops = NULL;
    TRY_DNNL(dnnl_primitive_attr_create(ret), "create attributes");
    dnnl_status_t status = dnnl_primitive_attr_set_fpmath_mode(*ret, dnnl_fpmath_mode_strict);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(*ret, dnnl_scratchpad_mode_user);
    if (status == dnnl_success && accumulate) {
        status = dnnl_post_ops_create(&ops);
        if (status == dnnl_success)
            status = dnnl_post_ops_append_sum(ops, 1);
        if (status == dnnl_success)
            status = dnnl_primitive_attr_set_post_ops(*ret, ops);
        dnnl_post_ops_destroy(ops);
    }
    return check(status, "set attributes", err);
}

static enum lm_rc make_memory(const struct lm_gemm *g, const dnnl_memory_desc_t *md, dnnl_memory_t *ret,
                              struct lm_err *err)
{
    return check(dnnl_memory_create(ret, md, g->engine, DNNL_MEMORY_NONE), "create a memory object", err);
}

static enum lm_rc make_rounding(const struct lm_gemm *g, struct rounding *ret, const dnnl_memory_desc_t *from,
                                const dnnl_memory_desc_t *to, struct lm_err *err)
{
    dnnl_primitive_desc_t pd = NULL;
    TRY_DNNL(dnnl_reorder_primitive_desc_create(&pd, from, g->engine, to, g->engine, NULL),
             "describe a reorder");
    const dnnl_status_t status = dnnl_primitive_create(&ret->primitive, pd);
    dnnl_primitive_desc_destroy(pd);
    TRY_DNNL(status, "create a reorder");
    ret->wanted = *to;
    ret->bytes = dnnl_memory_desc_get_size(to);
    LM_TRY(make_memory(g, from, &ret->from, err));
    return make_memory(g, to, &ret->to, err);
}

/* The parts of a product that need its primitive descriptor. */
static enum lm_rc prepare_by(const struct lm_gemm *g, struct prepared *p, dnnl_primitive_desc_t pd,
                             struct lm_err *err)
{
    const struct shape *s = &p->shape;
    const dnnl_memory_desc_t *a = dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0);
    const dnnl_memory_desc_t *b = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    const dnnl_memory_desc_t *c = dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    const dnnl_memory_desc_t *pad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    TRY_DNNL(dnnl_primitive_create(&p->primitive, pd), "create a product");
    p->scratchpad_bytes = dnnl_memory_desc_get_size(pad);
    LM_TRY(make_memory(g, a, &p->a, err));
    LM_TRY(make_memory(g, b, &p->b, err));
    LM_TRY(make_memory(g, c, &p->c, err));
    LM_TRY(make_memory(g, pad, &p->scratchpad, err));
    if (!s->bf16)
        return LM_OK;
    dnnl_memory_desc_t a32, b32;
    LM_TRY(describe(&a32, s->m, s->k, s->a_t, dnnl_f32, err));
    LM_TRY(describe(&b32, s->k, s->n, s->b_t, dnnl_f32, err));
    LM_TRY(make_rounding(g, &p->round_a, &a32, a, err));
    return make_rounding(g, &p->round_b, &b32, b, err);
}

static enum lm_rc prepare(const struct lm_gemm *g, struct prepared *p, struct lm_err *err)
{
    const struct shape *s = &p->shape;
    const dnnl_data_type_t type = s->bf16 ? dnnl_bf16 : dnnl_f32;
    dnnl_memory_desc_t a, b, c;
    LM_TRY(describe(&a, s->m, s->k, s->a_t, type, err));
    LM_TRY(describe(&b, s->k, s->n, s->b_t, type, err));
    LM_TRY(describe(&c, s->m, s->n, false, dnnl_f32, err));
    if (s->bf16) {   // rounding copies anyway: let the product choose the layout
        const dnnl_dims_t dims = { (dnnl_dim_t)s->k, (dnnl_dim_t)s->n };
        TRY_DNNL(dnnl_memory_desc_init_by_tag(&b, 2, dims, type, dnnl_format_tag_any), "describe a weight");
    }
    dnnl_matmul_desc_t desc;
    TRY_DNNL(dnnl_matmul_desc_init(&desc, &a, &b, NULL, &c), "describe a product");

    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    enum lm_rc rc = make_attributes(s->accumulate, &attributes, err);
    if (rc == LM_OK)
        rc =
            check(dnnl_primitive_desc_create(&pd, &desc, attributes, g->engine, NULL), "plan a product", err);
    if (rc == LM_OK)
        rc = prepare_by(g, p, pd, err);
    dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attributes);
    return rc;
}

static void rounding_release(struct rounding *r)
{
    dnnl_primitive_destroy(r->primitive);
    dnnl_memory_destroy(r->from);
    dnnl_memory_destroy(r->to);
}

static void prepared_release(struct prepared *p)
{
    dnnl_primitive_destroy(p->primitive);
    dnnl_memory_destroy(p->a);
    dnnl_memory_destroy(p->b);
    dnnl_memory_destroy(p->c);
    dnnl_memory_destroy(p->scratchpad);
    rounding_release(&p->round_a);
    rounding_release(&p->round_b);
}

/* The product of this shape, made at its first use.  Some tens of shapes: a list is enough. */
static enum lm_rc prepared_get(struct lm_gemm *g, const struct shape *shape, struct prepared **ret,
                               struct lm_err *err)
{
    for (size_t i = 0; i < g->prepared_count; i++)
        if (memcmp(&g->prepared[i].shape, shape, sizeof *shape) == 0) {
            *ret = &g->prepared[i];
            return LM_OK;
        }
    struct prepared made = { .shape = *shape };
    const enum lm_rc rc = prepare(g, &made, err);
    if (rc != LM_OK) {
        prepared_release(&made);
        return rc;
    }
    lm_grow(&g->prepared, &g->prepared_cap, g->prepared_count + 1, sizeof made);
    g->prepared[g->prepared_count] = made;
    *ret = &g->prepared[g->prepared_count++];
    return LM_OK;
}

static struct shape shape_of(const struct lm_product *p, bool bf16)
{
    struct shape s;
    memset(&s, 0, sizeof s);   // padding too: shapes are compared as bytes
    s.m = p->m;
    s.n = p->n;
    s.k = p->k;
    s.a_t = p->a_t;
    s.b_t = p->b_t;
    s.accumulate = p->accumulate;
    s.bf16 = bf16;
    return s;
}

enum lm_rc lm_gemm_new(enum lm_gemm_type wanted, struct lm_gemm **ret, struct lm_err *err)
{
    struct lm_gemm *g = lm_zalloc(1, sizeof *g);
    enum lm_rc rc = check(dnnl_engine_create(&g->engine, dnnl_cpu, 0), "start its engine", err);
    if (rc == LM_OK)
        rc = check(dnnl_stream_create(&g->stream, g->engine, dnnl_stream_default_flags), "start a stream",
                   err);
    if (rc != LM_OK) {
        lm_gemm_free(g);
        return rc;
    }
    omp_set_num_threads(lm_threads());   // primitives divide their work when they are made
    if (wanted == LM_GEMM_BF16 && lm_isa() >= LM_ISA_AVX512_BF16) {
        const struct lm_product trial = { .m = 64, .n = 64, .k = 64, .b_t = true };
        const struct shape shape = shape_of(&trial, true);
        struct prepared *p;
        struct lm_err why = { 0 };
        if (prepared_get(g, &shape, &p, &why) == LM_OK)
            g->type = LM_GEMM_BF16;
        else
            lm_warn("bf16 products are not to be had, f32 is used: %s", why.text);
    }
    *ret = g;
    return LM_OK;
}

void lm_gemm_free(struct lm_gemm *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->prepared_count; i++)
        prepared_release(&g->prepared[i]);
    for (size_t i = 0; i < g->weight_count; i++)
        for (size_t j = 0; j < g->weights[i].pack_count; j++)
            free(g->weights[i].packs[j].data);
    free(g->prepared);
    free(g->weights);
    free(g->scratchpad.data);
    free(g->rounded_a.data);
    free(g->rounded_b.data);
    dnnl_stream_destroy(g->stream);
    dnnl_engine_destroy(g->engine);
    free(g);
}

enum lm_gemm_type lm_gemm_type(const struct lm_gemm *g)
{
    return g->type;
}

size_t lm_gemm_bytes(const struct lm_gemm *g)
{
    size_t sum = g->scratchpad.bytes + g->rounded_a.bytes + g->rounded_b.bytes;
    for (size_t i = 0; i < g->weight_count; i++)
        for (size_t j = 0; j < g->weights[i].pack_count; j++)
            sum += g->weights[i].packs[j].bytes;
    return sum;
}

void lm_gemm_weight(struct lm_gemm *g, const float *w)
{
    if (g->type == LM_GEMM_F32)
        return;
    lm_grow(&g->weights, &g->weight_cap, g->weight_count + 1, sizeof *g->weights);
    g->weights[g->weight_count++] = (struct weight){ .w = w };
}

void lm_gemm_pack(struct lm_gemm *g)
{
    for (size_t i = 0; i < g->weight_count; i++)
        for (size_t j = 0; j < g->weights[i].pack_count; j++)
            g->weights[i].packs[j].stale = true;
}

static enum lm_rc round_into(struct lm_gemm *g, struct rounding *r, const float *from, void *to,
                             struct lm_err *err)
{
    TRY_DNNL(dnnl_memory_set_data_handle(r->from, (void *)from), "set an operand");
    TRY_DNNL(dnnl_memory_set_data_handle(r->to, to), "set an operand");
    const dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, r->from }, { DNNL_ARG_TO, r->to } };
    TRY_DNNL(dnnl_primitive_execute(r->primitive, g->stream, 2, args), "round an operand");
    return LM_OK;
}

/* The packed copy of a weight in the layout that r wants; NULL when b is no weight. */
static struct pack *pack_get(struct lm_gemm *g, const float *b, const struct rounding *r)
{
    for (size_t i = 0; i < g->weight_count; i++) {
        struct weight *w = &g->weights[i];
        if (w->w != b)
            continue;
        for (size_t j = 0; j < w->pack_count; j++)
            if (dnnl_memory_desc_equal(&w->packs[j].layout, &r->wanted))
                return &w->packs[j];
        if (w->pack_count == PACKS_MAX)
            return NULL;
        struct pack *made = &w->packs[w->pack_count++];
        *made = (struct pack){ r->wanted, lm_slab_alloc(r->bytes), r->bytes, true };
        return made;
    }
    return NULL;
}

static enum lm_rc round_operands(struct lm_gemm *g, struct prepared *p, const struct lm_product *product,
                                 const void **ret_a, const void **ret_b, struct lm_err *err)
{
    void *a = scratch_get(&g->rounded_a, p->round_a.bytes);
    LM_TRY(round_into(g, &p->round_a, product->a, a, err));
    struct pack *pack = pack_get(g, product->b, &p->round_b);
    void *b = pack ? pack->data : scratch_get(&g->rounded_b, p->round_b.bytes);
    if (!pack || pack->stale)
        LM_TRY(round_into(g, &p->round_b, product->b, b, err));
    if (pack)
        pack->stale = false;
    *ret_a = a;
    *ret_b = b;
    return LM_OK;
}

enum lm_rc lm_gemm_run(struct lm_gemm *g, const struct lm_product *product, struct lm_err *err)
{
    LM_ASSERT(product->m > 0 && product->n > 0 && product->k > 0);

    const struct shape shape = shape_of(product, g->type == LM_GEMM_BF16 && !product->f32);
    struct prepared *p;
    LM_TRY(prepared_get(g, &shape, &p, err));
    const void *a = product->a, *b = product->b;
    if (shape.bf16)
        LM_TRY(round_operands(g, p, product, &a, &b, err));

    TRY_DNNL(dnnl_memory_set_data_handle(p->a, (void *)a), "set an operand");
    TRY_DNNL(dnnl_memory_set_data_handle(p->b, (void *)b), "set an operand");
    TRY_DNNL(dnnl_memory_set_data_handle(p->c, product->c), "set a result");
    TRY_DNNL(dnnl_memory_set_data_handle(p->scratchpad, scratch_get(&g->scratchpad, p->scratchpad_bytes)),
             "set a scratchpad");
    const dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, p->a },
                                     { DNNL_ARG_WEIGHTS, p->b },
                                     { DNNL_ARG_DST, p->c },
                                     { DNNL_ARG_SCRATCHPAD, p->scratchpad } };
    TRY_DNNL(dnnl_primitive_execute(p->primitive, g->stream, 4, args), "run a product");
    TRY_DNNL(dnnl_stream_wait(g->stream), "wait for a product");
    return LM_OK;
}
