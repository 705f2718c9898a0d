/* token/template_test.c - tests: what may stand behind `is`. */
#include "token/template_impl.h"

#include <stdio.h>

#define TEST(name, truth)                                                                                    \
    static enum lm_rc name(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,         \
                           bool *ret)                                                                        \
    {                                                                                                        \
        (void)r, (void)args;                                                                                 \
        *ret = (truth);                                                                                      \
        return LM_OK;                                                                                        \
    }
TEST(is_defined, v.kind != LM_TPL_UNDEFINED)
TEST(is_undefined, v.kind == LM_TPL_UNDEFINED)
TEST(is_none, v.kind == LM_TPL_NONE)
TEST(is_string, v.kind == LM_TPL_TEXT)
TEST(is_mapping, v.kind == LM_TPL_DICT)
TEST(is_number, lm_tpl_is_number(v))
TEST(is_integer, v.kind == LM_TPL_INT)
TEST(is_float, v.kind == LM_TPL_FLOAT)
TEST(is_boolean, v.kind == LM_TPL_BOOL)
TEST(is_true, v.kind == LM_TPL_BOOL && v.truth)
TEST(is_false, v.kind == LM_TPL_BOOL && !v.truth)
TEST(is_callable, v.kind == LM_TPL_MACRO || v.kind == LM_TPL_FUNCTION || v.kind == LM_TPL_METHOD ||
                      v.kind == LM_TPL_UNDEFINED)
TEST(is_iterable, v.kind == LM_TPL_TEXT || v.kind == LM_TPL_LIST || v.kind == LM_TPL_DICT ||
                      v.kind == LM_TPL_UNDEFINED || v.kind == LM_TPL_LOOP)
TEST(is_sequence, v.kind == LM_TPL_TEXT || v.kind == LM_TPL_DICT || v.kind == LM_TPL_UNDEFINED ||
                      (v.kind == LM_TPL_LIST && v.list->type < LM_TPL_SEQ_VIEW))

static enum lm_rc is_equal(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                           bool *ret)
{
    return lm_tpl_equal(r, v, args[0], ret);
}

static enum lm_rc is_unequal(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                             bool *ret)
{
    LM_TRY(lm_tpl_equal(r, v, args[0], ret));
    *ret = !*ret;
    return LM_OK;
}

static enum lm_rc is_in(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args, bool *ret)
{
    return lm_tpl_contains(r, v, args[0], ret);
}

#define ORDER_TEST(name, truth)                                                                              \
    static enum lm_rc name(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,         \
                           bool *ret)                                                                        \
    {                                                                                                        \
        int order;                                                                                           \
        LM_TRY(lm_tpl_order(r, v, args[0], &order));                                                         \
        *ret = (truth);                                                                                      \
        return LM_OK;                                                                                        \
    }
ORDER_TEST(is_less, order == -1)
ORDER_TEST(is_greater, order == 1)
ORDER_TEST(is_at_most, order == -1 || order == 0)
ORDER_TEST(is_at_least, order == 1 || order == 0)

static enum lm_rc divisible(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value by, bool *ret)
{
    struct lm_tpl_value rest;
    LM_TRY(lm_tpl_math(r, LM_TPL_MOD, v, by, &rest));
    *ret = !lm_tpl_true(rest);
    return LM_OK;
}

static enum lm_rc is_divisible(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                               bool *ret)
{
    return divisible(r, v, args[0], ret);
}

static enum lm_rc is_even(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args, bool *ret)
{
    (void)args;
    return divisible(r, v, lm_tpl_int(2), ret);
}

static enum lm_rc is_odd(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args, bool *ret)
{
    struct lm_tpl_value rest;
    (void)args;
    LM_TRY(lm_tpl_math(r, LM_TPL_MOD, v, lm_tpl_int(2), &rest));
    return lm_tpl_equal(r, rest, lm_tpl_int(1), ret);
}

/* A row: a test, also under the names that jinja2 has for it. */
static const struct lm_tpl_test tests[] = {
    { "defined", is_defined, "", 0 },
    { "undefined", is_undefined, "", 0 },
    { "none", is_none, "", 0 },
    { "string", is_string, "", 0 },
    { "mapping", is_mapping, "", 0 },
    { "number", is_number, "", 0 },
    { "integer", is_integer, "", 0 },
    { "float", is_float, "", 0 },
    { "boolean", is_boolean, "", 0 },
    { "true", is_true, "", 0 },
    { "false", is_false, "", 0 },
    { "callable", is_callable, "", 0 },
    { "iterable", is_iterable, "", 0 },
    { "sequence", is_sequence, "", 0 },
    { "equalto", is_equal, "other", 1 },
    { "eq", is_equal, "other", 1 },
    { "==", is_equal, "other", 1 },
    { "ne", is_unequal, "other", 1 },
    { "!=", is_unequal, "other", 1 },
    { "lt", is_less, "other", 1 },
    { "lessthan", is_less, "other", 1 },
    { "<", is_less, "other", 1 },
    { "le", is_at_most, "other", 1 },
    { "<=", is_at_most, "other", 1 },
    { "gt", is_greater, "other", 1 },
    { "greaterthan", is_greater, "other", 1 },
    { ">", is_greater, "other", 1 },
    { "ge", is_at_least, "other", 1 },
    { ">=", is_at_least, "other", 1 },
    { "in", is_in, "seq", 1 },
    { "divisibleby", is_divisible, "num", 1 },
    { "even", is_even, "", 0 },
    { "odd", is_odd, "", 0 },
};

const struct lm_tpl_test *lm_tpl_test_find(struct lm_str name)
{
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        if (lm_str_eq(name, lm_str(tests[i].name)))
            return &tests[i];
    return NULL;
}

enum lm_rc lm_tpl_run_test(struct lm_tpl *r, const struct lm_tpl_test *test, struct lm_tpl_value v,
                           const struct lm_tpl_call *call, bool *ret)
{
    struct lm_tpl_value args[LM_TPL_PARAMS_MAX];
    char name[32];
    snprintf(name, sizeof(name), "test %s", test->name);
    LM_TRY(lm_tpl_bind_args(r, name, test->params, test->required, call, args));
    return test->run(r, v, args, ret);
}
