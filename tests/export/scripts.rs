//! What shells, service managers and schedulers read.

use super::*;

#[test]
fn scripts_stop_with_a_line_where_their_library_is_absent() {
    // What this machine has can't be told; a file of that name is in none of the folders.
    let profile = with_library("libmimalloc.so.2");
    for (dialect, program) in
        [(Dialect::Slurm, "srun"), (Dialect::Numactl, "numactl"), (Dialect::Sh, "taskset")]
    {
        let exported = export(&profile, dialect, "job.sh", &[]);
        let nowhere = exported.text.replace("/libmimalloc", "/absent/libmimalloc");
        fs::write(&exported.path, nowhere).unwrap();
        let folder = stand_in(&exported, program, "echo it ran");
        let path = format!("{folder}:/usr/bin:/bin");
        let script = exported.path.display().to_string();
        let arguments = match dialect {
            Dialect::Sh => vec!["-c".to_owned(), format!(". '{script}'")],
            _ => vec![script, "true".to_owned()],
        };
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let output = run("bash", &arguments, &[("PATH", path.as_str())]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{dialect}: {said}");
        let expected =
            "wan22-tune: no libmimalloc.so.2 is installed here (Debian: libmimalloc2.0)\n";
        assert_eq!((said.as_str(), output.stdout.len()), (expected, 0), "{dialect}");
    }
    let unit = export(&profile, Dialect::Systemd, "wan22.conf", &[]).text;
    let asserted = unit.lines().filter(|line| line.starts_with("AssertPathExists="));
    assert!(asserted.clone().count() > 0, "{unit}");
    assert!(asserted.into_iter().all(|line| line.ends_with("/libmimalloc.so.2")), "{unit}");
}

#[test]
fn bash_and_sh_source_what_the_profile_says_and_forget_the_rest() {
    for_all(|profile| {
        let exported = export(profile, Dialect::Sh, "profile.sh", &[]);
        without_library_test(&exported);
        for shell in ["bash", "sh"] {
            // The stand-in says what it is asked for: these CPUs are another machine's.
            let folder = stand_in(&exported, "taskset", "echo \"$2\" >&2");
            let script = format!(". '{}'; env -0", exported.path.display());
            let path = format!("{folder}:/usr/bin:/bin");
            let environment = [&POLLUTED[..], &[("PATH", path.as_str())]].concat();
            let output = run(shell, &["-c", &script].map(OsStr::new), &environment);
            let got = pairs(&stdout(&output));
            assert_environment(profile, &got);
            assert!(!got.contains_key("OMP_PROC_BIND") && !got.contains_key("KMP_AFFINITY"));
            let bound = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(bound.lines().any(|line| line == profile.launch.cpus.to_string()), "{bound}");
        }
    });
}

/// A profile that leaves every knob outside the program as it is, of a machine with more CPUs than any.
fn left_as_it_is() -> Profile {
    let machine = Machine::from_synthetic("package:8 [numa(memory=8GB)] core:512 pu:1").unwrap();
    let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
    let baseline = baseline.as_is(&machine, &BTreeMap::new());
    let made = "2026-11-24T10:00:00Z".to_owned();
    let profile = Profile::new(&machine, &baseline, &baseline.knobs, made).unwrap();
    assert!(profile.launch.environment.is_empty() && !profile.launch.as_is.is_empty());
    profile
}

#[test]
fn what_a_profile_leaves_as_it_is_stays_so_in_every_dialect() {
    let profile = left_as_it_is();
    for dialect in Dialect::VARIANTS {
        let text = export(&profile, *dialect, "profile", &[]).text;
        for word in [
            "taskset",
            "for wan22_name",
            "CPUAffinity",
            "NUMAPolicy",
            "UnsetEnvironment",
            "physcpubind",
            "cpuset-cpus",
            "cpus-per-task",
            "mask_cpu",
            "cpu:",
        ] {
            assert!(!text.contains(word), "{dialect}: {word} in\n{text}");
        }
    }
    for (dialect, words) in [
        (Dialect::Sh, &[][..]),
        (Dialect::Numactl, &["env", "-0"]),
        (Dialect::Slurm, &["env", "-0"]),
    ] {
        let exported = export(&profile, dialect, "profile.sh", words);
        // The stand-in for srun becomes the command; nothing asks for a stand-in for numactl.
        let folder = stand_in(&exported, "srun", "shift\nexec \"$@\"");
        let path = format!("{folder}:/usr/bin:/bin");
        let own = [("PATH", path.as_str()), ("FOO", "bar"), ("KMP_BLOCKTIME", "7")];
        let environment = [&POLLUTED[..], &own].concat();
        let script = match dialect {
            Dialect::Sh => format!(". '{}'; env -0", exported.path.display()),
            _ => format!(". '{}'", exported.path.display()),
        };
        for shell in ["sh", "bash"] {
            let output = run(shell, &["-c", &script].map(OsStr::new), &environment);
            let got = pairs(&stdout(&output));
            for (name, value) in &environment {
                let got = got.get(*name).map(String::as_str);
                assert_eq!(got, Some(*value), "{dialect}, {shell}: {name}");
            }
        }
    }
    let exported = export(&profile, Dialect::Python, "wan22_profile.py", &[]);
    let code = "import os; print(os.environ['FOO'], os.environ['KMP_BLOCKTIME'])";
    let arguments = [exported.path.as_os_str(), OsStr::new("-c"), OsStr::new(code)];
    let output = run("python3", &arguments, &[("FOO", "bar"), ("KMP_BLOCKTIME", "7")]);
    assert_eq!(stdout(&output), "bar 7\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "these CPUs were not asked for");
}

/// A program that stands in for one that this machine may lack; gives its folder.
fn stand_in(exported: &Exported, name: &str, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = exported.folder.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    exported.folder.path().display().to_string()
}

#[test]
fn env_files_are_read_by_env_and_by_the_rules_of_docker() {
    for_all(|profile| {
        for dialect in [Dialect::Env, Dialect::Docker, Dialect::Podman] {
            let exported = export(profile, dialect, "profile.env", &[]);
            let script = format!("env -i $(grep -v '^#' '{}') env -0", exported.path.display());
            let output = run("bash", &["-c", &script].map(OsStr::new), &[]);
            assert_environment(profile, &pairs(&stdout(&output)));
            assert_environment(profile, &docker(&exported.text));
            if profile.launch.memory == MemoryPolicy::Default || dialect == Dialect::Env {
                continue;
            }
            let flag = match profile.launch.memory {
                MemoryPolicy::Bind(_) => "--cpuset-mems ",
                _ => "--cap-add SYS_NICE",
            };
            assert!(exported.text.contains(flag), "{}", exported.text);
        }
    });
}

/// docker/cli's `opts/envfile.go`: blank lines and lines that begin with # are passed over, a name
/// may hold no blank, a line without = takes the caller's value, quotes stay as they are.
fn docker(text: &str) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').expect("no value is taken from the caller");
        assert!(!name.is_empty() && !name.contains([' ', '\t']), "{line}");
        assert!(!value.contains(['"', '\'']), "quotes would stay: {line}");
        variables.insert(name.to_owned(), value.to_owned());
    }
    variables
}

