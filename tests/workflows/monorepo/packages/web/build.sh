echo web 1.0
