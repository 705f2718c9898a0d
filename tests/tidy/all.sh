#!/bin/sh
# `make tidy`: the checks that ctest runs too, then clang-tidy over src/ (all of it, or the files named).
# clang-tidy reads the compile commands of the clang build, which is configured for it but not built.
set -u
bad=0
for check in cmake/check_layers.sh tests/tidy/format.sh tests/tidy/self.sh tests/tidy/declarations.sh; do
    sh $check || { echo "tidy: $check failed"; bad=1; }
done

cmake --preset ci-clang >/dev/null || exit 1
files=$(grep -oE '"file": "[^"]*/src/[^"]*\.c"' build/ci-clang/compile_commands.json | cut -d '"' -f 4 |
    LC_ALL=C sort -u | grep -F "${1:-/src/}")
noise=build/ci-clang/clang-tidy.log   # counts of suppressed warnings; matters only if something failed
if [ -n "$files" ]; then
    printf '%s\n' "$files" | xargs -P "$(nproc)" -n 4 clang-tidy -p build/ci-clang --quiet 2>$noise ||
        { grep -v ' generated\.$' $noise; echo "tidy: clang-tidy failed"; bad=1; }
fi
[ $bad = 0 ] && echo "tidy: clean"
exit $bad
