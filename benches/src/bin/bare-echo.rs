//! The reference server: a unary echo in bare tonic. Its first argument is the number of ports, 1 by default. With the
//! second argument `signed` it checks signatures. It prints the port numbers on one line and stops when its standard
//! input closes.

use mirror_benches::bare::{SIGNED, Signatures, serve};

fn main() -> anyhow::Result<()> {
    let ports = std::env::args().nth(1).map_or(Ok(1), |ports| ports.parse())?;
    let is_signed = std::env::args().nth(2).is_some_and(|argument| argument == SIGNED);
    serve(
        ports,
        if is_signed {
            Signatures::Checked
        } else {
            Signatures::Off
        },
    )
}
