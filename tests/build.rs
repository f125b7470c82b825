//! Lets the program that is busy in libtorch find it when it runs, wherever it was when it was built.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(libraries) = std::env::var("DEP_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg-bin=busy_in_libtorch=-Wl,-rpath,{libraries}");
    }
}
