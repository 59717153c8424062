//! What is told of what access rules refuse: in the words of Redis 7.0, or in those of 7.2 and later.
#![forbid(unsafe_code)]

use abi::acl::reason;

use crate::exec::granted::Denial;
use crate::exec::release::Release;
use crate::exec::spec::Spec;
use base::args::Args;
use base::error::Error;

/// A command that was refused to a user.
#[derive(Clone, Copy)]
pub struct Refusal<'a> {
    /// Why.
    pub denial: Denial,
    /// The user's name.
    pub user: &'a [u8],
    /// The command.
    pub spec: &'static Spec,
    /// Its arguments.
    pub args: Args<'a>,
    /// The release that tells it.
    pub release: &'static Release,
}

impl<'a> Refusal<'a> {
    /// What it is about: the command, key or channel.
    pub fn object(self) -> &'a [u8] {
        match self.denial.reason {
            reason::COMMAND => self.spec.name.as_bytes(),
            _ => self.args.at(self.denial.at),
        }
    }

    fn is_later(self) -> bool {
        self.release.is_since(7, 2)
    }

    /// What kind of thing it is about.
    fn kind(self) -> &'static str {
        match self.denial.reason {
            reason::COMMAND => "command",
            reason::KEY => "key",
            _ => "channel",
        }
    }

    /// With the name of what it is about.
    pub fn in_full(self) -> Vec<u8> {
        let who = match self.is_later() {
            true => [b"User ", self.user].concat(),
            false => b"This user".to_vec(),
        };
        let verb = if self.denial.reason == reason::COMMAND { "run" } else { "access" };
        let middle = format!(" has no permissions to {verb} the '");
        let end = format!("' {}", self.kind());
        [&who[..], middle.as_bytes(), self.object(), end.as_bytes()].concat()
    }

    /// To the client that sent it.
    pub fn to_client(self) -> Error {
        let text = match (self.denial.reason, self.is_later()) {
            (reason::COMMAND, true) => self.in_full(),
            (_, true) => format!("No permissions to access a {}", self.kind()).into_bytes(),
            (reason::COMMAND, false) => {
                let name = self.spec.name;
                format!("this user has no permissions to run the '{name}' command").into_bytes()
            }
            (_, false) => {
                let all = format!("one of the {}s used as arguments", self.kind());
                format!("this user has no permissions to access {all}").into_bytes()
            }
        };
        Error::owned([&b"NOPERM "[..], &text].concat())
    }

    /// In the place of the reply in a transaction.
    pub fn in_transaction(self) -> Error {
        let why = match self.denial.reason {
            reason::COMMAND => "no permission to execute the command or subcommand",
            reason::KEY => "no permission to touch the specified keys",
            _ => "no permission to access one of the channels used as arguments",
        };
        Error::owned(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the \
             EXEC call. This command is no longer allowed for the following reason: {why}"
        ))
    }

    /// To a script.
    pub fn in_script(self) -> Error {
        if self.is_later() {
            let text = self.to_client();
            let why = text.text().strip_prefix(b"NOPERM ").unwrap_or_default();
            return Error::owned([&b"ERR ACL failure in script: "[..], why].concat());
        }
        Error::new(match self.denial.reason {
            reason::COMMAND => {
                "ERR The user executing the script can't run this command or subcommand"
            }
            reason::KEY => {
                "ERR The user executing the script can't access at least one of the keys mentioned \
                 in the command arguments"
            }
            _ => {
                "ERR The user executing the script can't publish to the channel mentioned in the \
                 command"
            }
        })
    }
}
