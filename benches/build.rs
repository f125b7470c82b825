//! Compiles the contract of the reference, and sets the rpath so that the benchmarks find libtorch at run time.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=proto");
    if let Ok(libraries) = std::env::var("DEP_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg-benches=-Wl,-rpath,{libraries}");
    }
    tonic_prost_build::configure().compile_fds(protox::compile(["echo.proto"], ["proto"])?)?;
    Ok(())
}
