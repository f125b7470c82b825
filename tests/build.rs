//! Sets the rpath of the program that is busy in libtorch, so that it finds libtorch at run time.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(libraries) = std::env::var("DEP_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg-bin=busy_in_libtorch=-Wl,-rpath,{libraries}");
    }
}
