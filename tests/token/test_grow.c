/* Vocabularies that grow: what was there stays, new tokens take apart into the old spelling, and they are
 * those that a learner as dumb as possible would choose. */
#include "check.h"

#include "base/sys.h"
#include "token/chain.h"
#include "token/grow.h"
#include "token/tokenizer_impl.h"

static const char *const families[] = { "gpt2",      "llama3", "qwen2", "smollm",
                                        "metaspace", "bert",   "t5",    "albert" };
enum { FAMILIES = sizeof(families) / sizeof(families[0]), TEXTS = 60 };

static const struct lm_grow_config usual = {
    .count_min = 5, .tokens_max = 40, .chars_max = 64, .mem_mb = 64
};

/* Texts of a few made-up words, some of which hold what pre-tokenisers and normalisers look for. */
static void make_texts(struct lm_rng *rng, size_t count, struct lm_buf *ret)
{
    static const char *const words[] = { "zorblax", "quuxify", "zorbquux", "naïveté", "über1234", "ζορβ",
                                         "ゾルブ",  "xyzzy's", "PLUGH",    "a",       "the",      "'" };
    for (size_t i = 0; i < count; i++) {
        lm_buf_reset(&ret[i]);
        const size_t len = 1 + lm_rng_below(rng, 30);
        for (size_t k = 0; k < len; k++) {
            lm_buf_puts(&ret[i], words[lm_rng_below(rng, sizeof(words) / sizeof(words[0]))]);
            lm_buf_puts(&ret[i], lm_rng_below(rng, 9) ? " " : "\n\n");
        }
    }
}

static void as_texts(const struct lm_buf *bufs, size_t count, struct lm_train_text *ret)
{
    for (size_t i = 0; i < count; i++)
        ret[i] = (struct lm_train_text){ .text = lm_buf_str(&bufs[i]), .weight = 1 };
}

static enum lm_rc grow(const struct lm_tokenizer *t, struct lm_grow_config config,
                       const struct lm_train_text *texts, size_t count, size_t batch, struct lm_err *err)
{
    struct lm_grower *g = NULL;
    struct lm_buf metrics = { 0 };
    assert_ok_err(lm_path_remove("grown", err), err);
    assert_ok_err(lm_dir_make("grown", err), err);
    assert_ok_err(lm_grower_new(t, &config, ".", &g, err), err);
    for (size_t at = 0; at < count; at += batch)
        assert_ok_err(lm_grower_add(g, texts + at, count - at < batch ? count - at : batch, false, err), err);
    const enum lm_rc rc = lm_grower_end(g, NULL, "grown", &metrics, err);
    lm_grower_free(g);
    lm_buf_release(&metrics);
    return rc;
}

static void load_grown(struct lm_tokenizer **ret, struct lm_grown *ret_map)
{
    struct lm_err err = { 0 };
    assert_ok_err(lm_tokenizer_load("grown", ret, &err), &err);
    assert_ok_err(lm_grown_load("grown/grown.json", ret_map, &err), &err);
}

static void encode(const struct lm_tokenizer *t, struct lm_str text, struct lm_tokens *ret)
{
    struct lm_encoder *e = lm_encoder_new(t);
    ret->len = 0;
    lm_encode(e, text, true, ret);
    lm_encoder_free(e);
}

/* Ids with every new one taken apart. */
static void take_apart(const struct lm_tokens *ids, const struct lm_grown *map, struct lm_tokens *ret)
{
    ret->len = 0;
    for (size_t i = 0; i < ids->len; i++) {
        const bool new = ids->ids[i] >= map->old_size;
        const struct lm_grown_token *t = new ? &map->tokens[ids->ids[i] - map->old_size] : NULL;
        const size_t count = new ? t->piece_count : 1;
        lm_tokens_room(ret, ret->len + count);
        memcpy(ret->ids + ret->len, new ? t->pieces : &ids->ids[i], count * sizeof(*ret->ids));
        ret->len += count;
    }
}

static void assert_same_ids(const struct lm_tokens *a, const struct lm_tokens *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->ids, b->ids, a->len * sizeof(*a->ids));
}

static double sum_of(const struct lm_tokenizer *t, const struct lm_tokens *ids)
{
    double sum = 0;
    for (size_t i = 0; i < ids->len; i++)
        sum += t->chain->unigram->scores[ids->ids[i]];
    return sum;
}

/* In a Unigram model: the new way is as good as the old one, with new pieces; and none was better than the
 * old one without. */
