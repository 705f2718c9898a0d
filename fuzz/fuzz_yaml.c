/* YAML: what is accepted is written again as one line of flow style with everything quoted and escaped, and
 * must read as the same tree. */

#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Double-quoted, all but letters and digits as escapes.  libyaml lets well-formed UTF-8 pass only. */
static void write_text(struct lm_str s, struct lm_buf *ret)
{
    lm_buf_putc(ret, '"');
    for (size_t i = 0; i < s.len;) {
        const uint8_t lead = (uint8_t)s.ptr[i];
        const size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        LM_ASSERT(i + len <= s.len);
        uint32_t code = len == 1 ? lead : lead & (0xffu >> (len + 1));
        for (size_t k = 1; k < len; k++)
            code = code << 6 | ((uint8_t)s.ptr[i + k] & 0x3f);
        const bool plain = (lead >= '0' && lead <= '9') || (lead >= 'a' && lead <= 'z');
        if (plain)
            lm_buf_putc(ret, (char)lead);
        else
            lm_buf_printf(ret, "\\U%08x", code);
        i += len;
    }
    lm_buf_putc(ret, '"');
}

static void write_tree(const struct lm_yaml *node, struct lm_buf *ret)
{
    if (node->kind == LM_YAML_SCALAR) {
        write_text(node->value, ret);
        return;
    }
    const bool map = node->kind == LM_YAML_MAP;
    lm_buf_putc(ret, map ? '{' : '[');
    for (const struct lm_yaml *child = node->child; child; child = child->next) {
        if (map) {
            lm_buf_puts(ret, "? ");   // a key may be longer than the 1024 bytes of a simple one
            write_text(child->key, ret);
            lm_buf_puts(ret, " : ");
        }
        write_tree(child, ret);
        if (child->next)
            lm_buf_putc(ret, ',');
    }
    lm_buf_putc(ret, map ? '}' : ']');
}

/* The lines of a map rise, since they are those of its keys. */
static void check_lines(const struct lm_yaml *node)
{
    size_t line = node->line;
    for (const struct lm_yaml *child = node->child; child; child = child->next) {
        LM_ASSERT(child->line >= line);
        line = child->line;
        check_lines(child);
    }
    LM_ASSERT(node->value.ptr[node->value.len] == '\0' && node->key.ptr[node->key.len] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_arena arena = { 0 };
    struct lm_buf once = { 0 }, twice = { 0 };
    struct lm_err err = { 0 };
    const struct lm_yaml *root = NULL;
    const struct lm_str text = { (const char *)data, size };
    const enum lm_rc rc = lm_yaml_parse(text, "fuzz", &arena, &root, &err);
    LM_ASSERT(rc == LM_OK || err.text[0]);
    if (rc == LM_OK) {
        check_lines(root);
        write_tree(root, &once);
    }
    if (rc == LM_OK && once.len <= LM_YAML_BYTES_MAX) {
        LM_ASSERT(lm_yaml_parse(lm_buf_str(&once), "again", &arena, &root, &err) == LM_OK);
        write_tree(root, &twice);
        LM_ASSERT(lm_str_eq(lm_buf_str(&once), lm_buf_str(&twice)));
    }
    lm_buf_release(&once);
    lm_buf_release(&twice);
    lm_arena_release(&arena);
    return 0;
}
