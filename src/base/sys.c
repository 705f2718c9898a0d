#include "base/sys.h"

#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char lm_version[] = LOOM_VERSION;

/* ---- clock ---- */

uint64_t lm_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int64_t lm_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void lm_time_text(int64_t wall_ms, char ret[LM_TIME_TEXT])
{
    enum { DAY_AND_TIME = 19 };

    int64_t seconds_all = wall_ms / 1000, ms = wall_ms % 1000;
    if (ms < 0) {   // before 1970: round down, as the clock does
        seconds_all--;
        ms += 1000;
    }
    const time_t seconds = (time_t)seconds_all;
    struct tm tm;
    /* A year of more than four digits does not fit the notation. */
    if (!gmtime_r(&seconds, &tm) || tm.tm_year < 0 || tm.tm_year > 9999 - 1900 ||
        strftime(ret, LM_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm) != DAY_AND_TIME)
        snprintf(ret, LM_TIME_TEXT, "%s", "0000-00-00T00:00:00.000Z");
    else
        snprintf(ret + DAY_AND_TIME, LM_TIME_TEXT - DAY_AND_TIME, ".%03uZ", (unsigned)ms % 1000);
}

/* ---- stop ---- */

static atomic_int stop_signal;   // lock-free, so a signal handler may write it

static void on_signal(int signal)
{
    atomic_store_explicit(&stop_signal, signal, memory_order_relaxed);
}

void lm_stop_install(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    action.sa_flags |= (int)SA_RESETHAND;   // a second Ctrl-C ends a stage that is too slow to stop
    sigaction(SIGINT, &action, NULL);
}

bool lm_stop_asked(void)
{
    return lm_stop_signal() != 0;
}

int lm_stop_signal(void)
{
    return atomic_load_explicit(&stop_signal, memory_order_relaxed);
}

void lm_stop_request(int signal)
{
    on_signal(signal);
}

/* ---- progress and messages ---- */

static atomic_bool quiet_on;
static atomic_bool line_open;   // the cursor stands behind a progress line on the terminal

void lm_progress_quiet(bool quiet)
{
    quiet_on = quiet;
}

static bool on_terminal(void)
{
    static atomic_int known = -1;
    if (known < 0)
        known = isatty(STDERR_FILENO) == 1;
    return known == 1;
}

/* "75 s" as 1:15, "4000 s" as 1:06:40. */
static void add_duration(struct lm_buf *buf, double seconds)
{
    const unsigned long all = seconds < 1e9 ? (unsigned long)(seconds + 0.5) : 999999999;
    if (all >= 3600)
        lm_buf_printf(buf, "%lu:%02lu:%02lu", all / 3600, all / 60 % 60, all % 60);
    else
        lm_buf_printf(buf, "%lu:%02lu", all / 60, all % 60);
}

static void add_rate(struct lm_buf *buf, const struct lm_progress *p, uint64_t done, double seconds)
{
    const double rate = seconds > 0 ? (double)done / seconds : 0;
    lm_buf_printf(buf, ", %.*f %s/s", rate < 10 ? 2 : 0, rate, p->unit);
}

static void show_line(struct lm_buf *text, bool stays)
{
    const bool terminal = on_terminal();
    fprintf(stderr, "%s%s%s", terminal ? "\r" : "", text->ptr, terminal ? "\x1b[K" : "");
    if (stays || !terminal)
        fputc('\n', stderr);
    fflush(stderr);
    line_open = terminal && !stays;
    lm_buf_release(text);
}

struct lm_progress lm_progress_start(const char *what, const char *unit, uint64_t total)
{
    const uint64_t now = lm_now_ns();
    return (struct lm_progress){ what, unit, total, .started_ns = now, .shown_ns = now };
}

void lm_progress_at(struct lm_progress *p, uint64_t done, const char *note)
{
    static const uint64_t pause_terminal_ns = 100000000, pause_plain_ns = 10000000000;

    if (quiet_on)
        return;
    const uint64_t now = lm_now_ns();
    if (now - p->shown_ns < (on_terminal() ? pause_terminal_ns : pause_plain_ns))
        return;
    p->shown_ns = now;
    const double seconds = (double)(now - p->started_ns) * 1e-9;
    struct lm_buf text = { 0 };
    lm_buf_printf(&text, "%s: %llu", p->what, (unsigned long long)done);
    if (p->total)
        lm_buf_printf(&text, " of %llu", (unsigned long long)p->total);
    lm_buf_printf(&text, " %s", p->unit);
    add_rate(&text, p, done, seconds);
    if (p->total > done && done) {
        lm_buf_printf(&text, ", %d %%, ", (int)(100.0 * (double)done / (double)p->total));
        add_duration(&text, seconds * (double)(p->total - done) / (double)done);
        lm_buf_puts(&text, " left");
    }
    if (note)
        lm_buf_printf(&text, " - %s", note);
    show_line(&text, false);
}

void lm_progress_end(struct lm_progress *p, uint64_t done)
{
    if (quiet_on)
        return;
    const double seconds = (double)(lm_now_ns() - p->started_ns) * 1e-9;
    struct lm_buf text = { 0 };
    lm_buf_printf(&text, "%s: %llu %s in %.1f s", p->what, (unsigned long long)done, p->unit, seconds);
    add_rate(&text, p, done, seconds);
    show_line(&text, true);
}

/* One write per message, so that lines of several threads do not mix. */
__attribute__((format(printf, 2, 0))) static void say(const char *prefix, const char *format, va_list args)
{
    char text[1024];
    const int len =
        snprintf(text, sizeof(text), "%s%s", atomic_exchange(&line_open, false) ? "\r\x1b[K" : "", prefix);
    vsnprintf(text + len, sizeof(text) - (size_t)len - 1, format, args);
    const size_t end = strlen(text);
    text[end] = '\n';
    fwrite(text, 1, end + 1, stderr);
    fflush(stderr);
}

void lm_say(const char *format, ...)
{
    if (quiet_on)
        return;
    va_list args;
    va_start(args, format);
    say("", format, args);
    va_end(args);
}

void lm_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("warning: ", format, args);
    va_end(args);
}
