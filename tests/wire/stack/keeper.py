"""Starts and kills processes. Reads one JSON object a line, and answers each with one line. When standard input ends, for any
reason, it kills all processes and removes its folder: nothing outlives the test.

    keeper.py FOLDER

    {"start": NAME, "argv": [...], "env": {...}}   its output goes to FOLDER/NAME.log; answers {"pid": N}
    {"kill": NAME}                                 with SIGKILL, and waits for its end
    {"stop": NAME} / {"continue": NAME}            SIGSTOP and SIGCONT: the process exists and does not answer
    {"ended": NAME}                                answers {"code": N}, or null while it runs
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys

DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG
ASKED_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

running = {}
folder = sys.argv[1]


def alone():
    """In the child: enables signals again, and makes it die with this process even if that is killed."""
    for number in ASKED_TO_END:
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


def start(name, argv, env):
    with open(os.path.join(folder, f"{name}.log"), "ab") as log:
        process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=alone)
    running[name] = process
    return {"pid": process.pid}


def kill(name):
    process = running[name]
    process.kill()
    process.wait()
    return {}


def answer(asked):
    if "start" in asked:
        return start(asked["start"], asked["argv"], asked["env"])
    if "kill" in asked:
        return kill(asked["kill"])
    if "stop" in asked:
        running[asked["stop"]].send_signal(signal.SIGSTOP)
        return {}
    if "continue" in asked:
        running[asked["continue"]].send_signal(signal.SIGCONT)
        return {}
    return {"code": running[asked["ended"]].poll()}


# An interrupted test closes the pipe, which ends this process. Ending earlier would leave the other processes running.
for number in ASKED_TO_END:
    signal.signal(number, signal.SIG_IGN)
try:
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
finally:
    for name in running:
        kill(name)
    shutil.rmtree(folder, ignore_errors=True)
