#include "base/rng.h"
#include "infer/prefix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

enum { PROMPT_BLOCKS = 5, PROMPT_MAX = PROMPT_BLOCKS * LM_KV_TOKENS, POOL = 256, LIVE = 6, SALTS = 2 };

/* A prompt, a place in it, and what a cache would hold there: all that came before. */
struct past {
    uint64_t salt;
    size_t len;
    uint32_t tokens[PROMPT_MAX];
};

struct sequence {
    bool lives;
    uint32_t tokens[PROMPT_MAX], blocks[PROMPT_BLOCKS + 1];
    struct lm_prefix_table table;
    size_t computed;   // positions
};

static struct {
    struct lm_kv_pool pool;
    struct lm_prefix *prefix;
    struct past contents[POOL];       // of each block
    struct past published[1 << 14];   // all there ever was
    size_t published_count;
    struct sequence live[LIVE];
    size_t hits, refusals;
} w;

static struct past past_of(const struct sequence *s, size_t len)
{
    struct past p = { .salt = s->table.salt, .len = len };
    memcpy(p.tokens, s->tokens, len * sizeof p.tokens[0]);
    return p;
}

static bool was_published(const struct past *p)
{
    for (size_t i = 0; i < w.published_count; i++)
        if (memcmp(&w.published[i], p, sizeof *p) == 0)
            return true;
    return false;
}

static void world_begin(size_t blocks)
{
    memset(&w, 0, sizeof w);
    assert_int_equal(lm_kv_pool_init(&w.pool, (struct lm_kv_shape){ LM_KV_F32, 1, 1, 2 }, blocks, NULL),
                     LM_OK);
    w.prefix = lm_prefix_new(&w.pool, true);
}

static void world_end(void)
{
    for (size_t i = 0; i < LIVE; i++)
        if (w.live[i].lives)
            lm_prefix_give(w.prefix, &w.live[i].table);
    assert_int_equal(lm_prefix_unused(w.prefix), w.pool.block_count);   // nobody kept anything
    lm_prefix_free(w.prefix);
    lm_kv_pool_release(&w.pool);
}

/* Every block of two kinds, so that prompts form a tree with many common beginnings. */
static void make_prompt(struct sequence *s, struct lm_rng *rng)
{
    *s = (struct sequence){ 0 };
    for (size_t b = 0; b < PROMPT_BLOCKS; b++) {
        const uint32_t kind = (uint32_t)lm_rng_below(rng, 2);
        for (size_t i = 0; i < LM_KV_TOKENS; i++)
            s->tokens[b * LM_KV_TOKENS + i] = i == 7 ? kind : 3;
    }
    s->table = (struct lm_prefix_table){
        .tokens = s->tokens,
        .prompt_len = 1 + (size_t)lm_rng_below(rng, PROMPT_MAX),
        .salt = lm_rng_below(rng, SALTS),
        .blocks = s->blocks,
    };
    s->table.block_count = lm_kv_blocks(s->table.prompt_len + (size_t)lm_rng_below(rng, 16));
}

/* Each shared block holds exactly the past that its place demands. */
static void check_shared(const struct sequence *s)
{
    for (size_t i = 0; i < s->table.shared; i++) {
        const struct past want = past_of(s, (i + 1) * LM_KV_TOKENS);
        assert_memory_equal(&w.contents[s->blocks[i]], &want, sizeof want);
    }
}

static void begin(struct sequence *s, struct lm_rng *rng, bool all_fits)
{
    make_prompt(s, rng);
    size_t known = 0;
    for (; (known + 1) * LM_KV_TOKENS < s->table.prompt_len; known++) {
        const struct past p = past_of(s, (known + 1) * LM_KV_TOKENS);
        if (!was_published(&p))
            break;
    }
    const size_t unused = lm_prefix_unused(w.prefix);
    s->lives = lm_prefix_take(w.prefix, &s->table);
    if (!s->lives) {
        assert_true(s->table.block_count > unused);
        assert_int_equal(lm_prefix_unused(w.prefix), unused);
        w.refusals++;
        return;
    }
    if (all_fits)
        assert_int_equal(s->table.shared, known);   // nothing was ever evicted
    assert_true(s->table.shared <= known);
    check_shared(s);
    s->computed = s->table.shared * LM_KV_TOKENS;
    w.hits += s->table.shared;
}

