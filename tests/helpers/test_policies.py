import json

import pytest

from helpers import policies


def test_a_caller_may_call_the_named_models_of_one_endpoint_only():
    arn = "arn:aws:sagemaker:us-east-1:111122223333:endpoint/many"
    assert policies.call_models(arn, ["team-a/*", "shared.tar.gz"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "CallTheseModels",
                "Effect": "Allow",
                "Action": "sagemaker:InvokeEndpoint",
                "Resource": arn,
                "Condition": {"StringLike": {"sagemaker:TargetModel": ["team-a/*", "shared.tar.gz"]}},
            }
        ],
    }


@pytest.mark.parametrize("names", [[], [""]])
def test_a_policy_that_names_no_model_is_refused(names):
    with pytest.raises(ValueError, match="Name at least one target model"):
        policies.call_models("arn", names)


def test_a_publisher_may_write_below_the_prefix_and_list_it_and_nothing_else():
    [objects, listing] = policies.publish_models("s3://bucket/series/mme/", "team-a/*")["Statement"]
    assert objects["Resource"] == "arn:aws:s3:::bucket/series/mme/team-a/*"
    assert set(objects["Action"]) == {"s3:PutObject", "s3:DeleteObject"}
    assert listing["Resource"] == "arn:aws:s3:::bucket"
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "series/mme/*"}}


def test_iam_accepts_the_policies(connection):
    client = connection.boto.client("iam")
    arn = "arn:aws:sagemaker:us-east-1:111122223333:endpoint/many"
    for name, document in (
        ("call", policies.call_models(arn, ["a.tar.gz"])),
        ("publish", policies.publish_models(connection.models_uri)),
    ):
        created = client.create_policy(PolicyName=f"series-{name}", PolicyDocument=json.dumps(document))
        client.delete_policy(PolicyArn=created["Policy"]["Arn"])
