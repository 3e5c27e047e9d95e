"""How many copies of a model fit on an instance, measured."""
