#!/bin/sh
# install_packages.sh GROUP...: install the Debian packages of packages.txt that are missing.
# Does nothing, and needs no rights, when all are there.
set -eu
here=$(dirname "$0")
pattern=$(IFS='|'; echo "$*")
wanted=$(awk -v groups="^($pattern)\$" '
    /^#/ || NF < 2 { next }
    { n = split($2, group, ","); for (i = 1; i <= n; i++) if (group[i] ~ groups) { print $1; next } }
    ' "$here/../packages.txt")

if ! command -v dpkg-query >/dev/null; then
    echo "not a Debian system; these packages (or their like) are needed:" $wanted >&2
    exit 0
fi

missing=
for package in $wanted; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "installing:$missing" >&2
apt="env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3"
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "run as root: apt-get install$missing" >&2; exit 1; }
    apt="sudo $apt"
fi
$apt update
$apt install -y --no-install-recommends $missing >/dev/null
