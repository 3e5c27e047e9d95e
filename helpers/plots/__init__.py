"""The figures of the notebooks.

Every function returns a matplotlib figure with the heading `title`. In small type it says its `source`: which images,
weights and machine its numbers come from.
"""

from helpers.plots.evaluation import calibration, confusion_matrix, personal_gain
from helpers.plots.learning import accuracy_over_time, cost_and_accuracy, learning_curves
from helpers.plots.pictures import mistakes, predictions, preprocessing, sample_grid, user_signs
from helpers.plots.serving import costs, hit_ratios, latencies, traffic_over_time

__all__ = [
    "accuracy_over_time", "calibration", "confusion_matrix", "cost_and_accuracy", "costs", "hit_ratios",
    "latencies", "learning_curves", "mistakes", "personal_gain", "predictions", "preprocessing", "sample_grid",
    "traffic_over_time", "user_signs",
]  # fmt: skip
