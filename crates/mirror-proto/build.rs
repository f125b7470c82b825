//! Compiles the contracts under `proto/` without requiring protoc: protox parses them, and tonic-prost-build generates
//! Rust code.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let files = protox::compile(
        [
            "bittensor/text_prompting.proto",
            "mirror/v1/agent.proto",
            "mirror/v1/dispatch_error.proto",
            "mirror/v1/record.proto",
            "mirror/v1/control.proto",
            "mirror/v1/coordinator.proto",
            "mirror/v1/neuron.proto",
            "mirror/v1/run_control.proto",
            "mirror/v1/proxy.proto",
            "mirror/v1/subtensor.proto",
        ],
        [root],
    )?;
    tonic_prost_build::configure()
        .codec_path("crate::codec::Codec")
        .bytes(".mirror.v1.Sequenced.record")
        .compile_fds(files)?;
    Ok(())
}
