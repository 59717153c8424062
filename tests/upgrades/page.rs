//! Metrics and the page, over TCP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::harness::{Server, Setup, free_port};

/// A server with release 1 that serves metrics, and the port where.
fn start() -> (Server, u16) {
    let metrics = free_port();
    let setup = Setup::of("logic_v1").port(free_port());
    (setup.arguments(["--metrics", &metrics.to_string()]).start(), metrics)
}

fn ask(port: u16, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it is served");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is read");
    stream
}

fn get(port: u16, path: &str) -> (String, String) {
    let mut answer = String::new();
    ask(port, path).read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_lowercase(), body.to_owned())
}

/// The values of a metric by its labels.
fn values(text: &str, name: &str) -> Vec<(String, f64)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    rows.map(|(labels, value)| (labels.to_owned(), value.parse().expect("a number"))).collect()
}

#[test]
fn each_generation_is_told_apart() {
    let (server, port) = start();
    let mut client = server.connect();
    client.ask("SET k v");
    let more = ["--canary", "db=1", "--step", "600s", "--no-wait"];
    server.upgrade("logic_v2", &more).report();
    client.ask("SELECT 1");
    for _ in 0..10 {
        client.ask("GET k");
    }
    let (head, text) = get(port, "/metrics");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let commands = values(&text, "shell_generation_commands_total");
    let of = |state: &str| {
        let is_it = |row: &&(String, f64)| row.0.contains(&format!("state=\"{state}\""));
        commands.iter().find(is_it).unwrap_or_else(|| panic!("{state}: {commands:?}")).1
    };
    assert_eq!((of("canary"), of("current")), (10.0, 2.0), "{commands:?}");
    let phase = values(&text, "shell_upgrade_phase");
    assert!(phase.contains(&("{phase=\"canary\"}".to_owned(), 1.0)), "{phase:?}");
    assert_eq!(values(&text, "shell_commands_total"), [(String::new(), 12.0)]);
    let counts = values(&text, "shell_command_duration_seconds_count");
    assert!(counts.contains(&("{family=\"string\"}".to_owned(), 11.0)), "{counts:?}");
    assert_eq!(of_buckets(&text, "string"), 11.0);
}

/// What the widest bucket of a family holds; each must hold all that narrower ones do.
fn of_buckets(text: &str, family: &str) -> f64 {
    let rows = values(text, "shell_command_duration_seconds_bucket");
    let of_family = rows.iter().filter(|(labels, _)| labels.contains(&format!("\"{family}\"")));
    let counts: Vec<f64> = of_family.map(|(_, count)| *count).collect();
    assert!(counts.is_sorted() && counts.len() > 10, "{counts:?}");
    counts[counts.len() - 1]
}

#[test]
fn the_text_is_as_prometheus_reads_it() {
    let (server, port) = start();
    server.connect().ask("PING");
    let (_, text) = get(port, "/metrics");
    let mut types = std::collections::HashMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(types.insert(name, kind).is_none(), "{name} is told of twice");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().expect("a name");
            let known = types.contains_key(name)
                || ["_bucket", "_sum", "_count"]
                    .iter()
                    .any(|end| name.strip_suffix(end).is_some_and(|n| types.contains_key(n)));
            assert!(known, "{line} stands before what it is");
            assert!(line.rsplit(' ').next().expect("a value").parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(types.len() > 40, "{}", types.len());
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_is_told_of_changes() {
    let (server, port) = start();
    let (head, page) = get(port, "/");
    assert!(head.contains("text/html") && head.contains("default-src 'none'"), "{head}");
    assert!(page.contains("EventSource") && page.contains("prefers-color-scheme: dark"));
    let elsewhere = ["http://", "https://"].map(|scheme| page.matches(scheme).count());
    // A namespace is a name, not an address.
    assert_eq!(elsewhere, [1, 0]);
    let mut lines = BufReader::new(ask(port, "/events")).lines().map(|line| line.expect("a line"));
    let mut next = || -> Value {
        let line = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        serde_json::from_str(&line.expect("an event")).expect("JSON")
    };
    assert_eq!(next()["status"]["generation"], 1);
    server.upgrade("logic_v2", &["--probation", "600s"]).report();
    let event = std::iter::repeat_with(next).find(|event| event["status"]["generation"] == 2);
    let event = event.expect("there are events for ever");
    assert_eq!(event["status"]["phase"], "probation", "{event}");
    assert_eq!(event["records"].as_array().unwrap().len(), 2);
}

#[test]
fn nothing_can_be_changed_there_and_too_many_are_turned_away() {
    let (server, port) = start();
    assert!(get(port, "/v1/status").1.contains("\"generation\":1"));
    for path in ["/v1/upgrade", "/v1/rollback", "/v1/finalize", "/v1/effects"] {
        assert!(get(port, path).0.starts_with("http/1.1 404"), "{path}");
    }
    let followers: Vec<_> = (0..16).map(|_| BufReader::new(ask(port, "/events"))).collect();
    for mut follower in followers.iter().map(|follower| follower.get_ref()) {
        let mut byte = [0];
        follower.read_exact(&mut byte).expect("it is answered");
    }
    assert!(get(port, "/events").0.starts_with("http/1.1 503"));
    assert!(get(port, "/metrics").0.starts_with("http/1.1 200"));
    drop(followers);
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
}

#[test]
fn an_address_that_cannot_be_used_is_told() {
    let (_server, port) = start();
    for (address, told) in [(port.to_string(), "is another server using it"), ("x".into(), "PORT")]
    {
        let mut second = Setup::of("logic_v1").port(free_port());
        second = second.arguments(["--metrics", &address]);
        let (status, printed) = second.spawn().wait();
        assert_eq!(status.code(), Some(4), "{printed}");
        assert!(printed.contains(told), "{printed}");
    }
}

#[test]
fn what_dashboard_and_alerts_ask_for_is_there() {
    let (server, port) = start();
    server.connect().ask("GET k");
    let (_, text) = get(port, "/metrics");
    let folder = crate::harness::libraries::root().join("scripts/monitoring");
    for file in ["alerts.yml", "dashboard.json"] {
        let content = std::fs::read_to_string(folder.join(file)).expect("it is there");
        let mut names: Vec<&str> = content
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("shell_"))
            .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
            .collect();
        names.sort_unstable();
        names.dedup();
        assert!(names.len() > 10, "{file}: {names:?}");
        for name in names {
            assert!(text.contains(&format!("# TYPE {name} ")), "{file} asks for {name}");
        }
    }
}
