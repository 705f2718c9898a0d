/* bench_model [--model=FILE] [--case=NAME] [--threads=N] [--runs=N] [--kv=TYPE]: the cases of infer/measure.h
 * on one model, each the median of its runs; "load" is the time from the path to the first token.  Without
 * --case: all but load; without --model: small random weights.  bench/peers/infer.py measures a peer beside
 * it. */
#include "base/sys.h"
#include "infer/measure.h"

#include <stdio.h>

static const struct lm_llama_config small = {
    .vocab_size = 4096,
    .dim = 256,
    .layers = 4,
    .heads = 8,
    .kv_heads = 4,
    .ffn_dim = 512,
    .context = 512,
    .rope_theta = 10000,
    .norm_eps = 1e-5,
    .tied = true,
    .bos_id = -1,
    .eos_id = -1,
};

struct options {
    struct lm_str model, name, kv;   // model: terminated
    int64_t threads, runs;
};

static bool option(struct lm_str arg, const char *name, struct lm_str *ret)
{
    if (!lm_str_starts(arg, lm_str(name)))
        return false;
    const size_t len = lm_str(name).len;
    *ret = (struct lm_str){ arg.ptr + len, arg.len - len };
    return true;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const struct lm_str arg = lm_str(argv[i]);
        struct lm_str value;
        if (option(arg, "--model=", &o->model) || option(arg, "--case=", &o->name) ||
            option(arg, "--kv=", &o->kv))
            continue;
        if (option(arg, "--threads=", &value) && lm_str_to_i64(value, &o->threads) && o->threads >= 0)
            continue;
        if (option(arg, "--runs=", &value) && lm_str_to_i64(value, &o->runs) && o->runs >= 1 &&
            o->runs <= 100)
            continue;
        if (!lm_str_eq(arg, LM_STR("--smoke")))
            return false;
        o->runs = 1;
    }
    return true;
}

static bool find_kv(struct lm_str name, enum lm_kv_type *ret)
{
    for (int i = 0; i < LM_KV_TYPE_COUNT; i++)
        if (lm_str_eq(name, lm_str(lm_kv_type_names[i]))) {
            *ret = (enum lm_kv_type)i;
            return true;
        }
    return false;
}

static enum lm_rc measure_load(const struct options *o, struct lm_err *err)
{
    double seconds;
    LM_TRY(lm_measure_load(o->model.ptr, &seconds, err));
    printf("model,load,%.6g,seconds,1\n", seconds);
    return LM_OK;
}

/* The case that was asked for, or all. */
static enum lm_rc measure(const struct lm_model *m, const struct options *o, enum lm_kv_type kv,
                          struct lm_err *err)
{
    bool known = false;
    for (const struct lm_measure_case *c = lm_measure_cases; c->name; c++) {
        double value;
        if (o->name.len > 0 && !lm_str_eq(o->name, lm_str(c->name)))
            continue;
        LM_TRY(lm_measure(m, c, kv, (int)o->runs, &value, err));
        printf("model,%s,%.6g,%s,%d\n", c->name, value, c->unit, (int)o->runs);
        fflush(stdout);
        known = true;
    }
    return known ? LM_OK : lm_fail(err, LM_EINVAL, "there is no case '%.*s'", (int)o->name.len, o->name.ptr);
}

static enum lm_rc measure_file(const struct options *o, enum lm_kv_type kv, struct lm_err *err)
{
    struct lm_model m;
    if (lm_str_eq(o->name, LM_STR("load")))
        return measure_load(o, err);
    LM_TRY(lm_model_open(o->model.ptr, &m, err));
    const enum lm_rc rc = measure(&m, o, kv, err);
    lm_model_close(&m);
    return rc;
}

static enum lm_rc measure_small(const struct options *o, enum lm_kv_type kv, struct lm_err *err)
{
    struct lm_llama weights;
    struct lm_model m;
    lm_llama_init(&weights, &small);
    lm_llama_random(&weights, 1);
    lm_model_of_llama(&m, &weights);
    const enum lm_rc rc = measure(&m, o, kv, err);
    lm_model_close(&m);
    lm_llama_release(&weights);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o = { .runs = 5, .kv = LM_STR("f16") };
    enum lm_kv_type kv;
    struct lm_err err = { 0 };
    if (!read_options(argc, argv, &o) || !find_kv(o.kv, &kv)) {
        fprintf(stderr,
                "usage: %s [--model=FILE] [--case=NAME] [--threads=N] [--runs=1..100] [--kv=f32|f16|s8]\n",
                argv[0]);
        return 2;
    }
    lm_threads_set((int)o.threads);
    if ((o.model.len > 0 ? measure_file : measure_small)(&o, kv, &err) == LM_OK)
        return 0;
    fprintf(stderr, "%s\n", err.text);
    return 1;
}
