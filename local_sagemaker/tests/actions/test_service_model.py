from datetime import UTC, datetime

import pytest

from local_sagemaker.actions import service_model
from local_sagemaker.errors import ServiceError


def problem(action, **parameters):
    with pytest.raises(ServiceError) as failure:
        service_model.validate(action, parameters)
    assert failure.value.code == "ValidationException"
    return failure.value.message


@pytest.mark.parametrize(
    ("action", "parameters", "words"),
    [
        ("CreateModel", {}, 'Missing required parameter in input: "ModelName"'),
        ("CreateModel", {"ModelName": 5}, "Invalid type for parameter ModelName"),
        ("CreateModel", {"ModelName": "m", "Colour": 1}, 'Unknown parameter in input: "Colour"'),
        ("CreateModel", {"ModelName": "a_b"}, "Value 'a_b' at 'ModelName' failed to satisfy constraint"),
        ("CreateModel", {"ModelName": "m" * 64}, "length less than or equal to 63"),
        ("CreateModel", {"ModelName": "m", "PrimaryContainer": {"Mode": "Many"}}, "enum value set: [SingleModel, Mul"),
        ("ListModels", {"MaxResults": 101}, "less than or equal to 100"),
        ("ListModels", {"MaxResults": 0}, "valid min value: 1"),
        ("CreateModel", {"ModelName": "m", "Tags": [{"Key": "k" * 129, "Value": ""}]}, "'Tags.1.member.Key'"),
    ],
)
def test_a_violation_is_named_with_its_place(action, parameters, words):
    assert words in problem(action, **parameters)


def test_every_violation_is_listed():
    message = problem("CreateModel", ModelName="a_b", PrimaryContainer={"Mode": "Many"})
    assert message.startswith("2 validation errors detected: ")


def test_an_unknown_operation_is_named():
    with pytest.raises(ServiceError, match="no operation 'CreateWonder'"):
        service_model.operation("CreateWonder")


def test_a_response_has_only_the_members_of_its_shape_and_times_in_seconds():
    document = {
        "ModelName": "m",
        "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
        "PrimaryContainer": {"Image": "i", "Environment": {"A": "b"}, "Unknown": 1},
        "VpcConfig": None,
        "Internal": "x",
    }
    assert service_model.shape_response("DescribeModel", document) == {
        "ModelName": "m",
        "CreationTime": 1767225600.0,
        "PrimaryContainer": {"Image": "i", "Environment": {"A": "b"}},
    }
