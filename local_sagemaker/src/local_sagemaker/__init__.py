"""A stand-in for Amazon SageMaker on 127.0.0.1.

The unmodified SageMaker Python SDK, boto3 and the AWS CLI talk to it: moto answers S3, IAM, STS, CloudWatch and
CloudWatch Logs in the same process; training jobs really run, and multi-model endpoints really load, serve and unload
TensorFlow SavedModels. Start it with ``python -m local_sagemaker start``.
"""
