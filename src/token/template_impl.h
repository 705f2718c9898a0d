#ifndef LM_TOKEN_TEMPLATE_IMPL_H
#define LM_TOKEN_TEMPLATE_IMPL_H
/* token/template_impl.h - what the files of the template engine share: tokens, syntax tree, values,
 * rendering.
 *
 * Source -> tokens (template_lex.c) -> tree (template_parser.c, template_primary.c, template_expr.c,
 * template_parse.c) -> text (template_render.c, template_eval.c over the values of template_value.c).  All of
 * a template lives in its arena, all of a rendering in the arena of struct lm_tpl. */

#include "token/template.h"

/* ---- text with origins ---- */

/* origin[i] is the enum lm_template_origin of ptr[i]. */
struct lm_tpl_text {
    const char *ptr;
    const uint8_t *origin;
    size_t len;
};

/* Length of the character at `at` < end and its code point; a byte that is not UTF-8 is a character of its
 * own, LM_TPL_BAD_BYTE + byte. */
enum { LM_TPL_BAD_BYTE = 0x110000 };
size_t lm_tpl_char(const char *at, const char *end, uint32_t *ret);
size_t lm_tpl_char_back(const char *start, const char *end, uint32_t *ret);   // the one before `end` > start
size_t lm_tpl_put_char(uint32_t cp, char ret[4]);
bool lm_tpl_is_blank(uint32_t cp);   // as Python's str.isspace

/* ---- values ---- */

enum lm_tpl_kind {
    LM_TPL_UNDEFINED,
    LM_TPL_NONE,
    LM_TPL_BOOL,
    LM_TPL_INT,
    LM_TPL_FLOAT,
    LM_TPL_TEXT,
    LM_TPL_LIST,
    LM_TPL_DICT,
    LM_TPL_NAMESPACE,
    LM_TPL_MACRO,
    LM_TPL_FUNCTION,
    LM_TPL_METHOD,   // x.upper, not called
    LM_TPL_LOOP,
};

/* Small, passed by value; what it points to never changes (but for namespaces). */
struct lm_tpl_value {
    enum lm_tpl_kind kind;
    uint8_t origin;   // of a number, should it become text
    union {
        bool truth;
        int64_t integer;
        double real;
        struct lm_tpl_text text;
        struct lm_tpl_list *list;
        struct lm_tpl_dict *dict;   // DICT, NAMESPACE
        const struct lm_tpl_macro *macro;
        const struct lm_tpl_function *function;
        struct lm_tpl_loop *loop;
        struct lm_str name;   // of what is undefined; of a method
    };
};

enum lm_tpl_sequence {
    LM_TPL_SEQ_LIST,
    LM_TPL_SEQ_TUPLE,
    LM_TPL_SEQ_RANGE,
    LM_TPL_SEQ_VIEW,        // dict.items() and its sisters: length, no index
    LM_TPL_SEQ_GENERATOR,   // selectattr and its sisters: neither, and seen once
};

struct lm_tpl_list {
    enum lm_tpl_sequence type;
    bool seen;   // a generator that has been run through
    size_t count;
    struct lm_tpl_value *items;   // not for RANGE
    int64_t start, stop, step;    // RANGE; stop as given, for printing
};

struct lm_tpl_pair {
    struct lm_tpl_value key, value;
};

struct lm_tpl_dict {
    struct lm_tpl_pair *pairs;   // in the order of insertion
    size_t count, cap;
};

struct lm_tpl_macro {
    const struct lm_tpl_stmt *stmt;   // MACRO or CALL
    struct lm_tpl_scope *scope;       // where it was defined
};

struct lm_tpl_loop {
    const struct lm_tpl_list *list;
    size_t at, depth;   // depth from 0
};

/* ---- syntax tree ---- */

enum lm_tpl_op {
    LM_TPL_ADD,
    LM_TPL_SUB,
    LM_TPL_MUL,
    LM_TPL_DIV,
    LM_TPL_FLOORDIV,
    LM_TPL_MOD,
    LM_TPL_EQ,
    LM_TPL_NE,
    LM_TPL_LT,
    LM_TPL_LE,
    LM_TPL_GT,
    LM_TPL_GE,
    LM_TPL_IN,
    LM_TPL_NOT_IN,
};

