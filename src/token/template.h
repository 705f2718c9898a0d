#ifndef LM_TOKEN_TEMPLATE_H
#define LM_TOKEN_TEMPLATE_H
/* token/template.h - chat templates: the part of Jinja that models' templates are written in.
 *
 * Means what Python's jinja2 means in the environment of transformers' apply_chat_template: sandboxed,
 * trim_blocks and lstrip_blocks on, no autoescape, loop controls, raise_exception, strftime_now, tojson
 * without ASCII escapes, {% generation %}.  Supported:
 *
 *     statements  for (if, else, unpacking, break, continue), if, set (also of namespaces, also a block),
 * macro, call, filter, with, generation, raw, comments expressions literals, lists, tuples, dicts, . and []
 * with slices, calls, filters, tests, + - * / // % ~, comparisons, in, not, and, or, inline if names the rows
 * in template_filter.c, template_test.c, template_method.c
 *
 * What is not supported is refused by lm_template_parse with its name and line, in branches that would not
 * run too.  Differences: integers have 64 bits, text is never Markup (`safe` changes nothing), what prints as
 * an address in Python is refused.
 *
 * A template comes with a model and is not trusted: it can neither read nor write anything, and every measure
 * of its work has a maximum below.  What users write is not trusted either: each byte of the result carries
 * its origin, so that lm_chat_encode makes control tokens of the template's own bytes only. */

#include "token/tokenizer.h"

struct lm_template;

enum {
    LM_TEMPLATE_SOURCE_MAX = 1 << 20,     // bytes
    LM_TEMPLATE_DEPTH_MAX = 64,           // brackets, blocks, operators inside one another; also of values
    LM_TEMPLATE_NEST_MAX = 512,           // the same while rendering, through macros
    LM_TEMPLATE_STEPS_MAX = 8000000,      // expressions, statements, loop steps; 64 bytes of text copied
    LM_TEMPLATE_OUTPUT_MAX = 32 << 20,    // bytes, of the result and of any text on the way
    LM_TEMPLATE_MEMORY_MAX = 256 << 20,   // bytes, for one rendering
    LM_TEMPLATE_RANGE_MAX = 100000,       // length of range(), as in Jinja's sandbox
    LM_TEMPLATE_ARGS_MAX = 16,            // arguments of a call
};

/* `name` is used in messages ("chat template of 'x'") and copied.  LM_EFORMAT: not Jinja, or not the part
 * above; LM_ELIMIT: a maximum.  The sentence has the line and the cause.  Immutable: one serves all threads.
 */
enum lm_rc lm_template_parse(struct lm_str source, const char *name, struct lm_template **ret,
                             struct lm_err *err);
void lm_template_free(struct lm_template *t);

bool lm_template_marks_generation(const struct lm_template *t);   // it has {% generation %}

/* Where a byte of the result comes from; flags. */
enum lm_template_origin {
    LM_ORIGIN_TEMPLATE = 0,     // a literal of the template, or a value it was given as its own
    LM_ORIGIN_DATA = 1,         // anything a user, a tool or a model wrote
    LM_ORIGIN_ANSWER = 2,       // of those, from a message of the assistant
    LM_ORIGIN_ODD = 4,          // of those, from the second, fourth ... message of the assistant
    LM_ORIGIN_GENERATION = 8,   // printed inside {% generation %}
};

/* A variable whose text is as trusted as the template: bos_token, eos_token and the like. */
struct lm_template_var {
    const char *name;
    struct lm_str text;
};

/* The variables: messages, add_generation_prompt, tools and documents (none unless `json` sets them), `own`,
 * and the members of `json`, an object whose strings are all data.  A "messages" there is used when
 * message_count is 0. */
struct lm_template_input {
    const struct lm_chat_message *messages;
    size_t message_count;
    bool add_generation;
    const struct lm_template_var *own;
    size_t own_count;
    struct lm_str json;   // "" for none
    int64_t now_s;        // what strftime_now shows, in UTC
};

/* Zero-initialised is empty; both have the same length. */
struct lm_template_text {
    struct lm_buf bytes, origins;
};
void lm_template_text_release(struct lm_template_text *text);

/* Appends what the template prints.  LM_EINVAL: the template refuses (raise_exception) or does what Jinja
 * forbids; LM_ELIMIT: a maximum; LM_EFORMAT: `json` is not an object.  Nothing is appended then. */
enum lm_rc lm_template_render(const struct lm_template *t, const struct lm_template_input *input,
                              struct lm_template_text *ret, struct lm_err *err);

#endif
