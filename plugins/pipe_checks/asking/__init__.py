"""How each check asks; what it is asked with is in the module of its name one folder up."""
