//! Only in the sanitised build: whoever touches bytes of the arena that are nobody's is stopped.
//!
//! Each fault is committed in a process of its own, which must not survive it.

use shell::arena;
use shell::arena::calls;
use std::hint::black_box;
use std::process::Command;

use super::turn;

/// Set for a process that is to commit a fault: its name.
const FAULT_VARIABLE: &str = "ARENA_TEST_FAULT";
const REPORT: &str = "AddressSanitizer: use-after-poison";
/// What a process prints that was not stopped.
const SURVIVED: &str = "nobody minded";
const LARGE: u64 = 100_000;

/// Ways to touch what one should not, and one that is right.
const FAULTS: [(&str, fn()); 9] = [
    ("none", touch_all_of_live_blocks),
    ("read after free", || read(freed(100))),
    ("write after free", || write(freed(100) + 96)),
    ("first word after free", || read(freed(8))),
    ("large block after free", || read(freed(LARGE) + LARGE / 2)),
    ("block that moved", || read(moved(100, 200))),
    ("behind a large block", || read(arena::alloc(LARGE) + LARGE.next_multiple_of(4096))),
    ("behind a large block made smaller", || read(made_smaller() + 300_000)),
    ("untouched block beside the last one", || read(arena::alloc(30_000) + 32_768)),
];

#[test]
fn whoever_touches_what_is_nobodys_is_stopped() {
    if let Some(name) = std::env::var_os(FAULT_VARIABLE) {
        return commit(name.to_str().unwrap());
    }
    for (name, _) in FAULTS {
        let (printed, report) = outcome_of(name);
        let is_fault = name != "none";
        assert_eq!(report.contains(REPORT), is_fault, "{name}: {report}");
        assert_eq!(printed.contains(SURVIVED), !is_fault, "{name}: {printed}");
    }
}

/// Runs this very test again, in a process that is to commit the fault. Returns what that prints.
fn outcome_of(fault: &str) -> (String, String) {
    let name = "sanitised::whoever_touches_what_is_nobodys_is_stopped";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(FAULT_VARIABLE, fault)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn commit(name: &str) {
    let _turn = turn();
    let (_, fault) = FAULTS.iter().find(|(known, _)| *known == name).unwrap();
    fault();
    println!("{SURVIVED}");
}

fn touch_all_of_live_blocks() {
    for size in [1, 8, 100, 4096, 30_000, LARGE] {
        let address = arena::alloc(size);
        for at in 0..calls::usable(size) {
            write(address + at);
            read(address + at);
        }
        // SAFETY: the block is live and has this size.
        let moved = unsafe { arena::realloc(address, size, 3 * size) };
        (0..3 * size).for_each(|at| write(moved + at));
        // SAFETY: as above.
        unsafe { arena::free(moved, 3 * size) };
    }
}

fn freed(size: u64) -> u64 {
    let address = arena::alloc(size);
    // SAFETY: the block is live and has this size; that it is used after this is the test.
    unsafe { arena::free(address, size) };
    address
}

fn moved(size: u64, new_size: u64) -> u64 {
    let address = arena::alloc(size);
    // SAFETY: as above.
    let new = unsafe { arena::realloc(address, size, new_size) };
    assert_ne!(new, address);
    address
}

fn made_smaller() -> u64 {
    let address = arena::alloc(400_000);
    // SAFETY: the block is live and has this size.
    let new = unsafe { arena::realloc(address, 400_000, 200_000) };
    assert_eq!(new, address, "it was moved");
    address
}

fn read(address: u64) {
    // SAFETY: the arena is mapped there. Whether the byte is somebody's is what is tested.
    black_box(unsafe { (address as *const u8).read_volatile() });
}

fn write(address: u64) {
    // SAFETY: as for `read`.
    unsafe { (address as *mut u8).write_volatile(1) };
}
