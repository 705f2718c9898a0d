#include "infer/sample.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

struct lm_candidate {
    float logit;
    uint32_t id;
};

void lm_sampling_defaults(struct lm_sampling *s)
{
    *s = (struct lm_sampling){ .max_tokens = 256, .temperature = 1, .top_p = 1, .repetition_penalty = 1 };
}

#define AT(field) offsetof(struct lm_sampling, field)
/* Ranges of the real numbers; max_tokens, stop and top_logprobs are checked beside it. */
static const struct {
    const char *name;
    size_t offset;
    double min, max;
} ranges[] = {
    { "temperature", AT(temperature), 0, 100 },
    { "top_p", AT(top_p), 0, 1 },
    { "min_p", AT(min_p), 0, 1 },
    { "repetition_penalty", AT(repetition_penalty), 0.01, 100 },
    { "presence_penalty", AT(presence_penalty), -100, 100 },
    { "frequency_penalty", AT(frequency_penalty), -100, 100 },
};
#undef AT

enum lm_rc lm_sampling_check(const struct lm_sampling *s, struct lm_err *err)
{
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        double value;
        memcpy(&value, (const char *)s + ranges[i].offset, sizeof value);
        if (!(value >= ranges[i].min && value <= ranges[i].max))
            return lm_fail(err, LM_EINVAL, "%s %g is outside %g..%g", ranges[i].name, value, ranges[i].min,
                           ranges[i].max);
    }
    if (s->max_tokens < 1)
        return lm_fail(err, LM_EINVAL, "max_tokens must be at least 1");
    if (s->top_logprobs > LM_TOP_LOGPROBS_MAX)
        return lm_fail(err, LM_EINVAL, "top_logprobs %zu is above %d", s->top_logprobs, LM_TOP_LOGPROBS_MAX);
    if (s->stop_count > LM_STOP_COUNT_MAX)
        return lm_fail(err, LM_EINVAL, "%zu stop strings are more than %d", s->stop_count, LM_STOP_COUNT_MAX);
    if (s->bias_count > LM_LOGIT_BIAS_MAX)
        return lm_fail(err, LM_EINVAL, "logit_bias of %zu ids is more than %d", s->bias_count,
                       LM_LOGIT_BIAS_MAX);
    for (size_t i = 0; i < s->bias_count; i++)
        if (!(fabs(s->bias[i].value) <= LM_LOGIT_BIAS_VALUE_MAX))
            return lm_fail(err, LM_EINVAL, "logit_bias %g of id %u is outside -%g..%g", s->bias[i].value,
                           s->bias[i].id, LM_LOGIT_BIAS_VALUE_MAX, LM_LOGIT_BIAS_VALUE_MAX);
    for (size_t i = 0; i < s->stop_count; i++)
        if (s->stop[i].len < 1 || s->stop[i].len > LM_STOP_BYTES_MAX)
            return lm_fail(err, LM_EINVAL, "a stop string has %zu bytes, not 1..%d", s->stop[i].len,
                           LM_STOP_BYTES_MAX);
    return LM_OK;
}

bool lm_sampling_has_penalties(const struct lm_sampling *s)
{
    return s->repetition_penalty != 1 || s->presence_penalty != 0 || s->frequency_penalty != 0;
}

void lm_sample_scratch_init(struct lm_sample_scratch *s, size_t vocab)
{
    s->logits = lm_slab_alloc(vocab * sizeof *s->logits);
    s->candidates = lm_zalloc(vocab, sizeof *s->candidates);
}

void lm_sample_scratch_release(struct lm_sample_scratch *s)
{
    free(s->logits);
    free(s->candidates);
    *s = (struct lm_sample_scratch){ 0 };
}

/* ---- log-probabilities ---- */

/* ln of the sum of exp(logits), in the fixed order of the kernel. */
static double log_sum(const float *logits, size_t vocab)
{
    float max;
    const double sum = lm_panels()->softmax(NULL, logits, vocab, 1, &max);
    return (double)max + log(sum);
}

