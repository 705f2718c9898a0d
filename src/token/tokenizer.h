#ifndef LM_TOKEN_TOKENIZER_H
#define LM_TOKEN_TOKENIZER_H
/* token/tokenizer.h - byte-level BPE: train, load, encode, decode.
 *
 * Reads and writes Hugging Face's tokenizer.json, and gives the same ids.  Immutable after loading: one
 * tokenizer serves all threads; each thread that encodes owns an lm_encoder (cache and scratch). */

#include "base/err.h"
#include "base/mem.h"
#include "base/option.h"
#include "base/str.h"

struct lm_tokenizer;

/* From a tokenizer.json, or from the folder that holds it.  Strict: what is not supported is refused by name.
 */
enum lm_rc lm_tokenizer_load(const char *path, struct lm_tokenizer **ret, struct lm_err *err);
enum lm_rc lm_tokenizer_parse(struct lm_str json, const char *name, struct lm_tokenizer **ret,
                              struct lm_err *err);
/* The file that lm_tokenizer_load opens fastest, by its first bytes: its tables are used where they lie. With
 * it goes all that the folder said; it is for machines of this byte order. */
enum lm_rc lm_tokenizer_compile(const struct lm_tokenizer *t, struct lm_buf *ret, struct lm_err *err);
void lm_tokenizer_free(struct lm_tokenizer *t);

uint32_t lm_tokenizer_vocab_size(const struct lm_tokenizer *t);   // highest id + 1
struct lm_str lm_tokenizer_bytes(const struct lm_tokenizer *t,
                                 uint32_t id);   // what it stands for; a hole: ""
bool lm_tokenizer_is_special(const struct lm_tokenizer *t, uint32_t id);

/* The special token with this content; false when there is none. */
bool lm_tokenizer_find(const struct lm_tokenizer *t, struct lm_str content, uint32_t *ret);

/* Tokens with a role, as tokenizer_config.json of the folder or the keys of a GGUF file name them. */
enum lm_token_role {
    LM_ROLE_BOS,
    LM_ROLE_EOS,
    LM_ROLE_UNK,
    LM_ROLE_PAD,
    LM_ROLE_SEP,
    LM_ROLE_CLS,
    LM_ROLE_MASK,
    LM_ROLE_EOT,   // ends a turn; GGUF only
    LM_ROLE_COUNT
};
uint32_t lm_tokenizer_role(const struct lm_tokenizer *t, enum lm_token_role role);   // UINT32_MAX: none

/* The Jinja source that came along (tokenizer_config.json, chat_template.jinja, GGUF); "" when none did. */
struct lm_str lm_tokenizer_chat_template(const struct lm_tokenizer *t);

/* The special token that ends a document: by its usual names, else EOS, else the first; UINT32_MAX without
 * any. */
uint32_t lm_tokenizer_end_of_text(const struct lm_tokenizer *t);
const uint8_t *lm_tokenizer_sha256(const struct lm_tokenizer *t);   // of the tokenizer.json read, 32 bytes
struct lm_str lm_tokenizer_json(const struct lm_tokenizer *t);      // as read, to copy beside a model

struct lm_tokens {
    uint32_t *ids;
    size_t len, cap;
};
void lm_tokens_release(struct lm_tokens *tokens);

/* Makes now what else is made when much text has come, some milliseconds.  Never needed. */
void lm_tokenizer_prepare(const struct lm_tokenizer *t);

struct lm_encoder;
struct lm_encoder *lm_encoder_new(const struct lm_tokenizer *t);
void lm_encoder_free(struct lm_encoder *e);

/* An encoder of the same tokenizer for another thread: what one of them has learned, the other knows.  Each
 * belongs to one thread, is freed on its own, and gives the ids that it would give alone. */
struct lm_encoder *lm_encoder_beside(struct lm_encoder *other);

/* Appends the ids of `text`.  allow_special: text that spells a special token becomes that token; otherwise
 * it stays ordinary text.  Invalid UTF-8 is encoded byte by byte (decode gives the same bytes back). */
void lm_encode(struct lm_encoder *e, struct lm_str text, bool allow_special, struct lm_tokens *ret);

/* As many texts at once, with lm_threads() threads; large texts are cut where that makes no difference.  The
 * ids are those of lm_encode, appended in order; ret_ends[i], when ret_ends is not NULL, is the place in
 * ret->ids behind text i.  Needs no encoder. */
