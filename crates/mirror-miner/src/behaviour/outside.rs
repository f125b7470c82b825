//! Has a program answer, started anew for each call: the messages on its standard input, a line of JSON each; what it
//! writes to its standard output is the completion. One that fails, writes too much or takes too long said nothing.

use std::io;
use std::process::Stdio;

use mirror_config::component::OutsideArgs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tonic::async_trait;

use super::{Answer, Behaviour, Below, Call};

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
        let (program, arguments) = self
            .args
            .command
            .split_first()
            .ok_or_else(|| io::Error::other("it has no name"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no standard input and output"));
        };
        let mut asked = Vec::new();
        for message in &call.messages {
            serde_json::to_writer(&mut asked, message)?;
            asked.push(b'\n');
        }
        let tell = async move {
            // One that does not read its input may answer all the same.
            if let Err(error) = stdin.write_all(&asked).await {
                tracing::debug!(%error, "the program does not read what it is asked");
            }
        };
        let mut said = Vec::new();
        let mut stdout = stdout.take(MOST + 1);
        let ((), read) = tokio::join!(tell, stdout.read_to_end(&mut said));
        read?;
        if said.len() as u64 > MOST {
            return Err(io::Error::other(format!("it says more than {MOST} bytes")));
        }
        let status = child.wait().await?;
        if !status.success() {
            return Err(io::Error::other(format!("it failed: {status}")));
        }
        String::from_utf8(said).map_err(io::Error::other)
    }
}

#[async_trait]
impl Behaviour for Outside {
    async fn answer(&self, call: &Call, _below: Below<'_>) -> Answer {
        match self.completion(call).await {
            Ok(completion) => Answer::Completion(completion),
            Err(error) => {
                tracing::warn!(command = ?self.args.command, %error, "the program did not answer");
                Answer::Nothing
            }
        }
    }
}
