/* Pairs: what is trained, what is left out, and the order of the epochs. */
#include "train/pairs.h"

#include "small.h"

static struct lm_tokenizer *tokenizer;

static int make_tokenizer(void **state)
{
    (void)state;
    tokenizer = small_tokenizer("pairs.tokenizer");
    return 0;
}

static int free_tokenizer(void **state)
{
    (void)state;
    lm_tokenizer_free(tokenizer);
    return 0;
}

static struct lm_pair pair_of(const char *question, const char *answer)
{
    return (struct lm_pair){ .question = lm_str(question), .answer = lm_str(answer) };
}

static void add(struct lm_pair_set *set, struct lm_pair pair, struct lm_pair_spec spec)
{
    struct lm_encoder *encoder = lm_encoder_new(tokenizer);
    struct lm_err err = { 0 };
    if (lm_pair_set_add(set, &pair, encoder, &spec, &err) != LM_OK)
        fail_msg("%s", err.text);
    lm_encoder_free(encoder);
}

/* The targets, decoded, are the answer and the end of the turn; whatever system message and window. */
static void only_the_answer_and_its_end_are_trained(void **state)
{
    (void)state;
    static const char answer[] = "The table creates a view. The role locks a row.";
    static const char *const systems[] = { NULL, "The server reads." };
    for (int s = 0; s < 2; s++)
        for (size_t size = 4; size <= 96; size += 23)
            for (size_t stride = 1; stride < size; stride += 5) {
                struct lm_pair_set set = { 0 };
                struct lm_tokens targets = { 0 };
                struct lm_buf text = { 0 };
                add(&set, pair_of("What does the table do?", answer),
                    (struct lm_pair_spec){ NULL, systems[s], { size, stride } });
                for (size_t p = 0; p < set.train.count; p++)
                    for (size_t i = 0; i < set.train.pieces[p].len; i++)
                        if (set.train.pieces[p].target[i] != LM_TARGET_NONE) {
                            lm_grow(&targets.ids, &targets.cap, targets.len + 1, sizeof *targets.ids);
                            targets.ids[targets.len++] = (uint32_t)set.train.pieces[p].target[i];
                        }
                assert_true(targets.len > 1);
                assert_int_equal(targets.ids[targets.len - 1], lm_chat_end(tokenizer));
                assert_int_equal(lm_decode(tokenizer, targets.ids, targets.len - 1, false, &text, NULL),
                                 LM_OK);
                assert_string_equal(text.ptr, answer);   // in order, each token once
                lm_buf_release(&text);
                lm_tokens_release(&targets);
                lm_pair_set_release(&set);
            }
}

static void what_would_train_nothing_is_left_out_and_counted(void **state)
{
    (void)state;
    struct lm_pair_set set = { 0 };
    const struct lm_pair_spec spec = { NULL, NULL, { 8, 4 } };
    add(&set, pair_of("What does the table do?", " \n"), spec);
    assert_int_equal(set.unanswered, 1);
    assert_int_equal(set.train.count, 0);
    add(&set, pair_of("The table creates a view. The role locks a row. The query reads a schema.", "row"),
        spec);
    assert_true(set.windows_empty > 0);   // the windows over the question
    for (size_t p = 0; p < set.train.count; p++) {
        size_t trained = 0;
        for (size_t i = 0; i < set.train.pieces[p].len; i++)
            trained += set.train.pieces[p].target[i] != LM_TARGET_NONE;
        assert_true(trained > 0);
    }
    lm_pair_set_release(&set);
}

/* Every epoch shows every piece once; a step gives the same batch whatever was asked before. */
static void epochs_show_everything_once_and_steps_are_pure(void **state)
{
    (void)state;
    enum { ROWS = 2, POSITIONS = 32, EPOCHS = 3 };
    struct lm_pair_set set = { 0 };
    char answer[64];
    for (int i = 0; i < 40; i++) {
        snprintf(answer, sizeof answer, "%.*s", 1 + i, "The role locks a row and reads a schema.........");
        add(&set, pair_of("Why?", answer), (struct lm_pair_spec){ NULL, NULL, { POSITIONS, POSITIONS / 2 } });
    }
    size_t targets = 0;
    for (size_t p = 0; p < set.train.count; p++)
        for (size_t i = 0; i < set.train.pieces[p].len; i++)
            targets += set.train.pieces[p].target[i] != LM_TARGET_NONE;
    struct lm_pair_feed *f = lm_pair_feed_new(&set.train, ROWS, POSITIONS, EPOCHS, 1);
    const uint64_t steps = lm_pair_feed_steps(f);
    struct lm_batch forward[200], again;
    assert_true(steps < 200);
    size_t trained = 0;
    for (uint64_t s = 0; s < steps; s++) {
        lm_batch_init(&forward[s], ROWS, POSITIONS);
        lm_pair_feed_fill(f, s, &forward[s]);
        assert_true(forward[s].trained > 0);
        trained += forward[s].trained;
    }
    assert_int_equal(trained, EPOCHS * targets);
    lm_batch_init(&again, ROWS, POSITIONS);
    for (uint64_t s = steps; s-- > 0;) {
        lm_pair_feed_fill(f, s, &again);
        assert_memory_equal(again.input, forward[s].input, ROWS * POSITIONS * sizeof *again.input);
        assert_memory_equal(again.target, forward[s].target, ROWS * POSITIONS * sizeof *again.target);
        assert_memory_equal(again.start, forward[s].start, ROWS * POSITIONS * sizeof *again.start);
        lm_batch_release(&forward[s]);
    }
    lm_batch_release(&again);
    lm_pair_feed_free(f);
    lm_pair_set_release(&set);
}

