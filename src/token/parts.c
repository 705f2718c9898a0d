/* token/parts.c - from the arrays of a GGUF file to a tokenizer.
 *
 * The arrays are checked, written as tokenizer.json, and that is loaded: what a GGUF file means and what its
 * tokenizer.json means cannot differ. */
#include "token/load_other.h"
#include "token/parts_impl.h"

#include "text/text.h"

#define SPLIT(pattern)                                                                                       \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"Isolated\",\"invert\":"      \
    "false}"
#define BYTES(regex)                                                                                         \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":" regex "}"
#define SEQUENCE(items) "{\"type\":\"Sequence\",\"pretokenizers\":[" items "]}"

#define BLANKS "|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define SHORT "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define UPPER "[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]"
#define LOWER "[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]"
#define CASED(short, digits)                                                                                 \
    "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" UPPER "*" LOWER                                                         \
    "+" short "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" UPPER "+" LOWER                                              \
              "*" short "|" digits "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*" BLANKS

static const char o200k[] = SEQUENCE(SPLIT(CASED(SHORT "?", "\\\\p{N}{1,3}")) "," BYTES("false"));
static const char tekken[] = SEQUENCE(SPLIT(CASED("", "\\\\p{N}")) "," BYTES("false"));
static const char qwen35[] =
    SEQUENCE(SPLIT(SHORT "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{L}\\\\p{M}]+|\\\\p{N}"
                         "| ?[^\\\\s\\\\p{L}\\\\p{M}\\\\p{N}]+[\\\\r\\\\n]*" BLANKS) "," BYTES("false"));
static const char deepseek3[] =
    SEQUENCE(SPLIT("\\\\p{N}{1,3}") "," SPLIT("[\\u4e00-\\u9fa5\\u3040-\\u309f\\u30a0-\\u30ff]+") "," SPLIT(
        "[!\\\"#$%&'()*+,\\\\-./:;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+"
        "|[^\\\\r\\\\n\\\\p{L}\\\\p{P}\\\\p{S}]?[\\\\p{L}\\\\p{M}]+| "
        "?[\\\\p{P}\\\\p{S}]+[\\\\r\\\\n]*" BLANKS) "," BYTES("false"));
static const char falcon[] = SEQUENCE(SPLIT("[\\\\p{P}\\\\$\\\\+<=>\\\\^~\\\\|`]+") "," SPLIT(
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| "
    "?\\\\p{N}+| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!"
    "\\\\S)") "," SPLIT("[0-9][0-9][0-9]") "," BYTES("false"));

static const char deepseek_coder[] =
    SEQUENCE(SPLIT("[\\\\r\\\\n]") "," SPLIT("\\\\s?\\\\p{L}+") "," SPLIT("\\\\s?\\\\p{P}+") "," SPLIT(
        "[\\u4e00-\\u9fa5\\u0800-\\u4e00\\uac00-\\ud7ff]+") "," SPLIT("\\\\p{N}") "," BYTES("false"));
static const char spark[] = SEQUENCE(SPLIT("\\\\p{N}{1,3}") "," SPLIT(
    "[\\u4e00-\\u9fa5\\u3040-"
    "\\u309f\\u30a0-\\u30ff]+") "," SPLIT("[!\\\"#$%&'()*+,\\\\-./"
                                          ":;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+|[^"
                                          "\\\\r\\\\n\\\\p{L}\\\\p{P}\\\\p{S}]?[\\\\p{L}\\\\p{M}]"
                                          "+| "
                                          "?[\\\\p{P}\\\\p{S}]+|[\\\\r\\\\n]|\\\\s+(?!\\\\S)|"
                                          "\\\\s+") "," SPLIT("\\\\p{N}") "," BYTES("false"));
static const char youtu[] = SEQUENCE(SPLIT(
    "[\\uac00-\\ud7a3\\u3131-\\u318e]+|["
    "\\uff01\\u2026\\u201c\\u201d\\u2018\\u2019\\u2014\\uff1a\\uff1b\\"
    "uff0c\\u3001-\\u303f\\ufe30-\\ufe4f]+|[\\u3105-\\u312f]+|["
    "\\u4e00-\\u9fa5\\u3040-\\u309f\\u30a0-\\u30ff]+") "," SPLIT("[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}"
                                                                 "\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]*["
                                                                 "\\\\p{Ll}\\\\p{Lm}\\\\p{"
                                                                 "Lo}\\\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
                                                                 "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}"
                                                                 "\\\\p{Lt}\\\\p{Lm}"
                                                                 "\\\\p{Lo}\\\\p{M}]+[\\\\p{Ll}\\\\p{Lm}"
                                                                 "\\\\p{Lo}\\\\p{M}]*(?i:'s|'t|'re|'ve|'m|'"
                                                                 "ll|'d)?|\\\\p{N}| "
                                                                 "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/"
                                                                 "]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|"
                                                                 "\\\\s+") "," BYTES("fals"
                                                                                     "e"));
