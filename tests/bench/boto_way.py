"""Restores weights with boto3: in series, with threads, or with threads and adaptive retries.

    boto_way.py FILE        {"url": …, "rules": [[ARN, [GROUP, GROUP]], …], "kind": "in series" | "threads" | "adaptive"}
"""

import concurrent.futures
import json
import sys

import boto3
import botocore.config

asked = json.load(open(sys.argv[1]))
kind = asked["kind"]
retries = {"mode": "adaptive" if kind == "adaptive" else "standard", "max_attempts": 50}
config = botocore.config.Config(max_pool_connections=100, retries=retries)
keys = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
elb = boto3.client("elbv2", endpoint_url=asked["url"], config=config, **keys)


def put_back(rule):
    arn, (a, b) = rule
    groups = [{"TargetGroupArn": a, "Weight": 100}, {"TargetGroupArn": b, "Weight": 0}]
    elb.modify_rule(RuleArn=arn, Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}])


if kind == "in series":
    for one in asked["rules"]:
        put_back(one)
else:
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        list(pool.map(put_back, asked["rules"]))
