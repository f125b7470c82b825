//! Runs an external program for each call. The program reads the messages from its standard input, one JSON object per
//! line, and writes the completion to its standard output. The completion is empty if the program fails, writes too
//! much or takes too long.
//!
//! Input and output are handled concurrently. The answer does not depend on how much of its input the program reads:
//! once the output has ended or exceeded the limit, the rest of the input is not written. The program and its process
//! group are killed when the call ends.

use std::convert::Infallible;
use std::io;
use std::process::{ExitStatus, Stdio};

use mirror_spec::OutsideArgs;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next};

/// Maximum length of a completion in bytes.
const MOST: u64 = 1 << 20;

pub(super) struct Outside {
    args: OutsideArgs,
}

impl Outside {
    pub(super) fn new(args: OutsideArgs) -> Self {
        Self { args }
    }

    async fn completion(&self, call: &Call) -> io::Result<String> {
        let mut asked = Vec::new();
        for message in &call.messages {
            serde_json::to_writer(&mut asked, message)?;
            asked.push(b'\n');
        }
        let (mut program, stdin, stdout) = Program::start(&self.args.command)?;
        let said = tokio::select! {
            said = read_output(stdout) => said?,
            never = write_input(stdin, asked) => match never {},
        };
        let status = program.end().await?;
        if !status.success() {
            return Err(io::Error::other(format!("the program failed: {status}")));
        }
        String::from_utf8(said).map_err(io::Error::other)
    }
}

/// Writes the input until the program stops reading, closes the pipe, and never resolves.
async fn write_input(mut stdin: ChildStdin, asked: Vec<u8>) -> Infallible {
    // A program that does not read its input may still answer.
    if let Err(error) = stdin.write_all(&asked).await {
        tracing::debug!(%error, "the program did not read all of its input");
    }
    drop(stdin);
    std::future::pending().await
}

/// Reads the output of the program until the pipe is closed.
async fn read_output(stdout: ChildStdout) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    stdout.take(MOST + 1).read_to_end(&mut said).await?;
    if said.len() as u64 > MOST {
        return Err(io::Error::other(format!(
            "the program wrote more than {MOST} bytes"
        )));
    }
    Ok(said)
}

/// A program and its descendants in one process group, which is killed on drop.
struct Program {
    child: Child,
    group: Pid,
}

impl Program {
    #[allow(
        unsafe_code,
        reason = "the parent-death signal of an external program is set between fork and exec"
    )]
    fn start(command: &[String]) -> io::Result<(Self, ChildStdin, ChildStdout)> {
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| io::Error::other("the command is empty"))?;
        let miner = rustix::process::getpid();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        // A killed miner cannot kill the program, so the kernel does.
        //
        // SAFETY: between fork and exec only async-signal-safe functions may run; these are two system calls, and they
        // allocate nothing.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                if rustix::process::getppid() == Some(miner) {
                    Ok(())
                } else {
                    Err(io::ErrorKind::BrokenPipe.into())
                }
            });
        }
        let mut child = command.spawn()?;
        let number = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let group = number.ok_or_else(|| io::Error::other("the program has no process id"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let program = Self { child, group };
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(io::Error::other("the program has no standard input or output"));
        };
        Ok((program, stdin, stdout))
    }

    async fn end(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        match rustix::process::kill_process_group(self.group, Signal::KILL) {
            // Usually no process of the group is left.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::warn!(%error, "cannot kill the processes that a program started"),
        }
    }
}

#[async_trait]
impl Behaviour for Outside {
    async fn answer(&self, call: &Call, _next: Next<'_>) -> Answer {
        match self.completion(call).await {
            Ok(completion) => Answer::Completion(completion),
            Err(error) => {
                tracing::warn!(command = ?self.args.command, %error, "the external program gave no answer");
                Answer::Nothing
            }
        }
    }
}
