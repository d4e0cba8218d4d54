#!/bin/bash
# `fmt -check`, `init`, `validate`, `plan -out=FILE -detailed-exitcode`, `apply FILE`, `output`: resources are lines.
set -euo pipefail
case $1 in
fmt) ! grep -ln '	' *.tf ;;
init) mkdir -p .terraform && echo "Terraform has been successfully initialized! (${*:2})" ;;
validate) grep -q '^resource ' main.tf || { echo "Error: no resource" >&2; exit 1; } ;;
plan)
    [ "${TF_VAR_replicas:-1}" -gt 0 ] 2>/dev/null || { echo "Error: replicas is no number" >&2; exit 1; }
    for argument in "$@"; do case $argument in -out=*) out=${argument#*=} ;; esac; done
    sed -n 's/^resource "\(.*\)"$/\1/p' main.tf | sed "s/\$/ x${TF_VAR_replicas:-1} in $TF_VAR_environment/" > "$out"
    touch state
    if diff -q state "$out" > /dev/null; then echo "No changes."; exit 0; fi
    sed 's/^/  + /' "$out"
    echo "Plan: $(wc -l < "$out") to add"
    exit 2
    ;;
apply) cp "${!#}" state; echo "Apply complete! $(wc -l < state) added" ;;
output) echo "https://$TF_VAR_environment.example" ;;
esac
