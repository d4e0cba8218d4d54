echo "weekly on $1"
