#include "train/tune_log.h"

#include "base/json.h"

#include <math.h>
#include <stdlib.h>

void lm_trial_record_write(const struct lm_trial_record *r, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "trial", (int64_t)r->trial);
    lm_json_key_int(ret, "bracket", (int64_t)r->bracket);
    lm_json_key_int(ret, "rung", (int64_t)r->rung);
    lm_json_key_str(ret, "state", r->failed ? LM_STR("failed") : LM_STR("measured"));
    if (r->failed) {
        lm_json_key_str(ret, "why", r->why);
    } else {
        lm_json_key_int(ret, "step", (int64_t)r->step);
        lm_json_key_int(ret, "steps", (int64_t)r->steps);
        lm_json_key_num(ret, "loss", r->loss);
        lm_json_key_num(ret, "heldout_loss", r->heldout_loss);
        lm_json_key_num(ret, "heldout_bits_per_byte", r->heldout_bits_per_byte);
    }
    lm_json_key(ret, "settings");
    lm_buf_add_str(ret, r->settings);
    lm_buf_puts(ret, "}\n");
}

/* ---- reading ---- */

static enum lm_rc fail_key(struct lm_json_reader *r, const char *key, const char *kind, struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: \"%s\" is not %s", r->name, key, kind);
}

static enum lm_rc read_whole(struct lm_json_reader *r, const char *key, uint64_t max, uint64_t *ret,
                             struct lm_err *err)
{
    int64_t value;
    LM_TRY(lm_json_want(r, LM_JSON_NUMBER, err));
    if (!lm_str_to_i64(r->text, &value) || value < 0 || (uint64_t)value > max)
        return fail_key(r, key, "a whole number in range", err);
    *ret = (uint64_t)value;
    return LM_OK;
}

static enum lm_rc read_real(struct lm_json_reader *r, const char *key, double *ret, struct lm_err *err)
{
    enum lm_json_kind kind;
    LM_TRY(lm_json_next(r, &kind, err));
    *ret = NAN;
    if (kind == LM_JSON_NULL || (kind == LM_JSON_NUMBER && lm_str_to_f64(r->text, ret)))
        return LM_OK;
    return fail_key(r, key, "a number", err);
}

static enum lm_rc read_object(struct lm_json_reader *r, struct lm_str *ret, struct lm_err *err)
{
    const char *start = r->at;
    LM_TRY(lm_json_skip(r, err));
    while (start < r->at && strchr(" \t\r\n:", *start))
        start++;
    if (start == r->at || *start != '{')
        return fail_key(r, "settings", "an object", err);
    *ret = (struct lm_str){ start, (size_t)(r->at - start) };
    return LM_OK;
}

enum { MEASURED = 1, FAILED = 2, BOTH = 3 };

