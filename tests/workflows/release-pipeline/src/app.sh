app() { echo $(($1 * 2)); }