void lm_encode_batch(const struct lm_tokenizer *t, const struct lm_str *texts, size_t count,
                     bool allow_special, struct lm_tokens *ret, size_t *ret_ends);

/* Files of any size, each a text, with lm_threads() threads and in bounded memory (some megabytes a thread).
 * The ids of lm_encode are given out in order, `file` is an index into paths, `last` comes once for each
 * file. Needs regular files.  LM_ELIMIT for a text of more than 64 MB that can be broken nowhere:
 * token/breaks.h; what the files before have become, and what comes before that place, is given out then. */
typedef enum lm_rc lm_ids_sink(void *user, size_t file, const uint32_t *ids, size_t count, bool last,
                               struct lm_err *err);
enum lm_rc lm_encode_files(const struct lm_tokenizer *t, const char *const *paths, size_t count,
                           bool allow_special, lm_ids_sink *put, void *user, struct lm_err *err);

/* lm_encode with special tokens allowed everywhere but in the ranges of `plain`, which ascend and do not
 * overlap: what users wrote inside a chat template.  A special token that touches one is ordinary text. */
struct lm_span {
    size_t start, end;   // in bytes
};
void lm_encode_marked(struct lm_encoder *e, struct lm_str text, const struct lm_span *plain, size_t count,
                      struct lm_tokens *ret);

/* lm_encode with the special tokens around it that the model expects of a text on its own: BOS for Llama,
 * [CLS] and [SEP] for BERT, none for GPT-2. */
void lm_encode_with_specials(struct lm_encoder *e, struct lm_str text, bool allow_special,
                             struct lm_tokens *ret);

/* lm_encode without the ids: how many there are, in little memory. */
size_t lm_encode_count(struct lm_encoder *e, struct lm_str text, bool allow_special);

/* lm_encode, and for each id the bytes of `text` that it stands for, appended to ret_spans: whole characters,
 * through normalisation, as the offsets of Hugging Face are (which count characters).  A character that is
 * several ids is the range of each; a blank that the tokenizer puts before a text has the range of the first
 * character.  Slower than lm_encode. */
struct lm_spans {
    struct lm_span *items;
    size_t len, cap;
};
void lm_encode_spans(struct lm_encoder *e, struct lm_str text, bool allow_special, struct lm_tokens *ret,
                     struct lm_spans *ret_spans);
void lm_spans_release(struct lm_spans *spans);

/* Truncation: ids in parts of length_max at most, in the order of Hugging Face's overflow: the first is what
 * is left of a truncated text, each further one starts (ends, from_end) length_max - stride later (earlier).
 */
struct lm_fit {
    size_t length_max;   // of a part; at least 1
    size_t stride;       // ids that two parts share; below length_max
    bool from_end;       // the end of the text is kept, and parts go towards its start
};
enum lm_rc lm_fit_check(struct lm_fit fit, struct lm_err *err);
size_t lm_fit_count(struct lm_fit fit, size_t ids);                        // parts; at least 1
struct lm_span lm_fit_part(struct lm_fit fit, size_t ids, size_t index);   // in ids; index < count

/* Padding of `ids` ids: to `length`, and then to a multiple; a longer text stays.  0 means neither. */
size_t lm_pad_length(size_t ids, size_t length, size_t multiple);

size_t lm_tokenizer_starts(const struct lm_tokenizer *t);   // how many of them come before the text

/* Appends the bytes of the ids; LM_EINVAL for an id outside the vocabulary. */
enum lm_rc lm_decode(const struct lm_tokenizer *t, const uint32_t *ids, size_t count, bool skip_special,
                     struct lm_buf *ret, struct lm_err *err);

/* Streaming decode.  A text of sentencepiece starts without the blank that encoding put there.  Gives out
 * only whole UTF-8 characters; at the end, U+FFFD for a cut one. */
struct lm_decode_stream {
    unsigned char held[4];
    size_t held_len;
    bool inside;   // something is out, or the text goes on from another: a blank stays
};

/* A text that goes on from these ids: from ordinary text its first blank is kept, behind a special token (a
 * turn has begun) it is a text of its own.  Ids outside the vocabulary count as ordinary. */
struct lm_decode_stream lm_decode_after(const struct lm_tokenizer *t, const uint32_t *ids, size_t count);

void lm_decode_step(const struct lm_tokenizer *t, struct lm_decode_stream *s, uint32_t id, bool skip_special,
                    struct lm_buf *ret);
void lm_decode_end(struct lm_decode_stream *s, struct lm_buf *ret);

