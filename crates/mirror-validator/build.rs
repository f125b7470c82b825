//! Sets the run path of the validator binary to the directory of libtorch.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(libraries) = std::env::var("DEP_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{libraries}");
        // No symbol of the library that adds CUDA support is referenced, so the linker would drop it.
        if Path::new(&libraries).join("libtorch_cuda.so").exists() {
            println!("cargo::rustc-link-arg=-Wl,--push-state,--no-as-needed,-ltorch_cuda,--pop-state");
        }
    }
}
