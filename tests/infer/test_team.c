#include "infer/team.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <time.h>

enum { CHUNKS_MAX = 200, TEAM = 4 };

struct tally {
    _Atomic int runs[CHUNKS_MAX];
    _Atomic int busy[TEAM];
    _Atomic int clashes;
    size_t plain[CHUNKS_MAX];   // written by whoever runs the chunk, read by the caller afterwards
};

static void count_chunk(void *context, size_t chunk, size_t worker)
{
    struct tally *t = context;
    if (atomic_fetch_add(&t->busy[worker], 1) != 0)
        atomic_fetch_add(&t->clashes, 1);
    atomic_fetch_add(&t->runs[chunk], 1);
    t->plain[chunk] += chunk;
    atomic_fetch_sub(&t->busy[worker], 1);
}

static void every_chunk_runs_once_in_every_job(void **state)
{
    (void)state;
    static struct tally t;
    struct lm_team *team = lm_team_new(TEAM);
    int jobs[CHUNKS_MAX] = { 0 };
    for (size_t round = 0; round < 3000; round++) {
        const size_t chunks = round * 37 % (CHUNKS_MAX + 1);
        lm_team_run(team, chunks, count_chunk, &t);
        for (size_t i = 0; i < chunks; i++)
            jobs[i]++;
        if (round % 1000 == 500)   // long enough for the workers to fall asleep
            nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
    for (size_t i = 0; i < CHUNKS_MAX; i++) {
        assert_int_equal(t.runs[i], jobs[i]);
        assert_int_equal(t.plain[i], i * (size_t)jobs[i]);
    }
    assert_int_equal(t.clashes, 0);
    lm_team_free(team);
}

static void teams_come_and_go_without_work(void **state)
{
    (void)state;
    for (size_t size = 1; size <= TEAM; size++) {
        struct lm_team *team = lm_team_new(size);
        assert_true(lm_team_size(team) <= size);
        lm_team_free(team);
    }
    lm_team_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chunk_runs_once_in_every_job),
        cmocka_unit_test(teams_come_and_go_without_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