static void assert_best(const struct lm_tokenizer *t, const struct lm_tokenizer *grown,
                        const struct lm_tokens *old, const struct lm_tokens *new,
                        const struct lm_tokens *apart)
{
    assert_true(sum_of(grown, new) >= sum_of(grown, old) - 1e-9);
    assert_true(sum_of(t, apart) <= sum_of(t, old) + 1e-9);
    assert_true(grown->chain->unigram->unknown_score == t->chain->unigram->unknown_score);
}

static void old_tokens_stay_and_new_ones_take_apart(void **state)
{
    (void)state;
    struct lm_buf bufs[TEXTS] = { 0 }, other = { 0 };
    struct lm_train_text texts[TEXTS];
    for (size_t f = 0; f < FAMILIES; f++) {
        struct lm_rng rng = lm_rng_make(f + 1, 0);
        struct lm_tokenizer *t = golden_tokenizer(families[f]), *grown = NULL;
        struct lm_grown map;
        struct lm_tokens old = { 0 }, new = { 0 }, apart = { 0 };
        struct lm_err err = { 0 };
        make_texts(&rng, TEXTS, bufs);
        as_texts(bufs, TEXTS, texts);
        assert_ok_err(grow(t, usual, texts, TEXTS, 7, &err), &err);
        load_grown(&grown, &map);
        assert_int_equal(map.old_size, lm_tokenizer_vocab_size(t));
        assert_int_equal(map.new_size, lm_tokenizer_vocab_size(grown));
        for (uint32_t id = 0; id < map.old_size; id++) {
            assert_true(lm_str_eq(lm_tokenizer_bytes(t, id), lm_tokenizer_bytes(grown, id)));
            assert_int_equal(lm_tokenizer_is_special(t, id), lm_tokenizer_is_special(grown, id));
        }
        size_t before = 0, after = 0, plain = 0;
        for (int i = 0; i < 700; i++) {
            if (i < TEXTS)
                lm_buf_add_str(&other, lm_buf_str(&bufs[i]));
            else
                random_text(&rng, 40, &other);
            encode(t, lm_buf_str(&other), &old);
            encode(grown, lm_buf_str(&other), &new);
            before += old.len;
            after += new.len;
            take_apart(&new, &map, &apart);
            if (t->family == LM_FAMILY_CHAIN)
                assert_best(t, grown, &old, &new, &apart);
            else if (t->family != LM_FAMILY_WORDS)
                assert_same_ids(&old, &apart);
            if (apart.len == new.len) {   // no new token in it
                assert_same_ids(&old, &new);
                plain++;
            }
            lm_buf_reset(&other);
        }
        assert_true(after < before);
        assert_true(plain > 50);
        lm_tokens_release(&old);
        lm_tokens_release(&new);
        lm_tokens_release(&apart);
        lm_grown_release(&map);
        lm_tokenizer_free(t);
        lm_tokenizer_free(grown);
    }
    for (size_t i = 0; i < TEXTS; i++)
        lm_buf_release(&bufs[i]);
    lm_buf_release(&other);
}

/* ---- a learner as dumb as possible: encodes everything again for each token ---- */

enum { NAIVE_TOKENS = 12, IDS_MAX = 4096 };

static void naive_grow(const struct lm_tokenizer *t, const char *const *words, const uint64_t *counts,
                       size_t word_count, struct lm_buf *ret_tokens)
{
    static uint32_t ids[16][IDS_MAX];
    size_t lens[16];
    struct lm_buf made[NAIVE_TOKENS] = { 0 };
    const uint32_t old_size = lm_tokenizer_vocab_size(t);
    assert_true(word_count <= 16);
    for (size_t w = 0; w < word_count; w++) {
        struct lm_tokens tokens = { 0 };
        encode(t, lm_str(words[w]), &tokens);
        lens[w] = tokens.len;
        memcpy(ids[w], tokens.ids, tokens.len * sizeof(*tokens.ids));
        lm_tokens_release(&tokens);
    }
    for (uint32_t n = 0; n < NAIVE_TOKENS; n++) {
        uint64_t best = 0;
        uint32_t left = 0, right = 0;
        for (uint32_t a = 0; a < old_size + n; a++)
            for (size_t w = 0; w < word_count; w++)
                for (size_t i = 0; i + 1 < lens[w]; i++) {
                    if (ids[w][i] != a)
                        continue;
                    const uint32_t b = ids[w][i + 1];
                    uint64_t count = 0;
                    for (size_t v = 0; v < word_count; v++)
                        for (size_t k = 0; k + 1 < lens[v]; k++)
                            count += ids[v][k] == a && ids[v][k + 1] == b ? counts[v] : 0;
                    if (count > best || (count == best && (a < left || (a == left && b < right)))) {
                        best = count;
                        left = a;
                        right = b;
                    }
                }
        const uint32_t both[] = { left, right };
        for (size_t i = 0; i < 2; i++)
            lm_buf_add_str(&made[n], both[i] < old_size ? lm_tokenizer_bytes(t, both[i])
                                                        : lm_buf_str(&made[both[i] - old_size]));
        for (size_t w = 0; w < word_count; w++) {
            size_t out = 0;
            for (size_t i = 0; i < lens[w]; i++) {
                const bool here = i + 1 < lens[w] && ids[w][i] == left && ids[w][i + 1] == right;
                ids[w][out++] = here ? old_size + n : ids[w][i];
                i += here;
            }
            lens[w] = out;
        }
        lm_buf_add_str(&ret_tokens[n], lm_buf_str(&made[n]));
        lm_buf_release(&made[n]);
        lm_buf_add_str(&made[n], lm_buf_str(&ret_tokens[n]));
    }
    for (size_t n = 0; n < NAIVE_TOKENS; n++)
        lm_buf_release(&made[n]);
}

