//! A user: what the rules have made of it, and as which rules it is written down.
//!
//! Which commands there are is not known here. Rules about commands are kept in their order, as they
//! were given, but for those that later ones have made void: so they mean the same to each release,
//! as far as it has the commands.
#![forbid(unsafe_code)]

use super::selector::{Selector, push_channels, push_keys};

/// What can be wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No such command or category.
    Unknown,
    /// No rule at all.
    Syntax,
    /// A pattern for keys, where all are allowed.
    AfterAllKeys,
    /// A pattern for channels, where all are allowed.
    AfterAllChannels,
    /// A password is to be removed that is not there.
    NoSuchPassword,
    /// No hash of a password.
    NotAHash,
    /// A first argument of a subcommand.
    OfSubcommand,
}

impl Fault {
    /// What is wrong.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown command or category name in ACL",
            Self::Syntax => "Syntax error",
            Self::AfterAllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does \
                 not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::AfterAllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and \
                 does not have any effect. Try 'resetchannels' to start with an empty list of \
                 channels"
            }
            Self::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            Self::NotAHash => {
                "The password hash must be exactly 64 characters and contain only lowercase \
                 hexadecimal characters"
            }
            Self::OfSubcommand => "Allowing first-arg of a subcommand is not supported",
        }
    }
}

/// A command that a rule may name.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Whether it has subcommands.
    pub has_subcommands: bool,
    /// Whether it is one.
    pub is_subcommand: bool,
}

/// What a release has for rules to name, in lower case.
pub trait Vocabulary {
    /// The command of a name such as `get` or `config|get`.
    fn command(&self, name: &[u8]) -> Option<Known>;
    /// Whether there is a category of this name.
    fn has_category(&self, name: &[u8]) -> bool;
}

/// What rules are applied with.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// What they may name; none where they were checked before.
    pub vocabulary: Option<&'a dyn Vocabulary>,
    /// Whether all channels are allowed until something else is said (`acl-pubsub-default`).
    pub all_channels: bool,
}

impl Terms<'_> {
    /// Those of rules that are read back.
    const STORED: Terms<'static> = Terms { vocabulary: None, all_channels: false };
}

/// The name of the user that a client is without saying who it is.
pub const DEFAULT: &[u8] = b"default";
/// The number of the default user.
pub const DEFAULT_NUMBER: u64 = 0;
/// The number of a user that has none yet.
pub const NO_NUMBER: u64 = u64::MAX;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: Vec<u8>,
    /// Which of all users there ever were it is.
    pub number: u64,
    /// Whether clients may be it.
    pub is_on: bool,
    /// Whether any password will do.
    pub needs_no_password: bool,
    /// Whether payloads are to be checked, if that was said: it is told, but they always are.
    pub sanitizing: Option<bool>,
    /// Hashes of the passwords, any of which will do.
    pub passwords: Vec<Vec<u8>>,
    /// What it may do: what any of these allows. The first is the user's own.
    pub selectors: Vec<Selector>,
}

impl User {
    /// One that may do nothing yet.
    pub fn new(name: &[u8], all_channels: bool) -> Self {
        Self {
            name: name.to_vec(),
            number: NO_NUMBER,
            is_on: false,
            needs_no_password: false,
            sanitizing: None,
            passwords: Vec::new(),
            selectors: vec![Selector::new(all_channels)],
        }
    }

    /// The default user as it is at first: it may do everything.
    pub fn first() -> Self {
        let mut user = Self::new(DEFAULT, true);
        (user.number, user.is_on, user.needs_no_password) = (DEFAULT_NUMBER, true, true);
        user.selectors[0].allow_everything();
        user
    }

    /// Whether it may do everything.
    pub fn may_do_everything(&self) -> bool {
        self.selectors.iter().any(Selector::allows_everything)
    }

    /// Whether a client may be it with a password of this hash.
    pub fn lets_in(&self, hash: &[u8]) -> bool {
        let is_one = |known: &Vec<u8>| equal_in_constant_time(known, hash);
        // All of them, so that the time does not tell which.
        let fits = self.passwords.iter().filter(|known| is_one(known)).count() > 0;
        self.is_on && (self.needs_no_password || fits)
    }

    /// Applies a rule.
    pub fn apply(&mut self, rule: &[u8], terms: Terms<'_>) -> Result<(), Fault> {
        match rule.to_ascii_lowercase().as_slice() {
            b"" => {}
            b"on" => self.is_on = true,
            b"off" => self.is_on = false,
            b"nopass" => (self.needs_no_password, self.passwords) = (true, Vec::new()),
            b"resetpass" => (self.needs_no_password, self.passwords) = (false, Vec::new()),
            b"sanitize-payload" => self.sanitizing = Some(true),
            b"skip-sanitize-payload" => self.sanitizing = Some(false),
            b"clearselectors" => self.selectors.truncate(1),
            b"reset" => {
                let (name, number) = (std::mem::take(&mut self.name), self.number);
                *self =
                    Self { number, sanitizing: Some(true), ..Self::new(&name, terms.all_channels) };
            }
            _ => return self.apply_longer(rule, terms),
        }
        Ok(())
    }

