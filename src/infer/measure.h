#ifndef LM_INFER_MEASURE_H
#define LM_INFER_MEASURE_H
/* infer/measure.h - how fast this machine runs a model, and what the machine could do at best.
 *
 * Every figure is the median of `runs` runs; a case that alternates with another program's can be run once at
 * a time.  Not for tests: figures depend on what else the machine does. */

#include "infer/forward.h"

/* What is measured.  To add one: a row in measure.c. */
struct lm_measure_case {
    const char *name, *unit;   // "decode", "tokens/s"
    const char *help;
    size_t batch, prompt, steps;
};
extern const struct lm_measure_case lm_measure_cases[];   // ends at a NULL name

/* Tokens a second of prompts (prompt > 0) or of decoding, with a cache of type kv. */
enum lm_rc lm_measure(const struct lm_model *model, const struct lm_measure_case *what, enum lm_kv_type kv,
                      int runs, double *ret, struct lm_err *err);

/* Bytes of packed weights that one decoding step reads: all matrices, without the embedding's rows. */
uint64_t lm_measure_weight_bytes(const struct lm_model *model);

/* GB/s at which all threads read that many bytes again and again: what a decoding step of them cannot exceed.
 */
double lm_measure_read_rate(uint64_t bytes, int runs);

/* Multiply-adds a second, in 10^9, of the product with this type's weights when nothing leaves the caches. */
double lm_measure_product_peak(enum lm_type type, int runs);

/* Seconds from a path to the first token: open, pack, one step. */
enum lm_rc lm_measure_load(const char *path, double *ret, struct lm_err *err);

#endif
