#!/bin/bash
# A go for scripts: `go test [-coverprofile=FILE] ./...` runs *_test.sh, `go build -o FILE` packs main.sh.
set -euo pipefail
command=$1
shift
profile= out=a.out ldflags=
while [ $# -gt 0 ]; do
    case $1 in
    -coverprofile=*) profile=${1#*=} ;;
    -o) out=$2; shift ;;
    -ldflags) ldflags=$2; shift ;;
    esac
    shift
done
case $command in
version) echo "go version go$GO_SET_UP ${GOOS:-linux}/${GOARCH:-amd64}" ;;
mod) echo "verified $(wc -l < go.sum)" && echo kept > ~/go/pkg/mod/"$(date +%s%N)" ;;
build) mkdir -p "$(dirname "$out")"; { echo "#!/bin/sh"; echo "version='${ldflags##*=}' platform=${GOOS:-linux}/${GOARCH:-amd64}"; cat main.sh; } > "$out"; chmod +x "$out" ;;
test)
    [ -z "$profile" ] || echo "mode: atomic" > "$profile"
    status=0
    for file in $(find . -name '*_test.sh' | sort); do
        if bash -eu "$file"; then echo "ok      $(basename "$file" _test.sh)"; else echo "FAIL    $(basename "$file" _test.sh)"; status=1; fi
        [ -z "$profile" ] || echo "$file:1.1,2.2 1 1" >> "$profile"
    done
    exit $status
    ;;
esac
