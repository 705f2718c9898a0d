#ifndef LM_TOKEN_BPE_TRAIN_H
#define LM_TOKEN_BPE_TRAIN_H
/* token/bpe_train.h - learning merges: unique words of a corpus, then the most frequent pair again and again.
 */

#include "token/pretoken.h"
#include "token/vocab.h"

/* ---- unique words: bpe_count.c, bpe_runs.c ---- */

struct lm_word {
    uint64_t at;   // in bytes
    uint64_t count;
    uint32_t len;
};

struct lm_words {
    struct lm_word *items;   // bytewise order, no two equal
    size_t len, cap;
    struct lm_buf bytes;
    uint64_t total;   // pieces, repeated ones counted each time
};

/* How text becomes words. */
struct lm_word_cut {
    const struct lm_grammar *grammar;
    struct lm_str (*normal)(const void *user, struct lm_str text, struct lm_buf *buf);   // NULL: as it is
    const void *user;
};

/* Counts words of texts that come in batches.  Beyond bytes_max the words counted so far go to unnamed files
 * in tmp_dir, sorted, and are merged at the end; 0 keeps all in memory.  The result depends on the texts and
 * their weights alone: not on threads, batches, order or bytes_max. */
struct lm_word_counter;
struct lm_word_counter *lm_word_counter_new(struct lm_word_cut rules, uint64_t bytes_max,
                                            const char *tmp_dir);
void lm_word_counter_free(struct lm_word_counter *c);   // NULL is fine

struct lm_word_text {
    struct lm_str text;
    uint64_t weight;      // it counts so many times
    bool lines;           // each line, with its end, is a text of its own, as Hugging Face reads files
    struct lm_str name;   // for errors; may be empty
};

/* LM_ESTOP when asked; LM_ELIMIT for a word of more than LM_WORD_BYTES_MAX bytes: of the first text that has
 * one. */
enum { LM_WORD_BYTES_MAX = 16 << 20 };
enum lm_rc lm_word_counter_add(struct lm_word_counter *c, const struct lm_word_text *texts, size_t count,
                               struct lm_err *err);

/* Everything counted; the counter is empty afterwards.  Words that occur less than count_min times are left
 * out of the list, not of its total. */
enum lm_rc lm_word_counter_end(struct lm_word_counter *c, uint64_t count_min, struct lm_words *ret,
                               struct lm_err *err);

/* All of it for texts in memory. */
enum lm_rc lm_words_count(const struct lm_grammar *g, const struct lm_str *texts, size_t count,
                          struct lm_words *ret, struct lm_err *err);
void lm_words_release(struct lm_words *w);
void lm_words_spend(struct lm_words *w);   // frees the words, keeps len and total
void lm_words_put(struct lm_words *w, struct lm_str word, uint64_t count);   // appends

static inline struct lm_str lm_word_bytes(const struct lm_words *w, size_t i)
{
    return (struct lm_str){ w->bytes.ptr + w->items[i].at, w->items[i].len };
}

/* Sorted lists of words on disk.  Zero-initialised is "none". */
struct lm_word_runs {
    struct lm_word_run *items;
    size_t len, cap;
};
enum lm_rc lm_word_runs_add(struct lm_word_runs *runs, const struct lm_words *sorted, const char *tmp_dir,
                            struct lm_err *err);
/* The runs as one list; counts of equal words are added. */
enum lm_rc lm_word_runs_merge(struct lm_word_runs *runs, uint64_t count_min, struct lm_words *ret,
                              struct lm_err *err);
void lm_word_runs_release(struct lm_word_runs *runs);

/* ---- merges: bpe_train.c; what words are made of: bpe_alphabet.c ---- */

struct lm_learned_merge {
    uint32_t left, right, id;
};

struct lm_learned {
    struct lm_vocab vocab;   // special tokens, the alphabet, then what merges made
    struct lm_learned_merge *merges;
    size_t merge_count, merge_cap;
    uint64_t tokens;          // that the counted words come to
    uint64_t uncovered;       // characters outside of the alphabet, each time
    uint64_t *counts;         // [vocab.size] of each token in the corpus, when all is merged
    size_t alphabet_before;   // ids before the alphabet: special tokens, and <0x00>.. of LM_LEARN_PIECES
};

enum lm_learn_kind {
    LM_LEARN_BYTES,    // symbols are bytes: 256 of them, in Hugging Face's order
    LM_LEARN_PIECES,   // characters, U+0020 for the blank; 256 byte tokens for what is not covered
    LM_LEARN_WORDS,    // characters; ## in front of those inside a word
};

/* Which of the pairs that occur equally often is merged first. */
enum lm_tie {
    LM_TIE_HF,      // the smaller pair of ids
    LM_TIE_RAW,     // the same, when the id of a byte is its value
    LM_TIE_BYTES,   // bytewise by the left token, then by the right one
    LM_TIE_SPM,     // fewer characters, then bytewise by the two joined
    LM_TIE_COUNT
};

struct lm_learn_options {
    enum lm_learn_kind kind;
    enum lm_tie tie;
    const struct lm_str *special;   // the first ids
    size_t special_count, vocab_size;
    uint64_t frequency_min;
    size_t chars_max;      // of a token; 0: no maximum
    double coverage;       // share of all characters that the alphabet must cover; LM_LEARN_PIECES
    size_t alphabet_max;   // characters; LM_LEARN_WORDS, 0: no maximum
    bool digits_apart;     // no token joins a digit with anything; LM_LEARN_PIECES
    bool fresh;            // a pair that spells a token that is there already is not merged
};

/* For LM_LEARN_BYTES as Hugging Face's BpeTrainer(initial_alphabet=ByteLevel.alphabet()): same merges in the
 * same order.  One exception: a pair that would spell a special token is never merged.  LM_EINVAL: the
 * alphabet alone is larger than the vocabulary. */
enum lm_rc lm_bpe_learn(const struct lm_words *words, const struct lm_learn_options *options,
                        struct lm_learned *ret, struct lm_err *err);
/* The same, and frees the words as soon as they are cut; their number and total stay. */
enum lm_rc lm_bpe_learn_spending(struct lm_words *words, const struct lm_learn_options *options,
                                 struct lm_learned *ret, struct lm_err *err);
void lm_learned_release(struct lm_learned *l);

/* Words as sequences of ids.  A word with characters outside of the alphabet is cut there. */
struct lm_sequences {
    uint32_t *ids;      // one after the other
    size_t *starts;     // [len]
    uint32_t *lens;     // [len]
    uint64_t *counts;   // [len]
    size_t len, cap, id_count, id_cap;
};

/* Puts special tokens and the alphabet into ret->vocab and cuts the words. */
enum lm_rc lm_alphabet_start(const struct lm_words *words, const struct lm_learn_options *options,
                             struct lm_learned *ret, struct lm_sequences *segments, struct lm_err *err);
void lm_sequences_put(struct lm_sequences *s, const uint32_t *ids, size_t len, uint64_t count);   // appends
void lm_sequences_release(struct lm_sequences *s);

/* Goes on from ret->vocab, which is there, with words that are spelt in its ids: merges and tokens are added
 * until there are options->vocab_size.  Takes over the words, and on an error what ret holds.  known: whether
 * merges may meet the text of the token (not the names of bytes). */
enum lm_rc lm_bpe_learn_on(struct lm_sequences *words, bool (*known)(const void *user, uint32_t id),
                           const void *user, const struct lm_learn_options *options, struct lm_learned *ret,
                           struct lm_err *err);

#endif
