from datetime import UTC, datetime, timedelta

import pytest

from local_sagemaker.actions.listing import page
from local_sagemaker.errors import ServiceError

START = datetime(2026, 1, 1, tzinfo=UTC)
DOCUMENTS = [
    {
        "Name": f"model-{letter}",
        "Status": "Failed" if letter in "bd" else "InService",
        "CreationTime": START + timedelta(days=day),
        "LastModifiedTime": START + timedelta(days=10 - day),
    }
    for day, letter in enumerate("cadeb")
]


def names(**request):
    found, _ = page(DOCUMENTS, request, name="Name", status="Status")
    return "".join(document["Name"][-1] for document in found)


@pytest.mark.parametrize(
    ("request_", "letters"),
    [
        ({}, "bedac"),  # the latest first, as SageMaker does by default
        ({"SortOrder": "Ascending"}, "cadeb"),
        ({"SortBy": "Name", "SortOrder": "Ascending"}, "abcde"),
        ({"SortBy": "Name"}, "edcba"),
        ({"SortBy": "Status", "SortOrder": "Ascending"}, "bdace"),
        ({"SortBy": "LastModifiedTime"}, "cadeb"),
        ({"NameContains": "EL-C"}, "c"),
        ({"NameContains": "none"}, ""),
        ({"StatusEquals": "Failed"}, "bd"),
        ({"CreationTimeAfter": (START + timedelta(days=2)).timestamp()}, "be"),
        ({"CreationTimeBefore": (START + timedelta(days=2)).timestamp()}, "ac"),
        ({"LastModifiedTimeAfter": (START + timedelta(days=9)).timestamp()}, "c"),
        ({"LastModifiedTimeBefore": (START + timedelta(days=7)).timestamp()}, "b"),
    ],
)
def test_order_and_filters(request_, letters):
    assert names(**request_) == letters


def test_ten_a_page_by_default():
    many = [DOCUMENTS[0] | {"Name": f"{n:02}"} for n in range(11)]
    found, token = page(many, {}, name="Name")
    assert len(found) == 10
    assert token


@pytest.mark.parametrize("token", ["garbage", "é", "LTU="])
def test_a_token_that_no_page_gave_is_refused(token):
    with pytest.raises(ServiceError, match="The NextToken is not valid"):
        page(DOCUMENTS, {"NextToken": token}, name="Name")