double lm_logprob(const float *logits, size_t vocab, uint32_t id)
{
    return (double)logits[id] - log_sum(logits, vocab);
}

/* The best few, by insertion: most tokens fail the first comparison. */
static size_t best_few(const float *logits, size_t count, size_t want, struct lm_token_logprob *ret)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (isnan(logits[i]) || (len == want && !(logits[i] > ret[len - 1].logprob)))
            continue;
        size_t at = len < want ? len++ : want - 1;
        for (; at > 0 && logits[i] > ret[at - 1].logprob; at--)
            ret[at] = ret[at - 1];
        ret[at] = (struct lm_token_logprob){ (uint32_t)i, logits[i] };
    }
    return len;
}

static void add_logprobs(const struct lm_sampling *s, const float *logits, size_t vocab, size_t usable,
                         struct lm_choice *ret)
{
    if (!s->logprobs && s->top_logprobs == 0)
        return;
    const double base = log_sum(logits, vocab);
    ret->token.logprob = (float)((double)logits[ret->token.id] - base);
    if (s->top_logprobs > 0)
        ret->top_count = best_few(logits, usable, s->top_logprobs, ret->top);
    for (size_t i = 0; i < ret->top_count; i++)
        ret->top[i].logprob = (float)((double)ret->top[i].logprob - base);
}

/* ---- choosing ---- */

static void add_bias(const struct lm_sampling *s, size_t count, float *x)
{
    for (size_t i = 0; i < s->bias_count; i++)
        if (s->bias[i].id < count)
            x[s->bias[i].id] = (float)((double)x[s->bias[i].id] + s->bias[i].value);
}

/* What may not come becomes -infinity.  What may come stays above it even if the model says NaN, and so far
 * from the largest float that no temperature makes an infinity of it.  false: nothing may come. */
static bool apply_mask(const uint64_t *mask, size_t count, float *x)
{
    const float bound = 1e30f;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const bool may = mask[i / 64] >> (i % 64) & 1;
        const float inside = !(x[i] > -bound) ? -bound : x[i] < bound ? x[i] : bound;
        x[i] = may ? inside : -INFINITY;
        any |= may;
    }
    return any;
}

/* As Hugging Face (repetition, Keskar et al. 2019, arXiv:1909.05858) and OpenAI (presence, frequency). */
static void penalise(const struct lm_sampling *s, size_t count, const uint32_t *seen, float *logits)
{
    for (size_t i = 0; i < count; i++) {
        double x = (double)logits[i];
        if (seen[i] > 0)
            x = x < 0 ? x * s->repetition_penalty : x / s->repetition_penalty;
        const uint32_t generated = seen[i] >> 1;
        if (generated > 0)
            x -= s->presence_penalty + s->frequency_penalty * (double)generated;
        logits[i] = (float)x;
    }
}

static uint32_t argmax(const float *x, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (x[i] > x[best] || isnan(x[best]))
            best = i;
    return (uint32_t)best;
}