    fn apply_longer(&mut self, rule: &[u8], terms: Terms<'_>) -> Result<(), Fault> {
        match rule {
            [b'>', password @ ..] => self.add_password(hash(password)),
            [b'#', hash @ ..] => self.add_password(checked(hash)?),
            [b'<', password @ ..] => return self.remove_password(&hash(password)),
            [b'!', hash @ ..] => return self.remove_password(&checked(hash)?),
            [b'(', inner @ .., b')'] => {
                let mut selector = Selector::new(terms.all_channels);
                let rules = inner.split(|byte| *byte == b' ').filter(|rule| !rule.is_empty());
                rules.into_iter().try_for_each(|rule| selector.apply(rule, terms))?;
                self.selectors.push(selector);
            }
            _ => return self.selectors[0].apply(rule, terms),
        }
        Ok(())
    }

    fn add_password(&mut self, hash: Vec<u8>) {
        self.needs_no_password = false;
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
    }

    fn remove_password(&mut self, hash: &[u8]) -> Result<(), Fault> {
        let at = self.passwords.iter().position(|known| known == hash);
        self.passwords.remove(at.ok_or(Fault::NoSuchPassword)?);
        Ok(())
    }

    /// The flags that are told of it.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.is_on { "on" } else { "off" }];
        flags.extend(self.needs_no_password.then_some("nopass"));
        flags.extend(self.sanitizing.map(|checks| match checks {
            true => "sanitize-payload",
            false => "skip-sanitize-payload",
        }));
        flags
    }

    /// The rules that make it out of a new user. `commands` tells those about commands.
    pub fn rules(&self, commands: &dyn Fn(&Selector) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut rules: Vec<Vec<u8>> =
            self.flags().iter().map(|flag| flag.as_bytes().into()).collect();
        rules.extend(self.passwords.iter().map(|hash| [b"#", &hash[..]].concat()));
        for (at, selector) in self.selectors.iter().enumerate() {
            let mut own = Vec::new();
            push_keys(selector, &mut own);
            push_channels(selector, &mut own);
            own.extend(commands(selector));
            match at {
                0 => rules.extend(own),
                _ => rules.push([b"(", &own.join(&b' ')[..], b")"].concat()),
            }
        }
        rules
    }

    /// The words by which the arena has it.
    pub fn to_words(&self) -> Vec<Vec<u8>> {
        let mut words = vec![self.number.to_le_bytes().to_vec(), self.name.clone()];
        words.extend(self.rules(&Selector::told));
        words
    }

    /// The user that these words stand for.
    pub fn from_words<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Self {
        let number = words.next().and_then(|word| word.try_into().ok()).map(u64::from_le_bytes);
        let mut user = Self::new(words.next().unwrap_or_default(), false);
        user.number = number.unwrap_or(NO_NUMBER);
        for rule in words {
            // What is stored has been checked.
            let _ = user.apply(rule, Terms::STORED);
        }
        user
    }
}

/// Compares without telling by the time it takes where the first difference is.
fn equal_in_constant_time(secret: &[u8], guess: &[u8]) -> bool {
    let differences = secret.iter().zip(guess).fold(0, |all, (a, b)| all | (a ^ b));
    differences == 0 && secret.len() == guess.len()
}

/// The hash by which a password is kept: hexadecimal digits of its SHA-256.
pub fn hash(password: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(password);
    digest.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

fn checked(hash: &[u8]) -> Result<Vec<u8>, Fault> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_hash = hash.len() == 64 && hash.iter().all(is_digit);
    if is_hash { Ok(hash.to_vec()) } else { Err(Fault::NotAHash) }
}

/// Whether there is something in a text that would break the line of a file.
pub fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x0b))
}

