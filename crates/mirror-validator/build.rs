//! Lets the validator find libtorch when it runs, wherever it was when it was built.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(libraries) = std::env::var("DEP_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{libraries}");
        // Nothing refers to the library that brings CUDA to tensors, so the linker would leave it out.
        if Path::new(&libraries).join("libtorch_cuda.so").exists() {
            println!("cargo::rustc-link-arg=-Wl,--push-state,--no-as-needed,-ltorch_cuda,--pop-state");
        }
    }
}
