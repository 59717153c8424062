//! Libraries of functions as a lane has them loaded.

use std::collections::BTreeMap;

use abi::host::level;
use lua::{Function, Kind, Library, Machine, flag};

use crate::exec::header::library_header;
use crate::exec::release::Release;
use crate::session::scripts::{self, FunctionText, LibraryText};
use base::core::Core;
use base::error::{Done, Error};

/// A machine with the libraries that there are.
pub struct Loaded {
    /// The machine.
    pub machine: Machine,
    /// What it has loaded, by the libraries' numbers.
    libraries: BTreeMap<u64, Library>,
    /// Which library has a function, and where in it that is.
    functions: BTreeMap<Vec<u8>, (u64, usize)>,
    /// How often libraries had been changed when they were loaded.
    changes: u64,
}

impl Loaded {
    pub(super) fn new(release: &Release) -> Self {
        Self {
            machine: Machine::new(Kind::Functions, release.redis_version),
            libraries: BTreeMap::new(),
            functions: BTreeMap::new(),
            changes: 0,
        }
    }

    /// Bytes that it uses.
    pub fn bytes(&self) -> usize {
        self.machine.bytes()
    }

    /// Loads the libraries that are new, and forgets those that are gone.
    pub(super) fn refresh(&mut self, core: &Core, release: &Release) {
        let changes = scripts::changes(core.roots);
        if changes == self.changes {
            return;
        }
        let all = scripts::libraries(core);
        let is_there = |number: &u64| all.iter().any(|library| library.number == *number);
        if self.libraries.keys().any(|number| !is_there(number)) {
            // What libraries have left behind in a machine can only be given back as a whole.
            if all.is_empty() {
                *self = Self::new(release);
            }
            let gone = self.libraries.keys().copied().filter(|number| !is_there(number));
            for number in gone.collect::<Vec<_>>() {
                self.forget(number);
            }
        }
        for library in &all {
            if self.libraries.contains_key(&library.number) {
                continue;
            }
            match load(core, &mut self.machine, &library.source, false) {
                Ok((_, loaded)) => self.keep(library.number, loaded),
                Err(error) => tell_unloadable(core, &library.name, &error),
            }
        }
        self.changes = changes;
    }

    fn forget(&mut self, number: u64) {
        if let Some(library) = self.libraries.remove(&number) {
            self.machine.unload(&library);
            self.functions.retain(|_, (owner, _)| *owner != number);
        }
    }

    fn keep(&mut self, number: u64, library: Library) {
        for (at, function) in library.functions.iter().enumerate() {
            self.functions.insert(function.name.to_ascii_lowercase(), (number, at));
        }
        self.libraries.insert(number, library);
    }

    /// A function by its name, in any case.
    pub fn function(&self, name: &[u8]) -> Option<Function> {
        let (number, at) = self.functions.get(&name.to_ascii_lowercase())?;
        self.libraries.get(number)?.functions.get(*at).cloned()
    }
}

/// A library that could be loaded when it came, and can no longer be.
#[cold]
fn tell_unloadable(core: &Core, name: &[u8], error: &Error) {
    let (name, error) = (String::from_utf8_lossy(name), String::from_utf8_lossy(error.text()));
    let text = format!("the functions of library '{name}' are not there: {error}");
    core.host.log()(level::WARN, text.as_str().into());
}

/// Loads a library, and passes on what it has to say. Gives its name too.
fn load(
    core: &Core,
    machine: &mut Machine,
    source: &[u8],
    is_checked: bool,
) -> Result<(Vec<u8>, Library), Error> {
    let (name, begin) = library_header(source)?;
    let library = machine.load(&source[begin..], is_checked).map_err(Error::owned)?;
    for (level, text) in library.log.iter().filter(|_| is_checked) {
        crate::exec::script::log(core, *level, text);
    }
    Ok((name, library))
}

/// Adds a library, in the place of one of its name only if it `replaces` that. Returns its name.
pub fn add_library(
    core: &Core,
    release: &Release,
    source: &[u8],
    replaces: bool,
) -> Result<Vec<u8>, Error> {
    let (name, _) = library_header(source)?;
    let mut others = scripts::libraries(core);
    if let Some(at) = others.iter().position(|library| library.name == name) {
        if !replaces {
            return Err(Error::owned([b"ERR Library '", &name[..], b"' already exists"].concat()));
        }
        others.remove(at);
    }
    let library = compile_library(core, release, source)?;
    no_function_of(&library, &others)?;
    scripts::change(core, std::slice::from_ref(&name), &[library]);
    Ok(name)
}

/// Fails if a library has a function that others have.
pub fn no_function_of(library: &LibraryText, others: &[LibraryText]) -> Done {
    let has = |name: &[u8]| scripts::owner_of(others, name).is_some();
    match library.functions.iter().find(|function| has(&function.name)) {
        Some(of) => {
            Err(Error::owned([b"ERR Function ", &of.name[..], b" already exists"].concat()))
        }
        None => Ok(()),
    }
}

/// Tries a library in a machine of its own, and tells what is to be kept of it.
pub fn compile_library(
    core: &Core,
    release: &Release,
    source: &[u8],
) -> Result<LibraryText, Error> {
    let mut machine = Machine::new(Kind::Functions, release.redis_version);
    let (name, library) = load(core, &mut machine, source, true)?;
    let text = |function: &Function| FunctionText {
        name: function.name.clone(),
        description: function.description.clone(),
        flags: function.flags & !flag::UNSAID,
    };
    let functions = library.functions.iter().map(text).collect();
    Ok(LibraryText { name, source: source.to_vec(), functions, number: 0 })
}
