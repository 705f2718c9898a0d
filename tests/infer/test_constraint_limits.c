/* Constraints under attack and at their limits: sources made to be slow or large, text without end, memory
 * that is full, several threads, allocation. */
#include "check.h"

#include "base/mem.h"
#include "infer/constraint.h"
#include "infer/constraint_front.h"
#include "infer/constraint_lazy.h"
#include "vocabulary.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { VOCAB = 1000, CPU_MS_MAX = 1500 };   // sanitized, and besides others

static struct lm_tokenizer *tokenizer;
static struct lm_constraint_vocab *vocab;

/* The linker sends every call of malloc and its kin through these (--wrap). */
static _Atomic size_t allocations;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);

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

static int make_vocabulary(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(8, 0);
    tokenizer = random_vocabulary(&rng, VOCAB, 6, "\"\"{}[]:,0123456789abctrue \n-.\\\xc3\xa9");
    vocab = lm_constraint_vocab_new(tokenizer);
    return 0;
}

static int free_vocabulary(void **state)
{
    (void)state;
    lm_constraint_vocab_free(vocab);
    lm_tokenizer_free(tokenizer);
    return 0;
}

static int64_t cpu_ms(void)
{
    return (int64_t)clock() * 1000 / CLOCKS_PER_SEC;
}

/* ---- sources ---- */

/* count times `part`, with %zu standing for the number, between head and tail; what stands behind a # in the
 * tail count times, too. */
static char *many(const char *head, const char *part, size_t count, const char *tail)
{
    struct lm_buf text = { 0 };
    const char *number = strstr(part, "%zu");
    const size_t before = number ? (size_t)(number - part) : strlen(part);
    lm_buf_puts(&text, head);
    for (size_t i = 0; i < count; i++) {
        lm_buf_add(&text, part, before);
        if (number)
            lm_buf_printf(&text, "%zu%s", i, number + 3);
    }
    const char *again = strchr(tail, '#');
    lm_buf_add(&text, tail, again ? (size_t)(again - tail) : strlen(tail));
    for (size_t i = 0; again && i < count; i++)
        lm_buf_puts(&text, again + 1);
    return lm_buf_take(&text);
}

struct attack {
    enum lm_constraint_kind kind;
    const char *head, *part;
    size_t count;
    const char *tail, *says;   // NULL: it may compile
};

#define S LM_CONSTRAINT_JSON_SCHEMA
#define R LM_CONSTRAINT_REGEX
#define G LM_CONSTRAINT_GRAMMAR

// clang-format off
static const struct attack attacks[] = {
    { S, "", "[", 100000, "", "nested" },
    { S, "", "{\"items\":", 100, "true#}", NULL },
    { S, "", "{\"anyOf\":[", 50, "true#]}", "nested too deep" },
    { S, "{\"enum\":[0", ",\"value number %zu\"", 100000, "]}", "states" },
    { S, "{\"enum\":[0", ",0", 300000, "]}", "values" },
    { S, "{\"allOf\":[true", ",{\"anyOf\":[{\"minLength\":%zu},{\"type\":\"string\"},{\"maxLength\":2000}]}", 20, "]}", "" },
    { S, "{\"type\":\"object\",\"required\":[\"a\"", ",\"name %zu\"", 20000, "]}", "" },
    { S, "{\"type\":\"object\",\"properties\":{\"a\":true", ",\"name %zu\":{}", 20000, "},\"additionalProperties\":true}", "" },
    { S, "{\"oneOf\":[{\"const\":\"a\"}", ",{\"const\":%zu}", 5000, "]}", NULL },
    { S, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{\"x\":true", ",\"d%zu\":{\"anyOf\":[{\"$ref\":\"#/$defs/d0\"},{\"type\":\"null\"}]}", 3000, "}}", "refers to itself" },
    { S, "{\"type\":\"array\",\"maxItems\":2000,\"items\":{\"type\":\"array\",\"maxItems\":2000,\"items\":{\"type\":\"string\",\"maxLength\":2000}}}", "", 0, "", NULL },
    { R, "", "(", 100000, "", "nested too deep" },
    { R, "((((a{50}){50}){50}){50}){50}", "", 0, "", "states" },
    { R, "a", "|word%zu", 60000, "", "" },
    { R, "", "(a?){99}", 400, "", "" },
    { R, "[", "\\u{%zu}", 9000, "]{2000}", "" },
    { G, "root ::= \"x\"", " | r%zu", 50000, "", "" },
    { G, "root ::= r0\n", "r%zu ::= root \"x\" | \"y\"\n", 1, "", "refers to itself" },
};
// clang-format on

static void attacks_are_refused_in_bounded_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        const struct attack *a = &attacks[i];
        char *source = many(a->head, a->part, a->count, a->tail);
        struct lm_constraint *c = NULL;
        struct lm_err err = { 0 };
        const int64_t start = cpu_ms();
        const enum lm_rc rc = lm_constraint_new(vocab, a->kind, lm_str(source), NULL, &c, &err);
        const int64_t ms = cpu_ms() - start;
        if (ms > CPU_MS_MAX)
            fail_msg("attack %zu takes %lld ms", i, (long long)ms);
        /* On a slow machine the clock may come first. */
        if (a->says && (rc == LM_OK || !(strstr(err.text, a->says) || strstr(err.text, "took longer"))))
            fail_msg("attack %zu: %d, '%s' instead of '%s'", i, rc, err.text, a->says);
        lm_constraint_free(c);
        free(source);
    }
}

