"""SageMaker as `endpoint`, `training` and `session` see it: what it runs, what it answers, what it leaves."""
