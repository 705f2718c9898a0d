#ifndef LM_TOKEN_LOAD_H
#define LM_TOKEN_LOAD_H
/* token/load.h - what the files that read tokenizer.json share: load.c has its structure, vocabulary and
 * merges; load_bytes.c, load_pieces.c, load_words.c the components of each family by name; load_added.c and
 * load_post.c those that all have; load_folder.c the files beside. */

#include "base/json.h"
#include "token/tokenizer_impl.h"

#include <jansson.h>
#include <pthread.h>

/* Merges as they are read: load_merge_lines.c. */
enum { LM_MERGE_SPARE = 8 };   // bytes behind the last side that may be read
struct lm_merge_lines {
    struct lm_token_load *l;
    struct lm_str json;
    struct lm_buf bytes;   // sides of all lines, one behind the other
    uint32_t (*ends)[2];   // [count] of the sides of a line
    size_t count, room;
    struct lm_arena arena;
    pthread_t thread;   // that reads them, when running
    bool running;
    enum lm_rc rc;
    struct lm_err err;
};

struct lm_token_load {
    struct lm_tokenizer *t;
    const struct lm_compiled *compiled;   // where vocabulary and merges lie; NULL: in the text
    const struct lm_load_family *family;
    const char *name;   // of the file, for messages
    struct lm_arena arena;
    struct lm_buf bytes;   // of one token
    struct lm_merge_lines lines;
    bool ranks;              // lm_tokenizer_parse_ranks
    bool *made;              // [vocab.size] some merge makes the token
    json_t *unknown;         // unk_token of the model; NULL or null when it has none
    uint32_t byte_id[256];   // of <0x00>.., LM_TOKEN_NONE: not there; LM_FAMILY_PIECES and chains
    bool cls_is_first;       // a post-processor has put a token before the text
    bool chain;              // whatever it is, as a chain: load_chain.h
    double *scores;          // [scored] of a Unigram model
    size_t scored, scores_cap;
    uint32_t unknown_id;     // unk_id of it; LM_TOKEN_NONE: it has none
    json_t *sentencepiece;   // LM_CHAIN_SENTENCEPIECE; NULL or no object: it is none
};

/* A model option and the values of it that are supported. */
struct lm_model_option {
    const char *key;
    const char *allowed;   // JSON texts, separated by blanks; NULL: any
};

/* How one family of tokenizers is written in tokenizer.json. */
struct lm_load_family {
    enum lm_token_family id;
    const char *model, *decoder;             // their types
    const struct lm_model_option *options;   // of the model; the last has no key
    bool has_merges;
    enum lm_rc (*normalizer)(struct lm_token_load *l, const json_t *n, struct lm_err *err);
    enum lm_rc (*pre_tokenizer)(struct lm_token_load *l, const json_t *p, struct lm_err *err);
    enum lm_rc (*decode)(struct lm_token_load *l, const json_t *d, struct lm_err *err);
    enum lm_rc (*option)(struct lm_token_load *l, const char *key, struct lm_str value, struct lm_err *err);
    /* Appends what a token stands for, no more bytes than it is written with; false when merges have nothing
     * to do with it.  Two threads may ask. */
    bool (*spell)(struct lm_token_load *l, struct lm_str text, struct lm_buf *ret);
    void (*place)(struct lm_token_load *l, struct lm_str text, uint32_t id);   // NULL, or notes a token's id
    enum lm_rc (*finish)(struct lm_token_load *l, struct lm_err *err);         // all else is loaded
    /* How vocabulary and merges are read; NULL: as an object, as lm_load_merges does. */
    enum lm_rc (*vocab)(struct lm_token_load *l, struct lm_str json, struct lm_err *err);
    enum lm_rc (*merges)(struct lm_token_load *l, struct lm_str json, struct lm_err *err);
};
extern const struct lm_load_family lm_load_bytes, lm_load_pieces, lm_load_words;

/* A component as a tree; "" is null. */
enum lm_rc lm_load_part(struct lm_token_load *l, const char *part, struct lm_str json, json_t **ret,
                        struct lm_err *err);
const char *lm_load_type(const json_t *component);   // of "type"; never NULL
bool lm_load_is(const json_t *component, const char *type);

