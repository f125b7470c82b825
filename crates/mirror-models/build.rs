//! Lets programs that link libtorch find it when they run, and tells the packages that depend on
//! this one where it is: a linker argument does not pass from a package to its dependents.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // torch-sys says which libtorch it was built with; on Windows it says nothing.
    if let Ok(libraries) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{libraries}");
        println!("cargo::metadata=lib={libraries}");
    }
}
