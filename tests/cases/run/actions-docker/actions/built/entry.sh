#!/bin/sh
echo "got $# arguments: $1 / $2; OF_ACTION=$OF_ACTION OWN=$OWN JOB=$JOB INPUT_FIRST=$INPUT_FIRST"
echo "$(pwd) has: $(cat shared)"
echo "out=from the image" >> "$GITHUB_OUTPUT"
echo "VARIABLE=set" >> "$GITHUB_ENV"
echo "kept=$1" >> "$GITHUB_STATE"
echo "from the action" > from-the-action
