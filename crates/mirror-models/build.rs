//! Sets the run path of programs that link libtorch, and passes the location of libtorch to dependent packages: Cargo
//! does not pass a linker argument from a package to its dependents.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // torch-sys sets the variable to the libtorch that it was built with, except on Windows.
    if let Ok(libraries) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{libraries}");
        println!("cargo::metadata=lib={libraries}");
    }
}
