"""Calls boto3 until standard input is closed, because importing it takes longer than a call. Reads one JSON object a line,
and answers each with one line: {"answers": [...]} or {"error": TEXT}.

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


def answer(asked):
    if "create" in asked:
        return elbv2.create(asked["url"], asked["create"])
    return [call(asked["url"], *one) for one in asked["calls"]]


for line in sys.stdin:
    try:
        said = {"answers": answer(json.loads(line))}
    except Exception:
        said = {"error": traceback.format_exc()}
    print(json.dumps(said, default=str), flush=True)