enum lm_tpl_expr_kind {
    LM_TPL_E_VALUE,
    LM_TPL_E_NAME,
    LM_TPL_E_LIST,
    LM_TPL_E_TUPLE,
    LM_TPL_E_DICT,      // kids: key, value, key, value
    LM_TPL_E_MATH,      // kids[0] ops[0] kids[1] ops[1] ..., from the left
    LM_TPL_E_CONCAT,    // a ~ b ~ c
    LM_TPL_E_COMPARE,   // a < b < c
    LM_TPL_E_AND,
    LM_TPL_E_OR,
    LM_TPL_E_NOT,
    LM_TPL_E_NEGATE,
    LM_TPL_E_PLUS,
    LM_TPL_E_IF,        // kids: then, condition, else (or NULL)
    LM_TPL_E_POSTFIX,   // kids[0] and steps
};

struct lm_tpl_expr {
    enum lm_tpl_expr_kind kind;
    uint32_t line;
    uint64_t hash;   // of the name
    union {
        struct lm_tpl_value value;
        struct lm_str name;
        struct {
            struct lm_tpl_expr **kids;
            const struct lm_tpl_step *steps;
            const uint8_t *ops;
            size_t count, step_count;
        };
    };
};

struct lm_tpl_args {
    struct lm_tpl_expr **items;   // by position, then by name
    const struct lm_str *names;   // [count]; "" for those by position
    size_t count, position_count;
};

enum lm_tpl_step_kind {
    LM_TPL_STEP_ATTR,    // .name
    LM_TPL_STEP_INDEX,   // [a]
    LM_TPL_STEP_SLICE,   // [a:b:c], each may be NULL
    LM_TPL_STEP_CALL,
    LM_TPL_STEP_FILTER,
    LM_TPL_STEP_TEST,
};

struct lm_tpl_step {
    enum lm_tpl_step_kind kind;
    bool negated;   // is not
    uint32_t line;
    struct lm_str name;
    const struct lm_tpl_filter *filter;
    const struct lm_tpl_test *test;
    struct lm_tpl_expr *index[3];
    struct lm_tpl_args args;
};

enum lm_tpl_stmt_kind {
    LM_TPL_S_TEXT,
    LM_TPL_S_PRINT,
    LM_TPL_S_SET,
    LM_TPL_S_SET_BLOCK,
    LM_TPL_S_IF,
    LM_TPL_S_FOR,
    LM_TPL_S_MACRO,
    LM_TPL_S_CALL,
    LM_TPL_S_FILTER,
    LM_TPL_S_WITH,
    LM_TPL_S_GENERATION,
    LM_TPL_S_BREAK,
    LM_TPL_S_CONTINUE,
};

struct lm_tpl_name {
    struct lm_str text;
    uint64_t hash;
};

struct lm_tpl_branch {
    struct lm_tpl_expr *condition;   // NULL: else
    struct lm_tpl_stmt *body;
};

struct lm_tpl_stmt {
    enum lm_tpl_stmt_kind kind;
    uint32_t line;
    struct lm_tpl_stmt *next;
    struct lm_tpl_text text;    // TEXT
    struct lm_tpl_expr *expr;   // PRINT, SET: value; FOR: what is walked; CALL; FILTER, SET_BLOCK: or NULL
    struct lm_tpl_expr *condition;   // FOR ... if; or NULL
    struct lm_tpl_name *names;       // SET, FOR: targets; MACRO, CALL: parameters; WITH
    struct lm_tpl_expr **values;     // MACRO, CALL: default values or NULL; WITH
    size_t name_count;
    struct lm_tpl_name name;          // MACRO; SET of a namespace's attribute: the attribute
    bool of_namespace;                // SET names[0].name
    struct lm_tpl_branch *branches;   // IF
    size_t branch_count;
    struct lm_tpl_stmt *body, *other;   // other: else of FOR
};

struct lm_template {
    struct lm_arena arena;
    const char *name;
    struct lm_tpl_stmt *body;
    bool marks_generation;
};

/* In a tree made for {% filter %} and {% set x | filter %}: stands for the text of the block. */
extern const struct lm_str lm_tpl_block_name;

