#include "check.h"

#include "base/option.h"

struct config {
    int64_t size, seed, threads;
    double rate;
    bool shuffle;
    const char *out, *title;
    int mode;
    struct lm_opt_list tags, langs;
};

#define ROW(field) LM_OPT_AT(struct config, field)
static const char *const modes[] = { "full", "lora", "none", NULL };
// clang-format off
static const struct lm_opt rows[] = {
    { "window-size", LM_OPT_INT,    ROW(size),    "1024", 2,    65536,  "tokens",  "longest window" },
    { "seed",        LM_OPT_INT,    ROW(seed),    NULL,   0,    0x1p53, "",        "of all draws" },
    { "threads",     LM_OPT_INT,    ROW(threads), "0",    0,    1024,   "threads", "0 = all", .neutral = true },
    { "lr-max",      LM_OPT_REAL,   ROW(rate),    "3e-4", 1e-8, 1,      "",        "peak learning rate" },
    { "shuffle",     LM_OPT_BOOL,   ROW(shuffle), "true", 0,    0,      "",        "mix the documents" },
    { "out",         LM_OPT_STRING, ROW(out),     NULL,   0,    0,      "",        "folder", .required = true },
    { "title",       LM_OPT_STRING, ROW(title),   "none", 0,    0,      "",        "shown on top" },
    { "mode",        LM_OPT_CHOICE, ROW(mode),    "lora", 0,    0,      "",        "what is trained", modes },
    { "tag",         LM_OPT_LIST,   ROW(tags),    NULL,   0,    0,      "",        "labels" },
    { "lang",        LM_OPT_LIST,   ROW(langs),   "en",   0,    0,      "",        "languages" },
};
// clang-format on
static const struct lm_opt_table table = LM_OPT_TABLE("train", struct config, rows);

static struct config config;
static struct lm_arena arena;

static int fresh(void **state)
{
    (void)state;
    lm_arena_reset(&arena);
    memset(&config, 0xee, sizeof(config));
    lm_opt_defaults(&table, &config);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    lm_arena_release(&arena);
    return 0;
}

static enum lm_rc set(const char *name, const char *value, struct lm_err *err)
{
    const struct lm_opt *opt = lm_opt_find(&table, lm_str(name));
    assert_non_null(opt);
    char where[40];
    snprintf(where, sizeof(where), "--%s", name);
    return lm_opt_set(opt, &config, lm_str(value), where, &arena, err);
}

static void assert_json(bool recipe, const char *expected)
{
    struct lm_buf json = { 0 };
    lm_opt_to_json(&table, &config, recipe, &json);
    assert_text(lm_buf_str(&json), expected);
    lm_buf_release(&json);
}

static void defaults_are_those_of_the_rows(void **state)
{
    (void)state;
    assert_json(false, "{\"window-size\":1024,\"seed\":0,\"threads\":0,\"lr-max\":0.0003,\"shuffle\":true,"
                       "\"out\":null,\"title\":\"none\",\"mode\":\"lora\",\"tag\":[],\"lang\":[\"en\"]}");
}

static void every_type_is_set_from_text(void **state)
{
    (void)state;
    char value[] = "/data/x";
    assert_ok(set("window-size", "2", NULL));
    assert_ok(set("seed", "9007199254740992", NULL));
    assert_ok(set("threads", "3", NULL));
    assert_ok(set("lr-max", "1e-8", NULL));
    assert_ok(set("shuffle", "false", NULL));
    assert_ok(set("out", value, NULL));
    value[0] = '!';   // strings are copied
    assert_ok(set("title", "", NULL));
    assert_ok(set("mode", "none", NULL));
    assert_ok(set("tag", "a, b", NULL));
    for (int i = 0; i < 8; i++)
        assert_ok(set("tag", "c", NULL));
    assert_ok(set("lang", "de", NULL));   // what is given replaces the default
    assert_ok(set("lang", "fr,it", NULL));
    /* A recipe leaves out what does not change the result: threads. */
    assert_json(true, "{\"window-size\":2,\"seed\":9007199254740992,\"lr-max\":1e-08,\"shuffle\":false,"
                      "\"out\":\"/data/x\",\"title\":\"\",\"mode\":\"none\","
                      "\"tag\":[\"a\",\"b\",\"c\",\"c\",\"c\",\"c\",\"c\",\"c\",\"c\",\"c\"],"
                      "\"lang\":[\"de\",\"fr\",\"it\"]}");
}

static void bad_values_are_refused_and_change_nothing(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        { "window-size", "1", "--window-size: window-size must be between 2 and 65536, not 1" },
        { "window-size", "65537", "--window-size: window-size must be between 2 and 65536, not 65537" },
        { "window-size", "ten", "--window-size: window-size must be a whole number, not 'ten'" },
        { "window-size", "", "--window-size: window-size must be a whole number, not ''" },
        { "window-size", "1e3", "--window-size: window-size must be a whole number, not '1e3'" },
        { "lr-max", "1.01", "--lr-max: lr-max must be between 1e-08 and 1, not 1.01" },
        { "lr-max", "nan", "--lr-max: lr-max must be a number, not 'nan'" },
        { "shuffle", "yes", "--shuffle: shuffle must be true or false, not 'yes'" },
        { "mode", "qlora", "--mode: mode must be full, lora or none, not 'qlora'" },
        { "tag", "a,,b", "--tag: tag must be words separated by commas, not 'a,,b'" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_err err = { 0 };
        assert_int_equal(set(cases[i][0], cases[i][1], &err), LM_EINVAL);
        assert_string_equal(err.text, cases[i][2]);
    }
    const struct lm_opt *out = lm_opt_find(&table, LM_STR("out"));
    assert_int_equal(lm_opt_set(out, &config, LM_STR("a\0b"), "--out", &arena, NULL), LM_EINVAL);
    defaults_are_those_of_the_rows(state);
}

