import json
import re

import pytest
from botocore.session import get_session
from local_sagemaker import read_transcript
from moto.iam.policy_validation import IAMPolicyDocumentValidator, IAMTrustPolicyDocumentValidator

from series import assignment, permissions

# Those of local_sagemaker, which the requests of the kept transcript have.
ACCOUNT_ID, DEFAULT_REGION, ROLE_NAME = "123456789012", "us-east-1", "LocalSageMakerRole"
ACCOUNT = {"account": ACCOUNT_ID, "region": DEFAULT_REGION, "role": ROLE_NAME}
KEY = f"arn:aws:kms:{DEFAULT_REGION}:{ACCOUNT_ID}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SESSION = get_session()
BOTO_NAMES = {"monitoring": "cloudwatch"}
# Actions of IAM that are no operations of the API.
NO_OPERATIONS = {
    "iam:PassRole",
    "s3:ListAllMyBuckets",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "sagemaker:InvokeEndpoint",  # of the service sagemaker-runtime
}
LEFTOVERS = "series.orphaned_resources; test_orphaned_resources.py records it"
SCALING = "AWS asks for it when scaling is registered; the emulator scales nothing"
# What the notebooks' user may do although no run of the series shows it, and why.
BESIDE_THE_SERIES = {
    "iam:CreateServiceLinkedRole": SCALING,
    "s3:AbortMultipartUpload": LEFTOVERS,
    "s3:ListBucketMultipartUploads": LEFTOVERS,
    "sagemaker:ListEndpointConfigs": LEFTOVERS,
    "sagemaker:ListEndpoints": LEFTOVERS,
    "sagemaker:ListModels": LEFTOVERS,
    "sagemaker:ListTrainingJobs": LEFTOVERS,
    "sagemaker:StopTrainingJob": f"a wait that is interrupted; {LEFTOVERS}",
    "sagemaker:UpdateEndpointWeightsAndCapacities": SCALING,
}


@pytest.fixture(scope="module")
def entries(kept_requests):
    return read_transcript(kept_requests)


@pytest.fixture(scope="module")
def user():
    return permissions.fill_in("notebook_user", **ACCOUNT)


@pytest.fixture(scope="module")
def role():
    return permissions.fill_in("execution_role", **ACCOUNT)


def actions(policy):
    listed = (statement["Action"] for statement in policy["Statement"])
    return {action for item in listed for action in ([item] if isinstance(item, str) else item)}


# What the policies say


@pytest.mark.parametrize("name", permissions.POLICIES)
def test_a_policy_is_one_that_iam_accepts(name):
    policy = permissions.fill_in(name, **ACCOUNT, key=KEY)
    kind = IAMTrustPolicyDocumentValidator if name.endswith("trust") else IAMPolicyDocumentValidator
    kind(json.dumps(policy)).validate()
    assert policy["Version"] == "2012-10-17"
    # IAM counts the characters of a managed policy without white space.
    assert len(re.sub(r"\s", "", json.dumps(policy))) <= 6144
    sids = [statement["Sid"] for statement in policy["Statement"]]
    assert len(sids) == len(set(sids))
    assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids)


def test_there_are_no_files_besides():
    assert {path.stem for path in permissions.FOLDER.glob("*.json")} == set(permissions.POLICIES)


@pytest.mark.parametrize("name", ["notebook_user", "execution_role", "kms_key"])
def test_every_action_exists_and_none_is_a_wildcard(name):
    for action in actions(permissions.fill_in(name, **ACCOUNT, key=KEY)) - NO_OPERATIONS:
        service, operation = action.split(":")
        model = SESSION.get_service_model(BOTO_NAMES.get(service, service))
        assert operation in model.operation_names, f"{action} is no action"


def test_the_role_is_passed_to_sagemaker_only(user):
    [statement] = [item for item in user["Statement"] if item["Action"] == "iam:PassRole"]
    assert statement["Resource"] == f"arn:aws:iam::{ACCOUNT_ID}:role/{ROLE_NAME}"
    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def test_nothing_can_be_changed_everywhere(user):
    """Where a statement names no resource, it reads, or IAM knows no resources for its actions."""
    everywhere = [statement for statement in user["Statement"] if statement["Resource"] == "*"]
    changing = {
        action for action in actions({"Statement": everywhere}) if not re.search(":(Describe|Get|List)", action)
    }
    assert {action.partition(":")[0] for action in changing} == {"application-autoscaling"}


