"""Makes the boto3 calls [[SERVICE, METHOD, PARAMETERS], ...] of standard input, and prints the responses as JSON.

    boto.py URL
"""

import json
import sys

import boto3
from botocore.config import Config

KEYS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
# They only guard against hanging: on a busy machine an answer may take long, and a repeated `create` fails.
TIMEOUTS = Config(connect_timeout=1800, read_timeout=1800)
clients = {}


def call(service, method, parameters):
    if service not in clients:
        clients[service] = boto3.client(service, endpoint_url=sys.argv[1], config=TIMEOUTS, **KEYS)
    answer = getattr(clients[service], method)(**parameters)
    answer.pop("ResponseMetadata", None)
    return answer


print(json.dumps([call(*asked) for asked in json.load(sys.stdin)], default=str))
