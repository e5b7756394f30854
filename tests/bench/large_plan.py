#!/usr/bin/env python3
"""Prints a plan with ROUTES routes and two target groups per route, for the memory limit of the benchmark.

    tests/bench/large_plan.py [ROUTES]          default 100

A load balancer may have 100 target groups and a workload has two, so every 25 workloads have a separate load balancer.
"""
import sys

HEAD = """\
apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata:
  name: large
spec:
  aws: {accountId: "123456789012", region: ap-northeast-2}
  clusters:
    - {name: a, eks: large-a}
    - {name: b, eks: large-b}
  workloads:"""

WORKLOAD = """\
    - name: w{n:03}
      service: {{namespace: large, name: w{n:03}, port: http}}
      routes:
        - alb:
            loadBalancer: large-{lb}
            listeners: [80]
            targetGroups: {{a: w{n:03}-a, b: w{n:03}-b}}
            rules: [{{priority: {priority}}}]
            expect: 1"""

TAIL = """\
  strategy:
    from: a
    to: b
    settle: 30s
    steps:
      - bind: {}
      - setWeight: 10
      - pause: {duration: 5m}
      - setWeight: 100
      - pause: {duration: 5m}"""


def plan(routes: int) -> str:
    """Returns the text of the plan."""
    workloads = [WORKLOAD.format(n=n, lb=n // 25 + 1, priority=10 * (n % 25 + 1)) for n in range(routes)]
    return "\n".join([HEAD, *workloads, TAIL, ""])


if __name__ == "__main__":
    sys.stdout.write(plan(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
