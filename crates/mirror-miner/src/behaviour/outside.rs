//! Has a program answer, started anew for each call: the messages on its standard input, a line of JSON each; what it
//! writes to its standard output is the completion. One that fails, writes too much or takes too long said nothing.
//!
//! It is told and heard at once, and when its output has ended, or is too long, nobody waits for it to read any more:
//! how much of its input it reads changes nothing about what becomes of its answer. It ends with its call, and so does
//! what it started.

use std::convert::Infallible;
use std::io;
use std::process::{ExitStatus, Stdio};

use mirror_spec::OutsideArgs;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next};

/// Bytes of a completion.
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
            said = hear(stdout) => said?,
            never = tell(stdin, asked) => match never {},
        };
        let status = program.end().await?;
        if !status.success() {
            return Err(io::Error::other(format!("it failed: {status}")));
        }
        String::from_utf8(said).map_err(io::Error::other)
    }
}

/// Writes what is asked, as far as it is read, closes the pipe, and does not resolve.
async fn tell(mut stdin: ChildStdin, asked: Vec<u8>) -> Infallible {
    // One that does not read its input may answer all the same.
    if let Err(error) = stdin.write_all(&asked).await {
        tracing::debug!(%error, "the program does not read what it is asked");
    }
    drop(stdin);
    std::future::pending().await
}

/// Everything that is said until the pipe is closed.
async fn hear(stdout: ChildStdout) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    stdout.take(MOST + 1).read_to_end(&mut said).await?;
    if said.len() as u64 > MOST {
        return Err(io::Error::other(format!("it says more than {MOST} bytes")));
    }
    Ok(said)
}

/// A program and what it starts: a process group, which is killed when this is dropped.
struct Program {
    child: Child,
    group: Pid,
}

impl Program {
    #[allow(
        unsafe_code,
        reason = "the death signal of a program that is not ours is set between fork and exec"
    )]
    fn start(command: &[String]) -> io::Result<(Self, ChildStdin, ChildStdout)> {
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| io::Error::other("it has no name"))?;
        let miner = rustix::process::getpid();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        // A miner that is killed cannot kill it, so the kernel has to.
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
        let group = number.ok_or_else(|| io::Error::other("it has no process number"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let program = Self { child, group };
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(io::Error::other("it has no standard input and output"));
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
            // Usually nothing is left of it.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::warn!(%error, "what a program has started cannot be killed"),
        }
    }
}

#[async_trait]
impl Behaviour for Outside {
    async fn answer(&self, call: &Call, _next: Next<'_>) -> Answer {
        match self.completion(call).await {
            Ok(completion) => Answer::Completion(completion),
            Err(error) => {
                tracing::warn!(command = ?self.args.command, %error, "the program did not answer");
                Answer::Nothing
            }
        }
    }
}
