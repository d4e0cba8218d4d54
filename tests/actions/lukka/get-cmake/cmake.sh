#!/bin/bash
# cmake -S SOURCE -B BUILD -DNAME=VALUE..., cmake --build BUILD: each source becomes an object, kept by its hash.
set -euo pipefail
source=. build=build
declare -A set
if [ "$1" = --build ]; then
    . "$2/settings"
    mkdir -p "$CCACHE_DIR"
    for file in "$SOURCE"/src/*.sh "$SOURCE"/tests/*.sh; do
        key=$(cat "$file" "$2/settings" | sha1sum | cut -d' ' -f1)
        if [ -e "$CCACHE_DIR/$key" ]; then how=cached; else how=compiled; cp "$file" "$CCACHE_DIR/$key"; fi
        cp "$CCACHE_DIR/$key" "$2/$(basename "$file" .sh).o"
        echo "[$how] $(basename "$file") $CXX ${CXXFLAGS:-}"
    done
    exit
fi
while [ $# -gt 0 ]; do
    case $1 in
    -S) source=$2; shift ;;
    -B) build=$2; shift ;;
    -D*=*) pair=${1#-D}; set[${pair%%=*}]=${pair#*=} ;;
    esac
    shift
done
mkdir -p "$build"
{
    echo "SOURCE=$source CXX=$CXX BUILD_TYPE=${set[CMAKE_BUILD_TYPE]:-} SANITIZE='${set[SANITIZE]:-}'"
} > "$build/settings"
echo "-- Build files have been written to: $build"
