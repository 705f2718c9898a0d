/* Windows of token shards: every token says whose it is, so a batch can be read back. */
#include "check.h"

#include "base/rng.h"
#include "train/feed.h"

#include "shards.h"

enum {
    DOCUMENTS = 60,
    TOKENS_MAX = 90,
    ROWS = 3,
    POSITIONS = 16,
    STEPS = 200,
    END = 0,
    VOCAB = 1 + DOCUMENTS * TOKENS_MAX,
};

static const char *const names[] = { "wiki", "news", "code" };
static uint32_t tokens[DOCUMENTS][TOKENS_MAX];
static size_t lens[DOCUMENTS];
static struct lm_shard shard;

/* Token i of document d is 1 + d * TOKENS_MAX + i, its last one END. */
static int make_shard(void **state)
{
    (void)state;
    struct shard_document documents[DOCUMENTS];
    struct lm_rng rng = lm_rng_make(5, 0);
    for (size_t d = 0; d < DOCUMENTS; d++) {
        lens[d] = 1 + lm_rng_below(&rng, TOKENS_MAX);
        for (size_t i = 0; i < lens[d]; i++)
            tokens[d][i] = i + 1 < lens[d] ? (uint32_t)(1 + d * TOKENS_MAX + i) : END;
        documents[d] = (struct shard_document){ tokens[d], lens[d], names[d % 3] };
    }
    write_shard("f.tokens", VOCAB, NULL, documents, DOCUMENTS);
    return lm_shard_open(&shard, "f.tokens", NULL);
}

static int close_shard(void **state)
{
    (void)state;
    lm_shard_close(&shard);
    return 0;
}

static struct lm_shard_feed *feed_of(const struct lm_mix *mix)
{
    struct lm_shard_feed *f;
    struct lm_err err = { 0 };
    if (lm_shard_feed_new(&shard, mix, END, ROWS, POSITIONS, 7, &f, &err) != LM_OK)
        fail_msg("%s", err.text);
    return f;
}

static size_t document_of(uint32_t token)
{
    return (token - 1) / TOKENS_MAX;
}

/* Checks a row: a segment is a piece of one document, each input the token before its target.  Returns the
 * source of the last piece that can be told; adds the targets to those of their sources. */
static int check_row(const struct lm_batch *b, size_t row, bool one_source, uint64_t *counts)
{
    const uint32_t *input = b->input + row * POSITIONS, *start = b->start + row * POSITIONS;
    const int32_t *target = b->target + row * POSITIONS;
    int source = -1;
    for (size_t t = 0; t < POSITIONS;) {
        size_t end = t;
        while (end < POSITIONS && start[end] == t)
            end++;
        assert_true(end > t);
        /* A piece of the last token alone tells its document by its input, if it has more than one. */
        const uint32_t known = target[t] != END ? (uint32_t)target[t] : input[t];
        if (known == END) {   // a document of one token
            assert_int_equal(end, t + 1);
            counts[3]++;
            t = end;
            continue;
        }
        const size_t d = document_of(known);
        const size_t from = target[t] != END ? known - 1 - d * TOKENS_MAX : lens[d] - 1;
        for (size_t i = t; i < end; i++) {
            const size_t at = from + i - t;
            assert_true(at < lens[d]);
            assert_int_equal(target[i], tokens[d][at]);
            assert_int_equal(input[i], at == 0 ? END : tokens[d][at - 1]);
        }
        if (one_source && source >= 0)
            assert_int_equal(source, d % 3);
        source = (int)(d % 3);
        counts[source] += end - t;
        t = end;
    }
    return source;
}

static void rows_are_pieces_of_documents(void **state)
{
    (void)state;
    struct lm_batch batch = { 0 };
    struct lm_shard_feed *f = feed_of(&(struct lm_mix){ 0 });
    uint64_t seen[4] = { 0 }, counted[3] = { 0 };
    lm_batch_init(&batch, ROWS, POSITIONS);
    for (uint64_t s = 0; s < STEPS; s++) {
        lm_shard_feed_fill(f, s, &batch);
        assert_int_equal(batch.trained, ROWS * POSITIONS);
        for (size_t row = 0; row < ROWS; row++)
            check_row(&batch, row, false, seen);
    }
    lm_shard_feed_count(f, 0, STEPS, counted);
    assert_int_equal(counted[0] + counted[1] + counted[2], STEPS * ROWS * POSITIONS);
    for (size_t i = 0; i < 3; i++)
        assert_in_range(counted[i], seen[i], seen[i] + seen[3]);
    lm_batch_release(&batch);
    lm_shard_feed_free(f);
}

static void an_epoch_shows_no_token_twice(void **state)
{
    (void)state;
    struct lm_batch batch = { 0 };
    struct lm_shard_feed *f = feed_of(&(struct lm_mix){ 0 });
    const uint64_t steps = (shard.token_count / POSITIONS - 1) / ROWS;   // whole steps of the first epoch
    bool seen[VOCAB] = { false };
    lm_batch_init(&batch, ROWS, POSITIONS);
    for (uint64_t s = 0; s < steps; s++) {
        lm_shard_feed_fill(f, s, &batch);
        for (size_t i = 0; i < ROWS * POSITIONS; i++) {
            assert_false(batch.target[i] != END && seen[batch.target[i]]);
            seen[batch.target[i]] = true;
        }
    }
    lm_batch_release(&batch);
    lm_shard_feed_free(f);
}

