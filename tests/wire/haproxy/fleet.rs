//! Instances of HAProxy, HTTP servers behind them, clients in front of them, and `cutover` beside them.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::clients::Clients;
use crate::programs::variable;
use crate::terminal::support::VerbOutput;

/// An HTTP server that answers each request with its own name.
pub struct Server {
    pub name: String,
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Server {
    fn start(name: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port should be free");
        let address = listener.local_addr().expect("the port should be known");
        let (stopped, own_name) = (Arc::new(AtomicBool::new(false)), name.to_owned());
        let ends = Arc::clone(&stopped);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let name = own_name.clone();
                std::thread::spawn(move || stream.map(|stream| answer(stream, &name)));
            }
        });
        Self { name: name.to_owned(), address, stopped }
    }

    /// Closes the port, so that connections are refused.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Reads one request and answers it.
fn answer(stream: TcpStream, name: &str) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    let length = name.len();
    let _ =
        write!(reader.into_inner(), "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}");
}

/// A process of HAProxy with a worker. It ends with this value.
pub struct Instance {
    process: RefCell<Child>,
    /// The port of its frontend for the backend with all servers.
    port: u16,
    /// The port of its frontend for the map of slots.
    map_port: u16,
    /// The address of its runtime API.
    pub api: String,
    /// The file from which a new process reads the state of the servers.
    state: PathBuf,
    /// Its configuration.
    file: PathBuf,
}

impl Instance {
    /// Starts a killed instance with its configuration again.
    pub fn start_again(&self) {
        self.kill();
        let mut ended = self.process.replace(haproxy(&self.file));
        let _ = ended.wait();
        self.wait_for_checks();
    }

    /// Waits until HAProxy has checked each server.
    fn wait_for_checks(&self) {
        while self.ask("show stat -1 4 -1").contains(",INI") {
            std::thread::yield_now();
        }
    }

    /// Reloads the configuration, as `systemctl reload` does.
    pub fn reload(&self) {
        signal(&self.process.borrow(), "USR2");
    }

    /// Reloads the configuration after the state of the servers was written, as the lines of `examples/haproxy` do.
    pub fn reload_with_state(&self) {
        std::fs::write(&self.state, self.ask("show servers state")).expect("the state should be written");
        self.reload();
    }

