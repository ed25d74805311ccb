//! Exit codes: each status with which this program ends, and what it means.

/// Something failed.
pub const FAILURE: u8 = 1;
/// The command line, or a file that it names, makes no sense.
pub const USAGE: u8 = 2;
/// A fleet's job has less of its node than a tune of all of it needs.
pub const PART_OF_NODE: u8 = 3;
/// A profile no longer holds.
pub const DRIFT: u8 = 5;
/// A fleet is not done.
pub const SOME_NODES: u8 = 6;
/// Somebody else holds the lock: a temporary failure (`EX_TEMPFAIL` of sysexits.h).
pub const LOCKED: u8 = 75;
/// `exec` could not apply the settings; this and the next two are as of `env`.
pub const NOT_APPLIED: u8 = 125;
/// `exec` can't run the command.
pub const NOT_RUN: u8 = 126;
/// `exec` does not find the command.
pub const NOT_FOUND: u8 = 127;

/// The status of a program that a signal ended.
pub const fn by_signal(signal: i32) -> i32 {
    128 + signal
}

/// All of them with their meaning, as `--help` and docs/reference.md have them.
const ALL: [(&str, &str); 11] = [
    ("0", "done, with a gain or honestly without"),
    ("1", "failure"),
    ("2", "wrong usage: a flag, a file, or a knob and its place in the command, with the cure"),
    ("3", "a job of `fleet` that has fewer CPUs than a tune of its node needs"),
    ("5", "a profile that has drifted (`verify`)"),
    (
        "6",
        "nodes that could not be tuned (`fleet`), each named with the reason; or a signal ended \
         `fleet` before it was done",
    ),
    (
        "75",
        "another run measures on this machine (`--wait` waits for it), or works on the same fleet",
    ),
    ("125", "`exec` could not apply the settings; 125 to 127 are as of `env`"),
    ("126", "`exec` can't run the command"),
    ("127", "`exec` does not find the command"),
    ("129, 130, 143, …", "a second signal ended it at once (128 and the signal's number)"),
];

/// The sentence at the end of `--help`.
pub fn help() -> String {
    let all = ALL.map(|(code, meaning)| format!("{code} {meaning}"));
    format!("Exit status: {}.", all.join("; ").replace('`', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_the_same_codes() {
        let reference = include_str!("../../docs/reference.md");
        let table = reference.split("## Exit codes\n").nth(1).unwrap().split("\n## ").next();
        let rows = table.unwrap().lines().filter(|line| line.starts_with("| ")).skip(2);
        let rows: Vec<&str> = rows.collect();
        assert_eq!(rows, ALL.map(|(code, meaning)| format!("| {code} | {meaning} |")));
    }

    #[test]
    fn each_code_has_its_meaning() {
        let codes = [
            FAILURE,
            USAGE,
            PART_OF_NODE,
            DRIFT,
            SOME_NODES,
            LOCKED,
            NOT_APPLIED,
            NOT_RUN,
            NOT_FOUND,
        ];
        let listed = ALL.iter().filter_map(|(code, _)| code.parse().ok());
        assert_eq!(listed.skip(1).collect::<Vec<u8>>(), codes);
        let signals = [1, 2, 15].map(|signal| by_signal(signal).to_string());
        assert!(ALL[10].0.starts_with(&signals.join(", ")));
    }
}
