#!/bin/sh
# arm64_sysroot.sh FOLDER: Debian's libraries for ARM, those of the group `build` in packages.txt and cmocka, laid
# out in FOLDER as on such a machine.  Nothing of it is installed here.  Does nothing when FOLDER is complete.
set -eu
root=$1
packages=$(dirname "$0")/../packages.txt
# Hyperscan is written for x86-64 alone; Vectorscan is its twin with the same headers.
wanted=$(awk '!/^#/ && $2 ~ /(^|,)(build|test)(,|$)/ && $1 ~ /-dev$/ { sub("libhyperscan", "libvectorscan", $1); print $1 }' \
    "$packages")
stamp=$root/packages
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

rm -rf "$root"
mkdir -p "$root/apt/lists/partial" "$root/apt/archives/partial"
root=$(cd "$root" && pwd)
: >"$root/apt/status"   # what is installed for that processor: nothing
get() {
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root \
        -o Dir::State="$root/apt" -o Dir::State::status="$root/apt/status" -o Dir::Cache="$root/apt" \
        -o Acquire::Retries=3 "$@"
}
echo "fetching the libraries for ARM, some 55 MB" >&2
get update
get install -y --download-only --no-install-recommends $wanted >/dev/null

for package in "$root"/apt/archives/*.deb; do
    dpkg-deb -x "$package" "$root"
done
# Absolute links lead out of the folder.
find "$root/usr" "$root/lib" -type l -lname '/*' | while read -r link; do
    ln -snf "$root$(readlink "$link")" "$link"
done
rm -rf "$root/apt"
echo "$wanted" >"$root/packages"