static const char bloom[] =
    SEQUENCE(SPLIT(" ?[^(\\\\s|.,!?\\u2026\\u3002\\uff0c\\u3001\\u0964\\u06d4\\u060c)]+") "," BYTES("false"));
static const char viking[] =
    SEQUENCE(SPLIT(" ?[^(\\\\s|.,!?\\u2026\\u3002\\uff0c\\u3001\\u0964\\u06d4\\u060c)]+") "," SPLIT(
        "\\\\p{N}") "," BYTES("false"));
static const char chameleon[] = SEQUENCE(SPLIT("<sentinel:[0-9]+>") "," SPLIT(
    "(IMGIMG)((A|B|C|D|E|F|G|H|I){"
    "1,4})Z") "," SPLIT("([\\\\t\\\\n]|    "
                        "|  )") "," SPLIT("\\\\p{N}") "," SPLIT("[\\\\p{P}!-/:-@\\\\[-`{-~]") "," SPLIT("'s|'"
                                                                                                        "t|'"
                                                                                                        "re|'"
                                                                                                        "ve|'"
                                                                                                        "m|'"
                                                                                                        "ll|'"
                                                                                                        "d|"
                                                                                                        " ?"
                                                                                                        "\\\\"
                                                                                                        "p{L}"
                                                                                                        "+| "
                                                                                                        "?\\"
                                                                                                        "\\p{"
                                                                                                        "N}+|"
                                                                                                        " "
                                                                                                        "?[^"
                                                                                                        "\\\\"
                                                                                                        "s\\"
                                                                                                        "\\p{"
                                                                                                        "L}"
                                                                                                        "\\\\"
                                                                                                        "p{N}"
                                                                                                        "]+|"
                                                                                                        "\\\\"
                                                                                                        "s+(?"
                                                                                                        "!"
                                                                                                        "\\\\"
                                                                                                        "S)|"
                                                                                                        "\\\\"
                                                                                                        "s+") "," BYTES("false"));
static const char bailing[] = SEQUENCE(SPLIT(
    "'(?i:[sdmt]|ll|ve|re)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]|\\\\s+(?!\\\\S)|\\\\s+") "," BYTES("false"));
static const char seed_coder[] = SEQUENCE(SPLIT(
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "
    "?[^\\\\s\\\\p{L}\\\\p{N}\\\\r\\\\n]+|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+") "," BYTES("false"));
static const char ufakzeka[] = SEQUENCE(SPLIT(
    "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+") "," BYTES("false"));
