echo core 1.0
