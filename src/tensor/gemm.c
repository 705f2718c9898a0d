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

/* What a primitive is made for: one tile of a product; the distances are of the whole matrices. */
struct shape {
    size_t m, n, k;
    size_t a_stride, b_stride, c_stride;   // between rows as stored
    size_t a_t, b_t, accumulate;           // 0 or 1; size_t, so that shapes compare as bytes
};

/* What one thread needs to run a product. */
struct operands {
    dnnl_memory_t a, b, c, scratchpad;
};

/* A product of one shape, ready to run. */
struct prepared {
    struct shape shape;
    dnnl_primitive_t primitive;
    struct operands *operands;   // one per thread
    size_t scratchpad_bytes;
};

enum { TILE_LARGE = 256, TILE_SMALL = 128 };

struct scratch {
    void *data;
    size_t bytes;
};

/* What belongs to one thread. */
struct lane {
    dnnl_stream_t stream;
    struct scratch scratchpad;
};

struct lm_gemm {
    dnnl_engine_t engine;
    struct lane *lanes;
    int threads;
    struct prepared *prepared;
    size_t prepared_count, prepared_cap;
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

/* A (rows, cols) matrix with its rows `stride` apart, or with its columns, when it is stored transposed. */
static enum lm_rc describe(dnnl_memory_desc_t *ret, size_t rows, size_t cols, size_t stride, bool transposed,
                           struct lm_err *err)
{
    const dnnl_dims_t dims = { (dnnl_dim_t)rows, (dnnl_dim_t)cols };
    const dnnl_dims_t strides = { transposed ? 1 : (dnnl_dim_t)stride, transposed ? (dnnl_dim_t)stride : 1 };
    return check(dnnl_memory_desc_init_by_strides(ret, 2, dims, dnnl_f32, strides), "describe a matrix", err);
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

/* The parts of a product that need its primitive descriptor. */
static enum lm_rc prepare_by(const struct lm_gemm *g, struct prepared *p, dnnl_primitive_desc_t pd,
                             struct lm_err *err)
{
    const dnnl_memory_desc_t *a = dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0);
    const dnnl_memory_desc_t *b = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    const dnnl_memory_desc_t *c = dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    const dnnl_memory_desc_t *pad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    TRY_DNNL(dnnl_primitive_create(&p->primitive, pd), "create a product");
    p->scratchpad_bytes = dnnl_memory_desc_get_size(pad);
    p->operands = lm_zalloc((size_t)g->threads, sizeof *p->operands);
    for (int t = 0; t < g->threads; t++) {
        LM_TRY(make_memory(g, a, &p->operands[t].a, err));
        LM_TRY(make_memory(g, b, &p->operands[t].b, err));
        LM_TRY(make_memory(g, c, &p->operands[t].c, err));
        LM_TRY(make_memory(g, pad, &p->operands[t].scratchpad, err));
    }
    return LM_OK;
}

static enum lm_rc prepare(const struct lm_gemm *g, struct prepared *p, struct lm_err *err)
{
    const struct shape *s = &p->shape;
    dnnl_memory_desc_t a, b, c;
    LM_TRY(describe(&a, s->m, s->k, s->a_stride, s->a_t, err));
    LM_TRY(describe(&b, s->k, s->n, s->b_stride, s->b_t, err));
    LM_TRY(describe(&c, s->m, s->n, s->c_stride, false, err));
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

static void prepared_release(struct prepared *p, int threads)
{
    dnnl_primitive_destroy(p->primitive);
    for (int t = 0; p->operands && t < threads; t++) {
        dnnl_memory_destroy(p->operands[t].a);
        dnnl_memory_destroy(p->operands[t].b);
        dnnl_memory_destroy(p->operands[t].c);
        dnnl_memory_destroy(p->operands[t].scratchpad);
    }
    free(p->operands);
}

/* The place of the product of this shape, made at its first use.  Some tens of shapes: a list is enough. */
static enum lm_rc prepared_get(struct lm_gemm *g, const struct shape *shape, size_t *ret, struct lm_err *err)
{
    for (size_t i = 0; i < g->prepared_count; i++)
        if (memcmp(&g->prepared[i].shape, shape, sizeof *shape) == 0) {
            *ret = i;
            return LM_OK;
        }
    struct prepared made = { .shape = *shape };
    const int threads_before = omp_get_max_threads();
    omp_set_num_threads(1);   // a primitive divides its work when it is made
    const enum lm_rc rc = prepare(g, &made, err);
    omp_set_num_threads(threads_before);
    if (rc != LM_OK) {
        prepared_release(&made, g->threads);
        return rc;
    }
    lm_grow(&g->prepared, &g->prepared_cap, g->prepared_count + 1, sizeof made);
    *ret = g->prepared_count;
    g->prepared[g->prepared_count++] = made;
    return LM_OK;
}

/* A tile (m, n) of a product. */
static struct shape shape_of(const struct lm_product *p, size_t m, size_t n)
{
    return (struct shape){
        .m = m,
        .n = n,
        .k = p->k,
        .a_stride = p->a_t ? p->m : p->k,
        .b_stride = p->b_t ? p->k : p->n,
        .c_stride = p->n,
        .a_t = p->a_t,
        .b_t = p->b_t,
        .accumulate = p->accumulate,
    };
}

static enum lm_rc start(struct lm_gemm *g, struct lm_err *err)
{
    TRY_DNNL(dnnl_engine_create(&g->engine, dnnl_cpu, 0), "start its engine");
    for (int t = 0; t < g->threads; t++)
        TRY_DNNL(dnnl_stream_create(&g->lanes[t].stream, g->engine, dnnl_stream_default_flags),
                 "start a stream");
    return LM_OK;
}

enum lm_rc lm_gemm_new(struct lm_gemm **ret, struct lm_err *err)
{
    struct lm_gemm *g = lm_zalloc(1, sizeof *g);
    g->threads = lm_threads();
    g->lanes = lm_zalloc((size_t)g->threads, sizeof *g->lanes);
    const enum lm_rc rc = start(g, err);
    if (rc != LM_OK) {
        lm_gemm_free(g);
        return rc;
    }
    *ret = g;
    return LM_OK;
}

void lm_gemm_free(struct lm_gemm *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->prepared_count; i++)
        prepared_release(&g->prepared[i], g->threads);
    for (int t = 0; t < g->threads; t++) {
        dnnl_stream_destroy(g->lanes[t].stream);
        free(g->lanes[t].scratchpad.data);
    }
    free(g->prepared);
    free(g->lanes);
    dnnl_engine_destroy(g->engine);
    free(g);
}

size_t lm_gemm_bytes(const struct lm_gemm *g)
{
    size_t sum = 0;
    for (int t = 0; t < g->threads; t++)
        sum += g->lanes[t].scratchpad.bytes;
    return sum;
}

/* Runs a primitive with the operands and the stream of one thread; true when it worked. */
static dnnl_status_t execute(struct lm_gemm *g, const struct prepared *p, int thread, const void *a,
                             const void *b, float *c)
{
    const struct operands *o = &p->operands[thread];
    struct lane *lane = &g->lanes[thread];
    void *pad = scratch_get(&lane->scratchpad, p->scratchpad_bytes);
    dnnl_status_t status = dnnl_memory_set_data_handle(o->a, (void *)a);
    if (status == dnnl_success)
        status = dnnl_memory_set_data_handle(o->b, (void *)b);
    if (status == dnnl_success)
        status = dnnl_memory_set_data_handle(o->c, c);
    if (status == dnnl_success)
        status = dnnl_memory_set_data_handle(o->scratchpad, pad);
    const dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, o->a },
                                     { DNNL_ARG_WEIGHTS, o->b },
                                     { DNNL_ARG_DST, o->c },
                                     { DNNL_ARG_SCRATCHPAD, o->scratchpad } };
    if (status == dnnl_success)
        status = dnnl_primitive_execute(p->primitive, lane->stream, 4, args);
    return status == dnnl_success ? dnnl_stream_wait(lane->stream) : status;
}