static void a_limit_is_what_the_caller_says(void **state)
{
    (void)state;
    static const struct {
        struct lm_constraint_limits limits;
        const char *source, *says;
    } rows[] = {
        { { .states = 40, .ms = 5000 }, "a{60}", "40 states" },
        { { .repetition = 5, .ms = 5000 }, "a{6}", "beyond the limit" },
        { { .depth = 2, .ms = 5000 }, "(((a)))", "too deep" },
        { { .bytes = 4096, .ms = 5000 }, "a{1500}", "4096 bytes" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lm_constraint *c;
        struct lm_err err = { 0 };
        assert_int_equal(
            lm_constraint_new(vocab, LM_CONSTRAINT_REGEX, lm_str(rows[i].source), &rows[i].limits, &c, &err),
            LM_ELIMIT);
        assert_contains(err.text, rows[i].says);
    }
}

/* ---- walks ---- */

static struct lm_constraint *compile(enum lm_constraint_kind kind, const char *source)
{
    struct lm_constraint *c = NULL;
    struct lm_err err = { 0 };
    const struct lm_constraint_limits limits = { .ms = 5000 };
    if (lm_constraint_new(vocab, kind, lm_str(source), &limits, &c, &err) != LM_OK)
        fail_msg("%s: %s", source, err.text);
    return c;
}

/* Opens brackets as long as that is allowed, then takes whatever fits. */
static void nesting_has_an_end_and_never_a_dead_one(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"anyOf\":[{\"type\":\"array\",\"items\":{\"$ref\":\"#/"
        "$defs/b\"},"
        "\"minItems\":1},{\"type\":\"array\",\"prefixItems\":[{\"$ref\":\"#/$defs/"
        "a\"}],\"items\":false,\"minItems\":1},"
        "{\"type\":\"boolean\"}]},\"b\":{\"anyOf\":[{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/"
        "a\"},\"minItems\":1},"
        "{\"$ref\":\"#/$defs/a\"}]}}}",
        "true",
    };
    for (size_t i = 0; i < 2; i++) {
        struct lm_constraint *c = compile(LM_CONSTRAINT_JSON_SCHEMA, sources[i]);
        struct lm_constraint_walk *w = lm_constraint_walk_new(c);
        size_t opened = 0, set;
        while (opened < 1000 && lm_constraint_accept(w, VOCABULARY_BYTE + '['))
            opened++;
        assert_in_range(opened, 20, 900);
        struct lm_rng rng = lm_rng_make(i, 0);
        size_t steps = 0;
        while (!lm_constraint_may_end(w) && ++steps < 20000) {
            const uint64_t *mask = lm_constraint_mask(w, NULL, 0, &set);
            assert_true(set > 0);
            const uint32_t close = VOCABULARY_BYTE + ']';
            const bool closing = mask_has(mask, close) && steps % 4 != 0;
            assert_true(lm_constraint_accept(w, closing ? close : random_token(&rng, mask, VOCAB)));
        }
        assert_true(lm_constraint_may_end(w));
        lm_constraint_walk_free(w);
        lm_constraint_free(c);
    }
}

/* Two rules that begin alike and call each other: stacks would double with every bracket. */
static void ambiguity_costs_no_more_when_it_is_deep(void **state)
{
    (void)state;
    struct lm_constraint *c =
        compile(LM_CONSTRAINT_GRAMMAR, "root ::= a | b\n"
                                       "a ::= \"[\" a \"]\" | \"[\" b \"]\" | \"x\"\n"
                                       "b ::= \"[\" b \"]\" | \"[\" a \"]\" | \"x\" \"y\"?\n");
    struct lm_constraint_walk *w = lm_constraint_walk_new(c);
    const int64_t start = cpu_ms();
    size_t set;
    for (size_t i = 0; i < 60; i++) {
        assert_true(lm_constraint_accept(w, VOCABULARY_BYTE + '['));
        lm_constraint_mask(w, NULL, 0, &set);
        assert_true(set > 0);
    }
    assert_true(lm_constraint_accept(w, VOCABULARY_BYTE + 'x'));
    assert_true(lm_constraint_accept(w, VOCABULARY_BYTE + 'y'));
    for (size_t i = 0; i < 60; i++) {
        assert_false(lm_constraint_may_end(w));
        assert_true(lm_constraint_accept(w, VOCABULARY_BYTE + ']'));
    }
    assert_true(lm_constraint_may_end(w));
    assert_true(cpu_ms() - start < CPU_MS_MAX);
    lm_constraint_walk_free(w);
    lm_constraint_free(c);
}

/* ---- memory ---- */