/* ---- training: token/train.c -> tokenizer.json, tokenizer_config.json, vocab.json, vocab.bin, report.json
 * ---- */

struct lm_tokenizer_config {
    int64_t vocab_size;           // with special tokens and the alphabet
    int64_t frequency_min;        // a pair must occur this often
    int pretokenizer;             // gpt2 | llama3 | smollm | qwen2
    struct lm_opt_list special;   // in id order from 0; empty: <|endoftext|>, <|im_start|>, <|im_end|>
    const char *chat_template;    // file; NULL: the built-in ChatML template
    int kind;                     // bpe | sentencepiece | wordpiece
    int tie;                      // hf | raw | bytes | spm
    int64_t mem_mb;               // for counted words; more go to disk
    int64_t chars_max;            // of a token; 0: no maximum
    int64_t word_frequency_min;   // rarer words are not learned from
    double coverage;              // sentencepiece: share of the characters that have tokens
    int64_t alphabet_max;         // wordpiece: characters that have tokens
    bool lowercase;               // wordpiece
    bool digits_apart;            // sentencepiece
    struct lm_opt_list weight;    // SOURCE=NUMBER
    bool document_weights;        // the attribute "weight" of a document counts
};
extern const struct lm_opt_table lm_tokenizer_options;

/* A text to learn from; borrowed during the call that gets it. */
struct lm_train_text {
    struct lm_str text, language, source;   // language, source: for the report; may be empty
    double weight;                          // it counts so many times, to three decimals
    bool lines;                             // each line is a text of its own, as Hugging Face reads files
    struct lm_str name;                     // for errors, "notes.txt, byte 512"; may be empty
};

/* Texts in batches.  The files depend on texts, weights and options alone: not on the number of threads, the
 * order or the batches.  Ties as the option says: Hugging Face's rule is higher count, then smaller pair of
 * ids.  tmp_dir: for counted words beyond mem_mb. */
struct lm_trainer;
enum lm_rc lm_trainer_new(const struct lm_tokenizer_config *config, const char *tmp_dir,
                          struct lm_trainer **ret, struct lm_err *err);
enum lm_rc lm_trainer_add(struct lm_trainer *trainer, const struct lm_train_text *texts, size_t count,
                          struct lm_err *err);
enum lm_rc lm_trainer_end(struct lm_trainer *trainer, const char *out_dir, struct lm_buf *metrics,
                          struct lm_err *err);
void lm_trainer_free(struct lm_trainer *trainer);   // NULL is fine

/* All of it, for texts in memory. */
enum lm_rc lm_tokenizer_train(const struct lm_tokenizer_config *config, const struct lm_str *texts,
                              size_t count, const char *out_dir, struct lm_buf *metrics, struct lm_err *err);

/* ---- chat: token/chat.c, token/template.h ---- */

struct lm_chat_message {
    struct lm_str role;      // "system", "user", "assistant", or what else the template knows
    struct lm_str content;   // never parsed for special tokens
};

/* Appends a conversation as the chat template of the tokenizer writes it; without one, and with <|im_start|>
 * and
 * <|im_end|> as special tokens, as ChatML: <|im_start|>role LF content <|im_end|> LF.  Special tokens come
 * from the template only.  add_generation: opens the assistant's turn.  Templates that show the date show
 * today's.
 *
 * When mask is not NULL it gets one byte per id: 1 where the assistant speaks, else 0: what {% generation %}
 * of the template encloses; without that tag all between the prompt of an answer and the end of its turn,
 * with the end token.  The date is a fixed one then.
 *
 * LM_EINVAL: no template, or it refuses the conversation; LM_EFORMAT: the template is not supported;
 * LM_ELIMIT: a maximum of token/template.h.  Nothing is appended then. */
enum lm_rc lm_chat_encode(struct lm_encoder *e, const struct lm_chat_message *messages, size_t count,
                          bool add_generation, struct lm_tokens *ret, struct lm_buf *mask,
                          struct lm_err *err);

/* The id that ends a turn: the special token that the template writes behind an answer, else <|im_end|>, the
 * end of turn or of sequence that the files name, the end of text. */
uint32_t lm_chat_end(const struct lm_tokenizer *t);

/* A name for the template: "chatml", or the beginning of its SHA-256. */
enum { LM_CHAT_NAME = 13 };
void lm_chat_template_name(const struct lm_tokenizer *t, char ret[LM_CHAT_NAME]);

#endif