/* Which key is which, and in which state it must be there. */
static const struct key {
    const char *name;
    enum { WHOLE, REAL, STATE, TEXT, OBJECT } type;
    size_t offset;
    uint64_t max;
    int of;
} keys[] = {
    { "trial", WHOLE, offsetof(struct lm_trial_record, trial), LM_TRIAL_NUMBER_MAX, BOTH },
    { "bracket", WHOLE, offsetof(struct lm_trial_record, bracket), LM_TRIAL_NUMBER_MAX, BOTH },
    { "rung", WHOLE, offsetof(struct lm_trial_record, rung), LM_TRIAL_NUMBER_MAX, BOTH },
    { "state", STATE, 0, 0, BOTH },
    { "why", TEXT, offsetof(struct lm_trial_record, why), 0, FAILED },
    { "step", WHOLE, offsetof(struct lm_trial_record, step), INT64_MAX, MEASURED },
    { "steps", WHOLE, offsetof(struct lm_trial_record, steps), INT64_MAX, MEASURED },
    { "loss", REAL, offsetof(struct lm_trial_record, loss), 0, MEASURED },
    { "heldout_loss", REAL, offsetof(struct lm_trial_record, heldout_loss), 0, MEASURED },
    { "heldout_bits_per_byte", REAL, offsetof(struct lm_trial_record, heldout_bits_per_byte), 0, MEASURED },
    { "settings", OBJECT, offsetof(struct lm_trial_record, settings), 0, BOTH },
};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static enum lm_rc read_value(struct lm_json_reader *r, const struct key *key, struct lm_trial_record *ret,
                             struct lm_err *err)
{
    void *field = (char *)ret + key->offset;
    switch (key->type) {
    case WHOLE:
        return read_whole(r, key->name, key->max, field, err);
    case REAL:
        return read_real(r, key->name, field, err);
    case STATE:
        LM_TRY(lm_json_want(r, LM_JSON_STRING, err));
        ret->failed = lm_str_eq(r->text, LM_STR("failed"));
        if (!ret->failed && !lm_str_eq(r->text, LM_STR("measured")))
            return fail_key(r, "state", "\"measured\" or \"failed\"", err);
        return LM_OK;
    case TEXT:
        LM_TRY(lm_json_want(r, LM_JSON_STRING, err));
        *(struct lm_str *)field = r->text;
        return LM_OK;
    case OBJECT:
        return read_object(r, field, err);
    }
    LM_ASSERT(!"a known type");
    return LM_EFORMAT;
}

static enum lm_rc read_record(struct lm_str line, const char *name, struct lm_arena *arena,
                              struct lm_trial_record *ret, struct lm_err *err)
{
    struct lm_json_reader r;
    bool seen[KEY_COUNT] = { false };
    lm_json_open(&r, line, name, arena);
    LM_TRY(lm_json_want(&r, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        size_t k = 0;
        while (k < KEY_COUNT && !lm_str_eq(r.text, lm_str(keys[k].name)))
            k++;
        if (k == KEY_COUNT || seen[k])
            return lm_fail(err, LM_EFORMAT, "%s: \"%.*s\" is %s", name,
                           (int)(r.text.len < 60 ? r.text.len : 60), r.text.ptr,
                           k == KEY_COUNT ? "no key of a trial" : "there twice");
        seen[k] = true;
        LM_TRY(read_value(&r, &keys[k], ret, err));
    }
    LM_TRY(lm_json_want(&r, LM_JSON_END, err));
    for (size_t k = 0; k < KEY_COUNT; k++)
        if (seen[k] != ((keys[k].of & (ret->failed ? FAILED : MEASURED)) != 0))
            return lm_fail(err, LM_EFORMAT, "%s: \"%s\" %s", name, keys[k].name,
                           seen[k] ? "does not belong there" : "is missing");
    return LM_OK;
}

enum lm_rc lm_trial_log_parse(struct lm_str text, const char *name, struct lm_arena *arena,
                              struct lm_trial_log *ret, struct lm_err *err)
{
    struct lm_trial_log log = { 0 };
    struct lm_str line;
    enum lm_rc rc = LM_OK;
    if (text.len == 0 || text.ptr[text.len - 1] != '\n')
        return lm_fail(err, LM_EFORMAT, "%s: the last line has no end", name);
    text.len--;
    lm_str_split(&text, '\n', &log.head);
    if (!lm_str_starts(log.head, LM_STR("{\"search\":")))
        return lm_fail(err, LM_EFORMAT, "%s:1: this is no record of a search", name);
    for (size_t number = 2; rc == LM_OK && lm_str_split(&text, '\n', &line); number++) {
        lm_grow(&log.records, &log.cap, log.len + 1, sizeof *log.records);
        log.records[log.len] = (struct lm_trial_record){ 0 };
        rc = read_record(line, lm_arena_printf(arena, "%s:%zu", name, number), arena, &log.records[log.len++],
                         err);
    }
    if (rc == LM_OK)
        *ret = log;
    else
        lm_trial_log_release(&log);
    return rc;
}

void lm_trial_log_release(struct lm_trial_log *log)
{
    free(log->records);
    *log = (struct lm_trial_log){ 0 };
}