#[test]
fn systemd_reads_drop_ins_and_units_without_a_word() {
    for_all(|profile| {
        let exported = export(profile, Dialect::Systemd, "wan22.conf", &[]);
        let unit = exported.folder.path().join("demo.service");
        let drop_ins = exported.folder.path().join("demo.service.d");
        fs::create_dir(&drop_ins).unwrap();
        fs::rename(&exported.path, drop_ins.join("wan22.conf")).unwrap();
        fs::write(&unit, "[Service]\nExecStart=/bin/true\n").unwrap();
        assert_silent(&unit);
        assert_environment(profile, &systemd(&exported.text));
        let odd = ["/bin/echo", "a b", "50%", "$HOME", "quote\"d", "back\\slash", "é"];
        let whole = export(profile, Dialect::Systemd, "whole.service", &odd);
        assert_silent(&whole.path);
        assert_environment(profile, &systemd(&whole.text));
    });
}

/// `systemd-analyze verify` ends with 0 on lines that it can't read, and says so on stderr.
fn assert_silent(unit: &Path) {
    let output = run("systemd-analyze", &[OsStr::new("verify"), unit.as_os_str()], &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.is_empty() && output.status.success(), "{said}");
}

/// systemd.exec's Environment= with one assignment in double quotes a line.
fn systemd(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("Environment=\""));
    let inner = lines.map(|line| line.strip_suffix('"').unwrap());
    let plain =
        inner.map(|line| line.replace("%%", "%").replace("\\\"", "\"").replace("\\\\", "\\"));
    plain
        .map(|pair| pair.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap())
        .collect()
}

