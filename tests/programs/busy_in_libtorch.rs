//! A node whose main thread is permanently busy in native code: it multiplies matrices in libtorch. It logs `busy` once
//! it has begun.

use std::process::ExitCode;

use mirror_models::torch;
use mirror_node::Control;
use mirror_spec::launch::Launch;
use serde::de::IgnoredAny;
use tch::{Device, Kind, Tensor};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Number of rows and columns. One product takes much longer than a look at the clock.
const SIZE: i64 = 2_048;

fn main() -> ExitCode {
    mirror_node::run(serve)
}

async fn serve(
    _launch: Launch<IgnoredAny>,
    _listener: TcpListener,
    _shutdown: CancellationToken,
    _control: Control,
) -> anyhow::Result<()> {
    torch::prepare("cpu", 1)?;
    let matrix = Tensor::eye(SIZE, (Kind::Float, Device::Cpu));
    let mut product = matrix.copy();
    eprintln!("busy");
    loop {
        product = product.f_matmul(&matrix)?;
    }
}
