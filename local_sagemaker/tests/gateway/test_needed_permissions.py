import pytest

from local_sagemaker.gateway.needed_permissions import permissions

ACCOUNT = "us-east-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/Me"
KEY = "arn:aws:kms:us-east-1:123456789012:key/k"


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "needs"),
    [
        ("sts", "GetCallerIdentity", {}, set()),
        ("s3", "ListBuckets", {}, {("s3:ListAllMyBuckets", "*")}),
        ("s3", "HeadBucket", {"Bucket": "b"}, {("s3:ListBucket", "arn:aws:s3:::b")}),
        (
            "s3",
            "HeadObject",
            {"Bucket": "b", "Key": "k"},
            {("s3:GetObject", "arn:aws:s3:::b/k"), ("s3:ListBucket", "arn:aws:s3:::b")},
        ),
        (
            "s3",
            "UploadPartCopy",
            {"Bucket": "b", "Key": "k", "CopySource": "/a/x/y?versionId=1"},
            {("s3:GetObject", "arn:aws:s3:::a/x/y"), ("s3:PutObject", "arn:aws:s3:::b/k")},
        ),
        (
            "s3",
            "DeleteObjects",
            {"Bucket": "b", "Delete": {"Objects": [{"Key": "k"}, {"Key": "l"}]}},
            {("s3:DeleteObject", "arn:aws:s3:::b/k"), ("s3:DeleteObject", "arn:aws:s3:::b/l")},
        ),
        (
            "s3",
            "CreateMultipartUpload",
            {"Bucket": "b", "Key": "k", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY},
            {("s3:PutObject", "arn:aws:s3:::b/k"), ("kms:GenerateDataKey", KEY), ("kms:Decrypt", KEY)},
        ),
        ("s3", "GetBucketTagging", {"Bucket": "b"}, {("s3:GetBucketTagging", "arn:aws:s3:::b")}),
        (
            "sagemaker",
            "CreateModel",
            {"ModelName": "Vision", "ExecutionRoleArn": ROLE, "Tags": [{"Key": "k", "Value": "v"}]},
            {
                ("sagemaker:CreateModel", f"arn:aws:sagemaker:{ACCOUNT}:model/vision"),
                ("sagemaker:AddTags", f"arn:aws:sagemaker:{ACCOUNT}:model/vision"),
                ("iam:PassRole", ROLE),
            },
        ),
        (
            "sagemaker",
            "CreateTrainingJob",
            {"TrainingJobName": "j", "ResourceConfig": {"VolumeKmsKeyId": KEY}, "OutputDataConfig": {"KmsKeyId": KEY}},
            {("sagemaker:CreateTrainingJob", f"arn:aws:sagemaker:{ACCOUNT}:training-job/j"), ("kms:CreateGrant", KEY)},
        ),
        (
            "sagemaker",
            "CreateEndpointConfig",
            {"EndpointConfigName": "c", "KmsKeyId": KEY},
            {
                ("sagemaker:CreateEndpointConfig", f"arn:aws:sagemaker:{ACCOUNT}:endpoint-config/c"),
                ("kms:CreateGrant", KEY),
            },
        ),
        (
            "sagemaker",
            "UpdateEndpoint",
            {"EndpointName": "e", "EndpointConfigName": "c"},
            {
                ("sagemaker:UpdateEndpoint", f"arn:aws:sagemaker:{ACCOUNT}:endpoint/e"),
                ("sagemaker:UpdateEndpoint", f"arn:aws:sagemaker:{ACCOUNT}:endpoint-config/c"),
            },
        ),
        (
            "sagemaker-runtime",
            "InvokeEndpoint",
            {"EndpointName": "e", "TargetModel": "m"},
            {("sagemaker:InvokeEndpoint", f"arn:aws:sagemaker:{ACCOUNT}:endpoint/e")},
        ),
        ("iam", "GetRole", {"RoleName": "Me"}, {("iam:GetRole", ROLE)}),
        ("iam", "SimulatePrincipalPolicy", {"PolicySourceArn": ROLE}, {("iam:SimulatePrincipalPolicy", ROLE)}),
        (
            "logs",
            "GetLogEvents",
            {"logGroupName": "/g", "logStreamName": "s"},
            {("logs:GetLogEvents", f"arn:aws:logs:{ACCOUNT}:log-group:/g:log-stream:s")},
        ),
        (
            "logs",
            "DescribeLogStreams",
            {"logGroupName": "/g"},
            {("logs:DescribeLogStreams", f"arn:aws:logs:{ACCOUNT}:log-group:/g:*")},
        ),
        ("cloudwatch", "GetMetricStatistics", {}, {("cloudwatch:GetMetricStatistics", "*")}),
        (
            "cloudwatch",
            "DeleteAlarms",
            {"AlarmNames": ["a"]},
            {("cloudwatch:DeleteAlarms", f"arn:aws:cloudwatch:{ACCOUNT}:alarm:a")},
        ),
        (
            "application-autoscaling",
            "RegisterScalableTarget",
            {"ResourceId": "endpoint/e"},
            {("application-autoscaling:RegisterScalableTarget", "*")},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_request_needs_these_permissions(service, operation, parameters, needs):
    assert set(permissions(service, operation, parameters, region="us-east-1")) == needs
