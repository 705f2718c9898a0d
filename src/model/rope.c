/* Frequencies of rotated positions (RoPE, Su et al. 2021, arXiv:2104.09864), and the ways to stretch them.
 *
 * Base: f(d) = theta^(-2 d / D).  linear: f / factor.  factors: f / factors[d].
 * llama3: waves shorter than original / high_factor keep f, longer than original / low_factor get f / factor,
 * between them a blend.  yarn (Peng et al. 2023, arXiv:2309.00071): a ramp over d between the pairs that turn
 * beta_fast and beta_slow times within the original context.  As transformers' modeling_rope_utils. */
#include "model/model.h"

#include <math.h>

static double llama3(const struct lm_model_config *c, double f)
{
    const double wavelength = 2 * M_PI / f, original = (double)c->rope.original_context;
    if (wavelength < original / c->rope.high_factor)
        return f;
    if (wavelength > original / c->rope.low_factor)
        return f / c->rope.factor;
    const double smooth =
        (original / wavelength - c->rope.low_factor) / (c->rope.high_factor - c->rope.low_factor);
    return (1 - smooth) * f / c->rope.factor + smooth * f;
}

/* The pair that turns this often within the original context, as a real number. */
static double yarn_pair(const struct lm_model_config *c, double turns)
{
    return (double)c->head_dim * log((double)c->rope.original_context / (turns * 2 * M_PI)) /
           (2 * log(c->rope.theta));
}

static double yarn(const struct lm_model_config *c, double f, double pair)
{
    const double low = fmax(floor(yarn_pair(c, c->rope.beta_fast)), 0);
    double high = fmin(ceil(yarn_pair(c, c->rope.beta_slow)), (double)c->head_dim - 1);
    if (high == low)
        high += 0.001;
    const double ramp = fmin(fmax((pair - low) / (high - low), 0), 1);
    return f / c->rope.factor * ramp + f * (1 - ramp);
}

double lm_model_rope(const struct lm_model_config *c, double *ret_frequencies)
{
    for (int64_t d = 0; d < c->head_dim / 2; d++) {
        const double f = pow(c->rope.theta, -2.0 * (double)d / (double)c->head_dim);
        switch (c->rope.kind) {
        case LM_ROPE_PLAIN:
            ret_frequencies[d] = f;
            break;
        case LM_ROPE_LINEAR:
            ret_frequencies[d] = f / c->rope.factor;
            break;
        case LM_ROPE_LLAMA3:
            ret_frequencies[d] = llama3(c, f);
            break;
        case LM_ROPE_YARN:
            ret_frequencies[d] = yarn(c, f, (double)d);
            break;
        case LM_ROPE_FACTORS:
            ret_frequencies[d] = f / c->rope.factors[d];
            break;
        }
    }
    return c->rope.attention;
}