#[test]
fn a_batch_script_and_a_numactl_script_start_the_command_as_the_profile_says() {
    for_all(|profile| {
        for (dialect, program) in [(Dialect::Slurm, "srun"), (Dialect::Numactl, "numactl")] {
            let odd = ["printf", "%s|", "a b", "it's", "$HOME", "\"", "*", ""];
            let exported = export(profile, dialect, "job.sh", &odd);
            without_library_test(&exported);
            // It says what it was asked for, then becomes the command, as the real one does.
            let script = "printf '%s\\0' \"$@\" > \"$0.asked\"\nenv -0 > \"$0.env\"\n\
                          while [ \"$1\" != printf ]; do shift; done\nexec \"$@\"";
            let path = format!("{}:/usr/bin:/bin", stand_in(&exported, program, script));
            let environment = [&POLLUTED[..], &[("PATH", path.as_str())]].concat();
            let output =
                run("bash", &[exported.path.as_os_str(), OsStr::new("more")], &environment);
            assert_eq!(stdout(&output), "a b|it's|$HOME|\"|*||more|");
            let read = |suffix: &str| {
                let path = exported.folder.path().join(format!("{program}.{suffix}"));
                fs::read_to_string(path).unwrap()
            };
            let got = pairs(&read("env"));
            assert_environment(profile, &got);
            assert!(!got.contains_key("OMP_PROC_BIND"));
            let asked: Vec<String> = read("asked").split('\0').map(ToOwned::to_owned).collect();
            let has =
                |flag: &str| assert!(asked.iter().any(|word| word == flag), "{flag}: {asked:?}");
            match &profile.launch.memory {
                MemoryPolicy::Interleave(nodes) => has(&format!("--interleave={nodes}")),
                MemoryPolicy::Bind(nodes) => has(&format!("--membind={nodes}")),
                MemoryPolicy::Preferred(nodes) => has(&format!("--preferred={nodes}")),
                _ => assert!(!asked.iter().any(|word| word.starts_with("--interleave="))),
            }
            if dialect == Dialect::Numactl {
                has(&format!("--physcpubind={}", profile.launch.cpus));
            }
        }
    });
}

#[test]
fn a_yaml_parser_reads_the_pod() {
    for_all(|profile| {
        let odd = ["python", "- x: y", "#no", "\"", "é\t"];
        let exported = export(profile, Dialect::K8s, "pod.yaml", &odd);
        let pod: serde_json::Value = serde_saphyr::from_str(&exported.text).unwrap();
        assert_eq!((&pod["kind"], &pod["apiVersion"]), (&"Pod".into(), &"v1".into()));
        let container = &pod["spec"]["containers"][0];
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let variables = container["env"].as_array().unwrap().iter();
        let got: BTreeMap<String, String> =
            variables.map(|pair| (text(&pair["name"]), text(&pair["value"]))).collect();
        assert_environment(profile, &got);
        let command: Vec<String> =
            container["command"].as_array().unwrap().iter().map(text).collect();
        assert!(command.ends_with(&odd.map(ToOwned::to_owned)), "{command:?}");
        assert_eq!(container["resources"]["limits"]["cpu"], profile.launch.cpus.len().to_string());
        let nice = container["securityContext"]["capabilities"]["add"][0] == "SYS_NICE";
        assert_eq!(nice, profile.launch.memory != MemoryPolicy::Default);
    });
}

#[test]
fn a_reader_of_prometheus_text_reads_the_facts() {
    for_all(|profile| {
        let exported = export(profile, Dialect::Prometheus, "wan22.prom", &[]);
        let sample = regex_lite::Regex::new(
            r#"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)*\})? [-+0-9.eE]+$"#,
        );
        let sample = sample.unwrap();
        let mut typed = String::new();
        for line in exported.text.lines() {
            if let Some(comment) = line.strip_prefix("# TYPE ") {
                typed = comment.split(' ').next().unwrap().to_owned();
            } else if !line.starts_with("# HELP ") {
                assert!(sample.is_match(line) && line.starts_with(&typed), "{line}");
            }
        }
        assert!(exported.text.ends_with('\n'));
        let cpus = format!("cpus=\"{}\"", profile.launch.cpus);
        assert!(exported.text.contains(&cpus), "{}", exported.text);
    });
}
