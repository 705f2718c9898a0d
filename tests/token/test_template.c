/* Chat templates: the text is jinja2's, what is not supported is refused, hostile templates end soon, and
 * every byte of data stays marked. */
#include "check.h"

#include "token/template.h"

#include <jansson.h>

#define TEMPLATES GOLDEN "templates/"

static const int64_t now_s = 1785628800;   // 2 August 2026, as in reference.py

static json_t *load_cases(void)
{
    json_error_t problem;
    json_t *cases = json_load_file(TEMPLATES "cases.json", 0, &problem);
    if (!cases)
        fail_msg("cases.json: %s", problem.text);
    return cases;
}

static struct lm_str text_of(const json_t *value)
{
    return (struct lm_str){ json_string_value(value), json_string_length(value) };
}

static enum lm_rc render(struct lm_str source, const char *json, bool prompt, struct lm_template_text *ret,
                         struct lm_err *err)
{
    static const struct lm_template_var own[] = { { "bos_token", { "<s>", 3 } },
                                                  { "eos_token", { "</s>", 4 } } };
    const struct lm_template_input input = { .json = lm_str(json),
                                             .own = own,
                                             .own_count = sizeof(own) / sizeof(own[0]),
                                             .add_generation = prompt,
                                             .now_s = now_s };
    struct lm_template *t = NULL;
    enum lm_rc rc = lm_template_parse(source, "T", &t, err);
    if (rc == LM_OK)
        rc = lm_template_render(t, &input, ret, err);
    lm_template_free(t);
    return rc;
}

/* The text is jinja2's; where that refuses (null), so is ours, in a sentence with the line. */
static void check_case(struct lm_str source, const json_t *variables, bool prompt, const json_t *expected)
{
    struct lm_err err = { 0 };
    struct lm_template_text text = { 0 };
    char *json = json_dumps(variables, 0);
    const enum lm_rc rc = render(source, json, prompt, &text, &err);
    if (json_is_null(expected)) {
        assert_int_not_equal(rc, LM_OK);
        assert_contains(err.text, "T, line ");
        assert_int_equal(text.bytes.len, 0);
    } else {
        if (rc != LM_OK)
            fail_msg("%.*s: %s", (int)source.len, source.ptr, err.text);
        if (!lm_str_eq(lm_buf_str(&text.bytes), text_of(expected)))
            fail_msg("%.*s: '%.*s' instead of '%s'", (int)source.len, source.ptr, (int)text.bytes.len,
                     text.bytes.ptr, json_string_value(expected));
        assert_int_equal(text.origins.len, text.bytes.len);
    }
    lm_template_text_release(&text);
    free(json);
}

static void read_template(const char *name, struct lm_buf *ret)
{
    struct lm_err err = { 0 };
    struct lm_buf path = { 0 };
    lm_buf_printf(&path, TEMPLATES "%s", name);
    assert_ok_err(lm_file_read(path.ptr, 1 << 20, ret, &err), &err);
    lm_buf_release(&path);
}

static void templates_of_models_render_as_in_jinja2(void **state)
{
    (void)state;
    json_t *cases = load_cases(), *one;
    size_t i;
    json_array_foreach(json_object_get(cases, "templates"), i, one)
    {
        struct lm_buf source = { 0 };
        read_template(json_string_value(json_object_get(one, "template")), &source);
        const json_t *variables = json_object_get(json_object_get(cases, "conversations"),
                                                  json_string_value(json_object_get(one, "conversation")));
        check_case(lm_buf_str(&source), variables, json_is_true(json_object_get(one, "prompt")),
                   json_object_get(one, "text"));
        lm_buf_release(&source);
    }
    assert_true(i > 200);
    json_decref(cases);
}

static void check_list(const char *name, size_t count_min)
{
    json_t *cases = load_cases(), *one;
    size_t i;
    json_array_foreach(json_object_get(cases, name), i, one)
        check_case(text_of(json_object_get(one, "source")), json_object_get(cases, "variables"), false,
                   json_object_get(one, "text"));
    assert_true(i >= count_min);
    json_decref(cases);
}

static void expressions_mean_what_they_mean_in_jinja2(void **state)
{
    (void)state;
    check_list("expressions", 40);
}

static void random_templates_render_as_in_jinja2(void **state)
{
    (void)state;
    check_list("random", 500);
}

/* ---- what is refused ---- */

