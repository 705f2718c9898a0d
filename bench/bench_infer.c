/* bench_infer --model=FILE --case=decode|batch16|prompt512|load [--threads=N] [--runs=N]: one figure. */
#include "base/sys.h"
#include "infer/measure.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    const char *model = NULL, *name = "decode";
    int runs = 5;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--model=", 8) == 0) model = argv[i] + 8;
        if (strncmp(argv[i], "--case=", 7) == 0) name = argv[i] + 7;
        if (strncmp(argv[i], "--runs=", 7) == 0) runs = (int)strtol(argv[i] + 7, NULL, 10);
        if (strncmp(argv[i], "--threads=", 10) == 0) lm_threads_set((int)strtol(argv[i] + 10, NULL, 10));
    }
    if (!model) return 0;
    struct lm_err err; struct lm_model m; double v = 0;
    if (strcmp(name, "load") == 0) {
        if (lm_measure_load(model, &v, &err)) { fprintf(stderr, "%s\n", err.text); return 1; }
        printf("infer,load,%g,seconds,1\n", v); return 0;
    }
    if (lm_model_open(model, &m, &err)) { fprintf(stderr, "%s\n", err.text); return 1; }
    if (strcmp(name, "roof") == 0) {
        uint64_t b = lm_measure_weight_bytes(&m);
        double r = lm_measure_read_rate(b, runs);
        printf("infer,roof,%g,GB/s,%d (%.1f tokens/s; peak %.1f GMAC/s)\n", r, runs, r * 1e9 / (double)b, lm_measure_product_peak(lm_model_at(&m, LM_T_W_UP, 0)->type, runs)); return 0;
    }
    for (const struct lm_measure_case *c = lm_measure_cases; c->name; c++)
        if (strcmp(c->name, name) == 0) {
            if (lm_measure(&m, c, LM_KV_F16, runs, &v, &err)) { fprintf(stderr, "%s\n", err.text); return 1; }
            printf("infer,%s,%.6g,%s,%d\n", name, v, c->unit, runs);
        }
    return 0;
}
