//! Guests: this very program, run again on a Linux kernel with the nodes that a test wants.
//!
//! QEMU emulates the machine instruction by instruction, so that no virtualisation is needed:
//! right for asking where pages lie, never for timing. The guest sees the host's files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Set for the program inside of a guest.
const INSIDE: &str = "WAN22_NUMA_GUEST";

/// More than the slowest test needs on a busy host.
const PATIENCE_S: &str = "400";

/// Memory of each node.
const NODE_MIB: usize = 640;

/// `lpj` and `tsc` save measuring at boot what emulation would only get wrong; balancing would move
/// pages while they are looked at.
const PARAMETERS: &str = "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable \
                          no_timer_check lpj=4000000 nowatchdog numa_balancing=disable";

/// A machine to emulate.
#[derive(Clone, Copy)]
pub struct Guest {
    /// Packages, or dies of one package: each is an L3 group.
    pub in_one_package: bool,
    /// Nodes with CPUs, one a package or die.
    pub nodes: usize,
    /// Cores of each.
    pub cores: usize,
    /// Threads of each core.
    pub threads: usize,
    /// One more node, without CPUs.
    pub memory_node: bool,
    /// More kernel parameters.
    pub kernel: &'static str,
}

/// Runs `check` in a guest: on the host it boots one, which runs the test `name` of this program.
pub fn run(guest: Guest, name: &str, check: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return check();
    }
    let shared = tempfile::tempdir().unwrap();
    fs::write(shared.path().join("command"), command(name)).unwrap();
    let emulator = guest.emulator(shared.path()).output().unwrap();
    let read = |file: &str| fs::read_to_string(shared.path().join(file)).unwrap_or_default();
    let (output, status) = (read("output"), read("status"));
    print!("{output}");
    if status.is_empty() {
        eprintln!("{}", String::from_utf8_lossy(&emulator.stderr));
        panic!("the guest did not finish; its console ends with:\n{}", tail(&read("console")));
    }
    assert_eq!(status.trim(), "0", "{name} failed in its guest");
    // A filter that fits no test is a success, too.
    assert!(output.contains("test result: ok. 1 passed"), "{name} did not run in its guest");
}

/// What the guest runs, as a shell script: this program with this one test.
fn command(name: &str) -> String {
    let program = quoted(&std::env::current_exe().unwrap());
    let folder = quoted(&std::env::current_dir().unwrap());
    format!(
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/dev/shm {INSIDE}=1\n\
         cd {folder}\nexec {program} --exact {name} --nocapture\n"
    )
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_str().expect("a path in UTF-8").replace('\'', r"'\''"))
}

/// The folder with the guests' kernel, which is fetched once.
static KERNEL: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("numa-guest");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/numa/kernel.sh");
    let made = Command::new(script).arg(&folder).status().unwrap();
    assert!(made.success(), "fetching the guests' kernel");
    folder
});

fn tail(console: &str) -> &str {
    let start = console.rmatch_indices('\n').nth(30).map_or(0, |(position, _)| position);
    &console[start..]
}

impl Guest {
    fn emulator(self, shared: &Path) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", PATIENCE_S, "qemu-system-x86_64"]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        // One emulating thread, to which a spinning CPU hands over: with more, guests of many CPUs
        // don't come up on few. Idle CPUs must not wait with MWAIT, which burns the host's. Only
        // for this vendor does the emulator tell of threads and dies.
        command.args(["-machine", "q35", "-accel", "tcg,thread=single"]);
        command.args(["-cpu", "max,vendor=GenuineIntel,-monitor", "-smp", &self.processors()]);
        command.arg("-kernel").arg(KERNEL.join("vmlinuz"));
        command.arg("-initrd").arg(KERNEL.join("initrd"));
        command.args(["-append", &format!("{PARAMETERS} {}", self.kernel)]);
        command.args(["-serial", &format!("file:{}", shared.join("console").display())]);
        share(&mut command, "root", "/,readonly=on,multidevs=remap");
        share(&mut command, "shared", &shared.display().to_string());
        command.args(self.memory());
        command.stdin(Stdio::null());
        command
    }

    fn processors(self) -> String {
        let Self { nodes, cores, threads, .. } = self;
        let (packages, dies) = if self.in_one_package { (1, nodes) } else { (nodes, 1) };
        let cpus = nodes * cores * threads;
        format!("{cpus},sockets={packages},dies={dies},cores={cores},threads={threads}")
    }

    fn memory(self) -> Vec<String> {
        let nodes = self.nodes + usize::from(self.memory_node);
        let mut arguments = vec!["-m".to_owned(), format!("{}M", nodes * NODE_MIB)];
        for node in 0..nodes {
            arguments.push("-object".to_owned());
            arguments.push(format!("memory-backend-ram,id=m{node},size={NODE_MIB}M"));
            let first = node * self.cores * self.threads;
            let last = first + self.cores * self.threads - 1;
            let cpus = if node < self.nodes { format!(",cpus={first}-{last}") } else { "".into() };
            arguments.push("-numa".to_owned());
            arguments.push(format!("node,nodeid={node},memdev=m{node}{cpus}"));
        }
        let far = if self.in_one_package { 12 } else { 21 };
        for (from, to) in (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))) {
            if from != to {
                arguments.push("-numa".to_owned());
                arguments.push(format!("dist,src={from},dst={to},val={far}"));
            }
        }
        arguments
    }
}

fn share(command: &mut Command, name: &str, path: &str) {
    command.args(["-fsdev", &format!("local,id={name},path={path},security_model=none")]);
    command.args(["-device", &format!("virtio-9p-pci,fsdev={name},mount_tag={name}")]);
}
