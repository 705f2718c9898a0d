#include "check.h"

#include "base/sys.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void times_are_written_in_utc(void **state)
{
    (void)state;
    char text[LM_TIME_TEXT];
    lm_time_text(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    lm_time_text(951782400123, text);
    assert_string_equal(text, "2000-02-29T00:00:00.123Z");
    lm_time_text(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    lm_time_text(INT64_MAX, text);   // a year that does not fit
    assert_string_equal(text, "0000-00-00T00:00:00.000Z");
    lm_time_text(INT64_MIN, text);
    assert_string_equal(text, "0000-00-00T00:00:00.000Z");
    assert_true(lm_wall_ms() > 1700000000000);
    const uint64_t before = lm_now_ns();
    assert_true(lm_now_ns() >= before);
}

static void a_signal_asks_to_stop(void **state)
{
    (void)state;
    assert_false(lm_stop_asked());
    lm_stop_install();
    raise(SIGTERM);
    assert_true(lm_stop_asked());
    assert_int_equal(lm_stop_signal(), SIGTERM);
    lm_stop_request(0);
    assert_false(lm_stop_asked());
}

static void a_second_interrupt_ends_the_program(void **state)
{
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        lm_stop_install();
        raise(SIGINT);
        raise(SIGINT);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

/* What `act` writes to standard error, in a child whose standard error is a pipe. */
static void capture(void (*act)(void), char *ret, size_t cap)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        act();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t got;
    while (len + 1 < cap && (got = read(ends[0], ret + len, cap - len - 1)) > 0)
        len += (size_t)got;
    ret[len] = '\0';
    close(ends[0]);
    waitpid(child, NULL, 0);
}

static void run_a_stage(void)
{
    struct lm_progress p = lm_progress_start("prepare", "documents", 1000);
    for (uint64_t i = 0; i < 1000; i++)
        lm_progress_at(&p, i, NULL);   // far less than ten seconds: no line
    p.shown_ns -= 11000000000;
    p.started_ns -= 75000000000;
    lm_progress_at(&p, 500, "shard 3");
    lm_progress_end(&p, 1000);
    lm_say("done in %s", "f");
    lm_warn("%d left out", 3);
}

static void run_a_quiet_stage(void)
{
    lm_progress_quiet(true);
    run_a_stage();
}

static void progress_is_plain_lines_when_not_on_a_terminal(void **state)
{
    (void)state;
    char text[1000];
    capture(run_a_stage, text, sizeof(text));
    assert_string_equal(text, "prepare: 500 of 1000 documents, 6.67 documents/s, 50 %, 1:15 left - shard 3\n"
                              "prepare: 1000 documents in 75.0 s, 13 documents/s\n"
                              "done in f\n"
                              "warning: 3 left out\n");
}

static void quiet_leaves_only_warnings(void **state)
{
    (void)state;
    char text[1000];
    capture(run_a_quiet_stage, text, sizeof(text));
    assert_string_equal(text, "warning: 3 left out\n");
}

static void say_isa(void)
{
    lm_say("%s", lm_isa_name(lm_isa()));
}

static void loom_isa_lowers_but_never_raises(void **state)
{
    (void)state;
    char best[100], text[300];
    unsetenv("LOOM_ISA");
    capture(say_isa, best, sizeof(best));
    setenv("LOOM_ISA", "scalar", 1);
    capture(say_isa, text, sizeof(text));
    assert_string_equal(text, "scalar\n");
    static const char *const highest[] = { "avx512_bf16", "neon_dot" };   // one is of the other family
    for (int i = 0; i < 2; i++) {
        setenv("LOOM_ISA", highest[i], 1);
        capture(say_isa, text, sizeof(text));
        assert_string_equal(text, best);
    }
    setenv("LOOM_ISA", "sse9", 1);
    capture(say_isa, text, sizeof(text));
    assert_contains(text, "warning: LOOM_ISA='sse9' is none of");
    assert_contains(text, best);
    unsetenv("LOOM_ISA");
}

/* The kernel's own list of flags is an independent witness. */
static void the_instruction_set_agrees_with_proc_cpuinfo(void **state)
{
    (void)state;
#ifdef __aarch64__
    static const char key[] = "Features";
#else
    static const char key[] = "flags";
#endif
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file)
        skip();
    char line[8192] = "";
    while (fgets(line, sizeof(line), file) && strncmp(line, key, strlen(key)) != 0)
        ;
    fclose(file);
    if (strncmp(line, key, strlen(key)) != 0)
        skip();   // another processor, or the cpuinfo of the machine that imitates it
    line[strcspn(line, "\n")] = ' ';
    const bool avx2 = strstr(line, " avx2 ") && strstr(line, " fma ") && strstr(line, " f16c ");
    const bool avx512 = avx2 && strstr(line, " avx512f ") && strstr(line, " avx512bw ") &&
                        strstr(line, " avx512vl ") && strstr(line, " avx512dq ");
    const bool vnni = avx512 && strstr(line, " avx512_vnni ");
    const bool bf16 = vnni && strstr(line, " avx512_bf16 ");
    const bool neon = strstr(line, " asimd "), dot = strstr(line, " asimddp ");
    assert_int_equal(lm_isa(), bf16     ? LM_ISA_AVX512_BF16
                               : vnni   ? LM_ISA_AVX512_VNNI
                               : avx512 ? LM_ISA_AVX512
                               : avx2   ? LM_ISA_AVX2
                               : dot    ? LM_ISA_NEON_DOT
                               : neon   ? LM_ISA_NEON
                                        : LM_ISA_SCALAR);
    assert_true(lm_cpu_name()[0] != '\0');
}

static void a_processor_has_what_is_below_its_best_and_nothing_of_the_other_family(void **state)
{
    (void)state;
    assert_true(lm_isa_has(LM_ISA_SCALAR));
    assert_true(lm_isa_has(lm_isa()));
    for (int isa = LM_ISA_SCALAR + 1; isa < LM_ISA_COUNT; isa++) {
#ifdef __aarch64__
        const bool family = isa == LM_ISA_NEON || isa == LM_ISA_NEON_DOT;
#else
        const bool family = isa != LM_ISA_NEON && isa != LM_ISA_NEON_DOT;
#endif
        assert_int_equal(lm_isa_has(isa), family && isa <= (int)lm_isa());
    }
}

static void threads_and_memory_are_plausible(void **state)
{
    (void)state;
    assert_true(lm_threads() >= 1);
    assert_true(lm_threads() <= sysconf(_SC_NPROCESSORS_CONF));
    lm_threads_set(7);
    assert_int_equal(lm_threads(), 7);
    lm_threads_set(0);
    assert_true(lm_rss_bytes() > 100000);
    assert_true(lm_rss_peak_bytes() >= lm_rss_bytes() / 2);   // the kernel counts in batches
    assert_true(lm_ram_bytes() > lm_rss_bytes());
    assert_string_equal(lm_version, LOOM_VERSION);
}

static void *note_processors(void *ret)
{
    cpu_set_t *own = ret;
    return sched_getaffinity(0, sizeof(*own), own) == 0 ? ret : NULL;
}

static void a_thread_beside_has_all_processors_but_one(void **state)
{
    (void)state;
    cpu_set_t all, own;
    pthread_t thread;
    void *done = NULL;
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    assert_true(lm_thread_beside(&thread, note_processors, &own));
    assert_int_equal(pthread_join(thread, &done), 0);
    assert_ptr_equal(done, &own);
    const int count = CPU_COUNT(&all);
    assert_int_equal(CPU_COUNT(&own), count > 1 ? count - 1 : 1);
    CPU_AND(&own, &own, &all);
    assert_int_equal(CPU_COUNT(&own), count > 1 ? count - 1 : 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_in_utc),
        cmocka_unit_test(a_signal_asks_to_stop),
        cmocka_unit_test(a_second_interrupt_ends_the_program),
        cmocka_unit_test(progress_is_plain_lines_when_not_on_a_terminal),
        cmocka_unit_test(quiet_leaves_only_warnings),
        cmocka_unit_test(loom_isa_lowers_but_never_raises),
        cmocka_unit_test(the_instruction_set_agrees_with_proc_cpuinfo),
        cmocka_unit_test(a_processor_has_what_is_below_its_best_and_nothing_of_the_other_family),
        cmocka_unit_test(threads_and_memory_are_plausible),
        cmocka_unit_test(a_thread_beside_has_all_processors_but_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