/* The same walk with the automaton forgotten every few steps. */
static void forgetting_changes_nothing(void **state)
{
    (void)state;
    struct lm_nfa a;
    const struct lm_constraint_limits limits = {
        .depth = 32, .states = 65536, .repetition = 2000, .bytes = 64 << 20, .ms = 5000
    };
    lm_nfa_init(&a, &limits, NULL);
    lm_nfa_finish(
        &a, lm_front_schema(&a, LM_STR("{\"type\":\"object\",\"properties\":{\"a\":true,\"b\":{\"type\":"
                                       "\"string\",\"maxLength\":9}},\"additionalProperties\":true}")));
    assert_int_equal(a.rc, LM_OK);
    struct lm_lazy kept, forgetful;
    lm_lazy_init(&kept, &a);
    lm_lazy_init(&forgetful, &a);
    struct lm_rng rng = lm_rng_make(2, 0);
    for (size_t walk = 0; walk < 40; walk++) {
        uint32_t x = lm_lazy_start(&kept), pair[2] = { lm_lazy_start(&forgetful) };
        for (size_t step = 0; step < 300 && x != LM_SPOT_DEAD; step++) {
            uint8_t alive[256];
            size_t count = 0;
            assert_int_equal(kept.spots[x].end, forgetful.spots[pair[0]].end);
            assert_int_equal(kept.spots[x].reach, forgetful.spots[pair[0]].reach);
            for (size_t class = 0; class < a.class_count; class ++) {
                const bool dead = lm_lazy_step(&kept, x, (uint8_t) class) == LM_SPOT_DEAD;
                assert_int_equal(dead, lm_lazy_step(&forgetful, pair[0], (uint8_t) class) == LM_SPOT_DEAD);
                if (!dead)
                    alive[count++] = (uint8_t) class;
            }
            if (count == 0)
                break;
            const uint8_t class = alive[lm_rng_below(&rng, count)];
            x = lm_lazy_step(&kept, x, class);
            pair[0] = pair[1] = lm_lazy_step(&forgetful, pair[0], class);   // one spot named twice stays one
            if (step % 3 == 0)
                lm_lazy_shrink(&forgetful, pair, 2);
            assert_int_equal(pair[0], pair[1]);
        }
    }
    assert_true(kept.bytes > forgetful.bytes);
    lm_lazy_release(&kept);
    lm_lazy_release(&forgetful);
    lm_nfa_release(&a);
}

/* A walk that has been there before allocates nothing. */
static void walking_again_allocates_nothing(void **state)
{
    (void)state;
    struct lm_constraint *c = compile(
        LM_CONSTRAINT_JSON_SCHEMA, "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"maxLength\":40}}");
    size_t before = 0;
    for (size_t round = 0; round < 2; round++) {
        struct lm_constraint_walk *w = lm_constraint_walk_new(c);
        struct lm_rng rng = lm_rng_make(3, 0);
        before = allocations;
        for (size_t i = 0; i < 150; i++) {
            size_t set;
            const uint64_t *mask = lm_constraint_mask(w, NULL, 0, &set);
            if (set == 0)
                break;
            assert_true(lm_constraint_accept(w, random_token(&rng, mask, VOCAB)));
        }
        if (round == 1)
            assert_int_equal(allocations, before);
        lm_constraint_walk_free(w);
    }
    lm_constraint_free(c);
}

/* ---- threads ---- */

static void *walk_alone(void *context)
{
    struct lm_constraint *c = context;
    uint64_t *sum = lm_zalloc(1, sizeof(*sum));
    for (size_t round = 0; round < 6; round++) {
        struct lm_constraint_walk *w = lm_constraint_walk_new(c);
        struct lm_rng rng = lm_rng_make(round, 0);
        for (size_t i = 0; i < 60; i++) {
            size_t set;
            const uint64_t *mask = lm_constraint_mask(w, NULL, 0, &set);
            if (set == 0)
                break;
            const uint32_t id = random_token(&rng, mask, VOCAB);
            *sum = *sum * 31 + set * 7 + id;
            lm_constraint_accept(w, id);
        }
        lm_constraint_walk_free(w);
    }
    return sum;
}

static void threads_share_a_constraint_and_see_the_same(void **state)
{
    (void)state;
    struct lm_constraint *c = compile(LM_CONSTRAINT_JSON, "");
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, walk_alone, c), 0);
    uint64_t sums[4];
    for (size_t i = 0; i < 4; i++) {
        void *sum;
        pthread_join(threads[i], &sum);
        sums[i] = *(uint64_t *)sum;
        free(sum);
        assert_true(sums[i] == sums[0]);
    }
    lm_constraint_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attacks_are_refused_in_bounded_time),
        cmocka_unit_test(a_limit_is_what_the_caller_says),
        cmocka_unit_test(nesting_has_an_end_and_never_a_dead_one),
        cmocka_unit_test(ambiguity_costs_no_more_when_it_is_deep),
        cmocka_unit_test(forgetting_changes_nothing),
        cmocka_unit_test(walking_again_allocates_nothing),
        cmocka_unit_test(threads_share_a_constraint_and_see_the_same),
    };
    return cmocka_run_group_tests(tests, make_vocabulary, free_vocabulary) != 0;
}