/// Rules in which those of a selector, which may be several words, are one. Fails with the place of
/// the word that opens a selector which does not end.
pub fn merged<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, usize> {
    let mut rules: Vec<Vec<u8>> = Vec::new();
    let mut open = None;
    for (at, word) in words.enumerate() {
        match (open, rules.last_mut()) {
            (Some(_), Some(selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
            }
            _ => {
                open = word.starts_with(b"(").then_some(at);
                rules.push(word.to_vec());
            }
        }
        open = open.filter(|_| !word.ends_with(b")"));
    }
    open.map_or(Ok(rules), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Some4;

    impl Vocabulary for Some4 {
        fn command(&self, name: &[u8]) -> Option<Known> {
            let known = |has_subcommands, is_subcommand| Known { has_subcommands, is_subcommand };
            match name {
                b"get" | b"set" | b"select" => Some(known(false, false)),
                b"config" => Some(known(true, false)),
                b"config|get" => Some(known(false, true)),
                _ => None,
            }
        }

        fn has_category(&self, name: &[u8]) -> bool {
            matches!(name, b"read" | b"write")
        }
    }

    const TERMS: Terms<'static> = Terms { vocabulary: Some(&Some4), all_channels: false };

    fn made(line: &str) -> Result<User, Fault> {
        let mut user = User::new(b"x", false);
        for rule in merged(line.split(' ').map(str::as_bytes)).expect("selectors end") {
            user.apply(&rule, TERMS)?;
        }
        Ok(user)
    }

    fn check(line: &str, expect: Result<&str, Fault>) {
        let found = made(line).map(|user| {
            let stored = user.to_words();
            let again = User::from_words(stored.iter().map(|word| &word[..]));
            assert_eq!(again, user, "what is stored is read back: {line}");
            String::from_utf8(user.rules(&Selector::told).join(&b' ')).unwrap()
        });
        assert_eq!(found.as_deref(), expect.as_deref(), "{line}");
    }

    #[test]
    fn rules_about_commands_are_kept_but_for_those_that_are_void() {
        check("+get +@read -get", Ok("off resetchannels -@all +@read -get"));
        check("+get -@all +SET", Ok("off resetchannels -@all +set"));
        check("+config|get +config -config", Ok("off resetchannels -@all -config"));
        check("-get +@all -CONFIG|GET", Ok("off resetchannels +@all -config|get"));
        check(
            "+select|Aa +select|b +select|Aa",
            Ok("off resetchannels -@all +select|b +select|Aa"),
        );
        check("+nosuch", Err(Fault::Unknown));
        check("+config|nosuch", Err(Fault::Unknown));
        check("-select|0", Err(Fault::Unknown));
        check("+@nosuch", Err(Fault::Unknown));
        check("+select|", Err(Fault::Syntax));
        check("+config|get|x", Err(Fault::OfSubcommand));
        check("nonsense", Err(Fault::Syntax));
    }

    #[test]
    fn patterns() {
        check("~a* %R~b %rw~c %W~b", Ok("off ~a* ~b ~c resetchannels -@all"));
        check("%R~b ~*", Ok("off ~* resetchannels -@all"));
        check("allkeys resetkeys %W~c &x allchannels", Ok("off %W~c &* -@all"));
        check("&a &b &a", Ok("off resetchannels &a &b -@all"));
        check("allkeys ~a", Err(Fault::AfterAllKeys));
        check("allchannels &a", Err(Fault::AfterAllChannels));
        check("%R", Ok("off %R~ resetchannels -@all"));
        for wrong in ["%~x", "%RR~x", "%X~x", "%"] {
            check(wrong, Err(Fault::Syntax));
        }
    }

    #[test]
    fn selectors_and_passwords() {
        check("(+get ~b) on", Ok("on resetchannels -@all (~b resetchannels -@all +get)"));
        check(
            "( ) ( +get  ~b )",
            Ok("off resetchannels -@all (resetchannels -@all) (~b resetchannels -@all +get)"),
        );
        check("(on)", Err(Fault::Syntax));
        let p = "148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940";
        check("nopass >p", Ok(&format!("off #{p} resetchannels -@all")));
        check(&format!(">p #{p} <p nopass"), Ok("off nopass resetchannels -@all"));
        check("<p", Err(Fault::NoSuchPassword));
        check("#12", Err(Fault::NotAHash));
        check(">p ~a on (+get) reset", Ok("off sanitize-payload resetchannels -@all"));
        assert_eq!(merged([&b"+get"[..], b"(a", b"b"].into_iter()), Err(1));
    }

    #[test]
    fn who_is_let_in() {
        let user = made("on >p >q").unwrap();
        assert!(user.lets_in(&hash(b"p")) && user.lets_in(&hash(b"q")));
        assert!(!user.lets_in(&hash(b"r")) && !user.lets_in(b""));
        assert!(made("on nopass").unwrap().lets_in(&hash(b"r")));
        assert!(!made("off nopass").unwrap().lets_in(&hash(b"r")));
        assert!(User::first().may_do_everything());
        assert!(!made("on +@all ~*").unwrap().may_do_everything());
        assert!(!made("on +@all ~* &* -get").unwrap().may_do_everything());
        assert!(made("on (+@all ~* &*)").unwrap().may_do_everything());
    }
}
