echo cli 1.0
