//! The files of the repository, or of one made up for a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// Folders that are not the repository's own.
const FOREIGN: &[&str] = &["target", "node_modules", "__pycache__"];

/// Text files by their path from the root, with `/` between the parts.
pub struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// The repository, read once.
    pub fn of_repository() -> &'static Tree {
        static TREE: OnceLock<Tree> = OnceLock::new();
        TREE.get_or_init(|| {
            let mut files = BTreeMap::new();
            let root =
                Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate has a parent");
            read(root, "", &mut files);
            Tree { files }
        })
    }

    /// A tree of these files.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Tree {
        let own = |&(path, text): &(&str, &str)| (path.to_owned(), text.to_owned());
        Tree { files: files.iter().map(own).collect() }
    }

    pub fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Paths and texts, in order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The files whose names end in one of `extensions`.
    pub fn with(&self, extensions: &[&str]) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(|(path, _)| {
            path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
        })
    }
}

fn read(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("the repository can be read") {
        let entry = entry.expect("the repository can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            let is_hidden = name.starts_with('.') && name != ".ci";
            let is_foreign = FOREIGN.contains(&name.as_str()) || name.starts_with("target-");
            if !is_hidden && !is_foreign {
                read(&entry.path(), &format!("{path}/"), files);
            }
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.insert(path, text);
        }
    }
}

/// The folder of a file, with its `/`; empty at the root.
pub fn folder(path: &str) -> &str {
    &path[..path.rfind('/').map_or(0, |at| at + 1)]
}

/// Whether `path` is the file `place` or stands in the folder `place`, which then ends in `/`.
pub fn is_in(path: &str, place: &str) -> bool {
    path == place || (place.ends_with('/') || place.is_empty()) && path.starts_with(place)
}
