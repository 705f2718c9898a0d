/* The network: gradients against central differences for every tensor, documents that do not see each other,
 * micro-batches, threads. */
#include "train/net_impl.h"

#include "../tensor/values.h"
#include "base/sys.h"
#include "model/safetensors.h"
#include "train/batch_parts.h"

#include <string.h>

static const struct lm_llama_config tiny = { .vocab_size = 23,
                                             .dim = 12,
                                             .layers = 2,
                                             .heads = 3,
                                             .kv_heads = 1,
                                             .ffn_dim = 14,
                                             .context = 16,
                                             .rope_theta = 100,
                                             .norm_eps = 1e-5 };

/* The same in GPT-2's way. */
static struct lm_llama_config gpt2_of(struct lm_llama_config c)
{
    c.family = LM_FAMILY_GPT2;
    c.kv_heads = c.heads;
    return c;
}

/* A model with weights large enough that every path matters. */
static void make_model(struct lm_llama *model, const struct lm_llama_config *config)
{
    lm_llama_init(model, config);
    float *values = random_values(7, model->parameter_count, 1.4 / sqrt((double)config->dim));
    memcpy(model->params, values, model->parameter_count * sizeof *values);
    free(values);
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++)
        if (!lm_llama_tensors[kind].is_matrix)
            for (size_t i = 0; lm_llama_tensors[kind].start > 0 &&
                               i < lm_llama_layer_count(config, kind) * (size_t)config->dim;
                 i++)
                model->tensor[kind][i] = 1 + 0.5f * model->tensor[kind][i];
}

/* Random tokens, some without a target, two documents a row. */
static void make_batch(struct lm_batch *b, size_t rows, size_t positions, uint32_t vocab)
{
    struct lm_rng rng = lm_rng_make(3, 0);
    lm_batch_init(b, rows, positions);
    for (size_t row = 0; row < rows; row++) {
        uint32_t input[64];
        int32_t target[64];
        for (size_t t = 0; t < positions; t++) {
            input[t] = (uint32_t)lm_rng_below(&rng, vocab);
            target[t] = lm_rng_below(&rng, 4) ? (int32_t)lm_rng_below(&rng, vocab) : LM_TARGET_NONE;
        }
        const size_t cut = 1 + lm_rng_below(&rng, positions - 1);
        lm_batch_put(b, row, 0, &(struct lm_piece){ input, target, cut });
        lm_batch_put(b, row, cut, &(struct lm_piece){ input + cut, target + cut, positions - cut });
    }
}

struct setup {
    struct lm_llama model;
    struct lm_gemm *gemm;
    struct lm_net *net;
    struct lm_gradient gradient, spare;
    bool drops;
};

static void setup_way(struct setup *s, const struct lm_llama_config *config, const struct lm_net_config *way)
{
    make_model(&s->model, config);
    assert_int_equal(lm_gemm_new(&s->gemm, NULL), LM_OK);
    s->net = lm_net_new(&s->model, s->gemm, way);
    lm_net_refresh(s->net);
    lm_gradient_init(&s->gradient, &s->model, NULL);
    lm_gradient_init(&s->spare, &s->model, NULL);
    s->drops = way->dropout > 0;
}

static void setup(struct setup *s, const struct lm_llama_config *config, size_t positions)
{
    setup_way(s, config, &(struct lm_net_config){ .positions = positions });
}

static void teardown(struct setup *s)
{
    lm_gradient_release(&s->gradient);
    lm_gradient_release(&s->spare);
    lm_net_free(s->net);
    lm_gemm_free(s->gemm);
    lm_llama_release(&s->model);
}

/* With dropout: the loss under the masks of training. */
static double mean_loss(struct setup *s, const struct lm_batch *b, float *losses)
{
    double loss;
    if (s->drops) {
        assert_int_equal(lm_net_train(s->net, b, &s->spare, &loss, NULL), LM_OK);
        return loss;
    }
    assert_int_equal(lm_net_measure(s->net, b, losses, NULL), LM_OK);
    double sum = 0;
    for (size_t i = 0; i < b->rows * b->positions; i++)
        sum += losses[i];
    return sum / (double)b->trained;
}

