echo "[$CHANNEL] $2: $1 (input $INPUT_TEXT, $(ls "$GITHUB_WORKSPACE" | tr "\n" " "))"
