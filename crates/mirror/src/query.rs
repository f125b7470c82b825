//! Questions about runs, which the program `mirror-query` answers: in a process of its own, with bounds of its own.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, bail, ensure};
use mirror_runs::expectations::Decision;

/// The program, found.
#[derive(Debug, Clone)]
pub struct Querier {
    program: PathBuf,
}

/// How a question came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It was answered.
    Yes,
    /// It could not be answered.
    No,
    /// The question is wrong.
    Wrong,
}

impl Querier {
    /// The one beside this program.
    pub fn beside_this_program() -> anyhow::Result<Self> {
        let this = std::env::current_exe().context("cannot tell where this program lies")?;
        let program = this.with_file_name("mirror-query");
        ensure!(
            program.exists(),
            "{} is not there, and it answers all SQL; `cargo build --release -p mirror-query` makes it",
            program.display()
        );
        Ok(Self { program })
    }

    /// Lets the answer to `sql` go to this program's standard output, and what is wrong with it to standard error.
    pub fn print(&self, runs: &[PathBuf], sql: &str, format: &str) -> anyhow::Result<Answered> {
        let mut command = Command::new(&self.program);
        command.args(["print", "--format", format, "--"]).args(runs);
        let mut child = self.ask(&mut command, sql)?;
        let status = child.wait().context("cannot wait for the answer")?;
        Ok(match status.code() {
            Some(0) => Answered::Yes,
            Some(2) => Answered::Wrong,
            Some(_) => Answered::No,
            None => bail!("{}", ended(status)),
        })
    }

    /// Decides an expectation; what cannot be asked is a decision as well.
    pub fn judge(&self, runs: &[PathBuf], sql: &str) -> anyhow::Result<Decision> {
        let mut command = Command::new(&self.program);
        command.args(["judge", "--"]).args(runs);
        match self.said(&mut command, sql)? {
            Ok(decision) => serde_json::from_slice(&decision)
                .with_context(|| format!("{} is of another version", self.program.display())),
            Err(why) => Ok(Decision::erred(why)),
        }
    }

    /// What is wrong with an expectation before there is a run; none where nothing is.
    pub fn check(&self, sql: &str) -> anyhow::Result<Option<String>> {
        Ok(self.said(Command::new(&self.program).arg("check"), sql)?.err())
    }

    /// What the program prints, or what it complains of.
    fn said(&self, command: &mut Command, sql: &str) -> anyhow::Result<Result<Vec<u8>, String>> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self
            .ask(command, sql)?
            .wait_with_output()
            .context("cannot wait for the answer")?;
        if output.status.success() {
            return Ok(Ok(output.stdout));
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Ok(Err(match output.status.code() {
            Some(_) => complaint.trim().to_owned(),
            None => ended(output.status),
        }))
    }

    fn ask(&self, command: &mut Command, sql: &str) -> anyhow::Result<Child> {
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut question = child.stdin.take().expect("its standard input is a pipe of ours");
        match question.write_all(sql.as_bytes()) {
            // It has ended already, and its status says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written.context("cannot ask")?,
        }
        Ok(child)
    }
}

/// Of a program that a signal ended: the allocator ends it when the system refuses it more memory.
fn ended(status: ExitStatus) -> String {
    format!(
        "the query was stopped ({status}): it needs more than the 1 GiB of memory that it may have, or nests too deep"
    )
}
