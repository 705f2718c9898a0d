#!/bin/sh
# A function or object is declared in one place, the header of the file that defines it: no lm_ prototype in
# two headers, none repeated by an `extern` in a .c file.
find src \( -name '*.h' -o -name '*.c' \) | LC_ALL=C sort | xargs awk '
    FILENAME ~ /\.c$/ && /^ *extern / { print FILENAME ":" FNR ": extern in a .c file: " $0; bad = 1 }
    FILENAME ~ /\.h$/ && /^[a-z]/ && !/^(static|typedef)/ && match($0, /lm_[a-z0-9_]+\(/) {
        name = substr($0, RSTART, RLENGTH - 1)
        if (name in seen) {
            print FILENAME ":" FNR ": " name " is also declared at " seen[name]
            bad = 1
        }
        seen[name] = FILENAME ":" FNR
    }
    END { exit bad }'