static void the_most_frequent_pair_comes_first(void **state)
{
    (void)state;
    static const char *const words[] = { " zorblax", " zorblify", " quuxblax", " quuxish", " plughzor" };
    static const uint64_t counts[] = { 40, 31, 22, 13, 9 };
    enum { WORDS = 5, COPIES = 115 };
    struct lm_tokenizer *t = golden_tokenizer("gpt2"), *grown = NULL;
    struct lm_train_text texts[COPIES];
    struct lm_buf naive[NAIVE_TOKENS] = { 0 };
    struct lm_grown map;
    struct lm_err err = { 0 };
    size_t count = 0;
    for (size_t w = 0; w < WORDS; w++)
        for (uint64_t i = 0; i < counts[w]; i++)
            texts[count++] = (struct lm_train_text){ .text = lm_str(words[w]), .weight = 1 };
    assert_int_equal(count, COPIES);
    naive_grow(t, words, counts, WORDS, naive);
    struct lm_grow_config config = usual;
    config.tokens_max = NAIVE_TOKENS;
    assert_ok_err(grow(t, config, texts, count, count, &err), &err);
    load_grown(&grown, &map);
    assert_int_equal(map.count, NAIVE_TOKENS);
    for (uint32_t n = 0; n < NAIVE_TOKENS; n++) {
        const struct lm_str token = lm_tokenizer_bytes(grown, map.old_size + n);
        assert_int_equal(token.len, naive[n].len);
        assert_memory_equal(token.ptr, naive[n].ptr, token.len);
        lm_buf_release(&naive[n]);
    }
    lm_grown_release(&map);
    lm_tokenizer_free(t);
    lm_tokenizer_free(grown);
}

/* ---- options ---- */

static void read_file(const char *path, struct lm_buf *ret)
{
    struct lm_err err = { 0 };
    lm_buf_reset(ret);
    assert_ok_err(lm_file_read(path, 64 << 20, ret, &err), &err);
}

static void batches_order_and_threads_do_not_matter(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(5, 0);
    struct lm_buf bufs[TEXTS] = { 0 }, first = { 0 }, second = { 0 };
    struct lm_train_text texts[TEXTS];
    struct lm_tokenizer *t = golden_tokenizer("llama3");
    struct lm_err err = { 0 };
    make_texts(&rng, TEXTS, bufs);
    as_texts(bufs, TEXTS, texts);
    assert_ok_err(grow(t, usual, texts, TEXTS, TEXTS, &err), &err);
    read_file("grown/tokenizer.json", &first);
    for (size_t i = 0; i < TEXTS / 2; i++) {
        const struct lm_train_text swapped = texts[i];
        texts[i] = texts[TEXTS - 1 - i];
        texts[TEXTS - 1 - i] = swapped;
    }
    lm_threads_set(3);
    assert_ok_err(grow(t, usual, texts, TEXTS, 4, &err), &err);
    lm_threads_set(0);
    read_file("grown/tokenizer.json", &second);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.ptr, second.ptr, first.len);
    for (size_t i = 0; i < TEXTS; i++)
        lm_buf_release(&bufs[i]);
    lm_buf_release(&first);
    lm_buf_release(&second);
    lm_tokenizer_free(t);
}

