//! The agent as a process of its own: `cluster_agent ADDRESS CREDENTIALS FOLDER PROGRAMS`. Its program `mirror-agent` is
//! not built with the tests of this package.

use anyhow::Context;
use mirror_agent::{Settings, credentials_in, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, credentials, folder, programs] = &arguments[..] else {
        anyhow::bail!("four arguments, not {arguments:?}");
    };
    run(Settings {
        listen: address.parse().context("the address")?,
        credentials: credentials_in(credentials.as_ref())?,
        folder: folder.into(),
        programs: Some(programs.into()),
    })
    .await
}