/* ---- tokens ---- */

enum lm_tpl_token_kind {
    LM_TPL_T_END,
    LM_TPL_T_DATA,
    LM_TPL_T_BLOCK,   // {%
    LM_TPL_T_BLOCK_END,
    LM_TPL_T_PRINT,   // {{
    LM_TPL_T_PRINT_END,
    LM_TPL_T_NAME,
    LM_TPL_T_TEXT,
    LM_TPL_T_INT,
    LM_TPL_T_FLOAT,
    LM_TPL_T_OP,
};

struct lm_tpl_token {
    enum lm_tpl_token_kind kind;
    uint32_t line;
    struct lm_str text;   // DATA, NAME, OP: as written; TEXT: its value
    union {
        int64_t integer;
        double real;
    };
};

struct lm_tpl_tokens {
    struct lm_tpl_token *items;
    size_t len, cap;
};

/* The last token is END.  Texts live in the source, which is normalised in place, or in the arena. */
enum lm_rc lm_tpl_lex(struct lm_template *t, char *source, size_t len, struct lm_tpl_tokens *ret,
                      struct lm_err *err);

/* ---- parser ----
 * lm_tpl_refuse and lm_tpl_fail are macros too, as lm_fail is: the compiler sees the constant rc. */

struct lm_tpl_parser {
    struct lm_template *t;
    const struct lm_tpl_token *at;
    struct lm_err *err;
    size_t depth, loops;
    void **stack;   // lists that are being read
    size_t stack_len, stack_cap;
};

