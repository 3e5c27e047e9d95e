"""Run a training script that is ended by SIGKILL in the second step of an epoch, for test_checkpoints.py.

Arguments: the script, the epoch from 0, and the arguments of the script.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

import keras

SCRIPTS = Path(__file__).resolve().parents[4] / "training_scripts"


class EndItself(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.last_epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (self.last_epoch, 1):
            os.kill(os.getpid(), signal.SIGKILL)


script, epoch = sys.argv[1], int(sys.argv[2])
fit = keras.Model.fit


def fit_and_end(self, *arguments, callbacks, **options):
    return fit(self, *arguments, callbacks=[*callbacks, EndItself(epoch)], **options)


keras.Model.fit = fit_and_end
sys.path.insert(0, str(SCRIPTS))
sys.argv = [script, *sys.argv[3:]]
runpy.run_path(str(SCRIPTS / script), run_name="__main__")
