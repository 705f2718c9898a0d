#include "cli/passages.h"

#include "corpus/document.h"
#include "text/text.h"

#include <stdlib.h>

size_t lm_passage_end(struct lm_str rest, size_t max)
{
    LM_ASSERT(max >= 4);
    if (rest.len <= max)
        return rest.len;
    for (size_t end = max; end > max / 2; end--)
        if (rest.ptr[end - 1] == '\n')
            return end;
    for (size_t end = max; end > max / 2; end--)
        if (rest.ptr[end] == ' ')
            return end;
    size_t end = max;
    while (end > max - 4 && ((unsigned char)rest.ptr[end] & 0xc0) == 0x80)
        end--;
    return end > 0 ? end : max;
}

static enum lm_rc cut(struct lm_passages *p, struct lm_str text, size_t passage_bytes, const char *name,
                      struct lm_err *err)
{
    if (!lm_utf8_valid(text))
        return lm_fail(err, LM_EFORMAT,
                       "%s is not UTF-8: bits per byte are counted in UTF-8; convert it first", name);
    p->documents++;
    p->bytes += text.len;
    while (text.len > 0) {
        const size_t len = lm_passage_end(text, passage_bytes);
        lm_grow(&p->items, &p->cap, p->count + 1, sizeof *p->items);
        p->items[p->count++] = (struct lm_str){ text.ptr, len };
        text = (struct lm_str){ text.ptr + len, text.len - len };
    }
    return LM_OK;
}

static enum lm_rc read_documents(const char *path, size_t bytes_max, size_t passage_bytes,
                                 struct lm_passages *ret, struct lm_err *err)
{
    struct lm_document_reader *reader = NULL;
    struct lm_document doc;
    enum lm_rc rc = LM_OK;
    LM_TRY(lm_document_open(&path, 1, &reader, err));
    while (rc == LM_OK && bytes_max - ret->bytes >= LM_PASSAGE_BYTES_MIN &&
           (rc = lm_document_next_into(reader, &ret->arena, &doc, err)) == LM_OK) {
        doc.content.len = lm_passage_end(doc.content, bytes_max - ret->bytes);
        rc = cut(ret, doc.content, passage_bytes, path, err);
    }
    lm_document_close(reader);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

enum lm_rc lm_passages_read(const char *path, size_t bytes_max, size_t passage_bytes, struct lm_passages *ret,
                            struct lm_err *err)
{
    LM_ASSERT(passage_bytes >= LM_PASSAGE_BYTES_MIN && bytes_max >= LM_PASSAGE_BYTES_MIN);
    if (lm_path_is_dir(path) || lm_document_is_records(lm_str(path))) {
        LM_TRY(read_documents(path, bytes_max, passage_bytes, ret, err));
    } else {
        LM_TRY(lm_map_open(&ret->map, path, err));
        const struct lm_str all = { ret->map.ptr, ret->map.len };
        LM_TRY(
            cut(ret, (struct lm_str){ all.ptr, lm_passage_end(all, bytes_max) }, passage_bytes, path, err));
    }
    return ret->count > 0 ? LM_OK : lm_fail(err, LM_ENOENT, "'%s' holds no text to compare models on", path);
}

void lm_passages_release(struct lm_passages *p)
{
    free(p->items);
    lm_map_close(&p->map);
    lm_arena_release(&p->arena);
    *p = (struct lm_passages){ 0 };
}
