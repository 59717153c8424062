//! The settings that the engine does not read: a row each, in the order of their names.
//!
//! The shell reads some by their ids. The rest is about what does not exist here: what would switch
//! something on says what it lacks, and what would only tune it keeps its value. Names, defaults
//! and limits are those of Redis 7.0, so that configuration files and clients written for it work.

use abi::config::id as shell;

use base::settings::row::{HIDDEN, IMMUTABLE, Kind, PROTECTED, Row, SECRET, VITAL};
use base::settings::setting::{INT_MAX, MEMORY_MAX, slot};

const fn row(name: &'static str, id: u32, kind: Kind, default: &'static str) -> Row {
    Row::new(name, id, kind, default)
}

/// A setting that may not be changed while the server runs.
const fn fixed(name: &'static str, id: u32, kind: Kind, default: &'static str) -> Row {
    row(name, id, kind, default).flags(IMMUTABLE)
}

const NO_PINNING: &str = "this server does not bind its threads to processors; use taskset";

pub const UNREAD: &[Row] = &[
    row("activerehashing", slot(42), Kind::Bool, "yes"),
    fixed("always-show-logo", slot(43), Kind::Bool, "no").lacks("this server has no logo"),
    row("aof-disable-auto-gc", slot(44), Kind::Bool, "no"),
    row("aof-load-truncated", shell::AOF_LOAD_TRUNCATED, Kind::Bool, "yes"),
    row("aof-timestamp-enabled", shell::AOF_TIMESTAMP_ENABLED, Kind::Bool, "no"),
    fixed("aof_rewrite_cpulist", slot(49), Kind::Text, ""),
    fixed("appenddirname", shell::APPENDDIRNAME, Kind::FileName, "appendonlydir"),
    fixed("appendfilename", shell::APPENDFILENAME, Kind::FileName, "appendonly.aof"),
    row("appendfsync", shell::APPENDFSYNC, Kind::Words(&["everysec", "always", "no"]), "everysec"),
    row("appendonly", shell::APPENDONLY, Kind::Bool, "no"),
    // Redis does not have it: tools that copy all settings from server to server do not see it.
    row("arena-huge-pages", shell::ARENA_HUGE_PAGES, Kind::Bool, "yes").flags(HIDDEN),
    // Nor does it have these.
    row("backup-compress", shell::BACKUP_COMPRESS, Kind::Bool, "no").flags(HIDDEN),
    row("backup-dir", shell::BACKUP_DIR, Kind::Text, "").flags(HIDDEN),
    row("backup-keep", shell::BACKUP_KEEP, Kind::Integer(0, INT_MAX), "0").flags(HIDDEN),
    row("backup-schedule", shell::BACKUP_SCHEDULE, Kind::Text, "").flags(HIDDEN),
    fixed("bgsave_cpulist", slot(56), Kind::Text, ""),
    row("bind", shell::BIND, Kind::Addresses, "127.0.0.1"),
    row("bind-source-addr", slot(57), Kind::Text, ""),
    fixed("bio_cpulist", slot(58), Kind::Text, "").lacks(NO_PINNING),
    row(
        "client-output-buffer-limit",
        shell::OUTPUT_NORMAL_HARD,
        Kind::OutputLimits,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    ),
    row(
        "client-query-buffer-limit",
        shell::CLIENT_QUERY_BUFFER_LIMIT,
        Kind::Memory(1 << 20, MEMORY_MAX),
        "1073741824",
    ),
    row("cluster-allow-pubsubshard-when-down", slot(60), Kind::Bool, "yes"),
    row("cluster-allow-reads-when-down", slot(61), Kind::Bool, "no"),
    row("cluster-allow-replica-migration", slot(62), Kind::Bool, "yes"),
    row("cluster-announce-bus-port", slot(63), Kind::Integer(0, 65_535), "0"),
    row("cluster-announce-hostname", slot(64), Kind::HostName, ""),
    row("cluster-announce-ip", slot(65), Kind::Text, ""),
    row("cluster-announce-port", slot(66), Kind::Integer(0, 65_535), "0"),
    row("cluster-announce-tls-port", slot(67), Kind::Integer(0, 65_535), "0"),
    fixed("cluster-config-file", slot(68), Kind::Text, "nodes.conf"),
    fixed("cluster-enabled", slot(69), Kind::Bool, "no").lacks("this server stands alone"),
    row("cluster-link-sendbuf-limit", slot(70), Kind::Memory(0, u64::MAX), "0"),
    row("cluster-migration-barrier", slot(71), Kind::Integer(0, INT_MAX), "1"),
    row("cluster-node-timeout", slot(72), Kind::Integer(0, i64::MAX), "15000"),
    fixed("cluster-port", slot(73), Kind::Integer(0, 65_535), "0"),
    row(
        "cluster-preferred-endpoint-type",
        slot(74),
        Kind::Words(&["ip", "hostname", "unknown-endpoint"]),
        "ip",
    ),
    row("cluster-replica-no-failover", slot(75), Kind::Bool, "no")
        .alias("cluster-slave-no-failover"),
    row("cluster-replica-validity-factor", slot(76), Kind::Integer(0, INT_MAX), "10")
        .alias("cluster-slave-validity-factor"),
    row("cluster-require-full-coverage", slot(77), Kind::Bool, "yes"),
    row("crash-log-enabled", slot(78), Kind::Bool, "yes"),
    row("crash-memcheck-enabled", slot(79), Kind::Bool, "yes"),
    fixed("daemonize", slot(80), Kind::Bool, "no"),
    fixed("databases", shell::DATABASES, Kind::Integer(1, INT_MAX), "16"),
    row("dir", shell::DIR, Kind::Directory, ".").flags(PROTECTED),
    fixed("disable-thp", slot(82), Kind::Bool, "yes"),
    row("dynamic-hz", slot(83), Kind::Bool, "yes"),
    row("ignore-warnings", slot(88), Kind::Text, ""),
    fixed("io-threads", slot(89), Kind::Integer(1, 128), "1")
        .lacks("the setting workers says how many threads serve"),
    fixed("io-threads-do-reads", slot(90), Kind::Bool, "no"),
    row("jemalloc-bg-thread", slot(91), Kind::Bool, "yes"),
    row("list-compress-depth", slot(93), Kind::Integer(0, INT_MAX), "0")
        .lacks("this server does not compress lists"),
    row(
        "loading-process-events-interval-bytes",
        slot(94),
        Kind::Memory(1024, i32::MAX as u64),
        "2097152",
    )
    .flags(HIDDEN),
    fixed("logfile", shell::LOGFILE, Kind::Text, ""),
    row(
        "loglevel",
        shell::LOGLEVEL,
        Kind::Words(&["debug", "verbose", "notice", "warning"]),
        "notice",
    ),
    row("masterauth", slot(95), Kind::Text, "").flags(SECRET),
    row("masteruser", slot(96), Kind::Text, "").flags(SECRET),
    row("min-replicas-max-lag", slot(98), Kind::Integer(0, INT_MAX), "10")
        .alias("min-slaves-max-lag"),
    row("min-replicas-to-write", slot(99), Kind::Integer(0, INT_MAX), "0")
        .alias("min-slaves-to-write")
        .lacks("this server has no replicas"),
    row("no-appendfsync-on-rewrite", shell::NO_APPENDFSYNC_ON_REWRITE, Kind::Bool, "no"),
    row(
        "oom-score-adj",
        shell::OOM_SCORE_ADJ,
        Kind::Choice(&[("no", 0), ("yes", 1), ("relative", 1), ("absolute", 2)]),
        "no",
    ),
    row("oom-score-adj-values", shell::OOM_SCORE_ADJ_VALUES, Kind::OomScores, "0 200 800"),
    fixed("pidfile", slot(103), Kind::Text, ""),
    row("port", shell::PORT, Kind::Integer(0, 65_535), "6379"),
    row(
        "proc-title-template",
        shell::PROC_TITLE_TEMPLATE,
        Kind::Template,
        "{title} {listen-addr} {server-mode}",
    ),
    row(
        "propagation-error-behavior",
        slot(105),
        Kind::Words(&["ignore", "panic", "panic-on-replicas"]),
        "ignore",
    ),
    row("rdb-del-sync-files", slot(106), Kind::Bool, "no"),
    row("repl-backlog-ttl", slot(112), Kind::Integer(0, i64::MAX), "3600"),
    row("repl-disable-tcp-nodelay", slot(113), Kind::Bool, "no"),
    row(
        "repl-diskless-load",
        slot(114),
        Kind::Words(&["disabled", "on-empty-db", "swapdb"]),
        "disabled",
    ),
    row("repl-diskless-sync", slot(115), Kind::Bool, "yes"),
    row("repl-diskless-sync-delay", slot(116), Kind::Integer(0, INT_MAX), "5"),
    row("repl-diskless-sync-max-replicas", slot(117), Kind::Integer(0, INT_MAX), "0"),
    row("repl-ping-replica-period", slot(118), Kind::Integer(1, INT_MAX), "10")
        .alias("repl-ping-slave-period"),
    row("repl-timeout", slot(119), Kind::Integer(1, INT_MAX), "60"),
    row("replica-announce-ip", slot(120), Kind::Text, "").alias("slave-announce-ip"),
    row("replica-announce-port", slot(121), Kind::Integer(0, 65_535), "0")
        .alias("slave-announce-port"),
    row("replica-announced", slot(122), Kind::Bool, "yes"),
    row("replica-ignore-disk-write-errors", slot(123), Kind::Bool, "no"),
    row("replica-ignore-maxmemory", slot(124), Kind::Bool, "yes").alias("slave-ignore-maxmemory"),
    row("replica-lazy-flush", slot(125), Kind::Bool, "no").alias("slave-lazy-flush"),
    row("replica-priority", slot(126), Kind::Integer(0, INT_MAX), "100").alias("slave-priority"),
    row("replica-read-only", slot(127), Kind::Bool, "yes").alias("slave-read-only"),
    row("replica-serve-stale-data", slot(128), Kind::Bool, "yes").alias("slave-serve-stale-data"),
    fixed("replicaof", slot(129), Kind::Primary, "").alias("slaveof"),
    // Every payload is wholly checked, whoever sends it: no value asks for more.
    row("sanitize-dump-payload", slot(130), Kind::Words(&["no", "yes", "clients"]), "no"),
    fixed("server_cpulist", slot(132), Kind::Text, "").lacks(NO_PINNING),
    fixed("set-proc-title", shell::SET_PROC_TITLE, Kind::Bool, "yes"),
    row("shutdown-timeout", shell::SHUTDOWN_TIMEOUT, Kind::Integer(0, INT_MAX), "10"),
    fixed("socket-mark-id", slot(137), Kind::Integer(0, u32::MAX as i64), "0")
        .lacks("this server does not mark its sockets"),
    fixed("supervised", slot(141), Kind::Words(&["upstart", "systemd", "auto", "no"]), "no"),
    fixed("syslog-enabled", slot(142), Kind::Bool, "no"),
    fixed(
        "syslog-facility",
        slot(143),
        Kind::Words(&[
            "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
        ]),
        "local0",
    ),
    fixed("syslog-ident", slot(144), Kind::Text, "redis"),
    fixed("tcp-backlog", shell::TCP_BACKLOG, Kind::Integer(0, INT_MAX), "511"),
    row("tcp-keepalive", shell::TCP_KEEPALIVE, Kind::Integer(0, INT_MAX), "300"),
    row("timeout", shell::TIMEOUT, Kind::Integer(0, INT_MAX), "0"),
    row("tls-auth-clients", slot(145), Kind::Words(&["no", "yes", "optional"]), "yes"),
    row("tls-ca-cert-dir", slot(146), Kind::Text, ""),
    row("tls-ca-cert-file", slot(147), Kind::Text, ""),
    row("tls-cert-file", slot(148), Kind::Text, ""),
    row("tls-ciphers", slot(149), Kind::Text, ""),
    row("tls-ciphersuites", slot(150), Kind::Text, ""),
    row("tls-client-cert-file", slot(151), Kind::Text, ""),
    row("tls-client-key-file", slot(152), Kind::Text, ""),
    row("tls-client-key-file-pass", slot(153), Kind::Text, "").flags(SECRET),
    row("tls-cluster", slot(154), Kind::Bool, "no"),
    row("tls-dh-params-file", slot(155), Kind::Text, ""),
    row("tls-key-file", slot(156), Kind::Text, ""),
    row("tls-key-file-pass", slot(157), Kind::Text, "").flags(SECRET),
    row("tls-port", slot(158), Kind::Integer(0, 65_535), "0")
        .flags(VITAL)
        .lacks("this server has no TLS"),
    row("tls-prefer-server-ciphers", slot(159), Kind::Bool, "no"),
    row("tls-protocols", slot(160), Kind::Text, ""),
    row("tls-replication", slot(161), Kind::Bool, "no"),
    row("tls-session-cache-size", slot(162), Kind::Integer(0, INT_MAX), "20480"),
    row("tls-session-cache-timeout", slot(163), Kind::Integer(0, INT_MAX), "300"),
    row("tls-session-caching", slot(164), Kind::Bool, "yes"),
    fixed("unixsocket", shell::UNIXSOCKET, Kind::Text, ""),
    fixed("unixsocketperm", shell::UNIXSOCKETPERM, Kind::Octal, "0"),
    row("use-exit-on-panic", slot(166), Kind::Bool, "no").flags(HIDDEN),
    row("watchdog-period", slot(167), Kind::Integer(0, INT_MAX), "0")
        .flags(HIDDEN)
        .lacks("this server has no watchdog"),
];