enum lm_rc lm_tpl_refuse(struct lm_tpl_parser *p, enum lm_rc rc, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define lm_tpl_refuse(p, rc, line, ...)                                                                      \
    ({                                                                                                       \
        const enum lm_rc refuse_rc_ = (rc);                                                                  \
        lm_tpl_refuse(p, refuse_rc_, line, __VA_ARGS__);                                                     \
        refuse_rc_;                                                                                          \
    })
bool lm_tpl_at_op(const struct lm_tpl_parser *p, const char *op);
bool lm_tpl_at_name(const struct lm_tpl_parser *p, const char *name);
bool lm_tpl_skip_op(struct lm_tpl_parser *p, const char *op);
bool lm_tpl_skip_name(struct lm_tpl_parser *p, const char *name);
enum lm_rc lm_tpl_want_op(struct lm_tpl_parser *p, const char *op);
enum lm_rc lm_tpl_want_name(struct lm_tpl_parser *p, struct lm_tpl_name *ret);
enum lm_rc lm_tpl_unexpected(struct lm_tpl_parser *p, const char *wanted);
enum lm_rc lm_tpl_enter(struct lm_tpl_parser *p);   // one level deeper; leave with p->depth--
void lm_tpl_push(struct lm_tpl_parser *p, void *item);
void *lm_tpl_pop_list(struct lm_tpl_parser *p, size_t from);   // the pushed ones since, in the arena

struct lm_tpl_expr *lm_tpl_expr_new(struct lm_tpl_parser *p, enum lm_tpl_expr_kind kind);
/* Over the expressions that were pushed since. */
struct lm_tpl_expr *lm_tpl_node(struct lm_tpl_parser *p, enum lm_tpl_expr_kind kind, size_t from);
struct lm_tpl_expr *lm_tpl_value_node(struct lm_tpl_parser *p, struct lm_tpl_value value);
/* An operand with its sign and what follows it; filters: also | and `is`. */
enum lm_rc lm_tpl_parse_term(struct lm_tpl_parser *p, bool filters, struct lm_tpl_expr **ret);
enum lm_rc lm_tpl_parse_expr(struct lm_tpl_parser *p, struct lm_tpl_expr **ret);
enum lm_rc lm_tpl_parse_no_if(struct lm_tpl_parser *p, struct lm_tpl_expr **ret);   // without inline if
enum lm_rc lm_tpl_parse_tuple(struct lm_tpl_parser *p, bool with_if, struct lm_tpl_expr **ret);
/* | a | b(c), the first bar left out if at_first. */
enum lm_rc lm_tpl_parse_filters(struct lm_tpl_parser *p, bool at_first, struct lm_tpl_expr **in_out);
enum lm_rc lm_tpl_parse_body(struct lm_tpl_parser *p, struct lm_tpl_stmt **ret);

/* ---- rendering ---- */

struct lm_tpl_binding {
    struct lm_tpl_name name;
    struct lm_tpl_value value;
};

struct lm_tpl_scope {
    struct lm_tpl_scope *outer;
    struct lm_tpl_binding *items;
    size_t count, cap;
};

/* One rendering.  Functions that fail leave the sentence in `err` through lm_tpl_fail. */
struct lm_tpl {
    const struct lm_template *t;
    struct lm_arena arena;
    struct lm_err *err;
    uint32_t line;   // of what is being done
    int64_t now_s;
    size_t steps, nest;
    uint8_t generation;                  // LM_ORIGIN_GENERATION inside the tag
    const struct lm_tpl_value *caller;   // of {% call %}, for the macro that this step calls
    const struct lm_tpl_step *caller_step;
    struct lm_tpl_scope globals, *scope;
    /* The text that is being printed, and behind it the texts that are being made: lm_tpl_cut takes those. */
    char *out;
    uint8_t *out_origin;
    size_t out_len, out_cap, out_origin_cap;
    /* Where texts are kept: two arrays side by side, so that the newest text can grow in place. */
    char *keep;
    uint8_t *keep_origin;
    size_t keep_len, keep_cap;
};

enum lm_rc lm_tpl_fail(struct lm_tpl *r, enum lm_rc rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define lm_tpl_fail(r, rc, ...)                                                                              \
    ({                                                                                                       \
        const enum lm_rc tpl_rc_ = (rc);                                                                     \
        lm_tpl_fail(r, tpl_rc_, __VA_ARGS__);                                                                \
        tpl_rc_;                                                                                             \
    })
enum lm_rc lm_tpl_work(struct lm_tpl *r, size_t steps);
enum lm_rc lm_tpl_deeper(struct lm_tpl *r);   // leave with r->nest--
enum lm_rc lm_tpl_alloc(struct lm_tpl *r, size_t count, size_t size, void *ret_pointer);   // zeroed

/* Making text: append, then cut what was appended since the mark into a value. */
enum lm_rc lm_tpl_put(struct lm_tpl *r, struct lm_tpl_text text);
enum lm_rc lm_tpl_put_own(struct lm_tpl *r, struct lm_str text, uint8_t origin);
enum lm_rc lm_tpl_cut(struct lm_tpl *r, size_t mark, struct lm_tpl_value *ret);
enum lm_rc lm_tpl_concat(struct lm_tpl *r, struct lm_tpl_text a, struct lm_tpl_text b,
                         struct lm_tpl_value *ret);
enum lm_rc lm_tpl_data(struct lm_tpl *r, struct lm_str text, uint8_t origin, struct lm_tpl_value *ret);

/* Variables: bind in a scope, look up from r->scope outwards, then among the functions. */
struct lm_tpl_name lm_tpl_name(struct lm_str text);
enum lm_rc lm_tpl_bind(struct lm_tpl *r, struct lm_tpl_scope *scope, struct lm_tpl_name name,
                       struct lm_tpl_value value);
enum lm_rc lm_tpl_lookup(struct lm_tpl *r, const struct lm_tpl_name *name, struct lm_tpl_value *ret);

/* template_value.c: constructors and questions. */
struct lm_tpl_value lm_tpl_undefined(struct lm_str name);
struct lm_tpl_value lm_tpl_none(void);
struct lm_tpl_value lm_tpl_bool(bool truth);
struct lm_tpl_value lm_tpl_int(int64_t integer);
struct lm_tpl_value lm_tpl_text(struct lm_tpl_text text);
struct lm_tpl_value lm_tpl_sub(struct lm_tpl_text text, size_t from, size_t to);
enum lm_rc lm_tpl_list_new(struct lm_tpl *r, enum lm_tpl_sequence type, size_t count,
                           struct lm_tpl_value *ret);
enum lm_rc lm_tpl_list_add(struct lm_tpl *r, struct lm_tpl_list *list, size_t *cap, struct lm_tpl_value item);
struct lm_tpl_value lm_tpl_list_at(const struct lm_tpl_list *list, size_t i);
enum lm_rc lm_tpl_dict_new(struct lm_tpl *r, enum lm_tpl_kind kind, struct lm_tpl_value *ret);
enum lm_rc lm_tpl_dict_put(struct lm_tpl *r, struct lm_tpl_dict *d, struct lm_tpl_value key,
                           struct lm_tpl_value value);
enum lm_rc lm_tpl_dict_find(struct lm_tpl *r, const struct lm_tpl_dict *d, struct lm_tpl_value key,
                            const struct lm_tpl_value **ret);   // NULL: not there
struct lm_str lm_tpl_str(struct lm_tpl_value v);                // of a TEXT
bool lm_tpl_is(struct lm_tpl_value v, const char *text);        // it is this text
uint8_t lm_tpl_origin(struct lm_tpl_value v);                   // of all of a text, or of a number
const char *lm_tpl_kind_name(struct lm_tpl_value v);
bool lm_tpl_true(struct lm_tpl_value v);
enum lm_rc lm_tpl_equal(struct lm_tpl *r, struct lm_tpl_value a, struct lm_tpl_value b, bool *ret);
enum lm_rc lm_tpl_order(struct lm_tpl *r, struct lm_tpl_value a, struct lm_tpl_value b, int *ret);
enum lm_rc lm_tpl_contains(struct lm_tpl *r, struct lm_tpl_value item, struct lm_tpl_value in, bool *ret);
size_t lm_tpl_text_chars(struct lm_tpl_text text);
enum lm_rc lm_tpl_length(struct lm_tpl *r, struct lm_tpl_value v, int64_t *ret);
enum lm_rc lm_tpl_iterate(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_list **ret);
bool lm_tpl_is_number(struct lm_tpl_value v);    // BOOL, INT, FLOAT
double lm_tpl_real(struct lm_tpl_value v);       // of a number
int64_t lm_tpl_integer(struct lm_tpl_value v);   // of a BOOL or INT

/* template_print.c: values as text. */
enum lm_rc lm_tpl_print(struct lm_tpl *r, struct lm_tpl_value v);   // as str()
enum lm_rc lm_tpl_to_text(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_text *ret);
struct lm_tpl_json {   // the arguments of tojson
    bool ascii, sort;
    bool indented;
    struct lm_tpl_text indent, item_separator, key_separator;
};
enum lm_rc lm_tpl_print_json(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_json *options);

/* template_json.c: data from JSON. */
uint8_t lm_tpl_role_origin(struct lm_str role);   // of the role of a message
enum lm_rc lm_tpl_read_json(struct lm_tpl *r, struct lm_str json, struct lm_tpl_value *ret);

/* template_char.c: letters. */
enum lm_tpl_case { LM_TPL_UPPER, LM_TPL_LOWER, LM_TPL_TITLE, LM_TPL_CAPITALIZE, LM_TPL_WORDS };
enum lm_rc lm_tpl_put_case(struct lm_tpl *r, struct lm_tpl_text text, enum lm_tpl_case to);
bool lm_tpl_is_printable(uint32_t cp);

/* template_eval.c */
enum lm_rc lm_tpl_eval(struct lm_tpl *r, const struct lm_tpl_expr *e, struct lm_tpl_value *ret);
enum lm_rc lm_tpl_attr(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value name,
                       struct lm_tpl_value *ret);   // v[name], as filters look attributes up

/* Arguments as given, evaluated. */
struct lm_tpl_call {
    const struct lm_tpl_value *items;
    const struct lm_str *names;
    size_t count, position_count;
};

/* template_render.c; caller: the body of {% call %}, or NULL. */
enum lm_rc lm_tpl_call_macro(struct lm_tpl *r, const struct lm_tpl_macro *macro,
                             const struct lm_tpl_call *call, const struct lm_tpl_value *caller,
                             struct lm_tpl_value *ret);

/* template_math.c */
enum lm_rc lm_tpl_math(struct lm_tpl *r, enum lm_tpl_op op, struct lm_tpl_value a, struct lm_tpl_value b,
                       struct lm_tpl_value *ret);
enum lm_rc lm_tpl_negate(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value *ret);
enum lm_rc lm_tpl_index(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value at,
                        struct lm_tpl_value *ret);
enum lm_rc lm_tpl_slice(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value bounds[3],
                        struct lm_tpl_value *ret);

/* Functions, filters, methods and tests: rows with the names of their parameters, blank-separated; those
 * after `required` may be missing, and are UNDEFINED with name.ptr NULL then (lm_tpl_given). */
enum { LM_TPL_PARAMS_MAX = 4 };
typedef enum lm_rc lm_tpl_filter_fn(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                                    struct lm_tpl_value *ret);
typedef enum lm_rc lm_tpl_filter_call_fn(struct lm_tpl *r, struct lm_tpl_value v,
                                         const struct lm_tpl_call *call, struct lm_tpl_value *ret);
typedef enum lm_rc lm_tpl_call_fn(struct lm_tpl *r, const struct lm_tpl_call *call, struct lm_tpl_value *ret);
typedef enum lm_rc lm_tpl_test_fn(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                                  bool *ret);

struct lm_tpl_filter {   // and method
    const char *name;
    lm_tpl_filter_fn *run;
    const char *params;
    size_t required;
    lm_tpl_filter_fn *on_dict;   // methods: run is for texts
    lm_tpl_filter_fn *on_list;
    lm_tpl_filter_call_fn *run_call;   // filters that take what they pass on; instead of run
};
struct lm_tpl_test {
    const char *name;
    lm_tpl_test_fn *run;
    const char *params;
    size_t required;
};
struct lm_tpl_function {
    const char *name;
    lm_tpl_call_fn *run;
};

static inline bool lm_tpl_given(struct lm_tpl_value v)
{
    return v.kind != LM_TPL_UNDEFINED || v.name.ptr != NULL;
}

enum lm_rc lm_tpl_bind_args(struct lm_tpl *r, const char *what, const char *params, size_t required,
                            const struct lm_tpl_call *call, struct lm_tpl_value ret[LM_TPL_PARAMS_MAX]);

enum lm_rc lm_tpl_run_filter(struct lm_tpl *r, const struct lm_tpl_filter *filter, struct lm_tpl_value v,
                             const struct lm_tpl_call *call, struct lm_tpl_value *ret);
enum lm_rc lm_tpl_run_test(struct lm_tpl *r, const struct lm_tpl_test *test, struct lm_tpl_value v,
                           const struct lm_tpl_call *call, bool *ret);
const struct lm_tpl_filter *lm_tpl_filter_find(struct lm_str name);
const struct lm_tpl_filter *lm_tpl_list_filter_find(struct lm_str name);   // of those over items
const struct lm_tpl_filter *lm_tpl_method_find(struct lm_str name);
const struct lm_tpl_test *lm_tpl_test_find(struct lm_str name);
const struct lm_tpl_function *lm_tpl_function_find(struct lm_str name);

/* Arguments that must be text or a whole number; `what` names the argument. */
enum lm_rc lm_tpl_want_text(struct lm_tpl *r, struct lm_tpl_value v, const char *what,
                            struct lm_tpl_text *ret);
enum lm_rc lm_tpl_want_int(struct lm_tpl *r, struct lm_tpl_value v, const char *what, int64_t *ret);

/* template_method.c, for filters of the same meaning. */
enum lm_rc lm_tpl_strip(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value chars, bool left,
                        bool right, struct lm_tpl_value *ret);
enum lm_rc lm_tpl_replace(struct lm_tpl *r, struct lm_tpl_text text, struct lm_tpl_text old,
                          struct lm_tpl_text new, int64_t count, struct lm_tpl_value *ret);
enum lm_rc lm_tpl_split_lines(struct lm_tpl *r, struct lm_tpl_text text, bool keep_ends,
                              struct lm_tpl_value *ret);
lm_tpl_filter_fn lm_tpl_dict_items_of, lm_tpl_dict_keys, lm_tpl_dict_values, lm_tpl_dict_get,
    lm_tpl_list_count,
    lm_tpl_forbidden;   // template_dict.c
enum lm_rc lm_tpl_dict_items(struct lm_tpl *r, struct lm_tpl_value dict, struct lm_tpl_value *ret);

#endif
