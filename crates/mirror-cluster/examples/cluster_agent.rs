//! The agent as a process of its own: `cluster_agent ADDRESS CREDENTIALS FOLDER PROGRAMS`. Its program `mirror-agent`
//! is not built with the tests of this package.

use std::process::ExitCode;

use anyhow::Context;
use mirror_agent::{Settings, credentials_in, run};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    if words.next_if(|first| first == "shim").is_some() {
        return mirror_cluster::shim::main(words.skip(1));
    }
    match run_agent() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run_agent() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, credentials, folder, programs] = &arguments[..] else {
        anyhow::bail!("four arguments, not {arguments:?}");
    };
    run(Settings {
        listen: address.parse().context("the address")?,
        health: None,
        credentials: credentials_in(credentials.as_ref())?,
        folder: folder.into(),
        programs: Some(programs.into()),
    })
    .await
}
