//! Compiles the reference's contract, and lets the benchmark of the dendrite pool find libtorch when it runs.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=proto");
    if let Ok(libraries) = std::env::var("DEP_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg-benches=-Wl,-rpath,{libraries}");
    }
    tonic_prost_build::configure().compile_fds(protox::compile(["echo.proto"], ["proto"])?)?;
    Ok(())
}
