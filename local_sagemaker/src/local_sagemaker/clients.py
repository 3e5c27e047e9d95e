"""How clients reach the server: address and credentials as environment variables."""

from botocore.credentials import Credentials

from local_sagemaker.settings import HOST


def client_environment(credentials: Credentials, port: int) -> dict[str, str]:
    """Return the variables that point boto3, the SDK and the AWS CLI at the server."""
    return {
        "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        # A proxy that the machine may have configured cannot reach this machine's own address.
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
    }
