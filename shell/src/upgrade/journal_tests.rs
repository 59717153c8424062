use super::*;

fn entry(name: &str, bytes: &[u8]) -> Entry {
    let identity = Identity {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        build_id: "00".to_owned(),
        sha256: hex(&Sha256::digest(bytes)),
    };
    Entry { identity, path: PathBuf::from("/gone"), since_ms: 1 }
}

/// A folder with a journal in it, and a library that is given.
struct Place {
    dir: tempfile::TempDir,
    journal: Journal,
}

impl Place {
    fn new(probation: Option<Entry>) -> Self {
        let journal = Journal {
            format: FORMAT,
            written_ms: 1,
            schema_level: LEVEL_1,
            given_sha256: hex(&Sha256::digest(b"given")),
            proven: entry("proven", b"proven"),
            probation,
        };
        let place = Self { dir: tempfile::tempdir().unwrap(), journal };
        fs::create_dir(place.folder().join(IMAGES)).unwrap();
        fs::write(place.journal.proven.image(place.folder()), b"proven").unwrap();
        fs::write(place.given(), b"given").unwrap();
        fs::write(place.folder().join(FILE), written(&place.journal)).unwrap();
        place
    }

    fn folder(&self) -> &Path {
        self.dir.path()
    }

    fn given(&self) -> PathBuf {
        self.folder().join("given.so")
    }

    fn start(&self) -> Result<Start, JournalError> {
        choose(self.folder(), &self.given())
    }

    /// Whether the proven version is started with.
    fn is_proven(&self) -> bool {
        let proven = &self.journal.proven;
        let start = self.start().unwrap();
        start.path == proven.image(self.folder())
            && start.sha256.as_ref() == Some(&proven.identity.sha256)
    }
}

#[test]
fn what_was_written_is_read() {
    let place = Place::new(Some(entry("new", b"new")));
    assert_eq!(read(place.folder()).unwrap(), Some(place.journal.clone()));
    let nowhere = tempfile::tempdir().unwrap();
    assert_eq!(read(nowhere.path()).unwrap(), None);
    assert_eq!(choose(nowhere.path(), &place.given()).unwrap().path, place.given());
}

#[test]
fn a_restart_comes_back_with_what_is_proven() {
    let place = Place::new(None);
    assert!(place.is_proven());
    fs::remove_file(place.given()).unwrap();
    assert!(place.is_proven(), "though the file it was started with is gone");
    fs::write(place.given(), b"proven").unwrap();
    let start = place.start().unwrap();
    assert_eq!((start.path, start.note), (place.given(), None), "it is the one given");
}

#[test]
fn what_is_on_probation_does_not_come_back_by_itself() {
    let place = Place::new(Some(entry("new", b"new")));
    assert!(place.is_proven());
    let note = place.start().unwrap().note.unwrap();
    assert!(note.contains("new 1.0.0 was on probation"), "{note}");
    // Nor if its file has taken the place of the one given.
    fs::write(place.given(), b"new").unwrap();
    assert!(place.is_proven());
}

#[test]
fn another_library_that_is_given_is_what_somebody_wants() {
    let place = Place::new(Some(entry("new", b"new")));
    fs::write(place.given(), b"quite another").unwrap();
    let start = place.start().unwrap();
    assert_eq!((start.path, start.sha256), (place.given(), None));
    assert!(start.note.unwrap().contains("another library was given"));
}

#[test]
fn a_folder_that_others_can_write_to_is_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new(None);
    fs::set_permissions(place.folder(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = place.start().unwrap_err();
    assert!(matches!(error, JournalError::NotOurs(_)), "{error}");
    fs::set_permissions(place.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(place.is_proven());
}

#[test]
fn a_damaged_journal_is_said_to_be_one() {
    let place = Place::new(None);
    let whole = written(&place.journal);
    let file = place.folder().join(FILE);
    for at in 0..whole.len() - 1 {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&file, &damaged).unwrap();
        let error = place.start().unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "at {at}: {error}");
        fs::write(&file, &whole[..at]).unwrap();
        let error = place.start().unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "cut at {at}: {error}");
    }
    fs::write(&file, &whole).unwrap();
    fs::write(place.journal.proven.image(place.folder()), b"other bytes").unwrap();
    assert!(matches!(place.start().unwrap_err(), JournalError::Damaged { .. }));
    fs::remove_file(place.journal.proven.image(place.folder())).unwrap();
    let error = place.start().unwrap_err().to_string();
    assert!(error.contains("No such file") && error.contains("--upgrade-dir"), "{error}");
}
