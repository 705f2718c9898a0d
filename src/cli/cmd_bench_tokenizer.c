/* cli/cmd_bench_tokenizer.c - how fast a vocabulary encodes and decodes a text. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "token/tokenizer.h"

enum { TEXT_BYTES_MAX = 2000000000 };

struct times {
    double cold, warm, threads, decode;   // seconds
    size_t ids;
};

static double seconds_now(void)
{
    return (double)lm_now_ns() * 1e-9;
}

/* One turn with a new encoder, as in a process of its own; warm: the same text again. */
static enum lm_rc turn(const struct lm_tokenizer *t, struct lm_str text, struct times *ret,
                       struct lm_err *err)
{
    lm_tokenizer_prepare(t);
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_tokens ids = { 0 }, batch = { 0 };
    struct lm_buf back = { 0 };
    const double start = seconds_now();
    lm_encode(e, text, false, &ids);
    ret->cold = seconds_now() - start;
    ret->ids = ids.len;
    ids.len = 0;
    const double again = seconds_now();
    lm_encode(e, text, false, &ids);
    ret->warm = seconds_now() - again;
    lm_encode_batch(t, &text, 1, false, &batch, NULL);
    batch.len = 0;   // encoders learn again, the ids' memory is there
    const double threads = seconds_now();
    lm_encode_batch(t, &text, 1, false, &batch, NULL);
    ret->threads = seconds_now() - threads;
    (void)lm_decode(t, ids.ids, ids.len, false, &back, NULL);
    back.len = 0;   // its memory is there
    const double decode = seconds_now();
    const enum lm_rc rc = lm_decode(t, ids.ids, ids.len, false, &back, err);
    ret->decode = seconds_now() - decode;
    lm_buf_release(&back);
    lm_tokens_release(&batch);
    lm_tokens_release(&ids);
    lm_encoder_free(e);
    return rc;
}

static void print(struct lm_cli *cli, const char *what, double seconds, size_t bytes)
{
    const double rate = (double)bytes / seconds * 1e-6;
    if (!cli->globals.json)
        printf("tokenizer,%s,%.6g,MB/s,1\n", what, rate);
    lm_json_sep(&cli->result);
    lm_buf_puts(&cli->result, "{");
    lm_json_key_str(&cli->result, "case", lm_str(what));
    lm_json_key_num(&cli->result, "value", rate);
    lm_json_key_str(&cli->result, "unit", LM_STR("MB/s"));
    lm_json_key_int(&cli->result, "threads", lm_threads());
    lm_buf_putc(&cli->result, '}');
}

enum lm_rc lm_bench_tokenizer(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_tokenizer *t = NULL;
    struct lm_buf text = { 0 };
    struct times times;
    LM_TRY(lm_tokenizer_load(cli->args[0], &t, err));
    enum lm_rc rc = lm_file_read(cli->args[1], TEXT_BYTES_MAX, &text, err);
    if (rc == LM_OK)
        rc = turn(t, lm_buf_str(&text), &times, err);
    if (rc == LM_OK) {
        lm_buf_puts(&cli->result, "{\"rows\":[");
        print(cli, "encode cold", times.cold, text.len);
        print(cli, "encode warm", times.warm, text.len);
        print(cli, "encode with threads", times.threads, text.len);
        print(cli, "decode", times.decode, text.len);
        lm_buf_puts(&cli->result, "]}");
    }
    lm_buf_release(&text);
    lm_tokenizer_free(t);
    return rc;
}