/* dloss/dw of one weight by central differences, of order 4: the error is h^4. */
static double difference(struct setup *s, const struct lm_batch *b, float *w, float *losses)
{
    const float at = *w, h = 0.01f;
    static const double weight[] = { 1 / 12.0, -2 / 3.0, 2 / 3.0, -1 / 12.0 };
    static const float place[] = { -2, -1, 1, 2 };
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *w = at + place[i] * h;
        sum += weight[i] * mean_loss(s, b, losses);
    }
    *w = at;
    return sum / h;
}

static void check_gradients(struct lm_llama_config config, bool tied, float dropout)
{
    enum { POSITIONS = 11, ROWS = 3, SAMPLES = 7 };
    struct setup s;
    struct lm_batch b;
    float losses[POSITIONS * ROWS];
    double loss;
    config.tied = tied;
    lm_threads_set(1);   // thousands of tiny products: waking threads would take longer
    setup_way(&s, &config, &(struct lm_net_config){ .positions = POSITIONS, .dropout = dropout, .seed = 5 });
    make_batch(&b, ROWS, POSITIONS, (uint32_t)config.vocab_size);
    assert_int_equal(lm_net_train(s.net, &b, &s.gradient, &loss, NULL), LM_OK);
    assert_true(fabs(loss - mean_loss(&s, &b, losses)) < 1e-6);
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++) {
        size_t rows, cols;
        lm_llama_shape(&config, kind, &rows, &cols);
        const size_t count = lm_llama_layer_count(&config, kind) * rows * cols;
        for (size_t i = 0; i < count; i += count / SAMPLES + 1) {
            const double want = difference(&s, &b, s.model.tensor[kind] + i, losses);
            const double got = s.gradient.tensor[kind][i];
            if (!(fabs(got - want) <= 1e-3 * (0.1 + fabs(want))))
                fail_msg("tensor %d[%zu]: gradient %.7g, difference %.7g", kind, i, got, want);
        }
    }
    lm_batch_release(&b);
    teardown(&s);
    lm_threads_set(0);
}

static void gradients_are_differences(void **state)
{
    (void)state;
    check_gradients(tiny, false, 0);
    check_gradients(tiny, true, 0);
    check_gradients(tiny, true, 0.3f);   // under fixed masks
    check_gradients(gpt2_of(tiny), true, 0);
    check_gradients(gpt2_of(tiny), false, 0.3f);
}

/* Each document alone in a row gives the losses it has when packed with others. */
static void packed_losses_equal_unpacked_ones(void **state)
{
    (void)state;
    enum { POSITIONS = 16, FIRST = 5, SECOND = 9 };
    struct setup s;
    struct lm_batch packed, alone;
    uint32_t input[FIRST + SECOND];
    int32_t target[FIRST + SECOND];
    struct lm_rng rng = lm_rng_make(5, 0);
    for (size_t i = 0; i < FIRST + SECOND; i++) {
        input[i] = (uint32_t)lm_rng_below(&rng, 23);
        target[i] = (int32_t)lm_rng_below(&rng, 23);
    }
    const struct lm_piece first = { input, target, FIRST },
                          second = { input + FIRST, target + FIRST, SECOND };
    setup(&s, &tiny, POSITIONS);
    lm_batch_init(&packed, 1, POSITIONS);
    lm_batch_put(&packed, 0, 0, &first);
    lm_batch_put(&packed, 0, FIRST, &second);
    lm_batch_init(&alone, 2, POSITIONS);
    lm_batch_put(&alone, 0, 0, &first);
    lm_batch_put(&alone, 1, 0, &second);
    float in_one[POSITIONS], in_two[2 * POSITIONS];
    assert_int_equal(lm_net_measure(s.net, &packed, in_one, NULL), LM_OK);
    assert_int_equal(lm_net_measure(s.net, &alone, in_two, NULL), LM_OK);
    assert_near(in_one, in_two, FIRST, 1e-5, "first document");
    assert_near(in_one + FIRST, in_two + POSITIONS, SECOND, 1e-5, "second document");
    for (size_t i = FIRST + SECOND; i < POSITIONS; i++)
        assert_true(in_one[i] == 0);   // no target, no loss
    lm_batch_release(&packed);
    lm_batch_release(&alone);
    teardown(&s);
}

