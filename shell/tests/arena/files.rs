//! What is refused as an arena, and what is left alone.

use abi::arena::ArenaHeader;
use abi::version::{ABI_VERSION, ARENA_MAGIC, LAYOUT_FINGERPRINT};
use shell::arena::{self, ArenaError, Options, layout, mapping};
use std::fs::File;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use super::turn;

const BYTES: u64 = 64 << 20;

/// A file that passes for an arena, with one word overwritten.
fn arena_file(offset: usize, word: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(BYTES).unwrap();
    let header_bytes = (size_of::<ArenaHeader>() as u64) << 32;
    let words = [
        (offset_of!(ArenaHeader, magic), ARENA_MAGIC),
        (offset_of!(ArenaHeader, abi_version), u64::from(ABI_VERSION) | header_bytes),
        (offset_of!(ArenaHeader, layout_fingerprint), LAYOUT_FINGERPRINT),
        (offset_of!(ArenaHeader, capacity_bytes), BYTES),
        (layout::FINGERPRINT_OFFSET as usize, layout::STATE_FINGERPRINT),
        (offset, word),
    ];
    for (offset, word) in words {
        file.write_all_at(&word.to_le_bytes(), offset as u64).unwrap();
    }
    file
}

#[test]
fn every_word_of_the_header_is_checked_before_it_is_believed() {
    type Check = fn(&ArenaError) -> bool;
    let cases: [(usize, u64, Check); 6] = [
        (offset_of!(ArenaHeader, magic), 1, |e| matches!(e, ArenaError::Magic { found: 1 })),
        (offset_of!(ArenaHeader, abi_version), 99, |e| {
            matches!(e, ArenaError::AbiVersion { found: 99 })
        }),
        (offset_of!(ArenaHeader, abi_version), u64::from(ABI_VERSION), |e| {
            matches!(e, ArenaError::Layout { found: 0, .. })
        }),
        (offset_of!(ArenaHeader, layout_fingerprint), 7, |e| {
            matches!(e, ArenaError::Layout { found: 7, .. })
        }),
        (offset_of!(ArenaHeader, capacity_bytes), BYTES * 2, |e| {
            matches!(e, ArenaError::Size { file: BYTES, .. })
        }),
        (layout::FINGERPRINT_OFFSET as usize, 8, |e| {
            matches!(e, ArenaError::Layout { found: 8, .. })
        }),
    ];
    for (offset, word, is_expected) in cases {
        let error = mapping::validate(arena_file(offset, word)).unwrap_err();
        assert!(is_expected(&error), "offset {offset}: {error}");
    }
    let spare = offset_of!(ArenaHeader, reserved);
    assert_eq!(mapping::validate(arena_file(spare, 0)).unwrap(), BYTES);
}

#[test]
fn a_file_too_small_for_an_arena_is_refused() {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&ARENA_MAGIC.to_le_bytes(), 0).unwrap();
    let error = mapping::validate(file).unwrap_err();
    assert!(matches!(error, ArenaError::Capacity { bytes: 8 }), "{error}");
}

#[test]
fn a_process_has_one_arena() {
    let (_, _turn) = turn();
    assert!(matches!(arena::create(&Options::default()), Err(ArenaError::Exists)));
    let memory = mapping::open_memfd(BYTES).unwrap();
    assert!(matches!(mapping::map(&memory, BYTES), Err(ArenaError::Taken)));
}

#[test]
fn a_file_that_is_no_arena_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes");
    std::fs::write(&path, "not an arena").unwrap();
    let error = mapping::open_file(&path, BYTES).unwrap_err();
    assert!(matches!(error, ArenaError::NotOurs { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"not an arena");
}

#[test]
fn a_file_serves_one_server_at_a_time_and_starts_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("arena");
    let first = mapping::open_file(&path, BYTES).unwrap();
    rustix::io::pwrite(&first, &ARENA_MAGIC.to_le_bytes(), 0).unwrap();
    let error = mapping::open_file(&path, BYTES).unwrap_err();
    assert!(matches!(error, ArenaError::InUse { .. }), "{error}");
    drop(first);
    let second = mapping::open_file(&path, 2 * BYTES).unwrap();
    assert_eq!(rustix::fs::fstat(&second).unwrap().st_size as u64, 2 * BYTES);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * BYTES);
    let mut word = [1; 8];
    rustix::io::pread(&second, &mut word, 0).unwrap();
    assert_eq!(word, [0; 8]);
}

#[test]
fn a_file_has_the_space_to_start_with_before_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let file = mapping::open_file(&dir.path().join("arena"), BYTES).unwrap();
    let on_disk = rustix::fs::fstat(&file).unwrap().st_blocks as u64 * 512;
    assert!((16 << 20..BYTES).contains(&on_disk), "{on_disk} bytes");
}

/// Set for a process of its own: the folder for the file of its arena.
const FOLDER_VARIABLE: &str = "ARENA_TEST_FOLDER";
/// What that process prints at its end.
const HAD_SPACE: &str = "had its space in time";

#[test]
fn blocks_in_a_file_have_their_space_before_they_are_used() {
    if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
        return use_blocks_in_a_file(Path::new(&folder));
    }
    let dir = tempfile::tempdir().unwrap();
    let name = "files::blocks_in_a_file_have_their_space_before_they_are_used";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(FOLDER_VARIABLE, dir.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains(HAD_SPACE), "{printed}");
}

fn use_blocks_in_a_file(folder: &Path) {
    const BLOCK: u64 = 32 << 20;
    let file = Some(folder.join("arena"));
    let arena =
        arena::create(&Options { capacity_bytes: Some(1 << 30), file, ..Options::default() })
            .unwrap();
    let on_disk = || arena.resident_bytes().unwrap();
    let before = on_disk();
    assert!(before < BLOCK, "{before} bytes");
    let block = arena::alloc(BLOCK);
    assert!(on_disk() >= BLOCK, "pages that were never used");
    // SAFETY: allocated above, and used by nobody.
    unsafe { arena::free(block, BLOCK) };
    arena.release_free_memory().unwrap();
    assert!(on_disk() < BLOCK, "they were handed back");
    assert_ne!(arena::alloc(BLOCK), 0);
    assert!(on_disk() >= BLOCK, "holes");
    println!("{HAD_SPACE}");
}

#[test]
fn memory_that_is_shared_cannot_be_cut_off() {
    let memory = mapping::open_memfd(BYTES).unwrap();
    assert!(rustix::fs::ftruncate(&memory, BYTES / 2).is_err());
}

#[test]
fn impossible_capacities_are_refused() {
    for bytes in [0, 1 << 20, BYTES + 1, 1 << 50] {
        assert!(mapping::check_capacity(bytes).is_err(), "{bytes}");
    }
}
