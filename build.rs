//! Links the worker, and only the worker, with libtorch and with its small C++ shim.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "torch")]
    torch::link_worker();
}

#[cfg(feature = "torch")]
mod torch {
    use std::env::var;

    /// Where torch-sys found libtorch; it tells only crates that depend on it directly.
    const LIBRARIES: &str = "DEP_TCH_LIBTORCH_LIB";

    pub fn link_worker() {
        let libraries = var(LIBRARIES).expect("torch-sys says where libtorch is");
        let worker = "cargo::rustc-link-arg-bin=wan22-worker";
        // $ORIGIN first: a release archive carries libtorch beside the worker.
        println!("{worker}=-Wl,-rpath,$ORIGIN/libtorch/lib:{libraries}");
        shim(&libraries);
    }

    fn shim(libraries: &str) {
        const SOURCE: &str = "src/worker/shim.cpp";
        println!("cargo::rerun-if-changed={SOURCE}");
        let include = std::path::Path::new(libraries).with_file_name("include");
        cc::Build::new()
            .cpp(true)
            .std("c++20")
            .include(&include)
            .include(include.join("torch/csrc/api/include"))
            .flag_if_supported("-Wno-unused-parameter")
            .file(SOURCE)
            .cargo_metadata(false)
            .compile("shim");
        // An argument of the worker's own link, so that no other program sees the shim.
        let out = var("OUT_DIR").expect("cargo sets OUT_DIR");
        println!("cargo::rustc-link-arg-bin=wan22-worker={out}/libshim.a");
    }
}