/* More rows than a micro-batch holds: the gradient is that of the mean over all of them. */
static void micro_batches_add_up(void **state)
{
    (void)state;
    enum { POSITIONS = 64, ROWS = LM_MICRO_POSITIONS / POSITIONS + 3 };
    struct setup s, one;
    struct lm_batch b;
    double loss, loss_sum = 0;
    setup(&s, &tiny, POSITIONS);
    setup(&one, &tiny, POSITIONS);
    make_batch(&b, ROWS, POSITIONS, 23);
    assert_int_equal(lm_net_train(s.net, &b, &s.gradient, &loss, NULL), LM_OK);
    for (size_t row = 0; row < ROWS; row++) {   // row by row, with the whole count as divisor
        struct lm_batch part = { .rows = 1,
                                 .positions = POSITIONS,
                                 .input = b.input + row * POSITIONS,
                                 .target = b.target + row * POSITIONS,
                                 .start = b.start + row * POSITIONS,
                                 .trained = b.trained };
        double share;
        assert_int_equal(lm_net_train(one.net, &part, &one.gradient, &share, NULL), LM_OK);
        loss_sum += share;
    }
    assert_true(fabs(loss - loss_sum) < 1e-6);
    assert_near(s.gradient.slab, one.gradient.slab, s.model.parameter_count, 2e-5, "gradient");
    lm_batch_release(&b);
    teardown(&s);
    teardown(&one);
}

static const struct lm_llama_config small = { .vocab_size = 600,
                                              .dim = 48,
                                              .layers = 2,
                                              .heads = 4,
                                              .kv_heads = 2,
                                              .ffn_dim = 130,
                                              .context = 64,
                                              .rope_theta = 100,
                                              .norm_eps = 1e-5 };

/* The same bits from one net and another. */
static void check_same_bits(const struct lm_llama_config *config, const struct lm_net_config way[2],
                            const int threads[2])
{
    enum { POSITIONS = 64, ROWS = 10 };
    struct setup s[2];
    struct lm_batch b;
    double loss[2];
    make_batch(&b, ROWS, POSITIONS, 600);
    for (int i = 0; i < 2; i++) {
        lm_threads_set(threads[i]);
        setup_way(&s[i], config, &way[i]);
        assert_int_equal(lm_net_train(s[i].net, &b, &s[i].gradient, &loss[i], NULL), LM_OK);
    }
    lm_threads_set(0);
    assert_memory_equal(&loss[0], &loss[1], sizeof loss[0]);
    assert_memory_equal(s[0].gradient.slab, s[1].gradient.slab, s[0].model.parameter_count * sizeof(float));
    for (int i = 0; i < 2; i++)
        teardown(&s[i]);
    lm_batch_release(&b);
}

static void gradients_do_not_know_the_threads(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        struct lm_net_config way = { .positions = 64, .bf16 = bf16 };
        check_same_bits(&small, (struct lm_net_config[]){ way, way }, (int[]){ 1, 2 });
        const struct lm_llama_config gpt2 = gpt2_of(small);
        check_same_bits(&gpt2, (struct lm_net_config[]){ way, way }, (int[]){ 1, 2 });
        way.dropout = 0.1f;
        check_same_bits(&small, (struct lm_net_config[]){ way, way }, (int[]){ 1, 2 });
    }
}

static void computing_again_changes_nothing(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        const struct lm_net_config keep = { .positions = 64, .bf16 = bf16, .dropout = 0.1f }, again = {
            .positions = 64, .bf16 = bf16, .dropout = 0.1f, .recompute = true
        };
        check_same_bits(&small, (struct lm_net_config[]){ keep, again }, (int[]){ 2, 2 });
        const struct lm_llama_config gpt2 = gpt2_of(small);
        check_same_bits(&gpt2, (struct lm_net_config[]){ keep, again }, (int[]){ 2, 2 });
        assert_true(lm_net_bytes(&small, &again, 2) < lm_net_bytes(&small, &keep, 2));
    }
}

/* ---- weights that follow from losses ---- */

struct weighing {
    float weight;
    size_t trained;   // losses that were seen
};

static void weigh_alike(void *state, size_t first, size_t count, const float *losses, float *ret_weights)
{
    struct weighing *w = state;
    assert_int_equal(first, 0);
    for (size_t i = 0; i < count; i++) {
        ret_weights[i] = w->weight;
        w->trained += losses[i] > 0;
    }
}

