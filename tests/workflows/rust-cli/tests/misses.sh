if echo hay | "$GROPE" needle; then exit 1; fi
