"""SageMaker, AWS's or the emulator's, as `endpoint`, `training` and `session` see it: runs, answers, what is left."""
