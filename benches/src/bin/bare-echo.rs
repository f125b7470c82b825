//! The reference server: a unary echo in bare tonic. Its argument is the number of ports, 1 by default. It prints the
//! port numbers on one line and stops when its standard input closes.

fn main() -> anyhow::Result<()> {
    let ports = std::env::args().nth(1).map_or(Ok(1), |ports| ports.parse())?;
    mirror_benches::bare::serve(ports)
}