static void the_nearest_name_is_suggested_if_it_is_near(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "window_size", "window-size" },
        { "widnow-siez", "window-size" },
        { "window", "window-size" },
        { "sede", "seed" },
        { "lrmax", "lr-max" },
        { "Mode", "mode" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(lm_opt_nearest(&table, lm_str(cases[i][0])), cases[i][1]);
    assert_null(lm_opt_nearest(&table, LM_STR("temperature")));
    assert_null(lm_opt_nearest(&table, LM_STR("")));
    assert_null(lm_opt_find(&table, LM_STR("window")));
}

static enum lm_rc set_yaml(const char *text, const char *const *also, struct lm_err *err)
{
    const struct lm_yaml *map = NULL;
    assert_ok(lm_yaml_parse(lm_str(text), "loom.yaml", &arena, &map, NULL));
    return lm_opt_from_yaml(&table, &config, map, "loom.yaml", also, &arena, err);
}

static void a_yaml_mapping_sets_rows(void **state)
{
    (void)state;
    static const char *const also[] = { "sources", NULL };
    assert_ok(set_yaml("window-size: 512\nlr-max: 1e-3\nshuffle: false\nout: x\ntitle: ~\nmode: full\n"
                       "tag: [a, \"b,c\"]\nlang: de, fr\nseed:\nsources: {a: [b]}\n",
                       also, NULL));
    assert_json(false, "{\"window-size\":512,\"seed\":0,\"threads\":0,\"lr-max\":0.001,\"shuffle\":false,"
                       "\"out\":\"x\",\"title\":\"none\",\"mode\":\"full\",\"tag\":[\"a\",\"b,c\"],"
                       "\"lang\":[\"de\",\"fr\"]}");
    assert_ok(set_yaml("", NULL, NULL));
}

static void yaml_errors_name_the_line(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "\nwindow-size: 1\n", "loom.yaml:2: window-size must be between 2 and 65536, not 1" },
        { "seed: 1\nwindow_size: 1\n",
          "loom.yaml:2: unknown key 'window_size' in train; did you mean 'window-size'?" },
        { "temperature: 1\n", "loom.yaml:1: unknown key 'temperature' in train" },
        { "seed:\n  - 1\n", "loom.yaml:1: seed must be one value, not a list" },
        { "seed: {a: 1}\n", "loom.yaml:1: seed must be one value, not a mapping" },
        { "tag: {a: 1}\n", "loom.yaml:1: tag must be one value, not a mapping" },
        { "tag: [a, [b]]\n", "loom.yaml:1: tag must be a list of words" },
        { "- a\n", "loom.yaml:1: train must be a mapping of keys to values" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_err err = { 0 };
        assert_int_equal(set_yaml(cases[i][0], NULL, &err), LM_EINVAL);
        assert_string_equal(err.text, cases[i][1]);
    }
}

static void a_required_row_must_have_a_value(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    assert_int_equal(lm_opt_check(&table, &config, &err), LM_EINVAL);
    assert_string_equal(err.text, "train: out is required (folder)");
    assert_ok(set("out", "x", NULL));
    assert_ok(lm_opt_check(&table, &config, NULL));
}

static void help_shows_all_of_each_row(void **state)
{
    (void)state;
    struct lm_buf help = { 0 };
    lm_opt_help(&table, &help);
    assert_text(lm_buf_str(&help), "  --window-size=INT      longest window (2..65536 tokens, default 1024)\n"
                                   "  --seed=INT             of all draws (0..9007199254740992)\n"
                                   "  --threads=INT          0 = all (0..1024 threads, default 0)\n"
                                   "  --lr-max=NUM           peak learning rate (1e-08..1, default 3e-4)\n"
                                   "  --[no-]shuffle         mix the documents (default true)\n"
                                   "  --out=TEXT             folder (required)\n"
                                   "  --title=TEXT           shown on top (default none)\n"
                                   "  --mode=full|lora|none  what is trained (default lora)\n"
                                   "  --tag=TEXT,...         labels\n"
                                   "  --lang=TEXT,...        languages (default en)\n");
    lm_buf_release(&help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_are_those_of_the_rows, fresh),
        cmocka_unit_test_setup(every_type_is_set_from_text, fresh),
        cmocka_unit_test_setup(bad_values_are_refused_and_change_nothing, fresh),
        cmocka_unit_test_setup(the_nearest_name_is_suggested_if_it_is_near, fresh),
        cmocka_unit_test_setup(a_yaml_mapping_sets_rows, fresh),
        cmocka_unit_test_setup(yaml_errors_name_the_line, fresh),
        cmocka_unit_test_setup(a_required_row_must_have_a_value, fresh),
        cmocka_unit_test_setup(help_shows_all_of_each_row, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, forget) != 0;
}
