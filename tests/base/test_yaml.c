#include "check.h"

#include "base/file.h"
#include "base/yaml.h"

static struct lm_arena arena;

static const struct lm_yaml *parse(const char *text)
{
    const struct lm_yaml *root = NULL;
    struct lm_err err = { 0 };
    if (lm_yaml_parse(lm_str(text), "t.yaml", &arena, &root, &err) != LM_OK)
        fail_msg("%s", err.text);
    return root;
}

static void assert_refused(const char *text, enum lm_rc rc, const char *message)
{
    const struct lm_yaml *root = NULL;
    struct lm_err err = { 0 };
    assert_int_equal(lm_yaml_parse(lm_str(text), "t.yaml", &arena, &root, &err), rc);
    assert_contains(err.text, message);
    assert_null(root);
}

/* The tree as one line: key=value@line, {..} for maps, [..] for lists, quotes where there were some. */
static void show(const struct lm_yaml *node, struct lm_buf *ret)
{
    if (node->key.len)
        lm_buf_printf(ret, "%s=", node->key.ptr);
    if (node->kind == LM_YAML_SCALAR) {
        lm_buf_printf(ret, node->quoted ? "'%s'" : "%s", node->value.ptr);
    } else {
        lm_buf_putc(ret, node->kind == LM_YAML_MAP ? '{' : '[');
        for (const struct lm_yaml *child = node->child; child; child = child->next) {
            show(child, ret);
            if (child->next)
                lm_buf_putc(ret, ' ');
        }
        lm_buf_putc(ret, node->kind == LM_YAML_MAP ? '}' : ']');
    }
    lm_buf_printf(ret, "@%zu", node->line);
}

static void assert_tree(const char *text, const char *expected)
{
    struct lm_buf shown = { 0 };
    show(parse(text), &shown);
    assert_text(lm_buf_str(&shown), expected);
    lm_buf_release(&shown);
}

static void a_tree_keeps_order_lines_and_quotes(void **state)
{
    (void)state;
    assert_tree("", "{}@1");
    assert_tree("# only a comment\n", "{}@1");
    assert_tree("x", "x@1");
    assert_tree("b: 1\na: 'two'\n\nc:\n  - x\n  - {k: \"v\"}\nd: |\n  text\n",
                "{b=1@1 a='two'@2 c=[x@5 {k='v'@6}@6]@4 d='text\n'@7}@1");
    assert_tree("---\n- a\n- - b\n...\n", "[a@2 [b@3]@3]@2");
}

static void lookup_finds_keys_of_maps_only(void **state)
{
    (void)state;
    const struct lm_yaml *root = parse("a: {b: 1}\nn: ~\ne:\nq: '~'\nw: null\nf: false\n");
    assert_text(lm_yaml_get(lm_yaml_get(root, "a"), "b")->value, "1");
    assert_null(lm_yaml_get(root, "x"));
    assert_null(lm_yaml_get(lm_yaml_get(root, "n"), "x"));
    assert_null(lm_yaml_get(NULL, "x"));
    assert_true(lm_yaml_is_null(NULL));
    assert_true(lm_yaml_is_null(lm_yaml_get(root, "n")));
    assert_true(lm_yaml_is_null(lm_yaml_get(root, "e")));
    assert_true(lm_yaml_is_null(lm_yaml_get(root, "w")));
    assert_false(lm_yaml_is_null(lm_yaml_get(root, "q")));   // quoted: text
    assert_false(lm_yaml_is_null(lm_yaml_get(root, "f")));
    assert_false(lm_yaml_is_null(lm_yaml_get(root, "a")));
}

