/* token/bpe_runs.c - counted words on disk: written sorted, read back merged.
 *
 * A run is a file without a name (it goes when the program goes) of entries {u64 count, u32 length, bytes} in
 * the machine's byte order. */
#include "token/bpe_train.h"

#include <stdio.h>
#include <unistd.h>

struct entry_head {
    uint64_t count;
    uint32_t len;
};

struct lm_word_run {
    FILE *file;
    struct lm_buf word;   // the entry at hand
    uint64_t count;       // of it; 0: the run has ended
};

static FILE *open_unnamed(const char *dir)
{
    struct lm_buf path = { 0 };
    lm_buf_printf(&path, "%s/.loom-words-XXXXXX", dir);
    const int fd = mkstemp(path.ptr);
    if (fd >= 0)
        unlink(path.ptr);
    lm_buf_release(&path);
    FILE *file = fd >= 0 ? fdopen(fd, "w+b") : NULL;
    if (fd >= 0 && !file)
        close(fd);
    return file;
}

enum lm_rc lm_word_runs_add(struct lm_word_runs *runs, const struct lm_words *sorted, const char *tmp_dir,
                            struct lm_err *err)
{
    FILE *file = open_unnamed(tmp_dir);
    if (!file)
        return lm_fail_errno(err, LM_EIO, "cannot make a temporary file for counted words in '%s'", tmp_dir);
    lm_grow(&runs->items, &runs->cap, runs->len + 1, sizeof(*runs->items));
    runs->items[runs->len++] = (struct lm_word_run){ .file = file };
    for (size_t i = 0; i < sorted->len; i++) {
        struct entry_head head;
        memset(&head, 0, sizeof(head));   // the padding too
        head.count = sorted->items[i].count;
        head.len = sorted->items[i].len;
        fwrite(&head, sizeof(head), 1, file);
        fwrite(sorted->bytes.ptr + sorted->items[i].at, 1, head.len, file);
    }
    if (fflush(file) != 0 || ferror(file) || fseeko(file, 0, SEEK_SET) != 0)
        return lm_fail_errno(err, LM_EIO, "cannot write counted words to a temporary file in '%s'", tmp_dir);
    return LM_OK;
}

/* The next entry of the run. */
static enum lm_rc advance(struct lm_word_run *run, struct lm_err *err)
{
    struct entry_head head;
    run->count = 0;
    lm_buf_reset(&run->word);
    if (fread(&head, sizeof(head), 1, run->file) != 1)
        return ferror(run->file) ? lm_fail_errno(err, LM_EIO, "cannot read back counted words") : LM_OK;
    char *space = lm_buf_space(&run->word, head.len);
    if (fread(space, 1, head.len, run->file) != head.len)
        return lm_fail(err, LM_EIO, "a temporary file of counted words has lost its end");
    run->word.len += head.len;
    run->count = head.count;
    return LM_OK;
}

static bool goes_before(const struct lm_word_runs *runs, uint32_t a, uint32_t b)
{
    return lm_str_cmp(lm_buf_str(&runs->items[a].word), lm_buf_str(&runs->items[b].word)) < 0;
}

/* A heap of the runs that have an entry, the smallest word on top. */
struct run_heap {
    uint32_t *items;
    size_t len;
};

static void sift(const struct lm_word_runs *runs, struct run_heap *h, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= h->len)
            return;
        child += child + 1 < h->len && goes_before(runs, h->items[child + 1], h->items[child]);
        if (!goes_before(runs, h->items[child], h->items[at]))
            return;
        const uint32_t moved = h->items[at];
        h->items[at] = h->items[child];
        h->items[child] = moved;
        at = child;
    }
}

static enum lm_rc fill(struct lm_word_runs *runs, struct run_heap *h, struct lm_err *err)
{
    for (uint32_t i = 0; i < runs->len; i++) {
        LM_TRY(advance(&runs->items[i], err));
        if (runs->items[i].count > 0)
            h->items[h->len++] = i;
    }
    for (size_t i = h->len / 2; i-- > 0;)
        sift(runs, h, i);
    return LM_OK;
}

/* Takes the smallest word of all runs, with the sum of its counts. */
static enum lm_rc take(struct lm_word_runs *runs, struct run_heap *h, struct lm_buf *ret_word,
                       uint64_t *ret_count, struct lm_err *err)
{
    lm_buf_reset(ret_word);
    lm_buf_add_str(ret_word, lm_buf_str(&runs->items[h->items[0]].word));
    *ret_count = 0;
    while (h->len > 0) {
        struct lm_word_run *top = &runs->items[h->items[0]];
        if (!lm_str_eq(lm_buf_str(&top->word), lm_buf_str(ret_word)))
            break;
        *ret_count += top->count;
        LM_TRY(advance(top, err));
        if (top->count == 0)
            h->items[0] = h->items[--h->len];
        sift(runs, h, 0);
    }
    return LM_OK;
}

enum lm_rc lm_word_runs_merge(struct lm_word_runs *runs, uint64_t count_min, struct lm_words *ret,
                              struct lm_err *err)
{
    struct run_heap heap = { .items = lm_alloc((runs->len + 1) * sizeof(*heap.items)) };
    struct lm_words words = { 0 };
    struct lm_buf word = { 0 };
    enum lm_rc rc = fill(runs, &heap, err);
    while (rc == LM_OK && heap.len > 0) {
        uint64_t count;
        rc = take(runs, &heap, &word, &count, err);
        if (rc != LM_OK)
            break;
        words.total += count;
        if (count >= count_min)
            lm_words_put(&words, lm_buf_str(&word), count);
    }
    free(heap.items);
    lm_buf_release(&word);
    if (rc == LM_OK)
        *ret = words;
    else
        lm_words_release(&words);
    return rc;
}

void lm_word_runs_release(struct lm_word_runs *runs)
{
    for (size_t i = 0; i < runs->len; i++) {
        fclose(runs->items[i].file);
        lm_buf_release(&runs->items[i].word);
    }
    free(runs->items);
    *runs = (struct lm_word_runs){ 0 };
}
