//! Users from elsewhere: lines of the configuration file, and the file of users.

use abi::container::RawBytes;
use abi_stable::std_types::{RSlice, RStr};

use crate::exec::index::Index;
use crate::exec::thread::ThreadContext;
use crate::session::acl::{self, DEFAULT, DEFAULT_NUMBER, Fault, Selector, Terms, User};
use crate::session::settings;
use base::bytes::take_text;
use base::bytes::{self, Bytes};
use base::core::Core;
use base::settings::row::ChannelsAtFirst;
use base::settings::setting;

/// What rules are applied with in a release.
pub fn terms<'a>(core: &Core, index: &'a Index) -> Terms<'a> {
    let all_channels = core.get(setting::ACL_PUBSUB_DEFAULT) == ChannelsAtFirst::All;
    Terms { vocabulary: Some(index), all_channels }
}

/// Applies a line `user NAME rule…`. Errors: what is wrong with it.
pub fn configure_user(thread: &mut ThreadContext, words: &[&str]) -> Result<(), String> {
    let [name, rules @ ..] = words else { return Err("wrong number of arguments".into()) };
    if acl::has_spaces(name.as_bytes()) || name.is_empty() {
        return Err("Usernames can't contain spaces or null characters".into());
    }
    let rules = acl::merged(rules.iter().map(|rule| rule.as_bytes())).map_err(|at| {
        format!("Unmatched parenthesis in selector definition starting at '{}'", rules[at])
    })?;
    let ThreadContext { core, exec, .. } = thread;
    let terms = terms(core, &exec.index);
    let is_default = name.as_bytes() == DEFAULT;
    let has_default = exec.acl.default_is_configured;
    exec.acl.default_is_configured |= is_default;
    let add = |users: &mut Vec<User>| {
        let known = users.iter().any(|user| user.name == name.as_bytes());
        if known && (!is_default || has_default) {
            return Err(format!(
                "Error in user declaration '{name}': Duplicate user found. A user can only be \
                 defined once in config files"
            ));
        }
        let user = made(name.as_bytes(), &rules, terms).map_err(|(rule, fault)| {
            let rule = String::from_utf8_lossy(&rule).into_owned();
            format!("Error in user declaration '{rule}': {}", fault.text())
        })?;
        put(users, user);
        Ok(())
    };
    acl::change(core, None, add).map(drop)
}

/// A user made by rules, or the first that is wrong.
fn made(name: &[u8], rules: &[Vec<u8>], terms: Terms<'_>) -> Result<User, (Vec<u8>, Fault)> {
    let mut user = User::new(name, terms.all_channels);
    for rule in rules {
        user.apply(rule, terms).map_err(|fault| (rule.clone(), fault))?;
    }
    Ok(user)
}

/// Adds a user; the default one takes the place of that which is there.
fn put(users: &mut Vec<User>, mut user: User) {
    if user.name == DEFAULT {
        user.number = DEFAULT_NUMBER;
        users.retain(|other| other.number != DEFAULT_NUMBER);
    }
    users.push(user);
}

/// Sets the path of the file of users, and reads it. Errors: what is wrong.
pub fn configure_file(thread: &mut ThreadContext, values: &[&str]) -> Result<(), String> {
    settings::configure(&mut thread.core, "aclfile", values, |_| true)?;
    let ThreadContext { core, exec, .. } = thread;
    if core.text(setting::ACLFILE).is_empty() {
        return Ok(());
    }
    if exec.acl.default_is_configured || acl::users(core).len() > 1 {
        return Err("users are defined in the configuration, too: this is very likely to lead to \
                    configuration errors and security holes; define them either there or in the \
                    ACL file"
            .into());
    }
    load(core, &exec.index, None).map(drop)
}

/// Makes the users those of the file. Fails, and leaves all as it is, if something in it is wrong.
/// Tells whether the client that asked for it is to be closed.
pub fn load(
    core: &Core,
    index: &Index,
    own: Option<abi::client_ref::ClientRef>,
) -> Result<bool, String> {
    let path = String::from_utf8_lossy(&core.text(setting::ACLFILE)).into_owned();
    let (mut content, mut error) = (RawBytes::EMPTY, RawBytes::EMPTY);
    let status = core.host.read_file()(RStr::from(&path[..]), &mut content, &mut error);
    let reason = take_text(&mut error, core.heap);
    let text = bytes::slice(&content).to_vec();
    Bytes::new(&mut content, core.heap).free();
    if !status.is_ok() {
        return Err(format!("Error loading ACLs, opening file '{path}': {reason}"));
    }
    let users = parse(&path, &text, terms(core, index))?;
    let replace = |all: &mut Vec<User>| {
        *all = users;
        Ok::<(), String>(())
    };
    Ok(acl::change(core, own, replace)?.closes_own)
}

/// The users of a file, and the default one as it is at first if the file has none.
fn parse(path: &str, text: &[u8], terms: Terms<'_>) -> Result<Vec<User>, String> {
    let (mut users, mut faults) = (Vec::<User>::new(), String::new());
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        match parse_line(line, terms) {
            Ok(user) if users.iter().any(|other| other.name == user.name) => {
                let name = String::from_utf8_lossy(&user.name);
                faults += &format!("WARNING: Duplicate user '{name}' found on line {number}. ");
            }
            Ok(user) => put(&mut users, user),
            Err(fault) => faults += &format!("{path}:{number}{fault}. "),
        }
    }
    if !faults.is_empty() {
        return Err(faults
            + "WARNING: ACL errors detected, no change to the previously active ACL rules was \
               performed");
    }
    if !users.iter().any(|user| user.number == DEFAULT_NUMBER) {
        users.push(User::first());
    }
    Ok(users)
}

fn parse_line(line: &[u8], terms: Terms<'_>) -> Result<User, String> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(b"user"), Some(name)) = (words.next(), words.next()) else {
        return Err(" should start with user keyword followed by the username".into());
    };
    if name.is_empty() || acl::has_spaces(name) {
        return Err(": username contains invalid characters".into());
    }
    let rules = acl::merged(words.map(<[u8]>::trim_ascii).filter(|word| !word.is_empty()));
    let rules = rules.map_err(|_| ": Unmatched parenthesis in selector definition")?;
    made(name, &rules, terms).map_err(|(rule, fault)| match fault {
        Fault::Unknown => {
            let rule = String::from_utf8_lossy(&rule).into_owned();
            format!(": Error in applying operation '{rule}': {}", fault.text())
        }
        _ => format!(": {}", fault.text()),
    })
}

/// The users as lines of a file, the rules as they were given.
pub fn lines(core: &Core) -> Vec<Vec<Vec<u8>>> {
    let line = |user: &User| {
        let mut words = vec![b"user".to_vec(), user.name.clone()];
        words.extend(user.rules(&Selector::told));
        words
    };
    acl::users(core).iter().map(line).collect()
}

/// Writes the users to the file. Fails with the reason.
pub fn save(core: &Core) -> Result<(), String> {
    let lines: Vec<Vec<u8>> = lines(core).iter().map(|words| words.join(&b' ')).collect();
    let text = [&lines.join(&b'\n')[..], b"\n"].concat();
    let path = String::from_utf8_lossy(&core.text(setting::ACLFILE)).into_owned();
    let mut error = RawBytes::EMPTY;
    let content = RSlice::from_slice(&text);
    let status = core.host.replace_file()(RStr::from(&path[..]), content, &mut error);
    let reason = take_text(&mut error, core.heap);
    if status.is_ok() { Ok(()) } else { Err(format!("cannot write {path}: {reason}")) }
}