static void parse(const char *const *items, size_t count, struct lm_mix *ret)
{
    struct lm_err err = { 0 };
    if (lm_mix_parse(&(struct lm_opt_list){ (const char **)items, count, count }, &shard, ret, &err) != LM_OK)
        fail_msg("%s", err.text);
}

static void sources_get_their_shares(void **state)
{
    (void)state;
    static const char *const items[] = { "news=0", "wiki=3.5", "code=0.5" };
    static const double shares[] = { 0.875, 0, 0.125 };
    struct lm_mix mix;
    struct lm_batch batch = { 0 };
    uint64_t seen[4] = { 0 }, windows[3] = { 0 }, counted[3] = { 0 };
    parse(items, 3, &mix);
    struct lm_shard_feed *f = feed_of(&mix);
    lm_batch_init(&batch, ROWS, POSITIONS);
    for (uint64_t s = 0; s < STEPS; s++) {
        lm_shard_feed_fill(f, s, &batch);
        for (size_t row = 0; row < ROWS; row++) {
            const int source = check_row(&batch, row, true, seen);
            assert_true(source >= 0);
            windows[source]++;
            for (size_t i = 0; i < 3; i++)   // at every moment
                assert_true(fabs((double)windows[i] - shares[i] * (double)(s * ROWS + row + 1)) < 3);
        }
    }
    lm_shard_feed_count(f, 0, STEPS, counted);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(counted[i], windows[i] * POSITIONS);
    lm_batch_release(&batch);
    lm_shard_feed_free(f);
    lm_mix_release(&mix);
}

static void a_batch_depends_on_its_step_alone(void **state)
{
    (void)state;
    static const char *const items[] = { "news=1", "wiki=1", "code=1" };
    struct lm_mix mixes[2] = { 0 };
    parse(items, 3, &mixes[1]);
    for (size_t m = 0; m < 2; m++) {
        struct lm_batch forward[STEPS] = { 0 }, batch = { 0 };
        struct lm_shard_feed *f = feed_of(&mixes[m]);
        struct lm_rng rng = lm_rng_make(1, 0);
        uint64_t parts[3] = { 0 }, whole[3] = { 0 };
        lm_batch_init(&batch, ROWS, POSITIONS);
        for (uint64_t s = 0; s < STEPS; s++) {
            lm_batch_init(&forward[s], ROWS, POSITIONS);
            lm_shard_feed_fill(f, s, &forward[s]);
        }
        for (size_t i = 0; i < STEPS; i++) {
            const uint64_t s = lm_rng_below(&rng, STEPS);
            lm_shard_feed_fill(f, s, &batch);
            assert_memory_equal(batch.input, forward[s].input, ROWS * POSITIONS * sizeof *batch.input);
            assert_memory_equal(batch.target, forward[s].target, ROWS * POSITIONS * sizeof *batch.target);
            assert_memory_equal(batch.start, forward[s].start, ROWS * POSITIONS * sizeof *batch.start);
        }
        lm_shard_feed_count(f, 50, STEPS, parts);
        lm_shard_feed_count(f, 0, 50, parts);
        lm_shard_feed_count(f, 0, STEPS, whole);
        assert_memory_equal(parts, whole, sizeof whole);
        for (size_t s = 0; s < STEPS; s++)
            lm_batch_release(&forward[s]);
        lm_batch_release(&batch);
        lm_shard_feed_free(f);
    }
    lm_mix_release(&mixes[1]);
}

static void a_bad_mix_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *items[3], *message;
    } cases[] = {
        { { "wiki=1", "news=1", "books=1" },
          "'books=1': the shard has no such source; it has wiki, news, code" },
        { { "wiki=1", "news=1", "news=2" }, "'news=2': the source has a weight already" },
        { { "wiki=1", "news=1" }, "the source code has no weight" },
        { { "wiki=1", "news=1", "code" }, "'code' is not SOURCE=NUMBER" },
        { { "wiki=1", "news=1", "code=" }, "is not SOURCE=NUMBER" },
        { { "wiki=1", "news=1", "code=1x" }, "is not SOURCE=NUMBER" },
        { { "wiki=1", "news=1", "code=-1" }, "a number of 0 or more" },
        { { "wiki=1", "news=nan", "code=1" }, "is not SOURCE=NUMBER" },
        { { "wiki=0", "news=0", "code=0" }, "add up to 0" },
        { { "wiki=1e308", "news=1e308", "code=1e308" }, "add up to inf" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *items[3];
        struct lm_mix mix;
        struct lm_err err = { 0 };
        memcpy(items, cases[i].items, sizeof items);
        const size_t count = items[2] ? 3 : 2;
        assert_int_equal(lm_mix_parse(&(struct lm_opt_list){ items, count, count }, &shard, &mix, &err),
                         LM_EINVAL);
        assert_contains(err.text, cases[i].message);
    }
    struct lm_mix mix;
    struct lm_shard_feed *f;
    struct lm_err err = { 0 };
    parse((const char *const[]){ "news=1", "wiki=1", "code=1" }, 3, &mix);
    assert_int_equal(lm_shard_feed_new(&shard, &mix, END, 1, 5000, 1, &f, &err), LM_EINVAL);
    assert_contains(err.text, "wiki has ");
    assert_contains(err.text, "less than one context of 5000");
    lm_mix_release(&mix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_pieces_of_documents), cmocka_unit_test(an_epoch_shows_no_token_twice),
        cmocka_unit_test(sources_get_their_shares),     cmocka_unit_test(a_batch_depends_on_its_step_alone),
        cmocka_unit_test(a_bad_mix_is_refused),
    };
    return cmocka_run_group_tests(tests, make_shard, close_shard) != 0;
}