    /// Kills the master and its worker, without any chance to clean up.
    pub fn kill(&self) {
        let mut process = self.process.borrow_mut();
        if !matches!(process.try_wait(), Ok(None)) {
            return; // It has ended, and another process may have its number.
        }
        let workers = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.id()));
        for pid in workers.unwrap_or_default().split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", pid]).status();
        }
        signal(&process, "KILL");
        let _ = process.wait();
    }

    /// Sends a command to the runtime API and returns the answer. Asks again until the answer is whole: while HAProxy
    /// starts or reloads, it refuses or resets connections.
    pub fn ask(&self, command: &str) -> String {
        loop {
            match self.try_ask(command) {
                Ok(text) if text == "\n" || text.ends_with("\n\n") => return text,
                _ => std::thread::yield_now(),
            }
            let ended = self.process.borrow_mut().try_wait().expect("the process should be known");
            assert_eq!(ended, None, "HAProxy has ended instead of answering `{command}`");
        }
    }

    /// Returns the sum of the weights of all servers, which is the length of a cycle of round robin in requests.
    fn cycle(&self) -> usize {
        let answer = self.ask("show stat webapp 4 -1");
        let mut lines = answer.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let header = lines.next().expect("`show stat` should have a header");
        let column = header.iter().position(|name| *name == "weight").expect("`show stat` should have the column");
        lines.filter_map(|cells| cells.get(column)?.parse::<usize>().ok()).sum()
    }

    fn try_ask(&self, command: &str) -> std::io::Result<String> {
        let address = self.api.strip_prefix("tcp://").expect("the address should be one of TCP");
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(format!("{command}\n").as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Returns the weight of a server.
    pub fn weight(&self, server: &str) -> String {
        let answer = self.ask(&format!("get weight webapp/{server}"));
        answer.split(' ').next().unwrap_or_default().to_owned()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            signal(&self.process, "TERM");
            let _ = self.process.wait();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

fn signal(process: &Child, name: &str) {
    let _ = Command::new("kill").args(["-s", name, &process.id().to_string()]).status();
}

/// HAProxy, servers, clients and a folder with a plan.
pub struct Fleet {
    pub servers: Vec<Server>,
    pub instances: Vec<Instance>,
    folder: tempfile::TempDir,
}

impl Fleet {
    /// Starts servers with these names and this number of instances. `options` are lines of the backend.
    pub fn start(servers: &[&str], instances: usize, options: &str) -> Self {
        let folder = tempfile::tempdir().expect("the folder should be created");
        let servers: Vec<_> = servers.iter().map(|name| Server::start(name)).collect();
        let slots = (0..100).map(|slot| format!("{slot} webapp-a\n")).collect::<Vec<_>>().concat();
        std::fs::write(folder.path().join("shares.map"), slots).expect("the map should be written");
        let instances = (0..instances).map(|n| instance(folder.path(), n, &servers, options)).collect();
        Self { servers, instances, folder }
    }

    /// Writes a plan that moves servers of one backend, with these steps as lines of YAML.
    pub fn plan(&self, steps: &str) {
        self.plan_of("backend: webapp\n            servers: {a: \"a-*\", b: \"b-*\"}", steps);
    }

    /// Writes such a plan whose run writes the shares again by itself after a reload.
    pub fn reasserting_plan(&self, steps: &str) {
        let route = "backend: webapp\n            servers: {a: \"a-*\", b: \"b-*\"}\n            reload: reassert";
        self.plan_of(route, steps);
    }

    /// Returns the path of the map of slots.
    pub fn map_file(&self) -> String {
        self.folder.path().join("shares.map").display().to_string()
    }

    /// Writes a plan that moves slots of the map, with these steps as lines of YAML.
    pub fn map_plan(&self, steps: &str) {
        let route = format!("map: {{file: {}, backends: {{a: webapp-a, b: webapp-b}}}}", self.map_file());
        self.plan_of(&route, steps);
    }

    fn plan_of(&self, route: &str, steps: &str) {
        let addresses: Vec<_> = self.instances.iter().map(|instance| format!("\"{}\"", instance.api)).collect();
        let text =
            PLAN.replace("{instances}", &addresses.join(", ")).replace("{steps}", steps).replace("{route}", route);
        std::fs::write(self.folder.path().join("plan.yaml"), text).expect("the plan should be written");
    }

    /// Returns the folder of the plan.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--foreground", "600", env!("CARGO_BIN_EXE_cutover")]).args(words.split_whitespace());
        command.env_clear().current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["PATH", "TMPDIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // Neither credentials nor a region: a call of AWS would fail.
        command
            .env("HOME", self.folder.path())
            .env("USER", "alice")
            .env("CUTOVER_STATE_DIR", self.folder.path().join("state"));
        command
    }

    /// Runs `cutover` with these words to its end.
    pub fn cutover(&self, words: &str) -> VerbOutput {
        VerbOutput::of(self.command(words).output().expect("cutover should start"))
    }

    /// Starts `cutover` with these words, to follow its records.
    pub fn follow(&self, words: &str) -> Follow {
        let errors = std::fs::File::create(self.folder.path().join("stderr")).expect("the file should be created");
        let mut command = self.command(&format!("{words} --output json"));
        let mut process = command.stdout(Stdio::piped()).stderr(errors).spawn().expect("cutover should start");
        let records = BufReader::new(process.stdout.take().expect("the process should have a standard output"));
        Follow { process, records, seen: String::new(), errors: self.folder.path().join("stderr") }
    }

    /// Runs the break-glass script of the only run, and returns what it said.
    pub fn break_glass(&self) -> String {
        let state = self.folder.path().join("state");
        let found = Command::new("find").arg(&state).args(["-name", "break-glass.sh"]).output();
        let found = String::from_utf8(found.expect("find should run").stdout).expect("the path should be UTF-8");
        let script = Command::new("sh").arg(found.trim()).output().expect("the script should run");
        let said = [script.stdout, script.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(script.status.success(), "{said}");
        said
    }

    /// Waits for the answers to this number of requests, and returns the share of servers whose names begin with `b`, in
    /// percent. The requests begin one cycle of round robin after now: a server whose weight was changed in the middle of a
    /// cycle may have to wait for the next one, so that until then the others get its requests.
    pub fn measure(&self, clients: &Clients, count: usize) -> f64 {
        clients.measure(self.instances.iter().map(Instance::cycle).sum());
        clients.measure(count)
    }

    /// Starts clients that send two hundred requests a second to all instances.
    pub fn clients(&self) -> Clients {
        let ports: Vec<_> = self.instances.iter().map(|instance| instance.port).collect();
        Clients::start(&ports)
    }

    /// Starts such clients for the map of slots.
    pub fn clients_of_map(&self) -> Clients {
        Clients::start(&self.map_ports())
    }

    /// Starts clients for the map of slots that send the next request at once.
    pub fn fast_clients_of_map(&self) -> Clients {
        Clients::without_pauses(&self.map_ports())
    }

    fn map_ports(&self) -> Vec<u16> {
        self.instances.iter().map(|instance| instance.map_port).collect()
    }
}

fn instance(folder: &Path, number: usize, servers: &[Server], options: &str) -> Instance {
    let free = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port should be free");
        listener.local_addr().expect("the port should be known").port()
    };
    let (port, map_port, api) = (free(), free(), free());
    let server = |s: &Server| {
        let weight = if s.name.starts_with('b') { 0 } else { 100 };
        format!("    server {} {} check inter 200ms fall 2 rise 2 weight {weight}\n", s.name, s.address)
    };
    let of = |prefix: &'static str| servers.iter().filter(move |s| s.name.starts_with(prefix));
    let equal = |s: &Server| format!("    server {} {} check inter 200ms fall 2 rise 2\n", s.name, s.address);
    let lines: String = servers.iter().map(server).collect();
    let state = folder.join(format!("haproxy-{number}.state"));
    let text = CONFIGURATION
        .replace("{api}", &api.to_string())
        .replace("{port}", &port.to_string())
        .replace("{map_port}", &map_port.to_string())
        .replace("{map}", &folder.join("shares.map").display().to_string())
        .replace("{state}", &state.display().to_string())
        .replace("{servers}", &lines)
        .replace("{a}", &of("a").map(equal).collect::<String>())
        .replace("{b}", &of("b").map(equal).collect::<String>())
        .replace("{options}", options);
    let file = folder.join(format!("haproxy-{number}.cfg"));
    std::fs::write(&file, text).expect("the configuration should be written");
    let process = RefCell::new(haproxy(&file));
    let instance = Instance { process, port, map_port, api: format!("tcp://127.0.0.1:{api}"), state, file };
    instance.wait_for_checks();
    instance
}

/// Starts HAProxy with a configuration. Its output goes to a file beside it.
fn haproxy(file: &Path) -> Child {
    let output = std::fs::File::create(file.with_extension("log")).expect("the log should be created");
    let errors = output.try_clone().expect("the log should be shared");
    let mut command = Command::new(variable("CUTOVER_HAPROXY"));
    command.args(["-W", "-db", "-f"]).arg(file).stdin(Stdio::null());
    command.stdout(output).stderr(errors).spawn().expect("HAProxy should start")
}

/// A run of `cutover`, record by record.
pub struct Follow {
    process: Child,
    records: BufReader<ChildStdout>,
    seen: String,
    errors: PathBuf,
}

impl Follow {
    /// Reads records until one satisfies the condition.
    pub fn until(&mut self, what: &str, found: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut line = String::new();
            let length = self.records.read_line(&mut line).expect("the record should be readable");
            let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
            assert_ne!(length, 0, "the run ended before {what}:\n{}\n{errors}", self.seen);
            self.seen += &line;
            let record: Value = serde_json::from_str(&line).expect("the record should be JSON");
            if found(&record) {
                return record;
            }
        }
    }

    /// Reads records until an event.
    pub fn until_event(&mut self, name: &str) -> Value {
        self.until(name, |record| record["event"] == name)
    }

    /// Reads records until a step has started.
    pub fn until_step(&mut self, number: u64) {
        self.until(&format!("step {number}"), |r| r["event"] == "stepStarted" && r["step"] == number);
    }

    /// Returns the exit code, and all that the run has said.
    pub fn end(mut self) -> (i32, String) {
        let mut rest = String::new();
        self.records.read_to_string(&mut rest).expect("the records should be readable");
        let code = self.process.wait().expect("the process should end").code().unwrap_or(-1);
        let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
        (code, std::mem::take(&mut self.seen) + &rest + &errors)
    }
}

const CONFIGURATION: &str = "
global
    stats socket ipv4@127.0.0.1:{api} level admin
    stats timeout 10s
    server-state-file {state}
defaults
    load-server-state-from-file global
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
    timeout check 30s
    retries 3
    option redispatch
frontend web
    bind 127.0.0.1:{port}
    default_backend webapp
frontend tables
    bind 127.0.0.1:{map_port}
    use_backend %[rand(100),map({map})]
backend webapp-a
    option httpchk GET /
{a}
backend webapp-b
    option httpchk GET /
{b}
backend webapp
    balance roundrobin
    option httpchk GET /
    {options}
{servers}";

const PLAN: &str = r"apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: webapp}
spec:
  clusters: [{name: a}, {name: b}]
  workloads:
    - name: webapp
      routes:
        - haproxy:
            instances: [{instances}]
            {route}
  strategy:
    from: a
    to: b
    settle: 1s
    gates: {targetHealth: {raise: {stableFor: 1s}, guard: {for: 2s}}}
    steps:
{steps}
";
