/* A Hugging Face folder as a model. */
#include "base/yaml.h"
#include "model/hf_config.h"
#include "model/source.h"

static const struct {
    enum lm_dtype dtype;
    enum lm_type type;
} types[] = { { LM_F32, LM_TYPE_F32 }, { LM_F16, LM_TYPE_F16 }, { LM_BF16, LM_TYPE_BF16 } };

static struct lm_stored stored_of(const struct lm_tensor_view *v, struct lm_arena *arena)
{
    struct lm_stored s = {
        .name = lm_arena_strndup(arena, v->name.ptr, v->name.len),
        .type_name = lm_dtype_names[v->dtype],
        .type = LM_TYPE_COUNT,
        .dims = v->dims,
        .data = v->data,
    };
    memcpy(s.shape, v->shape, sizeof s.shape);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].dtype == v->dtype)
            s.type = types[i].type;
    return s;
}

static void list_tensors(struct lm_model_source *s)
{
    size_t count = 0;
    for (size_t f = 0; f < s->shards.count; f++)
        count += s->shards.files[f].count;
    s->stored = lm_zalloc(count + 1, sizeof *s->stored);
    for (size_t f = 0; f < s->shards.count; f++)
        for (size_t i = 0; i < s->shards.files[f].count; i++)
            s->stored[s->stored_count++] = stored_of(&s->shards.files[f].tensors[i], &s->arena);
    lm_source_sort(s);
}

/* ---- notes: the YAML block between two lines "---" at the head of README.md ---- */

enum { CARD_BYTES_MAX = 4 << 20 };

static void add_note(struct lm_model_source *s, const struct lm_yaml *node)
{
    struct lm_buf text = { 0 };
    if (node->kind == LM_YAML_SCALAR)
        lm_buf_add_str(&text, node->value);
    else if (node->kind == LM_YAML_LIST)
        for (const struct lm_yaml *item = node->child; item; item = item->next) {
            if (item->kind != LM_YAML_SCALAR)
                continue;
            lm_buf_puts(&text, text.len ? ", " : "");
            lm_buf_add_str(&text, item->value);
        }
    if (text.len)
        lm_source_note(s, node->key, lm_buf_str(&text));
    lm_buf_release(&text);
}

/* A model card is written for people: one that cannot be read says nothing, and is no error. */
static void add_notes(struct lm_model_source *s, const char *dir)
{
    LM_FREE char *path = lm_path_join(dir, "README.md");
    struct lm_buf text = { 0 };
    struct lm_arena arena = { 0 };
    const struct lm_yaml *root = NULL;
    if (lm_path_exists(path) && lm_file_read(path, CARD_BYTES_MAX, &text, NULL) == LM_OK &&
        lm_str_starts(lm_buf_str(&text), LM_STR("---\n"))) {
        struct lm_str head = { text.ptr + 4, text.len - 4 };
        const ptrdiff_t end = lm_str_find(head, LM_STR("\n---"));
        if (end >= 0) {
            head.len = (size_t)end + 1;
            if (lm_yaml_parse(head, path, &arena, &root, NULL) == LM_OK && root->kind == LM_YAML_MAP)
                for (const struct lm_yaml *node = root->child; node; node = node->next)
                    add_note(s, node);
        }
    }
    lm_arena_release(&arena);
    lm_buf_release(&text);
}

enum lm_rc lm_source_open_hf(struct lm_model_source *s, const char *dir, struct lm_model *ret,
                             struct lm_err *err)
{
    uint32_t biases;
    s->naming = LM_NAMING_HF;
    LM_TRY(lm_hf_config_load(dir, &ret->config, &biases, err));
    LM_TRY(lm_hf_shards_open(&s->shards, dir, err));
    s->name = s->shards.name;
    list_tensors(s);
    add_notes(s, dir);
    return lm_source_place(s, ret, lm_archs[ret->config.arch].required | biases, 0, err);
}
