#include "harness.h"
#include "infer/engine.h"
#include "reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>

/* The linker sends every call of malloc and its kin through these (--wrap). */
static _Atomic size_t allocations;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *ptr, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(ptr, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_aligned_alloc(align, bytes);
}

struct counted {
    struct record record;
    size_t last;   // allocations seen at the last token
};

static void counting_sink(void *user, const struct lm_engine_event *event)
{
    struct counted *c = user;
    c->last = atomic_load(&allocations);
    record_sink(&c->record, event);
}

static void no_token_costs_an_allocation(void **state)
{
    (void)state;
    enum { SEQUENCES = 8 };
    static struct counted counted[SEQUENCES];
    static uint32_t prompt[40];
    const struct lm_str stops[] = { LM_STR("\xff never \xff"), LM_STR("abababababab!") };
    struct lm_llama m;
    struct lm_model view;
    struct lm_tokenizer *t = tiny_tokenizer();
    struct lm_engine *e;
    struct lm_engine_config config = { .sequences_max = SEQUENCES, .prefill_tokens = 5 };
    reference_model(&m, &reference_configs[0], 12);
    lm_model_of_llama(&view, &m);
    assert_int_equal(lm_engine_new(&view, t, &config, &e, NULL), LM_OK);
    struct lm_sampling s;
    lm_sampling_defaults(&s);
    s.stop = stops, s.stop_count = 2, s.top_logprobs = 20, s.temperature = 20, s.max_tokens = 50;
    s.repetition_penalty = 1.2, s.presence_penalty = 0.5;
    for (size_t i = 0; i < SEQUENCES; i++)
        record_init(&counted[i].record);
    const size_t before = atomic_load(&allocations);
    for (size_t i = 0; i < SEQUENCES; i++) {
        s.seed = i;
        s.top_p = i % 2 ? 0.9 : 1;
        assert_int_equal(lm_engine_submit(e, prompt, 40, &s, counting_sink, &counted[i], NULL, NULL), LM_OK);
    }
    const size_t submitted = atomic_load(&allocations);
    assert_true(submitted > before);   // the counter counts
    for (size_t i = 0; i < SEQUENCES; i++)
        record_wait(&counted[i].record);
    for (size_t i = 0; i < SEQUENCES; i++) {
        /* Up to the last submission others allocate; from then on nobody does. */
        assert_true(counted[i].last <= submitted);
        assert_true(counted[i].record.count > 1);
        record_release(&counted[i].record);
    }
    assert_int_equal(counted[SEQUENCES - 1].last, submitted);
    lm_engine_free(e);
    lm_tokenizer_free(t);
    lm_model_close(&view);
    lm_llama_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_token_costs_an_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
