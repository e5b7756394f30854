"""Makes a load balancer at an endpoint, and shows one as botocore reads it: the second opinion of the contract tests.

    elbv2.py make URL PREFIX RULES   two listeners, the three groups PREFIX-a, -b, -c; prints their ARNs as JSON
    elbv2.py show URL ARN            everything that describes the load balancer's listeners and rules, as JSON
"""

import json
import sys

import boto3

KEYS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}


def client(service, url):
    return boto3.client(service, endpoint_url=url, **KEYS)


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


def actions(groups, number):
    """Every kind of action a route may have beside or instead of the one that is moved."""
    if number == 18:
        return [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "Host": "#{host}", "Path": "/#{path}", "Query": "#{query}", "StatusCode": "HTTP_301"}}]
    if number == 19:
        return [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "<closed> & back soon"}}]
    if number == 20:
        return [{"Type": "forward", "TargetGroupArn": groups["a"]}]
    weights = {"a": 100, "b": 0, "c": 25} if number % 3 == 0 else {"a": 100, "b": 0}
    sticky = number % 2 == 0
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


def make(url, prefix, rules):
    elb, ec2 = client("elbv2", url), client("ec2", url)
    subnets = ec2.describe_subnets()["Subnets"][:2]
    vpc = subnets[0]["VpcId"]
    lb = elb.create_load_balancer(Name=f"{prefix}-web", Subnets=[s["SubnetId"] for s in subnets], Tags=[{"Key": "team", "Value": prefix}])
    lb = lb["LoadBalancers"][0]["LoadBalancerArn"]
    groups = {}
    for name in "abc":
        group = elb.create_target_group(
            Name=f"{prefix}-{name}", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip", HealthCheckPath="/ready", Matcher={"HttpCode": "200-299"},
            Tags=[{"Key": "color", "Value": name}, {"Key": "team", "Value": prefix}],
        )
        groups[name] = group["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=groups["a"], Targets=[{"Id": f"172.31.0.{n}", "Port": 8080} for n in range(10, 14)])
    certificate = client("acm", url).request_certificate(DomainName="example.com")["CertificateArn"]
    https = elb.create_listener(
        LoadBalancerArn=lb, Protocol="HTTPS", Port=443, Certificates=[{"CertificateArn": certificate}], SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        DefaultActions=[forward(groups, {"a": 100, "b": 0, "c": 25}, True)], Tags=[{"Key": "listener", "Value": "https"}],
    )["Listeners"][0]["ListenerArn"]
    http = elb.create_listener(LoadBalancerArn=lb, Protocol="HTTP", Port=80, DefaultActions=actions(groups, 18))["Listeners"][0]["ListenerArn"]
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
    if sys.argv[1] == "make":
        print(json.dumps(make(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        print(json.dumps(show(sys.argv[2], sys.argv[3])))
