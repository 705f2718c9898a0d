/* The last part of base/sys.h: processor, cores, memory. */

#include "base/file.h"
#include "base/sys.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef __x86_64__
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* ---- instruction set ---- */

/* By enum lm_isa; also the words of LOOM_ISA. */
static const char *const isa_names[LM_ISA_COUNT] = {
    [LM_ISA_SCALAR] = "scalar",           [LM_ISA_NEON] = "neon",
    [LM_ISA_NEON_DOT] = "neon_dot",       [LM_ISA_AVX2] = "avx2",
    [LM_ISA_AVX512] = "avx512",           [LM_ISA_AVX512_VNNI] = "avx512_vnni",
    [LM_ISA_AVX512_BF16] = "avx512_bf16",
};

const char *lm_isa_name(enum lm_isa isa)
{
    LM_ASSERT(isa >= 0 && isa < LM_ISA_COUNT);
    return isa_names[isa];
}

/* A row needs every feature its files are compiled for.  __builtin_cpu_supports also asks whether the system
 * saves the wide registers; F16C and BF16, which clang 14 does not know there, use the same ones. */
static enum lm_isa best_isa(void)
{
#ifdef __x86_64__
    unsigned a, b, c, d;
    const bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    const bool bf16 = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5);
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
          __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") && f16c))
        return LM_ISA_SCALAR;
    if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")))
        return LM_ISA_AVX2;
    if (!__builtin_cpu_supports("avx512vnni"))
        return LM_ISA_AVX512;
    return bf16 ? LM_ISA_AVX512_BF16 : LM_ISA_AVX512_VNNI;
#elif defined(__aarch64__)
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? LM_ISA_NEON_DOT : LM_ISA_NEON;
#else
    return LM_ISA_SCALAR;
#endif
}

/* Is `isa` the scalar one, or of the family of `best` and not above it? */
static bool within(enum lm_isa isa, enum lm_isa best)
{
    return isa == LM_ISA_SCALAR || (isa <= best && (isa >= LM_ISA_AVX2) == (best >= LM_ISA_AVX2));
}

static enum lm_isa chosen_isa;

static void choose_isa(void)
{
    chosen_isa = best_isa();
    const char *wish = getenv("LOOM_ISA");
    if (!wish || !*wish)
        return;
    for (int isa = 0; isa < LM_ISA_COUNT; isa++)
        if (strcmp(wish, isa_names[isa]) == 0) {
            if (within((enum lm_isa)isa, chosen_isa))
                chosen_isa = (enum lm_isa)isa;
            return;
        }
    lm_warn(
        "LOOM_ISA='%s' is none of scalar, neon, neon_dot, avx2, avx512, avx512_vnni, avx512_bf16: using %s",
        wish, isa_names[chosen_isa]);
}

enum lm_isa lm_isa(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose_isa);
    return chosen_isa;
}

bool lm_isa_has(enum lm_isa isa)
{
    LM_ASSERT(isa >= 0 && isa < LM_ISA_COUNT);
    return within(isa, lm_isa());
}

static char cpu_name[64] = "unknown";

static void find_cpu_name(void)
{
#ifdef __x86_64__
    unsigned brand[12];   // 48 bytes of text in three leaves
    if ((unsigned)__get_cpuid_max(0x80000000, NULL) < 0x80000004)
        return;
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002 + i, &brand[4 * i], &brand[4 * i + 1], &brand[4 * i + 2], &brand[4 * i + 3]);
    const struct lm_str text = { (const char *)brand, strnlen((const char *)brand, sizeof(brand)) };
    const struct lm_str name = lm_str_trim(text);
    if (name.len) {
        memcpy(cpu_name, name.ptr, name.len);
        cpu_name[name.len] = '\0';
    }
#endif
}

const char *lm_cpu_name(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_cpu_name);
    return cpu_name;
}

/* ---- limits set by the system: control groups, version 2 ---- */

enum { SMALL_FILE_MAX = 64 << 10 };

