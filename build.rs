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
        answer_for_mkl();
    }

    /// A library of one function, which `exec` loads from beside the programs where a profile asks.
    fn answer_for_mkl() {
        const SOURCE: &str = "src/knobs/libraries/mkl.c";
        println!("cargo::rerun-if-changed={SOURCE}");
        let out = std::path::PathBuf::from(var("OUT_DIR").expect("cargo sets OUT_DIR"));
        // OUT_DIR is build/PACKAGE/out below the folder of the programs.
        let programs = out.ancestors().nth(3).expect("cargo's layout");
        let mut compiler = cc::Build::new().get_compiler().to_command();
        let command = compiler.args(["-shared", "-fPIC", "-nostdlib", "-O2", "-o"]);
        let status = command.arg(programs.join("libwan22-mkl.so")).arg(SOURCE).status();
        assert!(status.is_ok_and(|status| status.success()), "the C compiler failed on {SOURCE}");
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
