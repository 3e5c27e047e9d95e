"""The run of the notebooks as a series: their progress, the page of results, and the outputs that stay in them."""
