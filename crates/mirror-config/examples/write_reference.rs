//! Updates the generated tables of the experiment file's reference: `write_reference docs/experiment-file.md`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: write_reference PAGE")?;
    let page = std::fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    std::fs::write(&path, mirror_config::reference::update(&page)?)?;
    Ok(())
}