static bool read_small(const char *path, struct lm_buf *ret)
{
    lm_buf_reset(ret);
    return lm_file_read(path, SMALL_FILE_MAX, ret, NULL) == LM_OK;
}

/* Calls `use` with the text of `file` in the group of this process and in every group above it. */
static void each_group(const char *file, void (*use)(struct lm_str text, double *least), double *least)
{
    struct lm_buf path = { 0 }, text = { 0 };
    struct lm_str rest = { 0 }, line, group = { 0 };
    if (read_small("/proc/self/cgroup", &text))
        rest = lm_buf_str(&text);
    while (lm_str_split(&rest, '\n', &line))
        if (lm_str_starts(line, LM_STR("0::")))
            group = (struct lm_str){ line.ptr + 3, line.len - 3 };
    LM_FREE char *name = lm_zalloc(group.len + 1, 1);
    if (group.len)
        memcpy(name, group.ptr, group.len);
    for (;;) {
        lm_buf_reset(&path);
        lm_buf_printf(&path, "/sys/fs/cgroup%s/%s", name, file);
        if (read_small(path.ptr, &text))
            use(lm_str_trim(lm_buf_str(&text)), least);
        char *slash = strrchr(name, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    lm_buf_release(&path);
    lm_buf_release(&text);
}

/* cpu.max: "quota period", quota "max" = none. */
static void use_cpu_max(struct lm_str text, double *least)
{
    struct lm_str quota;
    double used, period;
    if (lm_str_split(&text, ' ', &quota) && lm_str_to_f64(quota, &used) && lm_str_to_f64(text, &period) &&
        used > 0 && period > 0 && used / period < *least)
        *least = used / period;
}

static void use_memory_max(struct lm_str text, double *least)
{
    double bytes;
    if (lm_str_to_f64(text, &bytes) && bytes > 0 && bytes < *least)
        *least = bytes;
}

/* ---- threads ---- */

static atomic_int threads_set;

static int allowed_cores(void)
{
    cpu_set_t set;
    double cores = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        cores = CPU_COUNT(&set);
    else if (sysconf(_SC_NPROCESSORS_ONLN) > 0)   // more than 1024 processors
        cores = (double)sysconf(_SC_NPROCESSORS_ONLN);
    each_group("cpu.max", use_cpu_max, &cores);
    return cores > 1 ? (int)(cores + 0.999) : 1;   // half a core still does work
}

int lm_threads(void)
{
    static atomic_int found;
    if (threads_set > 0)
        return threads_set;
    if (found == 0)
        found = allowed_cores();
    return found;
}

void lm_threads_set(int threads)
{
    LM_ASSERT(threads >= 0);
    threads_set = threads;
}

bool lm_thread_beside(pthread_t *ret, void *(*work)(void *), void *argument)
{
    cpu_set_t allowed;
    pthread_attr_t attributes;
    const int here = sched_getcpu();
    if (pthread_attr_init(&attributes) != 0)
        return false;
    if (here >= 0 && sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
        CPU_CLR(here, &allowed);
        if (CPU_COUNT(&allowed) > 0)
            (void)pthread_attr_setaffinity_np(&attributes, sizeof(allowed), &allowed);   // a hint
    }
    const bool made = pthread_create(ret, &attributes, work, argument) == 0;
    pthread_attr_destroy(&attributes);
    return made;
}

/* ---- memory ---- */

uint64_t lm_rss_bytes(void)
{
    struct lm_buf text = { 0 };
    int64_t pages = 0;
    if (read_small("/proc/self/statm", &text)) {
        struct lm_str rest = lm_buf_str(&text), field;
        if (!lm_str_split(&rest, ' ', &field) || !lm_str_split(&rest, ' ', &field) ||
            !lm_str_to_i64(field, &pages))
            pages = 0;
    }
    lm_buf_release(&text);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t lm_rss_peak_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

uint64_t lm_ram_bytes(void)
{
    double bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    each_group("memory.max", use_memory_max, &bytes);
    return (uint64_t)bytes;
}