/* Large enough that packing the operands is cheap beside the product, small enough for some tiles a thread.
 */
static size_t tile_of(size_t extent)
{
    enum { LARGE = 1024 };
    return extent >= LARGE ? TILE_LARGE : extent > TILE_SMALL ? TILE_SMALL : extent;
}

enum lm_rc lm_gemm_run(struct lm_gemm *g, const struct lm_product *p, struct lm_err *err)
{
    LM_ASSERT(p->m > 0 && p->n > 0 && p->k > 0);

    const size_t tile_m = tile_of(p->m), tile_n = tile_of(p->n);
    const size_t rows = (p->m + tile_m - 1) / tile_m, cols = (p->n + tile_n - 1) / tile_n;
    size_t at[2][2] = { { 0 } };   // whole tiles and cut ones, by rows and columns
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++) {
            const size_t m = i == 0 ? tile_m : p->m - (rows - 1) * tile_m;
            const size_t n = j == 0 ? tile_n : p->n - (cols - 1) * tile_n;
            const struct shape shape = shape_of(p, m, n);
            LM_TRY(prepared_get(g, &shape, &at[i][j], err));
        }
    int failed = 0;
#pragma omp parallel for schedule(static) num_threads(g->threads) reduction(+ : failed)
    for (size_t tile = 0; tile < rows * cols; tile++) {
        const size_t row = tile / cols, col = tile % cols, i = row * tile_m, j = col * tile_n;
        const struct prepared *prepared = &g->prepared[at[row + 1 == rows][col + 1 == cols]];
        omp_set_num_threads(1);   // of this thread only: the product stays on it
        failed += execute(g, prepared, omp_get_thread_num(), p->a + i * (p->a_t ? 1 : p->k),
                          p->b + j * (p->b_t ? p->k : 1), p->c + i * p->n + j) != dnnl_success;
    }
    return failed
               ? lm_fail(err, LM_EINVAL, "oneDNN: cannot run a product of %zu x %zu x %zu", p->m, p->n, p->k)
               : LM_OK;
}