extern const char lm_gpt2_pattern[];   // of ByteLevel with use_regex: load_splits.c

/* The pattern of a Split whose pieces are its matches and what lies between, if that is not removed; else
 * NULL. */
json_t *lm_load_split_regex(const json_t *component);

enum lm_rc lm_load_refuse(struct lm_token_load *l, const char *part, const json_t *component,
                          struct lm_err *err);
enum lm_rc lm_load_refuse_option(struct lm_token_load *l, const char *part, const json_t *component,
                                 const char *option, struct lm_err *err);

/* The items of a Sequence, or the component itself; NULL behind the last. */
const json_t *lm_load_item(const json_t *component, const char *list, size_t index);

void lm_load_tree_free(json_t **value);
#define LM_TREE_FREE __attribute__((cleanup(lm_load_tree_free)))

/* A token of the vocabulary and its id, as they are written. */
enum lm_rc lm_load_put_token(struct lm_token_load *l, struct lm_str text, struct lm_str number,
                             struct lm_err *err);

/* A token that merges may use; LM_TOKEN_NONE for special ones, so that no text can make them. */
uint32_t lm_load_find(const struct lm_token_load *l, struct lm_str bytes);

/* unk_token as an id, LM_TOKEN_NONE when the model has none; one that is not in the vocabulary is refused. */
enum lm_rc lm_load_unknown(struct lm_token_load *l, uint32_t *ret, struct lm_err *err);

/* pre_tokenizer of a byte-level tokenizer: load_splits.c. */
enum lm_rc lm_load_splits(struct lm_token_load *l, const json_t *p, struct lm_err *err);

/* model.merges: begins to read them, beside what the caller does next; waits until they are read; puts them
 * into t->bpe (load_merge_list.c).  stop: at the end, whether or not anything was started. */
void lm_load_merges_start(struct lm_token_load *l, struct lm_str json);
enum lm_rc lm_load_merges_wait(struct lm_token_load *l, struct lm_err *err);
enum lm_rc lm_load_merges(struct lm_token_load *l, struct lm_err *err);
void lm_load_merges_stop(struct lm_token_load *l);
enum lm_rc lm_load_merge_unknown(const struct lm_token_load *l, size_t number, struct lm_str side,
                                 struct lm_err *err);
/* One merge, its value begun: "a b" or ["a","b"].  The sides live as long as the reader's arena or text. */
enum lm_rc lm_load_merge_sides(const struct lm_token_load *l, struct lm_json_reader *r,
                               enum lm_json_kind kind, size_t number, struct lm_str *ret_left,
                               struct lm_str *ret_right, struct lm_err *err);

/* A model of whole words is read: its unknown token, which it must have, and its longest one. */
enum lm_rc lm_load_words_end(struct lm_token_load *l, struct lm_err *err);

/* Each gets the JSON text of its part ("" when the file has none). */
enum lm_rc lm_load_options(struct lm_token_load *l, const struct lm_str *values, struct lm_err *err);
enum lm_rc lm_load_added(struct lm_token_load *l, struct lm_str json, struct lm_err *err);
enum lm_rc lm_load_post_processor(struct lm_token_load *l, struct lm_str json, struct lm_err *err);

/* tokenizer_config.json and chat_template.jinja of a folder, where they are: roles and the chat template. */
enum lm_rc lm_load_companions(struct lm_tokenizer *t, const char *dir, struct lm_err *err);

/* The file as a tree, numbers as real; nothing happens when it is not there. */
enum lm_rc lm_load_config(const char *path, json_t **ret, struct lm_err *err);

/* vocab.txt of a folder as tokenizer.json: BERT's vocabulary, with the options of tokenizer_config.json. */
enum lm_rc lm_load_vocab_txt(const char *dir, const char *path, struct lm_buf *ret, struct lm_err *err);

/* Behind the string, or the value, that starts at `at`, a place before `end`; NULL: it does not end. Brackets
 * and quotes are looked at, nothing else. */
const char *lm_load_string_end(const char *at, const char *end);
const char *lm_load_value_end(const char *at, const char *end);
size_t lm_load_count(struct lm_str text, char byte);   // how many of these bytes are in text

#endif
