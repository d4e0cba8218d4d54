echo "quick on $1"