/* The same weight for all: the gradient of the mean, to the bit while the logits of all targets are kept. */
static void check_weights(bool bf16, size_t rows)
{
    enum { POSITIONS = 64 };
    struct setup s;
    struct lm_batch b;
    double loss;
    setup_way(&s, &small, &(struct lm_net_config){ .positions = POSITIONS, .bf16 = bf16, .dropout = 0.1f });
    make_batch(&b, rows, POSITIONS, 600);
    struct weighing weighing = { .weight = (float)(1.0 / (double)b.trained) };
    const struct lm_net_weigher weigher = { weigh_alike, &weighing };
    assert_int_equal(lm_net_train(s.net, &b, &s.gradient, &loss, NULL), LM_OK);
    assert_int_equal(lm_net_train_weighted(s.net, &b, &s.spare, &weigher, NULL), LM_OK);
    assert_int_equal(weighing.trained, b.trained);
    if (b.trained <= LM_LOSS_ROWS)
        assert_memory_equal(s.spare.slab, s.gradient.slab, s.gradient.count * sizeof(float));
    assert_near(s.spare.slab, s.gradient.slab, s.gradient.count, 2e-5, "gradient");
    lm_batch_release(&b);
    teardown(&s);
}

static void weights_may_follow_from_losses(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        check_weights(bf16, 9);
        check_weights(bf16, 12);   // more targets than logits are kept for
    }
}

/* ---- dropout ---- */

/* Masks of ones: how many are dropped, and how often two masks agree, as chance has it. */
static void masks_drop_what_they_should(void **state)
{
    (void)state;
    enum { POSITIONS = 64, COLS = 1000, VALUES = POSITIONS * COLS };
    static const float rates[] = { 0.1f, 0.5f, 0.9f };
    struct setup s;
    struct lm_batch b;
    float *first = lm_alloc(VALUES * sizeof *first), *other = lm_alloc(VALUES * sizeof *other);
    setup(&s, &tiny, POSITIONS);
    lm_batch_init(&b, 1, POSITIONS);
    s.net->count = POSITIONS;
    for (size_t k = 0; k < 3; k++)
        for (int what = 0; what < 4; what++) {   // another step, row, place; the same
            const double rate = rates[k];
            size_t dropped = 0, alike = 0;
            for (size_t i = 0; i < VALUES; i++)
                first[i] = other[i] = 1;
            b.step = b.first_row = 0;
            lm_net_start_masks(s.net, &b, 0);
            lm_net_drop(s.net, 3, rates[k], first, COLS);
            b.step = what == 0;
            b.first_row = what == 1;
            lm_net_start_masks(s.net, &b, 0);
            lm_net_drop(s.net, what == 2 ? 4 : 3, rates[k], other, COLS);
            for (size_t i = 0; i < VALUES; i++) {
                assert_true(first[i] == 0 || fabs(first[i] * (1 - rate) - 1) < 1e-6);
                dropped += first[i] == 0;
                alike += (first[i] == 0) == (other[i] == 0);
            }
            const double agree = what == 3 ? 1 : rate * rate + (1 - rate) * (1 - rate);
            const double slack = 5 * sqrt(VALUES * 0.25);   // five deviations at most
            assert_true(fabs((double)dropped - VALUES * rate) < slack);
            assert_true(fabs((double)alike - VALUES * agree) <= (what == 3 ? 0 : slack));
        }
    lm_batch_release(&b);
    teardown(&s);
    free(first);
    free(other);
}

/* Rows of a batch and the same rows one by one have the same masks, and the next step has others. */
static void masks_belong_to_rows_and_steps(void **state)
{
    (void)state;
    enum { POSITIONS = 16, ROWS = 3 };
    struct setup s, one;
    struct lm_batch b;
    double loss, loss_sum = 0, next;
    const struct lm_net_config way = { .positions = POSITIONS, .dropout = 0.4f, .seed = 9 };
    setup_way(&s, &tiny, &way);
    setup_way(&one, &tiny, &way);
    make_batch(&b, ROWS, POSITIONS, 23);
    assert_int_equal(lm_net_train(s.net, &b, &s.gradient, &loss, NULL), LM_OK);
    for (size_t row = 0; row < ROWS; row++) {
        const struct lm_batch part = { .rows = 1,
                                       .positions = POSITIONS,
                                       .input = b.input + row * POSITIONS,
                                       .target = b.target + row * POSITIONS,
                                       .start = b.start + row * POSITIONS,
                                       .trained = b.trained,
                                       .first_row = row };
        double share;
        assert_int_equal(lm_net_train(one.net, &part, &one.gradient, &share, NULL), LM_OK);
        loss_sum += share;
    }
    assert_true(fabs(loss - loss_sum) < 1e-6);
    assert_near(s.gradient.slab, one.gradient.slab, s.model.parameter_count, 2e-5, "gradient");
    b.step = 1;
    assert_int_equal(lm_net_train(s.net, &b, &s.spare, &next, NULL), LM_OK);
    assert_true(fabs(next - loss) > 1e-3);
    lm_batch_release(&b);
    teardown(&s);
    teardown(&one);
}

