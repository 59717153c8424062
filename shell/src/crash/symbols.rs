//! Names of functions, from the files of what runs.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

use object::{Object, ObjectSymbol, SymbolKind};

use crate::keeper::board;
use crate::logic::image::hex;

/// The functions of some files.
pub struct Symbols {
    files: Vec<File>,
}

struct File {
    build_id: String,
    /// Where functions begin, ascending, with their names.
    functions: Vec<(u64, String)>,
}

impl Symbols {
    /// Those of this program and of the libraries that it goes on with.
    pub fn of_this_process() -> Self {
        let logic = board::get().into_iter().flat_map(|board| board.logic()).flatten();
        let logic = logic.map(|fd| PathBuf::from(format!("/proc/self/fd/{fd}")));
        let paths = [PathBuf::from("/proc/self/exe")].into_iter().chain(logic);
        Self { files: paths.filter_map(|path| File::read(&path)).collect() }
    }

    /// The function at an offset, in hexadecimal, of what has this build id.
    pub fn name(&self, build_id: &str, offset: &str) -> Option<String> {
        let offset = u64::from_str_radix(offset.trim_start_matches("0x"), 16).ok()?;
        let functions = &self.files.iter().find(|file| file.build_id == build_id)?.functions;
        let behind = functions.partition_point(|(begin, _)| *begin <= offset);
        let (_, name) = functions.get(behind.checked_sub(1)?)?;
        Some(format!("{:#}", rustc_demangle::demangle(name)))
    }
}

impl File {
    fn read(path: &PathBuf) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let file = object::File::parse(&*bytes).ok()?;
        let build_id = hex(file.build_id().ok()??);
        let all = file.symbols().chain(file.dynamic_symbols());
        let functions =
            all.filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition());
        let mut functions: Vec<(u64, String)> = functions
            .filter_map(|symbol| Some((symbol.address(), symbol.name().ok()?.to_owned())))
            .collect();
        functions.sort_unstable();
        functions.dedup_by_key(|(address, _)| *address);
        Some(Self { build_id, functions })
    }
}
