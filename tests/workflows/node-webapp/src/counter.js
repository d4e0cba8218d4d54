// TODO: count backwards
exports.add = (count, step = 1) => count + step;
exports.built = "@API@ at @COMMIT@";