/* A batch in parts drops what the whole batch drops; otherwise the gradients would be far apart. */
static void parts_of_a_batch_have_its_masks(void **state)
{
    (void)state;
    enum { POSITIONS = 64, ROWS = 10 };
    for (int bf16 = 0; bf16 < 2; bf16++)
        for (size_t count = 2; count < 4; count++) {
            struct setup s;
            struct lm_batch b;
            struct lm_slices slices;
            struct lm_batch_parts parts;
            double loss, told[LM_PART_TOLD];
            bool stop;
            setup_way(
                &s, &small,
                &(struct lm_net_config){ .positions = POSITIONS, .bf16 = bf16, .dropout = 0.3f, .seed = 9 });
            make_batch(&b, ROWS, POSITIONS, 600);
            b.step = 3;
            lm_slices_init(&slices, &s.model, NULL, NULL, &lm_ranks_alone);
            lm_batch_parts_init(&parts, count, &s.model, NULL, &slices);
            assert_int_equal(lm_net_train(s.net, &b, &s.gradient, &loss, NULL), LM_OK);
            const struct lm_part_work work = { lm_part_rows_train, &(struct lm_part_rows){ s.net, &b },
                                               s.net };
            assert_int_equal(lm_batch_parts_train(&parts, &work, &s.spare, told, &stop, NULL), LM_OK);
            assert_true(fabs(loss - told[0]) < 1e-6 * loss);
            assert_near(s.spare.slab, s.gradient.slab, s.gradient.count, 2e-5, "gradient");
            lm_batch_parts_release(&parts);
            lm_slices_release(&slices);
            lm_batch_release(&b);
            teardown(&s);
        }
}

/* Length of the difference of two vectors, as a share of the second's. */
static double distance(const float *a, const float *b, size_t n)
{
    double apart = 0, length = 0;
    for (size_t i = 0; i < n; i++) {
        apart += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        length += (double)b[i] * b[i];
    }
    return sqrt(apart / length);
}

/* bf16 beside f32: every tensor's gradient. */
static void check_bf16(const struct lm_llama_config *config, size_t positions, float dropout)
{
    enum { ROWS = 3 };
    struct setup exact, half;
    struct lm_batch b;
    double loss[2];
    struct lm_net_config way = { .positions = positions, .dropout = dropout };
    setup_way(&exact, config, &way);
    way.bf16 = true;
    setup_way(&half, config, &way);
    make_batch(&b, ROWS, positions, (uint32_t)config->vocab_size);
    assert_int_equal(lm_net_train(exact.net, &b, &exact.gradient, &loss[0], NULL), LM_OK);
    assert_int_equal(lm_net_train(half.net, &b, &half.gradient, &loss[1], NULL), LM_OK);
    if (!(fabs(loss[1] - loss[0]) < 0.01 * loss[0]))
        fail_msg("loss %.6g, in f32 %.6g", loss[1], loss[0]);
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++) {
        size_t rows, cols;
        lm_llama_shape(config, kind, &rows, &cols);
        const size_t count = lm_llama_layer_count(config, kind) * rows * cols;
        if (count == 0 || kind == LM_LLAMA_BK)   // keys' biases have a gradient of 0
            continue;
        const double apart = distance(half.gradient.tensor[kind], exact.gradient.tensor[kind], count);
        if (!(apart < 0.08))   // rounding grows through the layers; a wrong term is far more
            fail_msg("the gradient of tensor %d is %.3g of its length away", kind, apart);
    }
    lm_batch_release(&b);
    teardown(&exact);
    teardown(&half);
}

