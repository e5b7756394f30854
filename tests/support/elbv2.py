"""Creates a load balancer at an endpoint, and prints it as botocore reads it, for comparison in the contract tests.

    elbv2.py create URL PREFIX         creates PREFIX-web with empty listeners on 443 and 80, and the groups PREFIX-a, -b, -c
    elbv2.py fill URL PREFIX RULES     adds actions, rules and tags of every kind to these; prints all ARNs as JSON
    elbv2.py show URL ARN              prints the listeners and rules of the load balancer, with all details, as JSON
"""

import json
import sys

import boto3
from botocore.config import Config

KEYS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
# They only guard against hanging: on a busy machine an answer may take long, and a repeated `create` fails.
TIMEOUTS = Config(connect_timeout=1800, read_timeout=1800)


def client(service, url):
    return boto3.client(service, endpoint_url=url, config=TIMEOUTS, **KEYS)


def forward(groups, weights, sticky, order=None):
    tuples = [{"TargetGroupArn": groups[name], "Weight": weight} for name, weight in weights.items()]
    config = {"TargetGroups": tuples, "TargetGroupStickinessConfig": {"Enabled": sticky}}
    if sticky:
        config["TargetGroupStickinessConfig"]["DurationSeconds"] = 600
    return {"Type": "forward", "ForwardConfig": config} | ({"Order": order} if order else {})


def oidc():
    return {
        "Type": "authenticate-oidc",
        "Order": 1,
        "AuthenticateOidcConfig": {
            "Issuer": "https://login.example.com",
            "AuthorizationEndpoint": "https://login.example.com/authorize",
            "TokenEndpoint": "https://login.example.com/token",
            "UserInfoEndpoint": "https://login.example.com/me",
            "ClientId": "shop",
            "ClientSecret": "S3CRET-of-the-shop",
            "SessionCookieName": "shop",
            "Scope": "openid email",
            "SessionTimeout": 3600,
            "AuthenticationRequestExtraParams": {"prompt": "login", "display": "page"},
            "OnUnauthenticatedRequest": "authenticate",
        },
    }


def cognito():
    return {
        "Type": "authenticate-cognito",
        "Order": 1,
        "AuthenticateCognitoConfig": {
            "UserPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_shop",
            "UserPoolClientId": "shop",
            "UserPoolDomain": "login",
            "SessionCookieName": "shop",
            "Scope": "openid",
            "SessionTimeout": 3600,
            "AuthenticationRequestExtraParams": {"prompt": "login"},
            "OnUnauthenticatedRequest": "authenticate",
        },
    }


def actions(groups, number):
    """Returns the actions of a rule: every kind of action that a route may have in addition to the moved one, or instead of it."""
    if number == 18:
        return [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "Host": "#{host}", "Path": "/#{path}", "Query": "#{query}", "StatusCode": "HTTP_301"}}]
    if number == 19:
        return [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "<closed> & back soon"}}]
    if number == 20:
        return [{"Type": "forward", "TargetGroupArn": groups["a"]}]
    weights = {"a": 100, "b": 0, "c": 25} if number % 3 == 0 else {"a": 100, "b": 0}
    sticky = number % 2 == 0
    if number == 7:
        return [cognito(), forward(groups, weights, sticky, 2)]
    if number % 4 == 0:
        return [oidc(), forward(groups, weights, sticky, 2)]
    return [forward(groups, weights, sticky)]


def conditions(number):
    path = {"Field": "path-pattern", "PathPatternConfig": {"Values": [f"/{number}/*", f"/also-{number}"]}}
    host = {"Field": "host-header", "HostHeaderConfig": {"Values": [f"n{number}.example.com"]}}
    return [[path], [host], [path, host]][number % 3]


def add_rule(elb, listener, number, acts):
    tags = [{"Key": "number", "Value": str(number)}]
    elb.create_rule(ListenerArn=listener, Priority=number * 10, Conditions=conditions(number), Actions=acts, Tags=tags)


def create(url, prefix):
    elb, ec2 = client("elbv2", url), client("ec2", url)
    subnets = ec2.describe_subnets()["Subnets"][:2]
    lb = elb.create_load_balancer(Name=f"{prefix}-web", Subnets=[s["SubnetId"] for s in subnets])["LoadBalancers"][0]["LoadBalancerArn"]
    for name in "abc":
        elb.create_target_group(Name=f"{prefix}-{name}", Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"], TargetType="ip", HealthCheckPath="/health_check")
    certificate = client("acm", url).request_certificate(DomainName="example.com")["CertificateArn"]
    closed = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain"}}]
    elb.create_listener(
        LoadBalancerArn=lb, Protocol="HTTPS", Port=443, Certificates=[{"CertificateArn": certificate}],
        SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06", DefaultActions=closed,
    )
    elb.create_listener(LoadBalancerArn=lb, Protocol="HTTP", Port=80, DefaultActions=closed)


def fill(url, prefix, rules):
    elb = client("elbv2", url)
    lb = elb.describe_load_balancers(Names=[f"{prefix}-web"])["LoadBalancers"][0]["LoadBalancerArn"]
    groups = {n: elb.describe_target_groups(Names=[f"{prefix}-{n}"])["TargetGroups"][0]["TargetGroupArn"] for n in "abc"}
    listeners = {l["Port"]: l["ListenerArn"] for l in elb.describe_listeners(LoadBalancerArn=lb)["Listeners"]}
    https, http = listeners[443], listeners[80]
    elb.register_targets(TargetGroupArn=groups["c"], Targets=[{"Id": f"172.31.0.{n}", "Port": 8080} for n in range(10, 14)])
    elb.add_tags(ResourceArns=[lb], Tags=[{"Key": "team", "Value": prefix}])
    elb.add_tags(ResourceArns=[https], Tags=[{"Key": "listener", "Value": "https"}])
    for name, arn in groups.items():
        elb.add_tags(ResourceArns=[arn], Tags=[{"Key": "color", "Value": name}, {"Key": "team", "Value": prefix}])
    elb.modify_listener(ListenerArn=https, DefaultActions=[forward(groups, {"a": 100, "b": 0, "c": 25}, True)])
    elb.modify_listener(ListenerArn=http, DefaultActions=actions(groups, 18))
    for number in range(1, 21):
        add_rule(elb, https, number, actions(groups, number))
    for number in range(1, rules + 1):
        add_rule(elb, http, number, [forward(groups, {"a": 1, "b": 0}, False)])
    return {"loadBalancer": lb, "groups": groups, "https": https, "http": http}


def show(url, lb):
    elb = client("elbv2", url)
    shown = {}
    for listener in elb.describe_listeners(LoadBalancerArn=lb)["Listeners"]:
        shown[listener["ListenerArn"]] = listener
        for page in elb.get_paginator("describe_rules").paginate(ListenerArn=listener["ListenerArn"]):
            shown |= {rule["RuleArn"]: rule for rule in page["Rules"]}
    for arn, resource in shown.items():
        resource["Tags"] = elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
    return shown


if __name__ == "__main__":
    verb, url, what = sys.argv[1:4]
    if verb == "create":
        create(url, what)
    elif verb == "fill":
        print(json.dumps(fill(url, what, int(sys.argv[4]))))
    else:
        print(json.dumps(show(url, what)))