static void what_is_not_supported_is_refused_by_name_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *source, *said;
    } rows[] = {
        { "{% if false %}\n{{ x | wordcount }}{% endif %}", "line 2: filter 'wordcount' is not supported" },
        { "\n\n{{ x is filter }}", "line 3: test 'filter' is not supported" },
        { "{{ x.format(1) }}", "line 1: method 'format' is not supported" },
        { "{{ lipsum() }}", "line 1: function 'lipsum' is not supported" },
        { "{% include 'x' %}", "line 1: statement 'include' is not supported" },
        { "{% import 'x' as y %}", "statement 'import'" },
        { "{% for x in y recursive %}{% endfor %}", "recursive is not supported" },
        { "{{ f(*x) }}", "arguments with * are not supported" },
        { "{{ 2 ** 3 }}", "the operator ** is not supported" },
        { "{% if x %}\n", "line 1: this if has no {% endif %}" },
        { "{% for x in y %}{% endif %}", "this for has no {% endfor %}" },
        { "a\n{% endfor %}", "line 2: {% endfor %} ends no block" },
        { "{{ x", "line 1: {{ is not closed" },
        { "{# x", "the comment is not closed" },
        { "{% raw %}{{", "{% raw %} is not closed" },
        { "{{ 'x }}", "the text that begins with ' is not closed" },
        { "{{ (1] }}", "unexpected ']'" },
        { "{{ 1 + }}", "expected a value, found }}" },
        { "{{ 99999999999999999999 }}", "is too large" },
        { "{{ '\\N{DASH}' }}", "the escape \\N" },
        { "{% break %}", "{% break %} outside of a loop" },
        { "{% macro m(a=1, b) %}{% endmacro %}", "without a default value" },
        { "\xff", "line 1: byte 0xff is not UTF-8" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lm_err err = { 0 };
        struct lm_template *t = NULL;
        assert_int_not_equal(lm_template_parse(lm_str(rows[i].source), "T", &t, &err), LM_OK);
        assert_null(t);
        assert_contains(err.text, rows[i].said);
    }
}

/* ---- hostile templates ---- */

/* Refused, with a sentence that says this; whether the parser or the rendering does it does not matter. */
static void assert_refused(struct lm_str source, const char *json, const char *said)
{
    struct lm_err err = { 0 };
    struct lm_template_text text = { 0 };
    assert_int_not_equal(render(source, json, false, &text, &err), LM_OK);
    assert_contains(err.text, said);
    assert_int_equal(text.bytes.len, 0);
    lm_template_text_release(&text);
}

