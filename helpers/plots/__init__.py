"""The figures of the notebooks.

Every function returns a matplotlib figure with the heading `title`. In small type it says its `source`: which images,
weights and machine its numbers come from.
"""

from helpers.plots.capacity import costs, hit_ratios
from helpers.plots.evaluation import calibration, confusion_matrix
from helpers.plots.latency import latencies, traffic_over_time
from helpers.plots.learning import accuracy_over_time, cost_and_accuracy, learning_curves
from helpers.plots.pictures import mistakes, predictions, sample_grid
from helpers.plots.preprocessing import preprocessing
from helpers.plots.users import personal_gain, user_signs

__all__ = [
    "accuracy_over_time",
    "calibration",
    "confusion_matrix",
    "cost_and_accuracy",
    "costs",
    "hit_ratios",
    "latencies",
    "learning_curves",
    "mistakes",
    "personal_gain",
    "predictions",
    "preprocessing",
    "sample_grid",
    "traffic_over_time",
    "user_signs",
]