/* Sizes that fit panels and sizes that do not. */
static void bf16_is_near_f32(void **state)
{
    (void)state;
    struct lm_llama_config tied = small;
    tied.tied = true;
    tied.ffn_dim = 131;
    check_bf16(&tiny, 11, 0);
    check_bf16(&small, 64, 0);
    check_bf16(&tied, 33, 0);
    check_bf16(&small, 64, 0.2f);   // under the same masks
    const struct lm_llama_config gpt2 = gpt2_of(tiny);
    const struct lm_llama_config wider = gpt2_of(small);
    check_bf16(&gpt2, 11, 0);
    check_bf16(&wider, 64, 0.2f);
}

/* tests/golden/train/make.py: loss and gradients of small models as transformers has them, in 64 bits. */
static void check_torch(const char *folder, const char *gradients)
{
    enum { ROWS = 2, POSITIONS = 12 };
    struct setup s = { 0 };
    struct lm_safetensors want = { 0 };
    struct lm_batch b;
    double loss;
    float want_loss;
    assert_int_equal(lm_llama_load(&s.model, folder, NULL), LM_OK);
    assert_int_equal(lm_safetensors_open(&want, gradients, NULL), LM_OK);
    assert_int_equal(lm_gemm_new(&s.gemm, NULL), LM_OK);
    s.net = lm_net_new(&s.model, s.gemm, &(struct lm_net_config){ .positions = POSITIONS });
    lm_gradient_init(&s.gradient, &s.model, NULL);
    const int32_t *tokens = lm_safetensors_find(&want, "tokens")->data;
    lm_batch_init(&b, ROWS, POSITIONS);
    for (size_t row = 0; row < ROWS; row++) {
        int32_t target[POSITIONS];
        memcpy(target, tokens + row * POSITIONS + 1, (POSITIONS - 1) * sizeof *target);
        target[POSITIONS - 1] = LM_TARGET_NONE;
        const struct lm_piece piece = { (const uint32_t *)tokens + row * POSITIONS, target, POSITIONS };
        lm_batch_put(&b, row, 0, &piece);
    }
    assert_int_equal(lm_net_train(s.net, &b, &s.gradient, &loss, NULL), LM_OK);
    memcpy(&want_loss, lm_safetensors_find(&want, "loss")->data, sizeof want_loss);
    assert_true(fabs(loss - want_loss) <= 1e-5 * want_loss);
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++)
        for (size_t l = 0; l < lm_llama_layer_count(&s.model.config, kind); l++) {
            char name[LM_LLAMA_NAME_MAX];
            size_t rows, cols;
            lm_llama_shape(&s.model.config, kind, &rows, &cols);
            lm_llama_name(&s.model.config, kind, l, name);
            if (kind == LM_LLAMA_HEAD && s.model.config.tied)
                continue;
            const struct lm_tensor_view *view = lm_safetensors_find(&want, name);
            assert_non_null(view);
            float *gradient =
                lm_memdup(view->data, rows * cols * sizeof *gradient);   // views are not aligned
            if (kind == LM_LLAMA_BK) {   // moves all scores of a query alike: its gradient is 0
                assert_near(s.gradient.tensor[kind] + l * cols, gradient, cols, 1e-6, name);
                free(gradient);
                continue;
            }
            const double apart = distance(s.gradient.tensor[kind] + l * rows * cols, gradient, rows * cols);
            free(gradient);
            if (!(apart < 1e-5))
                fail_msg("the gradient of %s is %.3g of its length away from torch's", name, apart);
        }
    lm_safetensors_close(&want);
    lm_batch_release(&b);
    teardown(&s);
}

static void gradients_are_those_of_torch(void **state)
{
    (void)state;
    check_torch(LOOM_TEST_DIR "/golden/train/llama",
                LOOM_TEST_DIR "/golden/train/llama-gradients.safetensors");
    check_torch(LOOM_TEST_DIR "/golden/train/gpt2", LOOM_TEST_DIR "/golden/train/gpt2-gradients.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_differences),
        cmocka_unit_test(packed_losses_equal_unpacked_ones),
        cmocka_unit_test(micro_batches_add_up),
        cmocka_unit_test(gradients_do_not_know_the_threads),
        cmocka_unit_test(computing_again_changes_nothing),
        cmocka_unit_test(bf16_is_near_f32),
        cmocka_unit_test(masks_drop_what_they_should),
        cmocka_unit_test(masks_belong_to_rows_and_steps),
        cmocka_unit_test(parts_of_a_batch_have_its_masks),
        cmocka_unit_test(weights_may_follow_from_losses),
        cmocka_unit_test(gradients_are_those_of_torch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