# The notebooks' user


def test_the_user_may_do_all_that_the_series_does(entries, user, allowed):
    denied = {need for entry in entries for need in entry.needs if not allowed(user, *need)}
    assert sorted(denied) == []


def test_the_user_may_do_no_more_than_that(entries, user):
    needed = {action for entry in entries for action, _ in entry.needs}
    assert sorted(actions(user) - needed - set(BESIDE_THE_SERIES)) == []
    # Delete from the table above what the series does by now.
    assert sorted(needed & set(BESIDE_THE_SERIES)) == []
    assert sorted(set(BESIDE_THE_SERIES) - actions(user)) == []


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:GetObject", f"arn:aws:s3:::sagemaker-{DEFAULT_REGION}-{ACCOUNT_ID}/elsewhere/a.txt"),
        ("s3:GetObject", f"arn:aws:s3:::sagemaker-{DEFAULT_REGION}-{ACCOUNT_ID}/multi-model-endpoint-2/a.txt"),
        ("s3:DeleteObject", "arn:aws:s3:::another-bucket/multi-model-endpoint/a.txt"),
        ("sagemaker:DeleteEndpoint", f"arn:aws:sagemaker:{DEFAULT_REGION}:{ACCOUNT_ID}:endpoint/production"),
        ("sagemaker:StopTrainingJob", f"arn:aws:sagemaker:{DEFAULT_REGION}:{ACCOUNT_ID}:training-job/production"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT_ID}:role/Administrator"),
    ],
)
def test_what_is_not_of_the_series_stays_out_of_reach(user, allowed, action, resource):
    assert not allowed(user, action, resource)


# The execution role


def test_the_sdk_finds_that_the_role_will_do(entries, role, allowed):
    """ModelTrainer refuses a role that IAM's simulator denies one of these actions, with no resource named."""
    asked = [entry.parameters for entry in entries if entry.operation == "SimulatePrincipalPolicy"]
    checks = [
        action for parameters in asked if "ResourceArns" not in parameters for action in parameters["ActionNames"]
    ]
    assert len(checks) > 5
    assert [action for action in checks if not allowed(role, action, "*")] == []
    without_condition = {"Statement": [item for item in role["Statement"] if "Condition" not in item]}
    assert [action for action in checks if not allowed(without_condition, action, "*")] == []


def test_the_role_reaches_what_jobs_and_models_name(entries, role, allowed):
    def reaches(action, uri):
        return allowed(role, action, f"arn:aws:s3:::{uri.removeprefix('s3://').rstrip('/')}/some/object")

    jobs = [entry.parameters for entry in entries if entry.operation == "CreateTrainingJob"]
    for job in jobs:
        for channel in job["InputDataConfig"]:
            assert reaches("s3:GetObject", channel["DataSource"]["S3DataSource"]["S3Uri"])
        assert reaches("s3:PutObject", job["OutputDataConfig"]["S3OutputPath"])
        assert _pulls(role, allowed, job["AlgorithmSpecification"]["TrainingImage"])
    containers = [entry.parameters["PrimaryContainer"] for entry in entries if entry.operation == "CreateModel"]
    for container in containers:
        assert reaches("s3:GetObject", container["ModelDataUrl"])
        assert _pulls(role, allowed, container["Image"])
    assert jobs and containers
    assert allowed(role, "s3:ListBucket", f"arn:aws:s3:::sagemaker-{DEFAULT_REGION}-{ACCOUNT_ID}")


def _pulls(role, allowed, image):
    registry, repository = image.partition(":")[0].split("/")
    account, _, _, region = registry.split(".")[:4]
    arn = f"arn:aws:ecr:{region}:{account}:repository/{repository}"
    return all(allowed(role, f"ecr:{action}", arn) for action in ("BatchGetImage", "GetDownloadUrlForLayer"))


