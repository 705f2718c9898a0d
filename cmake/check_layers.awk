# Every #include of src/ against src/LAYERS, one line per breach; cmake/check_layers.sh runs it.
#
# A quoted include needs the module's folder ("tensor/kernels.h"), and an include in angle brackets that
# names one of our folders counts as quoted: <tensor/x.h> must not slip through.
FILENAME ~ /LAYERS$/ { for (i = 1; i <= NF; i++) may[$1, $i]; known[$1]; next }
FNR == 1 { split(FILENAME, part, "/"); mod = part[2] }
match($0, /^[ \t]*#[ \t]*include[ \t]*["<]/) {
    quoted = substr($0, RLENGTH, 1) == "\""
    head = substr($0, RLENGTH + 1)
    sub(/[\/">].*/, "", head)   # text before the first slash
    if ((quoted || head in known) && !((mod, head) in may)) {
        print FILENAME ":" FNR ": " $0 "   (see src/LAYERS)"
        bad = 1
    }
}
END { exit bad }