static void hostile_templates_end_soon(void **state)
{
    (void)state;
    static const struct {
        const char *source, *said;
    } rows[] = {
        { "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested deeper" },
        { "{% macro a(n) %}{{ b(n) }}{% endmacro %}{% macro b(n) %}{{ a([n]) }}{% endmacro %}{{ a(1) }}",
          "nested deeper" },
        { "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "steps" },
        { "{% for a in range(99999) %}{{ range(99999) | list | length }}{% endfor %}", "MiB" },
        { "{{ range(10 ** 9) }}", "**" },
        { "{{ range(1000000000) }}", "range() of 1000000000 items is longer than 100000" },
        { "{{ 'x' * 1000000000 }}", "longer than 32 MiB" },
        { "{{ [0] * 1000000000 }}", "a list is longer than" },
        { "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}"
          "{% endfor %}",
          "longer than 32 MiB" },
        { "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ "
          "ns.l }}",
          "nested deeper" },
        { "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}"
          "{{ ns.l | tojson }}",
          "nested deeper" },
        { "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l, 1] %}{% endfor %}"
          "{{ ns.l == ns.l[0] }}",
          "nested deeper" },
        { "{{ 'a' | indent(999999999) }}", "MiB" },
        { "{{ 'aaaaaaaaaaaaaaaaaaaaaaaa'.replace('', 'b' * 9999999) }}", "MiB" },
        { "{{ 9223372036854775807 + 1 }}", "64 bits" },
        { "{{ -9223372036854775807 - 2 }}", "64 bits" },
        { "{{ 1 // 0 }}", "division by zero" },
        { "{{ 1 % 0.0 }}", "division by zero" },
        { "{{ ('a' * 9999999).rfind('a' * 4999999 ~ 'b') }}", "steps" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_refused(lm_str(rows[i].source), "", rows[i].said);
}

/* `open` 80,000 times, then `close` as often. */
static void nest(const char *before, const char *open, const char *middle, const char *close,
                 const char *after, struct lm_buf *ret)
{
    enum { DEPTH = 80000 };
    lm_buf_reset(ret);
    lm_buf_puts(ret, before);
    for (size_t i = 0; i < DEPTH; i++)
        lm_buf_puts(ret, open);
    lm_buf_puts(ret, middle);
    for (size_t i = 0; i < DEPTH; i++)
        lm_buf_puts(ret, close);
    lm_buf_puts(ret, after);
}

static void depth_is_refused_before_the_stack_ends(void **state)
{
    (void)state;
    static const char *const rows[][5] = {
        { "{{ ", "(", "1", ")", " }}" },   { "{{ ", "[", "1", "]", " }}" },
        { "{{ ", "-", "1", "", " }}" },    { "{{ ", "not ", "1", "", " }}" },
        { "{{ ", "f(", "1", ")", " }}" },  { "{{ x", "[x", "", "]", " }}" },
        { "{{ ", "{1:", "1", "}", " }}" }, { "{{ 1", " if 1 else 1", "", "", " }}" },
        { "", "{% if 1 %}", "", "", "" },  { "{{ 1", " if 1", "", "", " }}" },
    };
    struct lm_buf source = { 0 };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        nest(rows[i][0], rows[i][1], rows[i][2], rows[i][3], rows[i][4], &source);
        assert_refused(lm_buf_str(&source), "", "deeper than");
    }
    lm_buf_release(&source);
}

/* Chains are flat: 80,000 operators, attributes, filters or branches are no depth. */
static void long_chains_are_fine(void **state)
{
    (void)state;
    static const struct {
        const char *before, *part, *after, *said;
    } rows[] = {
        { "{{ 1", "+1", " }}", "80001" }, { "{{ 1", " or 1", " }}", "1" },
        { "{{ 1", "|abs", " }}", "1" },   { "{{ 'a'", "~''", " }}", "a" },
        { "{{ 1", "<=1", " }}", "True" }, { "{% if 0 %}", "{% elif 0 %}", "{% else %}e{% endif %}", "e" },
    };
    struct lm_buf source = { 0 };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lm_template_text text = { 0 };
        struct lm_err err = { 0 };
        nest(rows[i].before, rows[i].part, rows[i].after, "", "", &source);
        assert_ok_err(render(lm_buf_str(&source), "", false, &text, &err), &err);
        assert_string_equal(text.bytes.ptr, rows[i].said);
        lm_template_text_release(&text);
    }
    lm_buf_release(&source);
}

/* A loop that only appends is linear: no limit is hit at 4 MB made of 99,999 pieces. */
static void appending_in_a_loop_is_linear(void **state)
{
    (void)state;
    struct lm_template_text text = { 0 };
    struct lm_err err = { 0 };
    const struct lm_str source = LM_STR("{% set ns = namespace(s='') %}{% for i in range(99999) %}"
                                        "{% set ns.s = ns.s + 'forty bytes of text in every single turn' %}"
                                        "{% endfor %}{{ ns.s | length }}");
    assert_ok_err(render(source, "", false, &text, &err), &err);
    assert_string_equal(text.bytes.ptr, "3999960");
    lm_template_text_release(&text);
}

/* ---- origins ---- */

/* Data is written in capital letters, templates in small ones: every operation must keep that apart. */
static void every_byte_keeps_its_origin(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "{{ 'a' + c + 'b' }}{{ c ~ 'a' ~ c }}{{ c[1:] }}{{ c[::-1] }}{{ c[0] }}{{ c | trim }}",
        "{{ c.replace('B', 'x') }}{{ 'axa'.replace('x', c) }}{{ c | replace('A', 'y') }}{{ ('a' ~ c)[1:3] }}",
        "{{ c.split('B') | join('-x-') }}{{ l | join(', ') }}{{ ', '.join(l) }}{{ l | first }}{{ l | last }}",
        "{{ l }}{{ d }}{{ l | tojson }}{{ d | tojson(indent=2) }}{{ (l + ['x']) | tojson }}",
        "{% set x %}a{{ c }}b{% endset %}{{ x }}{{ x.strip('a') }}{{ x | trim('b') }}{{ x[1:-1] }}",
        "{% macro m(p) %}m{{ p }}m{% endmacro %}{{ m(c) }}{% filter trim %} a{{ c }} {% endfilter %}",
        "{% for x in c %}{{ x }}z{% endfor %}{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
        "{{ c * 3 }}{{ (c ~ 'a') * 2 }}{{ l | map('trim') | list | join('q') }}{{ c | indent(2, true) }}",
        "{{ c | default('x') }}{{ n | default('x') }}{{ e or c }}{{ c if c else 'x' }}{{ l | sort | join }}",
        "{{ c.splitlines() | join('x') }}{{ c | reverse }}{{ c | list | join('x') }}{{ c | string }}",
        "{{ c.removeprefix('A') }}{{ c.removesuffix('C') }}{{ l | unique | join('u') }}{{ c.lstrip() }}",
    };
    const char *data =
        "{\"c\":\"ABC\",\"l\":[\"A\",\"B \",\"CC\"],\"d\":{\"K\":\"V\",\"L\":[\"M\"]},\"e\":\"\"}";
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        struct lm_template_text text = { 0 };
        struct lm_err err = { 0 };
        assert_ok_err(render(lm_str(sources[i]), data, false, &text, &err), &err);
        assert_true(text.bytes.len > 3);
        for (size_t k = 0; k < text.bytes.len; k++) {
            const char c = text.bytes.ptr[k];
            if (c >= 'A' && c <= 'Z')
                assert_int_equal(text.origins.ptr[k], LM_ORIGIN_DATA);
            else if (c >= 'a' && c <= 'z')
                assert_int_equal(text.origins.ptr[k], LM_ORIGIN_TEMPLATE);
        }
        lm_template_text_release(&text);
    }
}

