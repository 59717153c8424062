//! Why an administrative request was refused: one closed list for the command line, the admin
//! API and the wire.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// A request that was refused or failed. The server goes on as before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of refusal; fixed for programs to compare.
    pub code: Code,
    /// What happened, and to what.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Refusal {
    /// A refusal with the hint that belongs to its code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: code.row().hint.to_owned() }
    }

    /// `{"error": {"code", "message", "hint"}}`
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "error": self })
    }
}

/// A row of the table of codes.
pub struct Row {
    /// See [`Code`].
    pub code: Code,
    /// As it is written in JSON.
    pub name: &'static str,
    /// Exit status of the command line.
    pub exit: u8,
    /// When it is given, for the documentation.
    pub meaning: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

macro_rules! codes {
    ($($code:ident $name:literal $exit:literal $meaning:literal $hint:literal;)*) => {
        /// Kinds of refusal. [`CODES`] says what each means.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $(#[doc = $meaning] $code,)*
        }

        /// Every code, in the order of its exit status.
        pub const CODES: &[Row] = &[
            $(Row { code: Code::$code, name: $name, exit: $exit, meaning: $meaning, hint: $hint },)*
        ];
    };
}

codes! {
    Io "io" 3 "Reading, copying or mapping failed"
        "look at the system error in the message; disk, memory and descriptor limits are usual causes";
    Internal "internal" 4 "The server or its answer made no sense"
        "look at the server's log, and report this with it";
    NoServer "no_server" 5 "No server listens on the admin socket"
        "start one with `shell serve`, or name another with --port or --admin";
    Forbidden "forbidden" 6 "The admin socket belongs to another user"
        "run the command as the user that runs the server";
    BadRequest "bad_request" 7 "The server did not understand the request"
        "correct the request; a command line and a server of different versions may not fit together";
    NoAnswer "no_answer" 8 "The server has taken the request and does not answer"
        "look at its log; SIGTERM asks it to stop, and a second one ends it whatever it does";
    NotFound "not_found" 10 "The library file does not exist"
        "check the path; a relative path is resolved where the command runs";
    IsDirectory "is_directory" 11 "The path is a directory"
        "give the path of the library file inside it";
    NotAFile "not_a_file" 12 "The path is a pipe, socket or device"
        "give the path of a regular file";
    PermissionDenied "permission_denied" 13 "The server may not read the file"
        "make the file readable for the user that runs the server";
    Empty "empty" 14 "The file has no bytes"
        "the build or the copy that made it was cut short; make it again";
    TooLarge "too_large" 15 "The file is larger than any library should be"
        "strip debug information, or check that this is the right file";
    NotElf "not_elf" 16 "The file is not an ELF image"
        "give the .so that `cargo build` makes of a crate of type cdylib";
    TruncatedElf "truncated_elf" 17 "The ELF image refers to bytes beyond its end"
        "the copy that made it was cut short; copy it again";
    WrongMachine "wrong_machine" 18 "The ELF image is for another machine"
        "build the library for the machine the server runs on";
    NotALibrary "not_a_library" 19 "The ELF image is not a shared library"
        "build the crate with crate-type = [\"cdylib\"]";
    BuildIdMissing "build_id_missing" 20 "The library carries no build id"
        "link it with -Wl,--build-id=sha1, see docs/writing-logic.md";
    BuildIdMismatch "build_id_mismatch" 21
        "The build id is not the expected one, in the file or in what was loaded from it"
        "check that the file is the build you mean; if it is, restart the server to load it";
    LoadFailed "load_failed" 22 "The dynamic linker could not load the library"
        "look at the linker's message; an unresolved symbol or static TLS are usual causes";
    NoRootSymbol "no_root_symbol" 23 "The library exports no logic"
        "export the function table with abi_stable's #[export_root_module]";
    AbiVersionMismatch "abi_version_mismatch" 24
        "The library was built for another version of the contract"
        "build it against the abi crate of this server";
    LayoutMismatch "layout_mismatch" 25 "A type of the contract has another layout in the library"
        "build it against the abi crate of this server, unchanged";
    SchemaUnsupported "schema_unsupported" 26
        "The library cannot read or write the schema level in force"
        "use a release that reads and writes this level; `shell rollback --convert` goes back all the same";
    AttachFailed "attach_failed" 27 "The library did not accept the host"
        "look at the server's log for the library's reason";
    SelfTestFailed "self_test_failed" 28 "The library's own test failed"
        "the message is the library's; do not serve with this build";
    StartsThreads "starts_threads" 29 "The library has started a thread"
        "a thread would run on in memory that is gone after the next upgrade; use Host::submit";
    LoadPanicked "load_panicked" 30 "The library panicked while it was verified"
        "the library is at fault; the message says in which step";
    LoadAborted "load_aborted" 31 "The library aborted the process that verified it"
        "the library is at fault; the message says in which step";
    LoadCrashed "load_crashed" 32 "The library crashed the process that verified it"
        "the library is at fault; the message says in which step";
    LoadExited "load_exited" 33 "The library ended the process that verified it"
        "the library is at fault; the message says in which step";
    LoadTimeout "load_timeout" 34 "The library was not verified in time"
        "the library is at fault, unless the machine is overloaded; `serve --verify-timeout-ms` gives it more";
    FileChanged "file_changed" 35 "The file was written to while it was copied"
        "wait until whatever writes it has ended; put new files in place by renaming them";
    VerifyKilled "verify_killed" 36 "The verifying process was killed from outside"
        "when memory runs out the kernel kills it first: its log says so; else try again";
    PanicsEndProcess "panics_end_process" 37 "A panic in the library ends its process"
        "build it with panic = \"unwind\", cargo's default, and catch panics in every entry point";
    BatteryFailed "battery_failed" 38 "The library did not answer as its own battery says"
        "the file is damaged or the build is wrong: check its SHA-256, or build it again";
    StartsProcesses "starts_processes" 39 "The library has started a process"
        "it would outlive the library; start nothing when a library is loaded or called";
    AlreadyRunning "already_running" 40 "These very bytes are serving already"
        "nothing to do; --force loads them again as a new generation";
    Busy "busy" 41 "Another upgrade is under way, or old generations are still in use"
        "wait for `shell status` to show neither, then try again";
    NoPrevious "no_previous" 42 "There is no generation to go back to"
        "only an upgrade since the server's start can be rolled back";
    ShuttingDown "shutting_down" 43 "The server is stopping"
        "start it again, with --logic to choose the library";
    Sha256Mismatch "sha256_mismatch" 44
        "The file has another SHA-256 than the one asked for, or in the .sha256 file beside it"
        "the file is damaged or another one: copy it again, or correct the digest";
    TooLittleMemory "too_little_memory" 45 "There is too little memory to copy and try a library"
        "free memory, or raise the limit of the control group that the message names";
    LoadHung "load_hung" 46 "The server gave up on a library that it was loading or reading"
        "the library is at fault, or the disk it is on; what it holds stays held until a restart";
    AskerGone "asker_gone" 47 "Whoever asked for the upgrade was gone before it began"
        "ask again, and wait for the answer";
    Stuck "stuck" 48 "The other logic is in place, but every worker is held up in a command"
        "if those commands do not end, restart the server: a second SIGTERM ends it whatever it does";
    TooManyReaders "too_many_readers" 50 "The effects stream has as many readers as it can have"
        "stop one of them; docs/effects.md says who reads";
    NoSuchPosition "no_such_position" 51
        "The effects stream has no effect at the position asked for"
        "begin without a position, or at one that a reader was told a moment ago";
    CutOff "cut_off" 52 "A reader of the effects stream was too slow and has lost its place"
        "what it missed is lost to it: begin anew; --hold has writers wait for it instead";
    NoScript "no_script" 53 "No script runs"
        "nothing to do";
    ScriptHasWritten "script_has_written" 54 "The script that runs has written, so it is not ended"
        "wait for its end; a second SIGTERM ends the server whatever it does";
    DataDamaged "data_damaged" 55 "The file of data has something that cannot be loaded"
        "`shell check` with --salvage writes what can be read of it to another file";
    DataUnreadable "data_unreadable" 56 "The file is no file of data, or cannot be read"
        "check the path; see docs/persistence.md for the files that are read";
    FileExists "file_exists" 57 "The file that is to be written exists"
        "name another one: no file is overwritten";
    ArenaDamaged "arena_damaged" 58 "Something in the arena is not as it should be"
        "a server that recovers it takes out what cannot be trusted; see docs/recovery.md";
    BackupUnderWay "backup_under_way" 60 "A backup is under way, or none can be made yet"
        "wait until `shell status` shows none, then try again";
    BackupFailed "backup_failed" 61 "The backup could not be made, and nothing is left of it"
        "check the folder's rights and its space, and look at the server's log";
    NoBackup "no_backup" 62 "There is no such backup"
        "check the folder, and the name if one was given: only whole backups count";
    BackupDamaged "backup_damaged" 63 "The backup is not what was written"
        "copy it again, or name another with --backup; `shell check` with --salvage can save what is readable";
    FolderInUse "folder_in_use" 64 "A server works in the folder"
        "stop it first, or restore to another folder";
    WarmingUnderWay "warming_under_way" 65 "The server is being filled already, or cannot be yet"
        "wait until the other has ended, or the data is loaded";
    WarmFailed "warm_failed" 66 "Filling the server has broken off; what was put stays"
        "see to the cause and run it again: what is there already is passed over";
    WarmOver "warm_over" 67 "A database was flushed or exchanged while the server was filled"
        "if the keys are to be there all the same, run it again";
    OnProbation "on_probation" 70 "The version that serves is on probation"
        "`shell finalize` keeps it, `shell rollback` puts the one before back; or wait until its probation has ended";
    OnCanary "on_canary" 71 "A version serves some clients as a canary"
        "`shell promote` lets it serve all, `shell abort` withdraws it; or wait until its steps have ended";
    NothingToProve "nothing_to_prove" 72 "No version is a canary or on probation"
        "nothing to do; `shell status` shows what serves";
    DidWorse "did_worse" 73 "The version did worse than the one that serves, which serves all again"
        "the message has the figures, `shell history` keeps them; --guard says what is worse";
    Aborted "aborted" 74 "The version was withdrawn before it served all"
        "somebody has asked for that: `shell abort`; ask for the upgrade again when it is wanted";
    Unsigned "unsigned" 75 "The library has no signature, and the server asks for one"
        "sign it with `shell sign` or minisign, and lay the .minisig file beside it";
    BadSignature "bad_signature" 76 "The library was not signed with a key that the server trusts"
        "the file was changed after it was signed, or by somebody else: get it and its signature again";
    MayNotReplace "may_not_replace" 77
        "The library's signature does not let it replace the version that serves"
        "upgrade in between to a version that it may replace; `shell rollback` goes back";
    AuditBroken "audit_broken" 78 "The audit log does not hold together"
        "somebody has changed it, or a write was cut short: compare it with a copy kept elsewhere";
    NotAgreed "not_agreed" 79 "Going back would lose something, and nobody has agreed to that"
        "--yes agrees to it; the message says what would be lost";
    NotKept "not_kept" 80 "No keeper keeps the server, so its program cannot be replaced"
        "start it without --no-keeper; until then stop it and start the other build";
    RehearsalFailed "rehearsal_failed" 81 "The program did not say what it is, tried in a process of its own"
        "check that it is a shell, and what it printed: it reads the configuration as it is now";
    DoesNotFit "does_not_fit" 82 "The program cannot go on with memory as it lies here"
        "build it from sources with the same contract and layout, or save the data and start it anew";
    NotReplaced "not_replaced" 83 "The other build of the shell did not come to serve"
        "look at the server's log for what it has printed; the one before serves";
    ConversionFailed "conversion_failed" 84
        "Data could not be made ones that the version before can read; what serves goes on"
        "look at the server's log: it names the key";
    Diverged "diverged" 85 "The version does not answer or store what the one that serves does"
        "`shell history` keeps samples; what is meant to differ the library declares, see docs/writing-logic.md";
    OnShadow "on_shadow" 86 "A version runs beside the one that serves, as its shadow"
        "`shell promote` ends that and goes on, `shell abort` drops the version; or wait until its time is over";
    CaptureUnderWay "capture_under_way" 87 "Commands are being captured for somebody else"
        "wait until the other shadow or recording has ended, or end it";
    NoRecording "no_recording" 88 "The file is no recording, or not one of this version"
        "check the path; `shell record` makes such files";
}

impl Code {
    /// The row of this code.
    pub fn row(self) -> &'static Row {
        &CODES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_where_their_code_points() {
        for row in CODES {
            assert_eq!(row.code.row().name, row.name);
            assert_eq!(serde_json::to_value(row.code).unwrap(), row.name);
        }
    }

    #[test]
    fn exit_statuses_differ_and_leave_room_for_success_and_usage() {
        let mut exits: Vec<u8> = CODES.iter().map(|row| row.exit).collect();
        assert!(exits.is_sorted());
        exits.dedup();
        assert_eq!(exits.len(), CODES.len());
        assert!(exits[0] > 2);
    }

    #[test]
    fn the_documentation_lists_every_code() {
        let text = include_str!("../../docs/upgrade.md");
        for Row { name, exit, meaning, .. } in CODES {
            assert!(text.contains(&format!("| `{name}` | {exit} | {meaning} |")), "{name}");
        }
    }
}
