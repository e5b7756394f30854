"""Starts and kills processes. Reads one JSON object per line, and prints one line for each. When standard input ends, for any
reason, it kills all processes and removes its folder, so that nothing outlives the test.

    keeper.py FOLDER

    {"start": NAME, "argv": [...], "env": {...}}   writes its output to FOLDER/NAME.log; prints {"pid": N}
    {"kill": NAME}                                 kills it with SIGKILL, and waits until it ends
    {"stop": NAME} / {"continue": NAME}            sends SIGSTOP or SIGCONT; a stopped process exists and does not respond
    {"ended": NAME}                                prints {"code": N}, with null while it runs
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys

DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

running = {}
folder = sys.argv[1]


def end_with_parent():
    """Runs in the child: enables signals again, and makes the child end with this process, even if this process is killed."""
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


def start(name, argv, env):
    with open(os.path.join(folder, f"{name}.log"), "ab") as log:
        process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=end_with_parent)
    running[name] = process
    return {"pid": process.pid}


def kill(name):
    process = running[name]
    process.kill()
    process.wait()
    return {}


def handle(request):
    if "start" in request:
        return start(request["start"], request["argv"], request["env"])
    if "kill" in request:
        return kill(request["kill"])
    if "stop" in request:
        running[request["stop"]].send_signal(signal.SIGSTOP)
        return {}
    if "continue" in request:
        running[request["continue"]].send_signal(signal.SIGCONT)
        return {}
    return {"code": running[request["ended"]].poll()}


# An interrupted test closes the pipe, which ends this process. Ending earlier would leave the other processes running.
for number in END_SIGNALS:
    signal.signal(number, signal.SIG_IGN)
try:
    for line in sys.stdin:
        print(json.dumps(handle(json.loads(line))), flush=True)
finally:
    for name in running:
        kill(name)
    shutil.rmtree(folder, ignore_errors=True)