static void assert_ours_alone(const struct sequence *s, size_t index)
{
    for (size_t k = 0; k < LIVE; k++)
        for (size_t i = 0; w.live[k].lives && i < w.live[k].table.block_count; i++)
            if (&w.live[k] != s || i != index)
                assert_int_not_equal(w.live[k].blocks[i], s->blocks[index]);
}

static void compute(struct sequence *s, size_t count)
{
    lm_prefix_follow(w.prefix, &s->table);
    check_shared(s);
    if (s->computed < s->table.shared * LM_KV_TOKENS)
        s->computed = s->table.shared * LM_KV_TOKENS;
    for (; count > 0 && s->computed < s->table.prompt_len; count--) {
        const size_t index = s->computed++ / LM_KV_TOKENS;
        assert_true(index >= s->table.shared);
        assert_ours_alone(s, index);
        w.contents[s->blocks[index]] = past_of(s, s->computed);
        if (s->computed % LM_KV_TOKENS == 0 && w.published_count < sizeof w.published / sizeof w.published[0])
            w.published[w.published_count++] = past_of(s, s->computed);
    }
    lm_prefix_publish(w.prefix, &s->table, s->computed);
    assert_int_equal(s->table.shared, s->computed / LM_KV_TOKENS);
    check_shared(s);
}

static void live(size_t blocks, size_t steps, bool all_fits, uint64_t seed)
{
    struct lm_rng rng = lm_rng_make(seed, 0);
    world_begin(blocks);
    for (size_t i = 0; i < steps; i++) {
        struct sequence *s = &w.live[lm_rng_below(&rng, LIVE)];
        if (!s->lives) {
            begin(s, &rng, all_fits);
        } else if (lm_rng_below(&rng, 4) > 0) {
            compute(s, 1 + (size_t)lm_rng_below(&rng, 40));
        } else {   // whole, or cancelled in the middle
            lm_prefix_give(w.prefix, &s->table);
            s->lives = false;
        }
    }
    assert_true(w.hits > 20);
}

static void whatever_was_published_is_found_while_there_is_room(void **state)
{
    (void)state;
    live(POOL, 2000, true, 1);   // 2 salts * (2 + 4 + ... + 32) blocks, and 6 sequences: all fit
    assert_int_equal(w.refusals, 0);
    world_end();
}

static void what_is_found_is_right_when_blocks_are_evicted_all_the_time(void **state)
{
    (void)state;
    for (size_t blocks = PROMPT_BLOCKS + 1; blocks < 40; blocks += 3) {
        live(blocks, 2000, false, blocks);
        if (blocks < 12)
            assert_true(w.refusals > 0);
        world_end();
    }
}

static void the_beginning_used_last_is_evicted_last(void **state)
{
    (void)state;
    world_begin(4);
    struct sequence a = { 0 }, b = { 0 }, c = { 0 };
    struct sequence *all[] = { &a, &b, &c };
    for (uint32_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < PROMPT_MAX; k++)
            all[i]->tokens[k] = i;
        all[i]->table = (struct lm_prefix_table){
            .tokens = all[i]->tokens, .prompt_len = 17, .blocks = all[i]->blocks, .block_count = 2
        };
    }
    for (size_t i = 0; i < 2; i++) {
        assert_true(lm_prefix_take(w.prefix, &all[i]->table));
        lm_prefix_publish(w.prefix, &all[i]->table, 17);
        lm_prefix_give(w.prefix, &all[i]->table);
    }
    assert_true(lm_prefix_take(w.prefix, &a.table));   // a is used again, so b is the oldest
    assert_int_equal(a.table.shared, 1);
    lm_prefix_give(w.prefix, &a.table);
    c.table.block_count = 3;   // two are free
    assert_true(lm_prefix_take(w.prefix, &c.table));
    lm_prefix_give(w.prefix, &c.table);
    assert_true(lm_prefix_take(w.prefix, &a.table));
    assert_int_equal(a.table.shared, 1);
    assert_true(lm_prefix_take(w.prefix, &b.table));
    assert_int_equal(b.table.shared, 0);
    lm_prefix_give(w.prefix, &a.table);
    lm_prefix_give(w.prefix, &b.table);
    world_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_was_published_is_found_while_there_is_room),
        cmocka_unit_test(what_is_found_is_right_when_blocks_are_evicted_all_the_time),
        cmocka_unit_test(the_beginning_used_last_is_evicted_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