/* The targets of a set, decoded. */
static void trained_text(const struct lm_pair_set *set, struct lm_buf *ret)
{
    for (size_t p = 0; p < set->train.count; p++)
        for (size_t i = 0; i < set->train.pieces[p].len; i++) {
            const int32_t target = set->train.pieces[p].target[i];
            const uint32_t id = (uint32_t)target;
            if (target != LM_TARGET_NONE)
                assert_int_equal(lm_decode(tokenizer, &id, 1, false, ret, NULL), LM_OK);
        }
}

static void every_turn_of_the_assistant_is_trained(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u1\"},"
        "{\"role\":\"assistant\",\"content\":\"The "
        "table.\"},{\"content\":\"u2\",\"role\":\"user\",\"x\":[1]},"
        "{\"role\":\"assistant\",\"content\":\"The view.\"}],\"split\":\"train\"}",
        "{\"question\":\"q\",\"answer\": {\"a b\": [1, \"x \\\" y\"] },\"split\":\"train\"}",
    };
    static const char *const wanted[] = { "The table.<|im_end|>The view.<|im_end|>",
                                          "{\"a b\":[1,\"x \\\" y\"]}<|im_end|>" };
    for (size_t i = 0; i < 2; i++) {
        struct lm_arena arena = { 0 };
        struct lm_pair pair;
        struct lm_pair_set set = { 0 };
        struct lm_buf text = { 0 };
        assert_int_equal(lm_pair_parse(lm_str(lines[i]), "line", &arena, &pair, NULL), LM_OK);
        add(&set, pair, (struct lm_pair_spec){ NULL, NULL, { 96, 48 } });
        trained_text(&set, &text);
        assert_string_equal(text.ptr, wanted[i]);
        lm_buf_release(&text);
        lm_pair_set_release(&set);
        lm_arena_release(&arena);
    }
}

static void lines_that_are_no_pairs_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "[]",
                                       "{}",
                                       "{\"question\":\"a\",\"answer\":\"b\"}",
                                       "{\"question\":1,\"answer\":\"b\",\"split\":\"train\"}",
                                       "{\"question\":\"a\",\"answer\":\"b\",\"split\":\"test\"}",
                                       "{\"messages\":[{\"role\":\"user\"}],\"split\":\"train\"}",
                                       "{\"messages\":[\"a\"],\"split\":\"train\"}",
                                       "{\"question\":\"a\",\"answer\":\"b\",\"split\":\"train\"} x" };
    struct lm_arena arena = { 0 };
    struct lm_pair pair;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lm_err err = { 0 };
        assert_int_not_equal(lm_pair_parse(lm_str(bad[i]), "line", &arena, &pair, &err), LM_OK);
        assert_true(strlen(err.text) > 0);
    }
    assert_int_equal(
        lm_pair_parse(lm_str("{\"x\":[{}],\"split\":\"heldout\",\"answer\":\"b\",\"question\":\"\\u0061\"}"),
                      "line", &arena, &pair, NULL),
        LM_OK);
    assert_true(pair.heldout);
    assert_true(lm_str_eq(pair.question, LM_STR("a")));
    lm_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_answer_and_its_end_are_trained),
        cmocka_unit_test(what_would_train_nothing_is_left_out_and_counted),
        cmocka_unit_test(epochs_show_everything_once_and_steps_are_pure),
        cmocka_unit_test(every_turn_of_the_assistant_is_trained),
        cmocka_unit_test(lines_that_are_no_pairs_are_refused),
    };
    return cmocka_run_group_tests(tests, make_tokenizer, free_tokenizer) != 0;
}
