//! Tests of a node as a process: its input, its output and its exit.

mod odd_node;

use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Output};

use mirror_spec::launch::{Launch, LogLaunch};
use rustix::process::{Pid, Signal};

use odd_node::{launch, listening, start, tell, wait_tied};

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[track_caller]
fn check_says(output: &Output, code: i32, words: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(words), "{stderr}");
}

#[test]
fn a_node_listens_on_the_printed_address_and_ends_on_sigterm() {
    let mut child = start();
    tell(&mut child, &launch("accept"));
    let address = listening(&mut child).address;
    assert_ne!(address.port(), 0);
    TcpStream::connect(address).unwrap();
    send(&child, Signal::TERM);
    assert_eq!(wait_tied(child).status.code(), Some(0));
}

/// Sends an HTTP/2 preface, because an accepted connection alone proves nothing. The server answers with its settings.
#[test]
fn answers_health_checks_while_the_main_thread_is_busy() {
    let mut child = start();
    tell(&mut child, &launch("spin"));
    let mut health = TcpStream::connect(listening(&mut child).liveness).unwrap();
    health
        .set_read_timeout(Some(std::time::Duration::from_mins(1)))
        .unwrap();
    // The client's preface and empty settings.
    health
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    let mut header = [0; 9];
    health.read_exact(&mut header).unwrap();
    assert_eq!(header[3], 4, "a SETTINGS frame: {header:?}");
    drop(child.stdin.take());
    wait_tied(child);
}

#[test]
fn ends_with_its_lifeline_while_the_main_thread_is_busy() {
    let mut child = start();
    tell(&mut child, &launch("spin"));
    listening(&mut child);
    drop(child.stdin.take());
    assert_eq!(wait_tied(child).status.signal(), Some(Signal::KILL.as_raw()));
}

#[test]
fn ends_with_the_thread_that_started_it_even_when_stopped() {
    let starting = std::thread::spawn(|| {
        let mut child = start();
        tell(&mut child, &launch("accept"));
        listening(&mut child);
        send(&child, Signal::STOP);
        child
    });
    let child = starting.join().unwrap();
    assert_eq!(wait_tied(child).status.signal(), Some(Signal::KILL.as_raw()));
}

#[test]
fn a_failure_is_exit_status_1_with_the_reason() {
    let mut child = start();
    tell(&mut child, &launch("fail"));
    check_says(&wait_tied(child), 1, "odd-0: the role is `fail`");
}

#[test]
fn an_error_names_the_address_that_is_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut child = start();
    tell(
        &mut child,
        &Launch {
            listen: address,
            ..launch("accept")
        },
    );
    check_says(&wait_tied(child), 1, &format!("cannot listen on {address}"));
}

#[test]
fn connections_come_from_the_source_of_the_launch_config() {
    let coordinator = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = start();
    let source = "127.1.2.3".parse().unwrap();
    let role = coordinator.local_addr().unwrap().to_string();
    tell(
        &mut child,
        &Launch {
            source,
            ..launch(&role)
        },
    );
    assert_eq!(coordinator.accept().unwrap().1.ip(), source);
    drop(child.stdin.take());
    wait_tied(child);
}

#[test]
fn output_after_the_announcement_goes_to_the_log() {
    let mut child = start();
    tell(&mut child, &launch("print"));
    let output = wait_tied(child);
    check_says(&output, 0, "after the announcement");
    assert_eq!(output.stdout.lines().count(), 1);
}

#[test]
fn an_invalid_launch_config_is_exit_status_2() {
    let mut child = start();
    child
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"{\"node\": 3}\n")
        .unwrap();
    check_says(&wait_tied(child), 2, "invalid type");
}

#[test]
fn a_missing_launch_config_is_exit_status_2() {
    let mut child = start();
    drop(child.stdin.take());
    check_says(&wait_tied(child), 2, "ended before the end of its first line");
}

#[test]
fn a_launch_config_from_another_process_is_refused() {
    let mut child = start();
    tell(
        &mut child,
        &Launch {
            parent: 1,
            ..launch("accept")
        },
    );
    check_says(&wait_tied(child), 2, "not the parent");
}

#[test]
fn an_invalid_log_filter_is_refused() {
    let mut child = start();
    tell(
        &mut child,
        &Launch {
            log: LogLaunch::pretty("mirror=loudest"),
            ..launch("accept")
        },
    );
    check_says(&wait_tied(child), 2, "`mirror=loudest` is not a log filter");
}

/// A file cannot contain a folder, so the profiler cannot start.
#[test]
fn a_node_without_its_profiler_warns_and_works() {
    let mut child = start();
    tell(
        &mut child,
        &Launch {
            profiles: Some("/dev/null/profiles".into()),
            ..launch("print")
        },
    );
    check_says(
        &wait_tied(child),
        0,
        "this process has no CPU profile: cannot write /dev/null/profiles",
    );
}
