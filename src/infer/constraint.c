#include "infer/constraint_impl.h"

#include "base/mem.h"
#include "infer/constraint_front.h"
#include "infer/constraint_regex.h"

#include <stdlib.h>

enum { SOURCE_BYTES_MAX = 4 << 20 };

static struct lm_constraint_limits with_defaults(const struct lm_constraint_limits *limits)
{
    const struct lm_constraint_limits l = limits ? *limits : (struct lm_constraint_limits){ 0 };
    return (struct lm_constraint_limits){
        .depth = l.depth ? l.depth : 32,
        .states = l.states ? l.states : 65536,
        .repetition = l.repetition ? l.repetition : 2000,
        .bytes = l.bytes ? l.bytes : 64 << 20,
        .ms = l.ms ? l.ms : 50,
    };
}

uint32_t lm_front_regex(struct lm_nfa *a, struct lm_str source)
{
    static const struct lm_regex_options options = { .where = "regular expression" };
    const uint32_t rule = lm_nfa_rule(a, LM_STR("regular expression"));
    lm_nfa_define(a, rule, lm_regex_frag(a, source, &options));
    return rule;
}

/* One row per kind of source. */
static const struct {
    const char *name;
    uint32_t (*compile)(struct lm_nfa *a, struct lm_str source);
} fronts[] = {
    [LM_CONSTRAINT_JSON_SCHEMA] = { "JSON Schema", lm_front_schema },
    [LM_CONSTRAINT_JSON] = { "JSON", lm_front_json },
    [LM_CONSTRAINT_REGEX] = { "regular expression", lm_front_regex },
    [LM_CONSTRAINT_GRAMMAR] = { "grammar", lm_front_grammar },
};

/* More ways at once than a walk follows would fit nothing at all. */
static void check_start(struct lm_nfa *a)
{
    struct lm_lazy lazy;
    if (a->rc != LM_OK)
        return;
    lm_lazy_init(&lazy, a);
    if (lm_lazy_start(&lazy) == LM_SPOT_DEAD)
        lm_nfa_fail(a, LM_ELIMIT, "there are more than %d ways to begin: make it simpler",
                    LM_LAZY_PLACES_MAX);
    lm_lazy_release(&lazy);
}

enum lm_rc lm_constraint_new(const struct lm_constraint_vocab *vocab, enum lm_constraint_kind kind,
                             struct lm_str source, const struct lm_constraint_limits *limits,
                             struct lm_constraint **ret, struct lm_err *err)
{
    LM_ASSERT(vocab && ret);
    LM_ASSERT((size_t)kind < sizeof(fronts) / sizeof(fronts[0]));

    if (source.len > SOURCE_BYTES_MAX)
        return lm_fail(err, LM_ELIMIT, "the %s has %zu bytes; at most %d are read", fronts[kind].name,
                       source.len, SOURCE_BYTES_MAX);
    const struct lm_constraint_limits all = with_defaults(limits);
    struct lm_constraint *c = lm_zalloc(1, sizeof(*c));
    c->vocab = vocab;
    lm_nfa_init(&c->nfa, &all, err);
    const uint32_t start = fronts[kind].compile(&c->nfa, source);
    lm_nfa_finish(&c->nfa, start);
    check_start(&c->nfa);
    c->nfa.err = NULL;   // the caller's
    c->idle = lm_zalloc(1, sizeof(*c->idle));
    pthread_mutex_init(&c->idle->lock, NULL);
    const enum lm_rc rc = c->nfa.rc;
    if (rc != LM_OK)
        lm_constraint_free(c);
    else
        *ret = c;
    return rc;
}

void lm_constraint_free(struct lm_constraint *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->idle->count; i++)
        lm_walk_memory_free(c->idle->memories[i]);
    pthread_mutex_destroy(&c->idle->lock);
    free(c->idle);
    lm_nfa_release(&c->nfa);
    free(c);
}

size_t lm_constraint_bytes(const struct lm_constraint *c)
{
    const size_t masks = LM_WALK_MASKS * c->vocab->words * sizeof(uint64_t);
    return sizeof(*c) + sizeof(*c->idle) + lm_nfa_bytes(&c->nfa) +
           LM_WALK_IDLE_MAX * (sizeof(struct lm_walk_memory) + masks + LM_WALK_IDLE_BYTES_MAX);
}
