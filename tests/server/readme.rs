//! What the README says is not there, held against the commands of the real `redis-server`.

use std::collections::BTreeSet;

use crate::harness::{Connection, Peer, Server};

/// The heading that the list stands under.
const HEADING: &str = "## What is not there yet";

/// The names in a reply of `COMMAND LIST`, in upper case.
fn names(client: &mut Connection, more: &[&str]) -> BTreeSet<String> {
    let reply = client.call(&[&["COMMAND", "LIST"], more].concat()).raw();
    let lines = reply.lines().filter(|line| !line.starts_with(['*', '$']));
    lines.map(str::to_ascii_uppercase).collect()
}

#[test]
fn the_list_of_what_is_missing_is_complete() {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once(HEADING).expect("the list has its heading");
    let table = section.lines().skip_while(|line| !line.starts_with('|')).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let cells: Vec<_> = rows.map(|row| row.rsplit(" | ").next().expect("a cell")).collect();

    let (server, peer) = (Server::start(), Peer::start());
    let mut peer = Connection::open(peer.port);
    let missing = &names(&mut peer, &[]) - &names(&mut server.connect(), &[]);
    let (mut named, mut listed) = (BTreeSet::new(), BTreeSet::new());
    for word in cells.join(" ").split_whitespace() {
        let word = word.trim_matches(['|', ',']).replace("\\|", "|");
        if let Some(category) = word.strip_prefix('@') {
            let all = names(&mut peer, &["FILTERBY", "ACLCAT", category]);
            assert!(!all.is_disjoint(&missing), "the list has what is there: {word}");
            listed.extend(all);
        } else if word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase) {
            named.insert(word);
        }
    }
    // Of a container, some subcommands may be there.
    let is_part = |name: &str, of: &str| name.strip_prefix(of).is_some_and(|r| r.starts_with('|'));
    let is_missing =
        |name: &String| missing.contains(name) || missing.iter().any(|part| is_part(part, name));
    let there: Vec<_> = named.iter().filter(|name| !is_missing(name)).collect();
    assert!(there.is_empty(), "the list has what is there: {there:?}");
    listed.extend(named);
    let is_listed = |name: &String| {
        let container = name.split('|').next().expect("a part");
        listed.contains(name) || listed.contains(container)
    };
    println!("missing: {missing:?}");
    let untold: Vec<_> = missing.iter().filter(|name| !is_listed(name)).collect();
    assert!(untold.is_empty(), "these commands are missing and not in the list: {untold:?}");
}
