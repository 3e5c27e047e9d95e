"""What the notebooks call: data sets, weights, the session, training, the endpoint, plots and results."""