static bool ahead(struct lm_candidate a, struct lm_candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void sift_down(struct lm_candidate *heap, size_t count, size_t at)
{
    const struct lm_candidate moved = heap[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && ahead(heap[child + 1], heap[child]))
            child++;
        if (!ahead(heap[child], moved))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

/* A heap whose best stands first; NaN and what is masked is left out.  Returns how many there are. */
static size_t make_heap(struct lm_candidate *heap, const float *logits, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        if (logits[i] > -INFINITY)
            heap[len++] = (struct lm_candidate){ logits[i], (uint32_t)i };
    for (size_t i = len / 2; i-- > 0;)
        sift_down(heap, len, i);
    return len;
}

/* Moves the best to the end of the heap: after n pops the last n entries are the best n, best last. */
static struct lm_candidate pop(struct lm_candidate *heap, size_t *count)
{
    const struct lm_candidate best = heap[0];
    heap[0] = heap[--*count];
    sift_down(heap, *count, 0);
    heap[*count] = best;
    return best;
}

static double weight(struct lm_candidate c, float best, double temperature)
{
    return exp(((double)c.logit - (double)best) / temperature);
}

/* Id order, no cut: weights of all, then the first whose cumulated weight passes the draw. */
static uint32_t draw_from_all(const float *logits, size_t count, double temperature, double unit,
                              float *weights)
{
    float max;
    double total = 0, sum = 0;
    lm_panels()->softmax(weights, logits, count, (float)(1 / temperature), &max);
    for (size_t i = 0; i < count; i++)
        total += (double)weights[i];
    size_t last = 0;
    for (size_t i = 0; i < count; i++) {
        if (weights[i] == 0)
            continue;
        last = i;
        sum += (double)weights[i];
        if (sum > unit * total)
            break;
    }
    return (uint32_t)last;
}

/* Candidates by rank, sorted only as far as somebody asks. */
struct ranking {
    struct lm_candidate *heap;
    size_t count, left;   // the popped ones stand behind `left`, best last
};

static struct lm_candidate ranked(struct ranking *k, size_t rank)
{
    while (k->count - k->left <= rank)
        pop(k->heap, &k->left);
    return k->heap[k->count - 1 - rank];
}

/* Mass that top_p refers to: what top_k leaves, or everything (in any order). */
static double mass_of_best(struct ranking *k, size_t limit, float best, double temperature)
{
    double total = 0;
    for (size_t i = 0; i < limit; i++)
        total += weight(limit < k->count ? ranked(k, i) : k->heap[i], best, temperature);
    return total;
}

static uint32_t draw_from_best(const struct lm_sampling *s, struct lm_candidate *heap, size_t count,
                               double unit)
{
    if (count == 0)
        return 0;   // no logit is a number
    struct ranking k = { heap, count, count };
    const size_t limit = s->top_k > 0 && s->top_k < count ? s->top_k : count;
    const float best = heap[0].logit;
    const double enough = s->top_p < 1 ? s->top_p * mass_of_best(&k, limit, best, s->temperature) : INFINITY;
    double kept = 0, sum = 0;
    size_t rank = 0;
    for (; rank < limit; rank++) {   // the best is always kept
        const double w = weight(ranked(&k, rank), best, s->temperature);
        if (rank > 0 && (w < s->min_p || kept >= enough))
            break;
        kept += w;
    }
    for (size_t i = 0; i < rank; i++) {
        sum += weight(ranked(&k, i), best, s->temperature);
        if (sum > unit * kept)
            return ranked(&k, i).id;
    }
    return ranked(&k, rank - 1).id;
}

/* The logits to choose from: the row's own, or a changed copy; NULL when nothing may come. */
static const float *adjust(const struct lm_sampling *s, const struct lm_sample_row *row,
                           struct lm_sample_scratch *scratch)
{
    if (!row->seen && !row->mask && s->bias_count == 0)
        return row->logits;
    float *x = scratch->logits;
    memcpy(x, row->logits, row->usable * sizeof *x);
    add_bias(s, row->usable, x);
    if (row->seen)
        penalise(s, row->usable, row->seen, x);
    if (row->mask && !apply_mask(row->mask, row->usable, x))
        return NULL;
    return x;
}

void lm_sample(const struct lm_sampling *s, const struct lm_sample_row *row,
               struct lm_sample_scratch *scratch, struct lm_choice *ret)
{
    LM_DASSERT(row->usable >= 1 && row->usable <= row->vocab);

    const float *x = adjust(s, row, scratch);
    *ret = (struct lm_choice){ .none = !x };
    if (!x)
        return;
    if (s->temperature < LM_TEMPERATURE_MIN) {
        ret->token.id = argmax(x, row->usable);
    } else {
        struct lm_rng rng = lm_rng_make(s->seed, row->position);
        const double unit = lm_rng_unit(&rng);
        if (s->top_k == 0 && s->top_p >= 1 && s->min_p <= 0)
            ret->token.id = draw_from_all(x, row->usable, s->temperature, unit, scratch->logits);
        else
            ret->token.id =
                draw_from_best(s, scratch->candidates, make_heap(scratch->candidates, x, row->usable), unit);
    }
    add_logprobs(s, row->logits, row->vocab, row->usable, ret);
}
