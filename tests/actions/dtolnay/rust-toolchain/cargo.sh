#!/bin/bash
# A cargo for scripts: `cargo build [--release] [--target T]`, `cargo test`, `cargo fmt --check`, `cargo --version`.
set -euo pipefail
toolchain=@TOOLCHAIN@ targets=@TARGETS@ profile=debug target=
name=$(sed -n 's/^name = "\(.*\)"/\1/p' Cargo.toml | head -1)
command=$1
shift
while [ $# -gt 0 ]; do
    case $1 in
    --release) profile=release ;;
    --target) target=$2; shift ;;
    esac
    shift
done
if [ "$target" ] && [[ ",$targets," != *",$target,"* ]]; then
    echo "error[E0463]: can't find crate for \`std\`: no target $target" >&2
    exit 101
fi
case $command in
--version) echo "cargo $toolchain" ;;
build)
    out=target/${target:+$target/}$profile
    mkdir -p "$out"
    { echo "#!/bin/sh"; echo "# $toolchain ${target:-host} ${RUSTFLAGS:-}"; cat src/main.sh; } > "$out/$name"
    chmod +x "$out/$name"
    echo "    Finished \`$profile\` profile ($out/$name)"
    ;;
test) for file in tests/*.sh; do sh -eu "$file" && echo "test $(basename "$file" .sh) ... ok"; done ;;
fmt) ! grep -n ' $' src/*.sh || exit 1 ;;
*) echo "error: no such command: \`$command\`" >&2; exit 101 ;;
esac