static size_t count_new(struct lm_grow_config config, const char *text)
{
    struct lm_tokenizer *t = golden_tokenizer("gpt2"), *grown = NULL;
    struct lm_train_text texts[10];
    struct lm_grown map = { 0 };
    struct lm_err err = { 0 };
    for (size_t i = 0; i < 10; i++)
        texts[i] = (struct lm_train_text){ .text = lm_str(text), .weight = 1 };
    const enum lm_rc rc = grow(t, config, texts, 10, 10, &err);
    size_t count = 0;
    if (rc == LM_OK) {
        load_grown(&grown, &map);
        count = map.count;
    } else {
        assert_int_equal(rc, LM_ENOTHING);
        assert_contains(err.text, "--count-min");
    }
    lm_grown_release(&map);
    lm_tokenizer_free(grown);
    lm_tokenizer_free(t);
    return count;
}

static void criteria_stop_it(void **state)
{
    (void)state;
    struct lm_grow_config config = usual;
    const size_t all = count_new(config, " zorblax zorblax quuxify");
    assert_true(all > 3);
    config.tokens_max = 2;
    assert_int_equal(count_new(config, " zorblax zorblax quuxify"), 2);
    config = usual;
    config.count_min = 11;   // more often than " quuxify" is there
    const size_t frequent = count_new(config, " zorblax zorblax quuxify");
    assert_true(frequent > 0 && frequent < all);
    config.count_min = 21;
    assert_int_equal(count_new(config, " zorblax zorblax quuxify"), 0);
    config = usual;
    config.chars_max = 3;
    const size_t shorter = count_new(config, " zorblax zorblax quuxify");
    assert_true(shorter > 0 && shorter < all);
    config = usual;
    config.gain_min = 0.9;
    assert_int_equal(count_new(config, " zorblax zorblax quuxify"), 0);
}

static void no_text_is_an_error(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("gpt2");
    struct lm_err err = { 0 };
    assert_int_equal(grow(t, usual, NULL, 0, 1, &err), LM_EINVAL);
    assert_contains(err.text, "no text");
    lm_tokenizer_free(t);
}

/* ---- grown.json ---- */

static void other_chains_are_refused(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("clip");
    struct lm_grower *g = NULL;
    struct lm_err err = { 0 };
    assert_int_equal(lm_grower_new(t, &usual, ".", &g, &err), LM_EINVAL);
    assert_contains(err.text, "only those with a Unigram model can grow");
    lm_tokenizer_free(t);
}

static void damaged_mappings_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *why;
    } cases[] = {
        { "{}", "format" },
        { "[]", "" },
        { "{\"format\":\"loom-grown-1\",\"old_size\":4,\"new_size\":5,\"tokens\":[]}", "0 new tokens" },
        { "{\"format\":\"loom-grown-1\",\"old_size\":4,\"new_size\":4,\"tokens\":[]}", "4 ids to 4" },
        { "{\"format\":\"loom-grown-1\",\"old_size\":4,\"new_size\":5,\"tokens\":[{\"id\":5,\"pieces\":[1]}]"
          "}",
          "has the id 5" },
        { "{\"format\":\"loom-grown-1\",\"old_size\":4,\"new_size\":5,\"tokens\":[{\"id\":4,\"pieces\":[4]}]"
          "}",
          "no old id" },
        { "{\"format\":\"loom-grown-1\",\"old_size\":4,\"new_size\":5,\"tokens\":[{\"id\":4,\"pieces\":[]}]}",
          "pieces" },
        { "{\"format\":\"loom-grown-1\",\"old_size\":4,\"new_size\":5,\"tokens\":[{\"pieces\":[1]}]}", "id" },
        { "{\"format\":\"loom-grown-1\",\"old_size\":-1,\"new_size\":5,\"tokens\":[]}", "whole number" },
        { "{\"format\":\"loom-grown-1\",\"old_size\":4,\"new_size\":1e99,\"tokens\":[]}", "whole number" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_grown g;
        struct lm_err err = { 0 };
        assert_int_equal(lm_grown_parse(lm_str(cases[i].json), "grown.json", &g, &err), LM_EFORMAT);
        assert_contains(err.text, cases[i].why);
        assert_contains(err.text, "grown.json");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_tokens_stay_and_new_ones_take_apart),
        cmocka_unit_test(the_most_frequent_pair_comes_first),
        cmocka_unit_test(batches_order_and_threads_do_not_matter),
        cmocka_unit_test(criteria_stop_it),
        cmocka_unit_test(no_text_is_an_error),
        cmocka_unit_test(other_chains_are_refused),
        cmocka_unit_test(damaged_mappings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
