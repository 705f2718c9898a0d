#include "monitor/feedback.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/line.h"

enum lm_rc lm_feedback_schema(struct lm_db *db, struct lm_err *err)
{
    static const char *const steps[] = {
        "CREATE TABLE answers (id TEXT PRIMARY KEY, username TEXT NOT NULL, model TEXT NOT NULL,"
        " artifact TEXT NOT NULL, prompt TEXT NOT NULL, answer TEXT NOT NULL, time_ms BIGINT NOT NULL)",
        "CREATE INDEX answers_by_user ON answers (username)",
        "CREATE TABLE feedback (answer TEXT NOT NULL REFERENCES answers (id) ON DELETE CASCADE,"
        " username TEXT NOT NULL, rating BIGINT NOT NULL, reason TEXT NOT NULL, correction TEXT NOT NULL,"
        " time_ms BIGINT NOT NULL, PRIMARY KEY (answer, username))",
    };
    return lm_db_schema(db, "monitor.feedback", steps, sizeof(steps) / sizeof(steps[0]), err);
}

enum lm_rc lm_answer_store(struct lm_db *db, const struct lm_answer *answer, struct lm_err *err)
{
    LM_ASSERT(answer->id && answer->user && answer->model);

    return lm_db_run(db, err, "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", "sssstti", answer->id,
                     answer->user, answer->model, answer->artifact ? answer->artifact : "", answer->prompt,
                     answer->text, answer->time_ms);
}

static const char *copy_text(struct lm_db_rows *rows, int column, struct lm_arena *arena)
{
    const struct lm_str s = lm_db_text(rows, column);
    return lm_arena_strndup(arena, s.ptr, s.len);
}

enum lm_rc lm_answer_load(struct lm_db *db, const char *id, struct lm_arena *arena, struct lm_answer *ret,
                          struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_query(
        db, &rows, err,
        "SELECT id, username, model, artifact, prompt, answer, time_ms FROM answers WHERE id = ?", "s", id));
    enum lm_rc rc = lm_db_next(rows, err);
    if (rc == LM_ENOTHING)
        rc = lm_fail(err, LM_ENOENT, "there is no answer '%s'", id);
    else if (rc == LM_OK)
        *ret = (struct lm_answer){
            .id = copy_text(rows, 0, arena),
            .user = copy_text(rows, 1, arena),
            .model = copy_text(rows, 2, arena),
            .artifact = copy_text(rows, 3, arena),
            .prompt = lm_str(copy_text(rows, 4, arena)),
            .text = lm_str(copy_text(rows, 5, arena)),
            .time_ms = lm_db_int(rows, 6),
        };
    lm_db_end(rows);
    return rc;
}

static enum lm_rc check_owner(struct lm_db *db, const char *answer, const char *user, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_query(db, &rows, err, "SELECT username FROM answers WHERE id = ?", "s", answer));
    enum lm_rc rc = lm_db_next(rows, err);
    if (rc == LM_ENOTHING)
        rc = lm_fail(err, LM_ENOENT, "there is no answer '%s'", answer);
    else if (rc == LM_OK && !lm_str_eq(lm_db_text(rows, 0), lm_str(user)))
        rc = lm_fail(err, LM_EDENIED, "the answer '%s' was given to another user", answer);
    lm_db_end(rows);
    return rc;
}

enum lm_rc lm_feedback_add(struct lm_db *db, const struct lm_feedback *feedback, int64_t now_ms,
                           struct lm_err *err)
{
    if (feedback->rating < -1 || feedback->rating > 1)
        return lm_fail(err, LM_EINVAL, "rating %d is outside -1..1", feedback->rating);
    if (feedback->reason.len > LM_FEEDBACK_TEXT_MAX || feedback->correction.len > LM_FEEDBACK_TEXT_MAX)
        return lm_fail(err, LM_ELIMIT, "reason and correction may have %d bytes each", LM_FEEDBACK_TEXT_MAX);
    LM_TRY(check_owner(db, feedback->answer, feedback->user, err));
    return lm_db_run(db, err,
                     "INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (answer, username) DO UPDATE"
                     " SET rating = excluded.rating, reason = excluded.reason,"
                     " correction = excluded.correction, time_ms = excluded.time_ms",
                     "ssitti", feedback->answer, feedback->user, (int64_t)feedback->rating, feedback->reason,
                     feedback->correction, now_ms);
}

