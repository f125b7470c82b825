//! The reference server: a bare tonic unary echo on as many ports as its one argument says, one by default. It writes
//! their numbers on a line and ends when its standard input does.

fn main() -> anyhow::Result<()> {
    let ports = std::env::args().nth(1).map_or(Ok(1), |ports| ports.parse())?;
    mirror_benches::bare::serve(ports)
}
