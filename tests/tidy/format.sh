#!/bin/sh
# Every C file is as clang-format would write it.  Lists those that are not.
command -v clang-format >/dev/null || exit 77
bad=$(find src tests fuzz bench -name '*.[ch]' | LC_ALL=C sort |
    xargs clang-format --dry-run 2>&1 | sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: warning:.*/\1/p' | uniq -c)
[ -z "$bad" ] && exit 0
echo "places where clang-format -i would change a file:"
echo "$bad"
exit 1