def test_the_role_reaches_the_network_of_a_vpc(role):
    """The actions on a VPC that the SDK's own policy for training jobs has."""
    interface = {f"{verb}NetworkInterface{what}" for verb in ("Create", "Delete") for what in ("", "Permission")}
    described = {
        f"Describe{what}" for what in ("NetworkInterfaces", "Vpcs", "DhcpOptions", "Subnets", "SecurityGroups")
    }
    assert {f"ec2:{action}" for action in interface | described} <= actions(role)


def test_the_policy_on_a_key_reaches_that_key_only():
    policy = permissions.fill_in("kms_key", **ACCOUNT, key=KEY)
    assert {statement["Resource"] for statement in policy["Statement"]} == {KEY}
    assert actions(policy) >= {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:CreateGrant"}
    with pytest.raises(ValueError, match=r"kms_key is about a KMS key. Name its ARN with --key"):
        permissions.fill_in("kms_key", **ACCOUNT)


def test_the_role_writes_the_logs_that_the_series_reads(entries, role, allowed):
    logs = {resource for entry in entries for action, resource in entry.needs if action.startswith("logs:")}
    assert logs
    assert all(allowed(role, "logs:PutLogEvents", resource) for resource in logs)


def test_sagemaker_may_assume_the_role_and_nobody_else():
    [statement] = permissions.fill_in("execution_role_trust", **ACCOUNT)["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert statement["Action"] == "sts:AssumeRole"


# Filling in


def test_the_values_go_where_they_belong():
    given = {"account": "210987654321", "region": "eu-west-1", "role": "team/Runner"}
    text = json.dumps(permissions.fill_in("notebook_user", **given, bucket="mine", prefix="/series/"))
    assert "arn:aws:s3:::mine/series/*" in text
    assert "arn:aws:iam::210987654321:role/team/Runner" in text
    assert "arn:aws:sagemaker:eu-west-1:210987654321:training-job/cifar-*" in text
    assert not re.search(r"<[A-Z]+>", text)
    default = json.dumps(permissions.fill_in("execution_role", **given))
    assert "arn:aws:s3:::sagemaker-eu-west-1-210987654321/multi-model-endpoint/*" in default


@pytest.mark.parametrize(
    "wrong",
    [
        {"account": "123"},
        {"region": "*"},
        {"role": ""},
        {"bucket": "*"},
        {"prefix": ""},
        {"prefix": "a*"},
        {"key": "alias/ours"},
        {"key": KEY.replace("1234abcd-12ab-34cd-56ef-1234567890ab", "*")},
    ],
    ids=lambda wrong: "=".join(*wrong.items()),
)
def test_a_value_that_would_allow_too_much_is_refused(wrong):
    [name] = wrong
    with pytest.raises(ValueError, match=f"cannot be the {name}"):
        permissions.fill_in("notebook_user", **ACCOUNT | wrong)
    with pytest.raises(ValueError, match=r"no policy 'admin'. There are: notebook_user, "):
        permissions.fill_in("admin", **ACCOUNT)


def test_the_command_prints_what_aws_takes(capsys):
    arguments = ["execution_role", "--account", ACCOUNT_ID, "--region", DEFAULT_REGION, "--role", ROLE_NAME]
    assert permissions.main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == permissions.fill_in("execution_role", **ACCOUNT)
    assert permissions.main([*arguments, "--bucket", "*"]) == 2
    assert "cannot be the bucket" in capsys.readouterr().err


# The page beside them


def test_the_readme_fills_in_every_policy_and_names_the_quotas_of_a_run():
    text = (permissions.FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^python -m series\.permissions (\w+) \$VALUES", text, re.MULTILINE)) == {
        *permissions.POLICIES
    }
    [values] = re.findall(r'^VALUES="(.*)"$', text, re.MULTILINE)
    assert all(f"--{name} " in values for name in ACCOUNT)
    aws = assignment.read_file(permissions.FOLDER.parent / "parameters" / "aws.yaml")
    assert f"`{aws['TRAINING_INSTANCE_TYPE']} for training job usage`: 1 |" in text
    assert f"`{aws['SERVING_INSTANCE_TYPE']} for endpoint usage`: {aws['INITIAL_INSTANCE_COUNT']} " in text
