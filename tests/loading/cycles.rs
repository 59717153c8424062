//! Loading and unloading again and again, with nothing left behind.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use abi::host::HostRef;
use shell::logic::generation::{Counts, Generation};
use shell::logic::image::Image;
use shell::logic::verify::Verdict;
use shell::logic::{Loaded, verify};
use shell::refusal::Code;

use crate::libraries::library;
use crate::trial::verify;

/// These tests look at what the whole process has mapped.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn host() -> HostRef {
    verify::stand_in::table().unwrap()
}

fn images_mapped() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("/memfd:logic-")).count()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Anonymous memory in KiB: the heap, which leaks would end up in.
fn anonymous_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

fn generation(number: u64, image: Image, verdict: &Verdict) -> Box<Generation> {
    let loaded = Loaded::load(image.into(), verdict, host()).unwrap();
    Generation::new(number, loaded, 3, Counts::First).unwrap()
}

#[test]
fn hundreds_of_cycles_leave_nothing() {
    let _alone = alone();
    let paths = ["logic_v1", "logic_v2"].map(library);
    let kinds = paths.map(|path| verify(&path).unwrap());
    let cycle = |number: u64| {
        let (image, verdict) = &kinds[number as usize % 2];
        let unloaded = generation(number, image.duplicate().unwrap(), verdict).unload().unwrap();
        assert!(!unloaded.pinned);
        assert_eq!(unloaded.leaked_bytes, 0);
        assert_eq!(images_mapped(), 0);
    };
    (0..50).for_each(cycle);
    let (open, heap) = (descriptors(), anonymous_kib());
    (50..350).for_each(cycle);
    assert_eq!(descriptors(), open);
    let grown = anonymous_kib().saturating_sub(heap);
    assert!(grown < 64, "the heap grew by {grown} KiB over 300 cycles");
}

#[test]
fn a_panic_in_a_release_neither_pins_it_nor_leaks() {
    let _alone = alone();
    let (image, verdict) = verify(&library("logic_v1")).unwrap();
    let generation = generation(1, image, &verdict);
    let logic = generation.logic();
    // A lane that cannot be: the release panics, and catches it. On a thread that outlives the
    // library, as workers do.
    let (panicked, wait) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        panicked.send(logic.scratch_new()(1_000_000).is_null()).unwrap();
        let _ = ended.recv();
    });
    assert!(wait.recv().unwrap(), "no panic was caught");
    let unloaded = generation.unload().unwrap();
    assert!(!unloaded.pinned);
    assert_eq!(unloaded.leaked_bytes, 0);
    drop(end);
    thread.join().unwrap();
}

#[test]
fn the_same_bytes_twice_are_two_libraries() {
    let _alone = alone();
    let (image, verdict) = verify(&library("ok_a")).unwrap();
    let first = generation(1, image.duplicate().unwrap(), &verdict);
    let second = generation(2, image, &verdict);
    assert_ne!(first.logic().manifest() as usize, second.logic().manifest() as usize);
    assert!(!first.unload().unwrap().pinned);
    assert_eq!(second.logic().manifest()().name, "ok-a");
    assert!(!second.unload().unwrap().pinned);
}

#[test]
fn a_library_under_two_numbers_goes_with_the_last_of_them() {
    let _alone = alone();
    let (image, verdict) = verify(&library("ok_a")).unwrap();
    let before = images_mapped();
    let first = generation(1, image, &verdict);
    let again = first.renumbered(2);
    assert_eq!((again.number, again.scratch(0)), (2, first.scratch(0)));
    assert_eq!(first.unload().unwrap().leaked_bytes, 0);
    assert!(images_mapped() > before, "the other still runs it");
    assert_eq!(again.logic().manifest()().name, "ok-a");
    assert!(!again.unload().unwrap().pinned);
    assert_eq!(images_mapped(), before);
}

#[test]
fn overwriting_the_file_does_not_reach_a_loaded_library() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("liblogic.so");
    std::fs::copy(library("ok_a"), &file).unwrap();
    let (image, verdict) = verify(&file).unwrap();
    let generation = generation(1, image, &verdict);
    std::fs::write(&file, b"gone").unwrap();
    assert_eq!(generation.logic().manifest()().name, "ok-a");
    generation.unload().unwrap();
}

#[test]
fn a_verdict_vouches_for_its_own_bytes_only() {
    let _alone = alone();
    let (_, verdict) = verify(&library("ok_a")).unwrap();
    let other = Image::read(&library("ok_b")).unwrap();
    let refusal = Loaded::load(other.into(), &verdict, host()).err().unwrap();
    assert_eq!(refusal.code, Code::BuildIdMismatch);
}

#[test]
fn what_a_library_leaks_is_told() {
    let _alone = alone();
    let unloaded = load_and_unload(&library("leaks"));
    assert_eq!(unloaded.leaked_bytes, 4096);
    assert!(!unloaded.pinned);
}

#[test]
fn a_pinned_library_is_told_and_never_handed_out_again() {
    let _alone = alone();
    let before = images_mapped();
    assert!(load_and_unload(&library("pinned")).pinned);
    assert!(images_mapped() > before);
    // The next one is what was asked for, or loading would have said so.
    assert!(!load_and_unload(&library("ok_a")).pinned);
}

fn load_and_unload(path: &Path) -> shell::logic::loaded::Unloaded {
    let (image, verdict) = verify(path).unwrap();
    generation(1, image, &verdict).unload().unwrap()
}
