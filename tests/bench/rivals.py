"""The ways to restore weights, and the measurements of each. `rollback` in this folder starts this with the Python of the virtual environment."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

import boto3
import botocore.config

from proxy import Proxy

HERE = pathlib.Path(__file__).resolve().parent
KEYS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
MODIFIES = ("ModifyRule", "ModifyListener")
# The only actions that an emergency depends on.
EMERGENCY = ("DescribeLoadBalancers", "DescribeListeners", "DescribeRules", *MODIFIES)


class TestSetup:
    """moto behind a proxy, with its load balancers."""

    def __init__(self, tools: str, binary: str, folder: str):
        self.tools, self.binary, self.folder = tools, binary, folder
        command = [os.path.join(tools, "bin", "python3"), str(HERE.parent / "support" / "serve_moto.py")]
        self.moto = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.direct = self.moto.stdout.readline().decode().strip()
        self.proxy = Proxy(self.direct)
        self.elb = self.client(self.direct)
        self.made = {}
        self.runs = 0

    def client(self, url: str, **config):
        return boto3.client("elbv2", endpoint_url=url, config=botocore.config.Config(max_pool_connections=100, **config), **KEYS)

    def stop(self) -> None:
        self.moto.kill()
        self.moto.wait()

    def environment(self) -> dict:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") and k not in ("KUBECONFIG", "CUTOVER_STATE_DIR")}
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
        more = {"AWS_ENDPOINT_URL": self.proxy.url, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "50"}
        return {**kept, **keys, **more, "XDG_STATE_HOME": os.path.join(self.folder, "state"), "USER": "bench"}

    def balancer(self, rules: int, pairs: int = 1) -> dict:
        """Creates a load balancer with these numbers of rules and of pairs of groups, and returns its ARNs."""
        if (rules, pairs) in self.made:
            return self.made[rules, pairs]
        name = f"r{rules}p{pairs}"
        ec2 = boto3.client("ec2", endpoint_url=self.direct, **KEYS)
        subnets = ec2.describe_subnets()["Subnets"][:2]
        lb = self.elb.create_load_balancer(Name=name, Subnets=[s["SubnetId"] for s in subnets])["LoadBalancers"][0]["LoadBalancerArn"]
        groups = []
        for n in range(pairs):
            pair = []
            for side, net in (("a", 1), ("b", 2)):
                arn = self.elb.create_target_group(
                    Name=f"{name}-{n}-{side}", Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"], TargetType="ip",
                )["TargetGroups"][0]["TargetGroupArn"]
                self.elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": f"172.31.{net}.{10 + n % 200}", "Port": 8080}])
                pair.append(arn)
            groups.append(pair)
        closed = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain"}}]
        listener = self.elb.create_listener(LoadBalancerArn=lb, Protocol="HTTP", Port=80, DefaultActions=closed)["Listeners"][0]["ListenerArn"]
        arns = []
        for n in range(rules):
            path = [{"Field": "path-pattern", "PathPatternConfig": {"Values": [f"/{n}/*"]}}]
            pair = groups[n % pairs]
            made = self.elb.create_rule(ListenerArn=listener, Priority=n + 1, Conditions=path, Actions=[forward(pair, 100, 0)])
            arns.append((made["Rules"][0]["RuleArn"], pair))
        self.made[rules, pairs] = {"name": name, "arn": lb, "rules": arns, "groups": groups}
        return self.made[rules, pairs]

    def weights(self, lb: dict) -> set:
        """Returns the distinct pairs of live weights."""
        found = set()
        for at in range(0, len(lb["rules"]), 20):
            arns = [arn for arn, _ in lb["rules"][at:at + 20]]
            for rule in self.elb.describe_rules(RuleArns=arns)["Rules"]:
                tuples = {t["TargetGroupArn"]: t["Weight"] for t in rule["Actions"][-1]["ForwardConfig"]["TargetGroups"]}
                found.add(tuple(tuples[arn] for arn in dict(lb["rules"])[rule["RuleArn"]]))
        return found

    def halfway(self, lb: dict, reset: bool = True) -> str:
        """Runs cutover until half of the traffic is moved, and returns the id of the run."""
        if reset:
            self.proxy.reset()
        self.runs += 1
        name = f"bench-{self.runs}"
        a, b = lb["groups"][0]
        plan = os.path.join(self.folder, f"{name}.yaml")
        pathlib.Path(plan).write_text(f"""
apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: {name}}}
spec:
  aws: {{accountId: "123456789012", region: us-east-1}}
  clusters: [{{name: a}}, {{name: b}}]
  workloads:
    - {{name: web, routes: [{{alb: {{loadBalancer: {lb['name']}, targetGroups: {{a: '{a}', b: '{b}'}}}}}}]}}
  strategy:
    from: a
    to: b
    settle: 1s
    gates: {{targetHealth: {{raise: {{stableFor: 1s}}}}}}
    steps: [{{setWeight: 50}}, {{setWeight: 100}}]
""")
        output = self.cutover(["run", plan, "--yes", "--until", "1"], 8)
        return next(word for word in output.split() if word.startswith(f"{name}-2"))

    def cutover(self, args: list, code: int = 0) -> str:
        done = subprocess.run([self.binary, *args], env=self.environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != code:
            raise RuntimeError(f"{args} exit {done.returncode}\n{(done.stdout + done.stderr)[-800:]}")
        return done.stdout + done.stderr

    def set_halfway(self, lb: dict, a: int = 50, b: int = 50) -> None:
        """Sets the same weights without a run of cutover."""
        self.proxy.reset()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda r: self.elb.modify_rule(RuleArn=r[0], Actions=[forward(r[1], a, b)]), lb["rules"]))

    def forget(self) -> None:
        """Removes the state folder, so that no run is known, as on another machine."""
        subprocess.run(["rm", "-rf", os.path.join(self.folder, "state")], check=True)

    def wipe(self, lb: dict) -> None:
        """Removes the state folder and the marker."""
        self.forget()
        self.elb.remove_tags(ResourceArns=[lb["arn"]], TagKeys=["cutover.dev/run"])

    def timed(self, lb: dict, delay: float, way, **faults) -> dict:
        """Runs a way, and returns the seconds from its start to the first write, the response of the last write, the read of all weights, and the end."""
        self.proxy.reset(delay, **faults)
        begin = time.perf_counter()
        way()
        end = time.perf_counter() - begin
        writes = [(came - begin, answered - begin) for action, came, answered, status in self.proxy.log if action in MODIFIES and status == 200]
        reads = [answered - begin for action, _, answered, status in self.proxy.log if action in ("DescribeRules", "DescribeListeners") and status == 200]
        if any(a == 0 or b != 0 for a, b in self.weights(lb)):
            raise RuntimeError(f"not all weights are as wanted: {self.weights(lb)}")
        last = max(answered for _, answered in writes)
        read = [r for r in reads if r > last]
        return {"first": min(came for came, _ in writes), "last": last, "read": min(read) if read else None, "end": end, "calls": len(self.proxy.log)}

    # The ways to restore weights.

    def curl(self, lb: dict):
        # moto finds the service by this header.
        scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/elasticloadbalancing/aws4_request, SignedHeaders=host, Signature=0"
        lines = []
        for arn, (a, b) in lb["rules"]:
            form = {"Action": "ModifyRule", "Version": "2015-12-01", "RuleArn": arn, "Actions.member.1.Type": "forward"}
            for n, (group, weight) in enumerate([(a, 100), (b, 0)], 1):
                form[f"Actions.member.1.ForwardConfig.TargetGroups.member.{n}.TargetGroupArn"] = group
                form[f"Actions.member.1.ForwardConfig.TargetGroups.member.{n}.Weight"] = weight
            lines += [f'url = "{self.proxy.url}/"', f'data = "{urllib.parse.urlencode(form)}"', f'header = "Authorization: {scope}"', "output = /dev/null", "next"]
        path = os.path.join(self.folder, "curl")
        pathlib.Path(path).write_text("\n".join(lines[:-1]) + "\n")
        command = ["curl", "--silent", "--fail", "--parallel", "--parallel-immediate", "--parallel-max", "100", "--no-progress-meter", "--config", path]
        return lambda: subprocess.run(command, check=True)

    def cli(self, lb: dict, parallel: int):
        lines = [f"elbv2 modify-rule --rule-arn {arn} --actions {shlex.quote(json.dumps([forward(pair, 100, 0)]))}" for arn, pair in lb["rules"]]
        path = os.path.join(self.folder, "lines")
        pathlib.Path(path).write_text("\n".join(lines) + "\n")
        command = ["xargs", "-L1", f"-P{parallel}", os.path.join(self.tools, "bin", "aws")]
        return lambda: subprocess.run(command, stdin=open(path), stdout=subprocess.DEVNULL, env=self.environment(), check=True)

    def boto(self, lb: dict, kind: str):
        """Runs boto3 in a separate process, like all other ways."""
        path = os.path.join(self.folder, "boto.json")
        pathlib.Path(path).write_text(json.dumps({"url": self.proxy.url, "rules": lb["rules"], "kind": kind}))
        return lambda: subprocess.run([sys.executable, str(HERE / "boto_way.py"), path], env=self.environment(), check=True)


def forward(pair, a: int, b: int) -> dict:
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": [
        {"TargetGroupArn": arn, "Weight": weight} for arn, weight in zip(pair, (a, b))]}}


good = True


def verdict(what: str, value: float, limit: float, least: bool = False) -> None:
    """Prints a result and its limit."""
    global good
    fine = value >= limit if least else value <= limit
    good = good and fine
    print(f"    {what:62}{value:9.2f}  {'at least' if least else 'at most'} {limit:6.2f}  {'ok' if fine else 'OUT OF LIMIT'}", flush=True)


def line(what: str, t: dict) -> None:
    read = f"{t['read']:9.3f}" if t["read"] else "        -"
    print(f"{what:40}{t['first']:9.3f}{t['last']:9.3f}{read}{t['end']:9.3f}{t['calls']:7}", flush=True)


def median_run(times: list) -> dict:
    """Returns the run whose last write is the median."""
    return sorted(times, key=lambda t: t["last"])[len(times) // 2]


def rivals(setup: TestSetup, rules: int, delay: float, thorough: bool) -> None:
    lb = setup.balancer(rules)
    print(f"\n{rules} rules, responses {delay * 1000:.0f} ms late{'':>11}{'first':>9}{'last':>9}{'read':>9}{'end':>9}{'calls':>7}", flush=True)
    setup.set_halfway(lb)
    lower_bounds, ours, bare = [], [], []
    for _ in range(3 if rules <= 20 else 1):
        setup.wipe(lb)
        setup.set_halfway(lb)
        lower_bounds.append(setup.timed(lb, delay, setup.curl(lb)))
        run = setup.halfway(lb)
        ours.append(setup.timed(lb, delay, lambda: setup.cutover(["rollback", run, "--yes"])))
        setup.halfway(lb)
        setup.forget()
        command = ["rollback", "--load-balancer", lb["name"], "--yes", "--take-over"]
        bare.append(setup.timed(lb, delay, lambda: setup.cutover(command)))
    lower_bound, journal, alone = median_run(lower_bounds), median_run(ours), median_run(bare)
    line("curl -Z, only the requests (lower bound)", lower_bound)
    line("cutover rollback, with the journal", journal)
    line("cutover rollback --load-balancer", alone)
    others = {}
    ways = [("aws CLI, a loop", lambda: setup.cli(lb, 1)), ("aws CLI, xargs -P8", lambda: setup.cli(lb, 8))] if thorough else []
    ways += [(f"boto3, {kind}", lambda kind=kind: setup.boto(lb, kind)) for kind in ("in series", "threads", "adaptive")]
    for name, way in ways:
        setup.set_halfway(lb)
        others[name] = setup.timed(lb, delay, way())
        line(name, others[name])
    if (rules, delay) == (20, 0.1):
        verdict("journal: last write accepted, relative to the lower bound", journal["last"] / lower_bound["last"], 2.0)
        verdict("journal: all read back, relative to the lower bound", journal["read"] / lower_bound["last"], 3.0)
        verdict("--load-balancer: all read back, relative to the lower bound", alone["read"] / lower_bound["last"], 5.0)
        verdict("an aws CLI loop, against the journal's last write", others["aws CLI, a loop"]["end"] / journal["last"], 30, True)
        verdict("boto3 in series, against the journal's last write", others["boto3, in series"]["end"] / journal["last"], 10, True)


def bucket(setup: TestSetup) -> None:
    lb = setup.balancer(100)
    print(f"\n100 rules, 20 modifying calls and 3 a second, 100 ms late{'first':>8}{'last':>9}{'read':>9}{'end':>9}{'calls':>7}", flush=True)
    run = setup.halfway(lb)
    t = setup.timed(lb, 0.1, lambda: setup.cutover(["rollback", run, "--yes"]), bucket=(20.0, 3.0))
    line("cutover rollback, with the journal", t)
    verdict("last write accepted, against 100 ms + 80/3 s", t["last"] / (0.1 + 80 / 3), 1.10)


def evacuate(setup: TestSetup) -> None:
    """Moves a third of the traffic away from the second groups, with only the permissions of an emergency."""
    lb = setup.balancer(100)
    print(f"\n100 rules, a third of the traffic, 100 ms late{'':>14}{'first':>9}{'last':>9}{'read':>9}{'end':>9}{'calls':>7}", flush=True)
    rounds, ours = [], []
    command = ["evacuate", "--load-balancer", lb["name"], "--away-from", "*-b", "--yes"]
    for _ in range(3):
        setup.wipe(lb)
        setup.set_halfway(lb, 67, 33)
        rounds.append(setup.timed(lb, 0.1, setup.curl(lb)))
        setup.set_halfway(lb, 67, 33)
        ours.append(setup.timed(lb, 0.1, lambda: setup.cutover(command), allowed=EMERGENCY))
    lower_bound, evacuated = median_run(rounds), median_run(ours)
    line("curl -Z, only the requests (lower bound)", lower_bound)
    line("cutover evacuate --load-balancer", evacuated)
    verdict("from the first to the last write, relative to the lower bound", (evacuated["last"] - evacuated["first"]) / lower_bound["last"], 2.0)
    verdict("last write accepted, relative to the lower bound", evacuated["last"] / lower_bound["last"], 4.0)


def bad(setup: TestSetup) -> None:
    lb = setup.balancer(20)
    print(f"\n20 rules, half of the calls throttled and a fifth failing{'first':>8}{'last':>9}{'read':>9}{'end':>9}{'calls':>7}", flush=True)
    for seed in range(5):
        run = setup.halfway(lb)
        t = setup.timed(lb, 0.02, lambda: setup.cutover(["rollback", run, "--yes"]), bad=(0.5, 0.2), seed=seed)
        line(f"cutover rollback, seed {seed}", t)


def journal(setup: TestSetup) -> None:
    """Measures the time from exec to the first write, with a journal of 10,000 records."""
    lb = setup.balancer(20)
    print("\nfrom exec to the first write, with the journal", flush=True)
    firsts = {}
    for records in (0, 10_000):
        times = []
        for _ in range(3):
            run = setup.halfway(lb)
            folder = os.path.join(setup.folder, "state", "cutover", "runs", run)
            grow(os.path.join(folder, "journal.jsonl"), records)
            times.append(setup.timed(lb, 0.0, lambda: setup.cutover(["rollback", run, "--yes"]))["first"])
        firsts[records] = statistics.median(times)
    verdict("exec to first write, ms", firsts[0] * 1000, 100)
    verdict("recovery of 10,000 records, ms", (firsts[10_000] - firsts[0]) * 1000, 100)


def calls(setup: TestSetup) -> None:
    """Counts the calls of each command, which use the request buckets of the account."""
    lb = setup.balancer(20)
    print(f"\ncalls, 20 rules over two groups{'':24}{'describe':>10}{'modify':>8}{'tags':>6}", flush=True)

    def counted(name: str, way) -> str:
        setup.proxy.reset()
        output = way()
        of = lambda *heads: sum(action.startswith(heads) for action, *_ in setup.proxy.log)
        print(f"{name:55}{of('Describe'):10}{of('Modify'):8}{of('AddTags', 'RemoveTags'):6}", flush=True)
        return output

    setup.wipe(lb)
    setup.set_halfway(lb)
    counted("rollback --load-balancer --back-to --away-from", lambda: setup.cutover(["rollback", "--load-balancer", lb["name"], "--back-to", "*-a", "--away-from", "*-b", "--yes"]))
    run = counted("check, and a run through a step of 50 %", lambda: setup.halfway(lb, reset=False))
    counted("status", lambda: setup.cutover(["status", run]))
    counted("rollback, with the journal", lambda: setup.cutover(["rollback", run, "--yes"]))
    setup.halfway(lb)
    setup.forget()
    counted("rollback --load-balancer", lambda: setup.cutover(["rollback", "--load-balancer", lb["name"], "--yes", "--take-over"]))


def grow(path: str, records: int) -> None:
    """Appends health records with valid checksums to the journal."""
    lines = pathlib.Path(path).read_text().splitlines()
    last = json.loads(lines[-1])
    sum_, seq = last["sum"], last["seq"]
    groups = next(json.loads(l) for l in lines if '"event":"health"' in l)["groups"]
    out = []
    for n in range(1, records + 1):
        body = json.dumps({"v": 1, "seq": seq + n, "time": last["time"], "run": last["run"], "event": "health", "groups": groups}, separators=(",", ":"))
        sum_ = hashlib.sha256((sum_ + body).encode()).hexdigest()[:16]
        out.append(body[:-1] + f',"sum":"{sum_}"}}')
    with open(path, "a") as file:
        file.writelines(l + "\n" for l in out)


def memory(setup: TestSetup, sizes=(10, 100, 500)) -> None:
    print(f"\nreading groups, responses without delay{'':9}{'seconds':>12}{'MB':>8}", flush=True)
    for groups in sizes:
        lb = setup.balancer(groups // 2, groups // 2)
        setup.set_halfway(lb)
        setup.wipe(lb)
        command = ["rollback", "--load-balancer", lb["name"], "--back-to", "*-a", "--away-from", "*-b", "--yes"]
        for name, args in (("status", ["status", "--load-balancer", lb["name"]]), ("rollback", command)):
            begin = time.perf_counter()
            # This process is large, and Linux counts its memory for a child until exec. So a small process starts the child.
            command = [sys.executable, "-S", "-E", str(HERE / "peak.py"), setup.binary, *args]
            done = subprocess.run(command, env=setup.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
            status, peak = done.returncode, float(done.stdout.split()[-1])
            print(f"{groups:4} groups, {name:34}{time.perf_counter() - begin:12.3f}{peak:8.1f}{'' if status == 0 else ' FAILED'}", flush=True)
            if groups == 500:
                verdict(f"{name}: peak MB at 500 target groups", peak, 60)


def measure(options, tools: str) -> int:
    """Measures all requested parts, and returns the exit code."""
    sys.path.insert(0, str(HERE))
    binary = os.path.abspath(options.binary) if options.binary else build()
    with tempfile.TemporaryDirectory() as folder:
        setup = TestSetup(tools, binary, folder)
        try:
            rounds = [(20, 0.1)] if options.quick else [(n, d) for n in (20, 1, 50, 100) for d in (0.1, 0.02, 0.0)]
            # The CLI needs a second per rule, so it is omitted if its result is known from other rows.
            parts = [(f"rivals {n} {d}", lambda n=n, d=d: rivals(setup, n, d, n <= 20 or d == 0.1)) for n, d in rounds]
            parts += [("bucket", lambda: bucket(setup)), ("evacuate", lambda: evacuate(setup))]
            if not options.quick:
                parts += [("bad", lambda: bad(setup)), ("journal", lambda: journal(setup)), ("calls", lambda: calls(setup)), ("memory", lambda: memory(setup))]
            for name, part in parts:
                if options.only in name:
                    part()
        except (RuntimeError, subprocess.CalledProcessError) as error:
            print(f"FAILED: {error}", flush=True)
            return 1
        finally:
            setup.stop()
    return 0 if good else 1


def build() -> str:
    """Builds the release binary where tests/run builds, and returns its path."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = os.environ.get("CUTOVER_CACHE") or os.path.join(cache, "cutover")
    target = os.environ.setdefault("CARGO_TARGET_DIR", os.path.join(cache, "target"))
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=HERE.parents[1], check=True)
    return os.path.join(target, "release", "cutover")
