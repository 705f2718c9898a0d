/* Energy counters as Linux shows them, in a folder of the same shape. */
#include "base/energy.h"

#include "base/file.h"

#include "../lib/check.h"

#include <math.h>

static void put(const char *zone, const char *name, const char *value)
{
    struct lm_err err = { 0 };
    char path[128];
    snprintf(path, sizeof path, "cap/%s", zone);
    assert_ok(lm_dir_make(path, &err));
    snprintf(path, sizeof path, "cap/%s/%s", zone, name);
    assert_ok(lm_file_write(path, lm_str(value), &err));
}

static void packages_are_summed_over_the_wrap(void **state)
{
    (void)state;
    assert_ok(lm_path_remove("cap", NULL));
    static const char *const zones[] = { "intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "dtpm" };
    for (size_t i = 0; i < 4; i++) {
        put(zones[i], "energy_uj", "900000000\n");
        put(zones[i], "max_energy_range_uj", "1000000000\n");
    }
    struct lm_energy e = lm_energy_start("cap");
    assert_int_equal(e.zone_count, 2);   // a core is part of its package
    assert_true(lm_energy_joules(&e) == 0);
    put("intel-rapl:0", "energy_uj", "950000000\n");
    put("intel-rapl:1", "energy_uj", "10000000\n");   // began again
    put("intel-rapl:0:0", "energy_uj", "990000000\n");
    assert_true(fabs(lm_energy_joules(&e) - (50 + 110)) < 1e-6);
    put("intel-rapl:1", "energy_uj", "11000000\n");
    assert_true(fabs(lm_energy_joules(&e) - 161) < 1e-6);
    put("intel-rapl:1", "energy_uj", "not a number");
    put("intel-rapl:0", "energy_uj", "951000000\n");
    assert_true(fabs(lm_energy_joules(&e) - 162) < 1e-6);   // the other goes on
}

static void without_counters_nothing_is_known(void **state)
{
    (void)state;
    struct lm_energy e = lm_energy_start("there is no such folder");
    assert_true(isnan(lm_energy_joules(&e)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packages_are_summed_over_the_wrap),
        cmocka_unit_test(without_counters_nothing_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