static void what_hides_its_meaning_is_refused_by_name(void **state)
{
    (void)state;
    assert_refused("a: 1\nb: 2\na: 3\n", LM_EFORMAT, "t.yaml:3: key 'a' is already set in line 1");
    assert_refused("x: {a: 1, 'a': 2}\n", LM_EFORMAT, "t.yaml:1: key 'a' is already set in line 1");
    assert_refused("a: &base {x: 1}\n", LM_EFORMAT, "t.yaml:1: anchor 'base' is not allowed");
    assert_refused("a: &s text\n", LM_EFORMAT, "anchor 's'");
    assert_refused("a: 1\nb: *base\n", LM_EFORMAT, "t.yaml:2: alias 'base' is not allowed");
    assert_refused("a: !!python/object x\n", LM_EFORMAT,
                   "tag 'tag:yaml.org,2002:python/object' is not allowed");
    assert_refused("a: !local [x]\n", LM_EFORMAT, "tag '!local'");
    assert_refused("<<: {a: 1}\n", LM_EFORMAT, "merge key");
    assert_refused("[a]: 1\n", LM_EFORMAT, "t.yaml:1: a key must be plain text");
    assert_refused("\"a\\0b\": 1\n", LM_EFORMAT, "must not hold NUL");
    assert_refused("a: 1\n---\nb: 2\n", LM_EFORMAT, "t.yaml:2: a second document starts here");
}

static void syntax_errors_name_line_and_column(void **state)
{
    (void)state;
    assert_refused("a: 1\nb: [1, 2\nc: 3\n", LM_EFORMAT, "t.yaml:3: column 2: ");
    assert_refused("a: 1\n\tb: 2\n", LM_EFORMAT, "t.yaml:2: column 1: ");
    assert_refused("a: \"x\n", LM_EFORMAT, "t.yaml:2: ");
    assert_refused("a: \xff\n", LM_EFORMAT, "t.yaml: byte 3: ");
}

static void bombs_are_refused(void **state)
{
    (void)state;
    struct lm_buf text = { 0 };
    for (int i = 0; i < LM_YAML_DEPTH_MAX; i++)
        lm_buf_putc(&text, '[');
    for (int i = 0; i < LM_YAML_DEPTH_MAX; i++)
        lm_buf_putc(&text, ']');
    parse(text.ptr);
    lm_buf_reset(&text);
    for (int i = 0; i < 100000; i++)
        lm_buf_putc(&text, '[');
    assert_refused(text.ptr, LM_ELIMIT, "t.yaml:1: nested deeper than 32");
    lm_buf_reset(&text);
    for (int i = 0; i < 20000; i++)   // many keys are fine, and not compared each with each
        lm_buf_printf(&text, "key%d: %d\n", i, i);
    parse(text.ptr);
    lm_buf_reset(&text);
    while (text.len <= LM_YAML_BYTES_MAX)
        lm_buf_puts(&text, "# nothing, at length\n");
    assert_refused(text.ptr, LM_ELIMIT, "'t.yaml' is larger than the 4194304 bytes");
    lm_buf_release(&text);
}

static void a_file_is_read_and_named(void **state)
{
    (void)state;
    const struct lm_yaml *root = NULL;
    struct lm_err err = { 0 };
    assert_ok(lm_file_write("t.yaml", LM_STR("a: [1\n"), NULL));
    assert_int_equal(lm_yaml_read("t.yaml", &arena, &root, &err), LM_EFORMAT);
    assert_contains(err.text, "t.yaml:2:");
    assert_ok(lm_file_write("t.yaml", LM_STR("a: 1\n"), NULL));
    assert_ok(lm_yaml_read("t.yaml", &arena, &root, &err));
    assert_text(lm_yaml_get(root, "a")->value, "1");
    assert_int_equal(lm_yaml_read("none.yaml", &arena, &root, &err), LM_ENOENT);
}

static int forget(void **state)
{
    (void)state;
    lm_arena_release(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_keeps_order_lines_and_quotes),
        cmocka_unit_test(lookup_finds_keys_of_maps_only),
        cmocka_unit_test(what_hides_its_meaning_is_refused_by_name),
        cmocka_unit_test(syntax_errors_name_line_and_column),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(a_file_is_read_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, forget) != 0;
}