/* By the question, so that one asked twice cannot be trained on and measured with. */
static const char *split_of(struct lm_str question)
{
    enum { HELDOUT_ONE_IN = 10 };

    struct lm_sha256 h;
    uint8_t digest[LM_SHA256_BYTES];
    lm_sha256_init(&h);
    lm_sha256_add(&h, question.ptr, question.len);
    lm_sha256_end(&h, digest);
    const unsigned bits = (unsigned)digest[0] << 16 | (unsigned)digest[1] << 8 | digest[2];
    return bits % HELDOUT_ONE_IN == 0 ? "heldout" : "train";
}

static void put_pair(struct lm_buf *line, struct lm_db_rows *rows, const char *snapshot)
{
    lm_buf_reset(line);
    lm_buf_putc(line, '{');
    lm_json_key_str(line, "id", lm_db_text(rows, 0));
    lm_json_key_str(line, "snapshot", lm_str(snapshot));
    lm_json_key_str(line, "question", lm_db_text(rows, 1));
    lm_json_key_str(line, "answer", lm_db_text(rows, 2));
    lm_json_key_str(line, "document", lm_db_text(rows, 3));
    lm_json_key_str(line, "split", lm_str(split_of(lm_db_text(rows, 1))));
    lm_buf_putc(line, '}');
}

static enum lm_rc write_pairs(struct lm_db_rows *rows, const char *snapshot, struct lm_line_writer *writer,
                              size_t *ret_count, struct lm_err *err)
{
    struct lm_buf line = { 0 };
    size_t count = 0;
    enum lm_rc rc;
    while ((rc = lm_db_next(rows, err)) == LM_OK) {
        put_pair(&line, rows, snapshot);
        rc = lm_line_add(writer, lm_buf_str(&line), err);
        if (rc != LM_OK)
            break;
        count++;
    }
    lm_buf_release(&line);
    *ret_count = count;
    return rc == LM_ENOTHING ? LM_OK : rc;
}

enum lm_rc lm_feedback_export(struct lm_db *db, const char *snapshot, const char *path, size_t *ret_count,
                              struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    LM_TRY(
        lm_db_query(db, &rows, err,
                    "SELECT a.id, a.prompt, CASE WHEN f.correction <> '' THEN f.correction ELSE a.answer END,"
                    " a.artifact FROM feedback f JOIN answers a ON a.id = f.answer"
                    " WHERE f.correction <> '' OR f.rating = 1 ORDER BY a.id",
                    ""));
    struct lm_line_writer *writer = NULL;
    size_t count = 0;
    enum lm_rc rc = lm_line_create(path, &writer, err);
    if (rc == LM_OK) {
        rc = write_pairs(rows, snapshot, writer, &count, err);
        if (rc == LM_OK)
            rc = lm_line_commit(writer, err);
        else
            lm_line_abort(writer);
    }
    lm_db_end(rows);
    if (rc == LM_OK)
        *ret_count = count;
    return rc;
}

enum lm_rc lm_answers_erase(struct lm_db *db, const char *user, size_t *ret_count, struct lm_err *err)
{
    LM_TRY(lm_db_run(db, err, "DELETE FROM answers WHERE username = ?", "s", user));
    const int64_t count = lm_db_changes(db);
    if (count == 0)
        return lm_fail(err, LM_ENOENT, "no answer to '%s' is stored", user);
    *ret_count = (size_t)count;
    return LM_OK;
}
