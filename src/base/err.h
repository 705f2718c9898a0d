#ifndef LM_BASE_ERR_H
#define LM_BASE_ERR_H
/* base/err.h - the two kinds of error, which never mix.
 *
 * The world is wrong (missing file, bad input, full disk): the function returns a negative lm_rc and, if
 * the caller passed an lm_err, leaves one whole sentence in it that names file, place, cause and remedy.
 * The program is wrong (a contract is broken): LM_ASSERT stops it at once, in every build.
 *
 * Only `cli` and the request loop of `serve` print an lm_err; only `cli` exits. */

#include <stdarg.h>
#include <stddef.h>

enum lm_rc {
    LM_OK = 0,
    LM_EINVAL = -1,     // a value from outside is not allowed
    LM_EIO = -2,        // the operating system refused: read, write, rename, sync
    LM_ENOENT = -3,     // what was asked for does not exist
    LM_EFORMAT = -4,    // data from outside is damaged or of an unknown version
    LM_ELIMIT = -5,     // a named maximum is exceeded
    LM_EEXIST = -6,     // it is there already, or somebody else holds it
    LM_EDENIED = -7,    // a rule or a gate refuses
    LM_ESTOP = -8,      // asked to stop (SIGTERM, SIGINT); what is needed to resume has been saved
    LM_ENOTHING = -9,   // nothing to do
    LM_ENOMEM = -10,    // a stated memory limit would be exceeded
};

enum { LM_ERR_TEXT_MAX = 768 };

/* Zero-initialise it, or pass NULL when the reason does not matter. */
struct lm_err {
    enum lm_rc rc;
    char text[LM_ERR_TEXT_MAX];   // one sentence, no final full stop; cut at the end if too long
};

/* Stores the sentence and returns rc, so that callers can write `return lm_fail(err, ...)`. */
enum lm_rc lm_fail(struct lm_err *err, enum lm_rc rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As lm_fail, and appends ": " and the text of errno. */
enum lm_rc lm_fail_errno(struct lm_err *err, enum lm_rc rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same calls, in a form that shows the compiler a constant rc: it then knows that LM_TRY returns and does
 * not warn that outputs may be used uninitialised. */
#define lm_fail(err, rc, ...)                                                                                \
    ({                                                                                                       \
        const enum lm_rc fail_rc_ = (rc);                                                                    \
        lm_fail(err, fail_rc_, __VA_ARGS__);                                                                 \
        fail_rc_;                                                                                            \
    })
#define lm_fail_errno(err, rc, ...)                                                                          \
    ({                                                                                                       \
        const enum lm_rc fail_rc_ = (rc);                                                                    \
        lm_fail_errno(err, fail_rc_, __VA_ARGS__);                                                           \
        fail_rc_;                                                                                            \
    })

/* Puts "context: " in front of a sentence that is already there; returns err->rc (or rc when err is NULL). */
enum lm_rc lm_err_prefix(struct lm_err *err, enum lm_rc rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The short name of a code, "format" for LM_EFORMAT; for machine-readable output. */
const char *lm_rc_name(enum lm_rc rc);

/* Ends the program.  Weak, so that tests can observe a broken contract instead. */
_Noreturn void lm_broken(const char *expression, const char *file, int line);

#define LM_ASSERT(c) ((c) ? (void)0 : lm_broken(#c, __FILE__, __LINE__))

/* For hot loops: checked in debug builds only. */
#ifdef NDEBUG
#define LM_DASSERT(c) ((void)0)
#else
#define LM_DASSERT(c) LM_ASSERT(c)
#endif

/* Propagates a failure: LM_TRY(lm_file_read(...)). */
#define LM_TRY(call)                                                                                         \
    do {                                                                                                     \
        const enum lm_rc try_rc_ = (call);                                                                   \
        if (try_rc_ != LM_OK)                                                                                \
            return try_rc_;                                                                                  \
    } while (0)

#endif
