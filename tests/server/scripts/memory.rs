//! Memory of scripts: what is told of it, and where it ends.

use super::eval;
use crate::harness::Server;

#[test]
fn sources_and_machines_are_told() {
    let server = Server::start();
    let mut client = server.connect();
    for field in ["used_memory_vm_total", "used_memory_scripts", "number_of_cached_scripts"] {
        assert_eq!(client.info(field), 0, "{field}");
    }
    let script = format!("return '{}'", "x".repeat(100_000));
    client.call(&["SCRIPT", "LOAD", &script]);
    let library = "#!lua name=l\nredis.register_function('f', function() return 1 end)\n\
                   redis.register_function('g', function() return 2 end)";
    client.call(&["FUNCTION", "LOAD", library]);
    assert_eq!(client.ask("FCALL f 0"), ":1\r\n");
    assert_eq!(client.info("number_of_cached_scripts"), 1);
    assert_eq!((client.info("number_of_libraries"), client.info("number_of_functions")), (1, 2));
    let (eval, functions) =
        (client.info("used_memory_scripts_eval"), client.info("used_memory_functions"));
    assert!((100_000..130_000).contains(&eval), "{eval}");
    assert!((100..2000).contains(&functions), "{functions}");
    assert_eq!(client.info("used_memory_scripts"), eval + functions);
    let machine = client.info("used_memory_vm_eval");
    assert!((100_000..1_000_000).contains(&machine), "{machine}");
    let other = client.info("used_memory_vm_functions");
    assert!((10_000..1_000_000).contains(&other), "{other}");
    assert_eq!(client.info("used_memory_vm_total"), machine + other);
    client.ask("SCRIPT FLUSH");
    client.ask("FUNCTION FLUSH");
    assert_eq!((client.info("used_memory_scripts"), client.info("used_memory_vm_eval")), (0, 0));
}

#[test]
fn memory_that_is_short_stops_what_may_use_more() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("SET a 1");
    client.ask("CONFIG SET maxmemory 1");
    const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'. script: ";
    assert!(eval(&mut client, "return redis.call('SET', 'b', 1)").starts_with(OOM));
    assert_eq!(eval(&mut client, "return redis.call('GET', 'a')"), "$1\r\n1\r\n");
    // What has written cannot be stopped half-way.
    let script = "redis.call('DEL', 'a') return redis.call('SET', 'b', 1)";
    assert_eq!(eval(&mut client, script), "+OK\r\n");
    assert!(eval(&mut client, "#!lua\nreturn 1").starts_with("-OOM "));
    assert_eq!(eval(&mut client, "#!lua flags=no-writes\nreturn 1"), ":1\r\n");
    let allowed = "#!lua flags=allow-oom\nreturn redis.call('SET', 'c', 1)";
    assert_eq!(eval(&mut client, allowed), "+OK\r\n");
}
