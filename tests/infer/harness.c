#include "harness.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void record_init(struct record *r)
{
    *r = (struct record){ 0 };
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    lm_buf_space(&r->text, 1 << 14);   // the sink does not allocate
}

void record_release(struct record *r)
{
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    lm_buf_release(&r->text);
}

void record_sink(void *user, const struct lm_engine_event *event)
{
    struct record *r = user;
    pthread_mutex_lock(&r->lock);
    r->late |= r->finish != LM_FINISH_NONE;
    r->events++;
    lm_buf_add_str(&r->text, event->text);
    if (event->has_token && r->count < RECORD_TOKENS_MAX) {
        r->tokens[r->count] = event->token.id;
        r->logprobs[r->count] = event->token.logprob;
        r->top_count[r->count] = event->top_count;
        for (size_t i = 0; i < event->top_count; i++)
            r->top[r->count][i] = event->top[i];
        r->count++;
    }
    r->prompt_tokens = event->prompt_tokens;
    r->completion_tokens = event->completion_tokens;
    r->finish = event->finish;
    const bool cancel = r->cancel_from && r->count == r->cancel_at;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (cancel)
        lm_engine_cancel(r->cancel_from, r->ticket);
}

void record_wait_tokens(struct record *r, size_t count)
{
    pthread_mutex_lock(&r->lock);
    while (r->count < count && r->finish == LM_FINISH_NONE)
        pthread_cond_wait(&r->changed, &r->lock);
    pthread_mutex_unlock(&r->lock);
}

void record_wait(struct record *r)
{
    record_wait_tokens(r, SIZE_MAX);
}

/* GPT-2's table of visible characters for bytes, as the vocabulary of a byte-level tokenizer spells them. */
static void add_byte_token(struct lm_buf *json, unsigned byte)
{
    unsigned code = byte, next = 256;
    for (unsigned b = 0; b < 256; b++) {
        const bool visible = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (b == byte && !visible)
            code = next;
        next += !visible;
    }
    char text[2];
    struct lm_str s = { text, 1 };
    text[0] = (char)code;
    if (code >= 0x80) {
        text[0] = (char)(0xc0 | code >> 6), text[1] = (char)(0x80 | (code & 0x3f));
        s.len = 2;
    }
    lm_json_sep(json);
    lm_json_str(json, s);
    lm_buf_printf(json, ":%u", TINY_BYTE + byte);
}

struct lm_tokenizer *tiny_tokenizer(void)
{
    static const char *const special[] = { "<|endoftext|>", "<|im_start|>", "<|im_end|>" };
    struct lm_buf json = { 0 };
    lm_buf_puts(&json, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (unsigned i = 0; i < 3; i++) {
        lm_json_sep(&json);
        lm_buf_printf(&json,
                      "{\"id\":%u,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                      "\"normalized\":false,\"special\":true}",
                      i, special[i]);
    }
    const char *byte_level = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
                             "\"use_regex\":true}";
    lm_buf_printf(&json, "],\"normalizer\":null,\"pre_tokenizer\":%s,\"post_processor\":null,\"decoder\":%s,",
                  byte_level, byte_level);
    lm_buf_puts(&json, "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                       "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                       "\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{");
    for (unsigned i = 0; i < 3; i++)
        lm_json_key_int(&json, special[i], i);
    for (unsigned b = 0; b < 256; b++)
        add_byte_token(&json, b);
    lm_json_key_int(&json, "ab", TINY_AB);
    lm_json_key_int(&json, "abab", TINY_ABAB);
    lm_buf_puts(&json, "},\"merges\":[[\"a\",\"b\"],[\"ab\",\"ab\"]]}}");
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    if (lm_tokenizer_parse(lm_buf_str(&json), "tiny", &t, &err) != LM_OK)
        fail_msg("%s", err.text);
    lm_buf_release(&json);
    assert_int_equal(lm_tokenizer_vocab_size(t), TINY_VOCAB);
    return t;
}