/* Letters that data spells in another case, and digits that it chooses, are still data. */
static void changed_data_is_still_data(void **state)
{
    (void)state;
    static const char *const sources[] = { "{{ c | lower }}",  "{{ c.title() }}", "{{ n + 1 }}",
                                           "{{ n | string }}", "{{ x | int }}",   "{{ -n }}",
                                           "{{ c|length }}",   "{{ n / 2 }}",     "{{ c|upper }}",
                                           "{{ c.lower() }}",  "{{ x|float }}" };
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        struct lm_template_text text = { 0 };
        struct lm_err err = { 0 };
        assert_ok_err(render(lm_str(sources[i]),
                             "{\"c\":\"<Stra\xc3\x9f"
                             "e>\",\"n\":41,\"x\":\"42\"}",
                             false, &text, &err),
                      &err);
        for (size_t k = 0; k < text.origins.len; k++)
            assert_int_equal(text.origins.ptr[k], LM_ORIGIN_DATA);
        lm_template_text_release(&text);
    }
}

static void answers_and_generation_are_marked(void **state)
{
    (void)state;
    static const struct lm_chat_message talk[] = {
        { { "user", 4 }, { "Q", 1 } },      { { "assistant", 9 }, { "A", 1 } }, { { "user", 4 }, { "R", 1 } },
        { { "assistant", 9 }, { "B", 1 } }, { { "Wizard", 6 }, { "W", 1 } },
    };
    const struct lm_template_input input = { .messages = talk, .message_count = 5 };
    const struct lm_str source =
        LM_STR("{% for m in messages %}{{ m.role[0] }}:{% generation %}g{{ m.content }}{% endgeneration %};"
               "{% endfor %}{{ messages[0].content }}");
    static const uint8_t expected[] = { 0, 0, 8, 9, 0, 0,  0, 8, 11, 0, 0, 0, 8,
                                        9, 0, 0, 0, 8, 15, 0, 1, 0,  8, 9, 0, 1 };
    struct lm_template *t = NULL;
    struct lm_template_text text = { 0 };
    assert_int_equal(lm_template_parse(source, "T", &t, NULL), LM_OK);
    assert_true(lm_template_marks_generation(t));
    assert_int_equal(lm_template_render(t, &input, &text, NULL), LM_OK);
    assert_string_equal(text.bytes.ptr, "u:gQ;a:gA;u:gR;a:gB;W:gW;Q");
    assert_int_equal(text.origins.len, sizeof(expected));
    assert_memory_equal(text.origins.ptr, expected, sizeof(expected));
    lm_template_text_release(&text);
    lm_template_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_of_models_render_as_in_jinja2),
        cmocka_unit_test(expressions_mean_what_they_mean_in_jinja2),
        cmocka_unit_test(random_templates_render_as_in_jinja2),
        cmocka_unit_test(what_is_not_supported_is_refused_by_name_and_line),
        cmocka_unit_test(hostile_templates_end_soon),
        cmocka_unit_test(depth_is_refused_before_the_stack_ends),
        cmocka_unit_test(long_chains_are_fine),
        cmocka_unit_test(appending_in_a_loop_is_linear),
        cmocka_unit_test(every_byte_keeps_its_origin),
        cmocka_unit_test(changed_data_is_still_data),
        cmocka_unit_test(answers_and_generation_are_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
