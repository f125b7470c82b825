//! The program `odd_node` as a process of a test.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use mirror_spec::launch::{Launch, Listening, LogLaunch};

pub(crate) fn start() -> Child {
    let tests = std::env::current_exe().expect("a test has a path");
    let folder: PathBuf = tests
        .ancestors()
        .nth(2)
        .expect("tests are in a folder of the target folder")
        .into();
    Command::new(folder.join("examples/odd_node"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example is built with the tests")
}

pub(crate) fn launch(role: &str) -> Launch<String> {
    Launch {
        log: LogLaunch::pretty("info"),
        ..mirror_test_support::launch::launch("odd-0", role.to_owned())
    }
}

pub(crate) fn tell(child: &mut Child, launch: &Launch<String>) {
    let mut line = serde_json::to_vec(launch).unwrap();
    line.push(b'\n');
    child.stdin.as_mut().unwrap().write_all(&line).unwrap();
}

pub(crate) fn listening(child: &mut Child) -> Listening {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    serde_json::from_str(&line).unwrap()
}

/// Waits for the exit of the node without closing its lifeline, which [`Child::wait`] would close.
pub(crate) fn wait_tied(mut child: Child) -> Output {
    let _lifeline = child.stdin.take();
    let status = child.wait().unwrap();
    let mut stdout = Vec::new();
    let mut stderr = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    Output {
        status,
        stdout,
        stderr,
    }
}