static const char laguna[] = SEQUENCE(SPLIT("[^\\\\n]+|[\\\\n]+") "," SPLIT(
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+") "," BYTES("false"));
static const char minicpm5[] = SEQUENCE(SPLIT("\\\\p{N}{1,3}") "," SPLIT(
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}+| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+") "," BYTES("false"));
static const char kimi[] = SEQUENCE(SPLIT(
    "[\\\\p{Han}]+|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}&&[^\\\\p{Han}]"
    "]*[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}&&[^\\\\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\\\r\\\\n\\\\p{"
    "L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}&&[^\\\\p{Han}]]+[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}"
    "\\\\p{M}&&[^\\\\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\\\p{N}{1,3}| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+") "," BYTES("false"));
static const char exaone_moe[] = SEQUENCE(SPLIT(
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?(?:\\\\p{L}\\\\p{M}*(?: "
    "\\\\p{L}\\\\p{M}*)*)+|\\\\p{N}| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]?|\\\\s*[\\\\r\\\\n]|\\\\s+(?!\\\\S)|\\\\s+") "," BYTES("false"));

/* Not here: patterns that look ahead without bound (superbpe, tiny_aya, cohere2moe, afmoe), tokens that are
 * no bytes (gemma4, granite-embed-multi-311m, sarvam-moe, whitespace), a second end token (jina-v1-en,
 * jina-v2-code, roberta-bpe), deepseek-llm, jais-2, and default, which means that nobody knows. */
// clang-format off
const struct lm_parts_pre lm_parts_pre[LM_PARTS_PRE_COUNT] = {
    { "gpt-2",            LM_GRAMMAR_GPT2 },
    { "phi-2",            LM_GRAMMAR_GPT2 },
    { "mpt",              LM_GRAMMAR_GPT2,   .nfc = true },
    { "olmo",             LM_GRAMMAR_GPT2,   .nfc = true },
    { "smollm",           LM_GRAMMAR_SMOLLM },
    { "starcoder",        LM_GRAMMAR_SMOLLM },
    { "refact",           LM_GRAMMAR_SMOLLM },
    { "codeshell",        LM_GRAMMAR_SMOLLM },
    { "command-r",        LM_GRAMMAR_SMOLLM, .nfc = true },
    { "llama-bpe",        LM_GRAMMAR_LLAMA3, .ignore_merges = true, .add_bos = true },
    { "llama3",           LM_GRAMMAR_LLAMA3, .ignore_merges = true, .add_bos = true },
    { "llama-v3",         LM_GRAMMAR_LLAMA3, .ignore_merges = true, .add_bos = true },
    { "falcon3",          LM_GRAMMAR_LLAMA3, .ignore_merges = true, .add_bos = true },
    { "dbrx",             LM_GRAMMAR_LLAMA3 },
    { "smaug-bpe",        LM_GRAMMAR_LLAMA3 },
    { "glm4",             LM_GRAMMAR_LLAMA3, .ignore_merges = true },
    { "chatglm-bpe",      LM_GRAMMAR_LLAMA3 },
    { "qwen2",            LM_GRAMMAR_QWEN2,  .nfc = true },
    { "deepseek-r1-qwen", LM_GRAMMAR_QWEN2,  .nfc = true },
    { "megrez",           LM_GRAMMAR_QWEN2,  .nfc = true },
    { "qwen35",           LM_GRAMMAR_COUNT,  qwen35, .nfc = true },
    { "gpt-4o",           LM_GRAMMAR_COUNT,  o200k },
    { "llama4",           LM_GRAMMAR_COUNT,  o200k },
    { "minimax-m2",       LM_GRAMMAR_COUNT,  o200k },
    { "tekken",           LM_GRAMMAR_COUNT,  tekken, .ignore_merges = true, .add_bos = true },
    { "deepseek-v3",      LM_GRAMMAR_COUNT,  deepseek3 },
    { "deepseek-r1",      LM_GRAMMAR_COUNT,  deepseek3 },
    { "hunyuan-dense",    LM_GRAMMAR_COUNT,  deepseek3 },
    { "falcon",           LM_GRAMMAR_COUNT,  falcon },
    { "jina-es",           LM_GRAMMAR_GPT2 },
    { "jina-de",           LM_GRAMMAR_GPT2 },
    { "jina-v2-es",        LM_GRAMMAR_GPT2 },
    { "jina-v2-de",        LM_GRAMMAR_GPT2 },
    { "gigachat",          LM_GRAMMAR_GPT2 },
    { "a.x-4.0",           LM_GRAMMAR_GPT2 },
    { "mellum",            LM_GRAMMAR_GPT2 },
    { "jais",              LM_GRAMMAR_GPT2 },
    { "trillion",          LM_GRAMMAR_GPT2 },
    { "granite-docling",   LM_GRAMMAR_GPT2 },
    { "exaone4",           LM_GRAMMAR_GPT2 },
    { "modern-bert",       LM_GRAMMAR_GPT2, .nfc = true },
    { "exaone",            LM_GRAMMAR_SMOLLM },
    { "minerva-7b",        LM_GRAMMAR_SMOLLM },
    { "mellum2",           LM_GRAMMAR_SMOLLM },
    { "falcon-h1",         LM_GRAMMAR_LLAMA3, .ignore_merges = true, .add_bos = true },
    { "pixtral",           LM_GRAMMAR_LLAMA3, .ignore_merges = true, .add_bos = true },
    { "midm-2.0",          LM_GRAMMAR_LLAMA3, .ignore_merges = true, .add_bos = true },
    { "lfm2",              LM_GRAMMAR_LLAMA3, .ignore_merges = true, .add_bos = true },
    { "jina-v5-nano",      LM_GRAMMAR_LLAMA3, .ignore_merges = true, .add_bos = true },
    { "glm5",              LM_GRAMMAR_LLAMA3, .ignore_merges = true },
    { "f2llmv2",           LM_GRAMMAR_QWEN2, .nfc = true },
    { "kormo",             LM_GRAMMAR_QWEN2 },
    { "stablelm2",         LM_GRAMMAR_QWEN2 },
    { "hunyuan",           LM_GRAMMAR_QWEN2 },
    { "solar-open",        LM_GRAMMAR_QWEN2 },
    { "grok-2",            LM_GRAMMAR_QWEN2 },
    { "kanana2",           LM_GRAMMAR_COUNT, o200k },
    { "talkie",            LM_GRAMMAR_COUNT, o200k },
    { "granite-embed-multi-97m",LM_GRAMMAR_COUNT, o200k, .ignore_merges = true },
    { "hy_v4",             LM_GRAMMAR_COUNT, deepseek3 },
    { "joyai-llm",         LM_GRAMMAR_COUNT, deepseek3 },
    { "deepseek-coder",    LM_GRAMMAR_COUNT, deepseek_coder },
    { "spark2_5",          LM_GRAMMAR_COUNT, spark },
    { "youtu",             LM_GRAMMAR_COUNT, youtu, .ignore_merges = true },
    { "poro-chat",         LM_GRAMMAR_COUNT, bloom },
    { "bloom",             LM_GRAMMAR_COUNT, bloom },
    { "gpt3-finnish",      LM_GRAMMAR_COUNT, bloom },
    { "viking",            LM_GRAMMAR_COUNT, viking },
    { "chameleon",         LM_GRAMMAR_COUNT, chameleon, .add_bos = true },
    { "bailingmoe",        LM_GRAMMAR_COUNT, bailing },
    { "bailingmoe2",       LM_GRAMMAR_COUNT, bailing },
    { "llada-moe",         LM_GRAMMAR_COUNT, bailing },
    { "seed-coder",        LM_GRAMMAR_COUNT, seed_coder },
    { "ufakzeka",          LM_GRAMMAR_COUNT, ufakzeka },
    { "laguna",            LM_GRAMMAR_COUNT, laguna },
    { "minicpm5",          LM_GRAMMAR_COUNT, minicpm5, .ignore_merges = true },
    { "kimi-k2",           LM_GRAMMAR_COUNT, kimi, .ignore_merges = true },
    { "exaone-moe",        LM_GRAMMAR_COUNT, exaone_moe },
};
// clang-format on

/* ---- roles and kinds ---- */

#define AT(field) offsetof(struct lm_tokenizer_parts, field)
static const size_t role_offsets[LM_ROLE_COUNT] = {
    [LM_ROLE_BOS] = AT(bos_id),   [LM_ROLE_EOS] = AT(eos_id), [LM_ROLE_UNK] = AT(unk_id),
    [LM_ROLE_PAD] = AT(pad_id),   [LM_ROLE_SEP] = AT(sep_id), [LM_ROLE_CLS] = AT(cls_id),
    [LM_ROLE_MASK] = AT(mask_id), [LM_ROLE_EOT] = AT(eot_id),
};
#undef AT

int64_t lm_parts_role(const struct lm_tokenizer_parts *p, size_t role)
{
    return *(const int64_t *)((const char *)p + role_offsets[role]);
}

void lm_parts_set_role(struct lm_tokenizer_parts *p, size_t role, int64_t id)
{
    *(int64_t *)((char *)p + role_offsets[role]) = id;
}

enum lm_token_kind lm_parts_kind(const struct lm_tokenizer_parts *p, size_t id)
{
    static const enum lm_token_role openers[] = { LM_ROLE_BOS, LM_ROLE_EOS,  LM_ROLE_SEP,
                                                  LM_ROLE_CLS, LM_ROLE_MASK, LM_ROLE_EOT };
    static const enum lm_token_kind kinds[] = {
        [LM_TOKEN_NORMAL] = LM_TOKEN_MODEL,    [LM_TOKEN_UNKNOWN] = LM_TOKEN_SPECIAL,
        [LM_TOKEN_CONTROL] = LM_TOKEN_SPECIAL, [LM_TOKEN_USER_DEFINED] = LM_TOKEN_ADDED,
        [LM_TOKEN_UNUSED] = LM_TOKEN_MODEL,    [LM_TOKEN_BYTE] = LM_TOKEN_MODEL,
    };
    for (size_t i = 0; i < sizeof(openers) / sizeof(openers[0]); i++)
        if (lm_parts_role(p, openers[i]) == (int64_t)id)
            return LM_TOKEN_SPECIAL;
    if (lm_str_eq(p->model, LM_STR("bert")) && (p->unk_id == (int64_t)id || p->pad_id == (int64_t)id))
        return LM_TOKEN_SPECIAL;
    return p->types ? kinds[p->types[id]] : LM_TOKEN_MODEL;
}

/* ---- checks that do not depend on the model ---- */

static enum lm_rc check_texts(const char *name, const char *what, const struct lm_str *texts, size_t count,
                              struct lm_err *err)
{
    for (size_t i = 0; i < count; i++)
        if (texts[i].len == 0 || !lm_utf8_valid(texts[i]))
            return lm_fail(err, LM_EFORMAT, "%s: %s[%zu] is %s", name, what, i,
                           texts[i].len == 0 ? "empty" : "not UTF-8");
    return LM_OK;
}

enum lm_rc lm_parts_check(const struct lm_tokenizer_parts *p, const char *name, struct lm_err *err)
{
    if (p->token_count == 0 || p->token_count > LM_VOCAB_SIZE_MAX)
        return lm_fail(err, LM_EFORMAT, "%s: tokenizer.ggml.tokens has %zu tokens, outside 1..%d", name,
                       p->token_count, LM_VOCAB_SIZE_MAX);
    LM_TRY(check_texts(name, "tokenizer.ggml.tokens", p->tokens, p->token_count, err));
    LM_TRY(check_texts(name, "tokenizer.ggml.merges", p->merges, p->merge_count, err));
    for (size_t i = 0; p->types && i < p->token_count; i++)
        if (p->types[i] < LM_TOKEN_NORMAL || p->types[i] > LM_TOKEN_BYTE)
            return lm_fail(err, LM_EFORMAT, "%s: tokenizer.ggml.token_type[%zu] is %d, outside %d..%d", name,
                           i, (int)p->types[i], LM_TOKEN_NORMAL, LM_TOKEN_BYTE);
    for (size_t role = 0; role < LM_ROLE_COUNT; role++)
        if (lm_parts_role(p, role) < -1 || lm_parts_role(p, role) >= (int64_t)p->token_count)
            return lm_fail(err, LM_EFORMAT,
                           "%s: a tokenizer.ggml.*_token_id is %lld, but the vocabulary has %zu tokens", name,
                           (long long)lm_parts_role(p, role), p->token_count);
    return LM_OK;
}

/* ---- the models ---- */

static const struct {
    const char *name;
    enum lm_rc (*write)(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                        struct lm_err *err);
} models[] = {
    { "gpt2", lm_parts_write_bytes },
    { "llama", lm_parts_write_pieces },
    { "bert", lm_parts_write_words },
    { "t5", lm_parts_write_unigram },
};

static enum lm_rc write_json(const struct lm_tokenizer_parts *p, const char *name, struct lm_buf *ret,
                             struct lm_err *err)
{
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
        if (lm_str_eq(p->model, lm_str(models[i].name)))
            return models[i].write(p, name, ret, err);
    return lm_fail(err, LM_EFORMAT, "%s: tokenizer.ggml.model '%.*s' is not supported", name,
                   p->model.len < 40 ? (int)p->model.len : 40, p->model.ptr);
}

enum lm_rc lm_tokenizer_from_parts(const struct lm_tokenizer_parts *parts, const char *name,
                                   struct lm_tokenizer **ret, struct lm_err *err)
{
    struct lm_buf json = { 0 };
    struct lm_tokenizer *t = NULL;
    LM_TRY(lm_parts_check(parts, name, err));
    enum lm_rc rc = write_json(parts, name, &json, err);
    if (rc == LM_OK)
        rc = (parts->charsmap.len > 0 || lm_str_eq(parts->model, LM_STR("t5"))
                  ? lm_tokenizer_parse
                  : lm_tokenizer_parse_usual)(lm_buf_str(&json), name, &t, err);
    lm_buf_release(&json);
    LM_TRY(rc);
    for (size_t role = 0; role < LM_ROLE_COUNT; role++)
        if (lm_parts_role(parts, role) >= 0)
            t->roles[role] = (uint32_t)lm_parts_role(parts, role);
    lm_buf_add_str(&t->chat_template, parts->chat_template);
    lm_tokenizer_find_roles(t);
    *ret = t;
    return LM_OK;
}
