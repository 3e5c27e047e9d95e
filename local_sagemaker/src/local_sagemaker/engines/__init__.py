"""Ways to hold a SavedModel in memory and to call its signatures."""
