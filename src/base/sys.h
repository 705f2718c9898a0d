#ifndef LM_BASE_SYS_H
#define LM_BASE_SYS_H
/* base/sys.h - clock, stop flag, progress, processor: what a stage may know of the world around it. */

#include "base/err.h"
#include "base/str.h"

#include <pthread.h>

/* ---- clock ---- */

uint64_t lm_now_ns(void);     // monotonic, for durations
int64_t lm_wall_ms(void);     // Unix time; never part of an artifact
enum { LM_TIME_TEXT = 25 };   // "2026-01-31T12:00:00.000Z" and NUL
void lm_time_text(int64_t wall_ms, char ret[LM_TIME_TEXT]);

/* ---- stop: set by SIGTERM and SIGINT ---- */

void lm_stop_install(void);         // cli calls it once
bool lm_stop_asked(void);           // stages ask between units of work, save, and return LM_ESTOP
int lm_stop_signal(void);           // 0, SIGTERM or SIGINT
void lm_stop_request(int signal);   // also for tests

/* ---- progress: a line on a terminal, plain lines otherwise; standard error only ---- */

struct lm_progress {
    const char *what;   // "prepare"
    const char *unit;   // "documents"
    uint64_t total;     // 0: not known
    uint64_t started_ns, shown_ns;
};

void lm_progress_quiet(bool quiet);   // cli: --quiet
struct lm_progress lm_progress_start(const char *what, const char *unit, uint64_t total);
void lm_progress_at(struct lm_progress *p, uint64_t done, const char *note);   // cheap; note may be NULL
void lm_progress_end(struct lm_progress *p, uint64_t done);
void lm_say(const char *format, ...) __attribute__((format(printf, 1, 2)));    // one line unless --quiet
void lm_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));   // "warning: ..."; always shown

/* ---- processor ---- */

/* Two families, ARM's first; in each a later one has all that is before it. */
enum lm_isa {
    LM_ISA_SCALAR,
    LM_ISA_NEON,
    LM_ISA_NEON_DOT,
    LM_ISA_AVX2,
    LM_ISA_AVX512,
    LM_ISA_AVX512_VNNI,
    LM_ISA_AVX512_BF16,
    LM_ISA_COUNT
};

enum lm_isa lm_isa(void);           // best the processor has, lowered by LOOM_ISA=scalar|neon|avx2|avx512|...
bool lm_isa_has(enum lm_isa isa);   // of the processor's family, and not above lm_isa()
const char *lm_isa_name(enum lm_isa isa);
const char *lm_cpu_name(void);      // "AMD EPYC ..." or "unknown"
int lm_threads(void);               // for OpenMP loops: set value or the cores this process may use
void lm_threads_set(int threads);   // 0 = all; results never depend on it
/* A thread for a short piece of work beside the caller's, who joins it.  It may use the processors of the
 * process but the one that the caller is on: started there, it would wait for the caller.  False: there is
 * none. */
bool lm_thread_beside(pthread_t *ret, void *(*work)(void *), void *argument);
uint64_t lm_rss_bytes(void);   // resident size of this process
uint64_t lm_rss_peak_bytes(void);
uint64_t lm_ram_bytes(void);

extern const char lm_version[];   // "0.1.0"

#endif
