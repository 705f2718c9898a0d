/* token/load_merges.c - GPT-2's two files: vocab.json, and merges.txt with "left right" a line. */
#include "token/load_other.h"

#include "base/file.h"
#include "base/json.h"
#include "text/text.h"
#include "token/write.h"

enum { FILE_BYTES_MAX = 256 << 20 };

static enum lm_rc write_merges(struct lm_str file, const char *name, struct lm_buf *ret, struct lm_err *err)
{
    struct lm_str rest = file, right;
    for (size_t number = 1; rest.len > 0 && lm_str_split(&rest, '\n', &right); number++) {
        struct lm_str left;
        if (lm_str_ends(right, LM_STR("\r")))
            right.len--;
        if (right.len == 0 || (number == 1 && lm_str_starts(right, LM_STR("#version"))))
            continue;
        const bool two = lm_str_find(right, LM_STR(" ")) > 0 && lm_str_split(&right, ' ', &left);
        if (!two || right.len == 0 || !lm_utf8_valid(left) || !lm_utf8_valid(right))
            return lm_fail(err, LM_EFORMAT, "%s:%zu: not two tokens and a blank", name, number);
        lm_parts_write_merge(left, right, ret);
    }
    return LM_OK;
}

/* additional_special_tokens of tokenizer_config.json: texts, each once, without those that are done. */
static void write_more(const json_t *config, const json_t *vocab, const char *const *done, size_t done_count,
                       struct lm_buf *ret)
{
    const json_t *list = json_object_get(config, "additional_special_tokens");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        const json_t *id = text ? json_object_get(vocab, text) : NULL;
        bool known = !json_is_integer(id);
        for (size_t k = 0; k < done_count && !known; k++)
            known = strcmp(done[k], text) == 0;
        if (!known)
            lm_write_added_token((uint32_t)json_integer_value(id), lm_str(text), true, ret);
    }
}

/* The special tokens that tokenizer_config.json names and the vocabulary has. */
static void write_special(const json_t *config, const json_t *vocab, struct lm_buf *ret)
{
    static const char *const usual[] = { "<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>", "<mask>" };
    static const char *const roles[] = { "bos_token", "eos_token", "unk_token", "pad_token" };
    const size_t role_count = sizeof(roles) / sizeof(roles[0]);
    const char *done[16];
    size_t count = 0;
    for (size_t i = 0; i < role_count + sizeof(usual) / sizeof(usual[0]); i++) {
        const json_t *role = i < role_count ? json_object_get(config, roles[i]) : NULL;
        if (json_is_object(role))
            role = json_object_get(role, "content");
        const char *text = i < role_count ? json_string_value(role) : usual[i - role_count];
        const json_t *id = text ? json_object_get(vocab, text) : NULL;
        bool known = !json_is_integer(id);
        for (size_t k = 0; k < count && !known; k++)
            known = strcmp(done[k], text) == 0;
        if (known)
            continue;
        done[count++] = text;
        lm_write_added_token((uint32_t)json_integer_value(id), lm_str(text), true, ret);
    }
    write_more(config, vocab, done, count, ret);
}

enum lm_rc lm_load_vocab_and_merges(struct lm_str vocab, struct lm_str merges, const json_t *config,
                                    const char *dir, struct lm_buf *ret, struct lm_err *err)
{
    json_error_t problem;
    LM_TREE_FREE json_t *tree = json_loadb(vocab.ptr, vocab.len, 0, &problem);
    if (!json_is_object(tree))
        return lm_fail(err, LM_EFORMAT, "%s/vocab.json: %s", dir, tree ? "not an object" : problem.text);
    LM_FREE char *merges_name = lm_path_join(dir, "merges.txt");
    lm_buf_puts(ret, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    write_special(config, tree, ret);
    lm_buf_puts(ret, "],\"normalizer\":null,\"pre_tokenizer\":");
    lm_write_byte_level(true, ret);
    lm_buf_puts(ret, ",\"post_processor\":");
    lm_write_byte_level(true, ret);
    lm_buf_puts(ret, ",\"decoder\":");
    lm_write_byte_level(true, ret);
    lm_buf_puts(ret, ",\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                     "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                     "\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":");
    lm_buf_add_str(ret, lm_str_trim(vocab));
    lm_buf_puts(ret, ",\"merges\":[");
    LM_TRY(write_merges(merges, merges_name, ret, err));
    lm_buf_puts(ret, "]}}");
    return LM_OK;
}

enum lm_rc lm_load_merges_txt(const char *dir, struct lm_buf *ret, struct lm_err *err)
{
    LM_FREE char *vocab_path = lm_path_join(dir, "vocab.json"),
                 *merges_path = lm_path_join(dir, "merges.txt");
    LM_FREE char *config_path = lm_path_join(dir, "tokenizer_config.json");
    struct lm_buf vocab = { 0 }, merges = { 0 };
    LM_TREE_FREE json_t *config = NULL;
    LM_TRY(lm_load_config(config_path, &config, err));
    enum lm_rc rc = lm_file_read(vocab_path, FILE_BYTES_MAX, &vocab, err);
    if (rc == LM_OK)
        rc = lm_file_read(merges_path, FILE_BYTES_MAX, &merges, err);
    if (rc == LM_OK)
        rc = lm_load_vocab_and_merges(lm_buf_str(&vocab), lm_buf_str(&merges), config, dir, ret, err);
    lm_buf_release(&vocab);
    lm_buf_release(&merges);
    return rc;
}
