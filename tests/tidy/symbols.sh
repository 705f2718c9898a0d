#!/bin/sh
# symbols.sh BUILD: whatever leaves a file of a module is named lm_ something, and no two modules define the
# same name.  (Names with two underscores in front are the compiler's and the sanitizers'.)
libraries=$(find "$1/src" -name 'libloom_*.a')
[ -n "$libraries" ] || { echo "no libraries in $1/src: build first"; exit 1; }
nm -A -g --defined-only $libraries | awk '
    $2 ~ /^[A-Z]$/ || $3 ~ /^[A-Z]$/ { name = $NF }
    name ~ /^__/ { next }
    name !~ /^lm_/ { print $1 " " name ": leaves its file without lm_"; bad = 1 }
    END { exit bad }'
