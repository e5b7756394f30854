"""Calls boto3 until standard input is closed, because importing it takes longer than a call. Reads one JSON object per line,
and prints one line for each: {"answers": [...]} or {"error": TEXT}.

    boto.py

    {"url": URL, "calls": [[SERVICE, METHOD, PARAMETERS], ...]}
    {"url": URL, "create": PREFIX}                              creates what tests/support/elbv2.py creates
"""

import json
import pathlib
import sys
import traceback

sys.path.append(str(pathlib.Path(__file__).parent.parent.parent / "support"))
import elbv2  # noqa: E402

clients = {}


def call(url, service, method, parameters):
    if (url, service) not in clients:
        clients[url, service] = elbv2.client(service, url)
    answer = getattr(clients[url, service], method)(**parameters)
    answer.pop("ResponseMetadata", None)
    return answer


def handle(request):
    if "create" in request:
        return elbv2.create(request["url"], request["create"])
    return [call(request["url"], *one) for one in request["calls"]]


for line in sys.stdin:
    try:
        response = {"answers": handle(json.loads(line))}
    except Exception:
        response = {"error": traceback.format_exc()}
    print(json.dumps(response, default=str), flush=True)
