//! Program environment: how a command learns the values of knobs that only it can apply.
//!
//! Threads, places, memory and allocator are set from outside; a tile or a batch is not. Whatever
//! is launched finds the path of its profile in one variable, and each knob's value in another.

use std::collections::BTreeMap;

use super::allow_list;
use crate::knobs::{AsIs, KNOBS, Knobs, Value, Values};

/// Pixels per latent pixel of VAE 2.2. Its tiles and strides also are whole latent pixels of VAE 2.1,
/// which has 8.
pub const LARGEST_RATIO: i64 = 16;

/// The variable with the profile's path, unless another is asked for.
pub const PROFILE: &str = "WAN22_PROFILE";

/// The variable with the names of the knobs that nobody chose, separated by commas: a program that has
/// values of its own keeps them, whatever the other variables say.
pub const AS_IS: &str = "WAN22_AS_IS";

/// Whether nothing outside a program can set the knob called `name` for it: it is told the value,
/// and reads it or not.
pub fn is_handed_over(name: &str) -> bool {
    KNOBS.iter().any(|(known, knob)| *known == name && knob.is_handed_over())
}

/// Whether a knob is one that only the user's own command has.
pub fn is_own(name: &str) -> bool {
    KNOBS.iter().all(|(known, _)| *known != name)
}

/// Those of some values that only the user's own command has.
pub fn own(values: &Values) -> Values {
    let own = values.iter().filter(|(name, _)| is_own(name));
    own.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The variable that holds a knob's value: `WAN22_TILE_SIZE` for `tile_size`.
pub fn variable(knob: &str) -> String {
    format!("WAN22_{}", knob.to_ascii_uppercase())
}

/// The variables that hand over `candidate`, whose names are those of knobs. A tile comes with its
/// stride in pixels: `WAN22_TILE_STRIDE` beside `WAN22_TILE_SIZE`, for a VAE of `ratio` pixels per
/// latent pixel.
pub fn variables(candidate: &BTreeMap<String, Value>, ratio: i64) -> BTreeMap<String, String> {
    let values = candidate.iter().map(|(knob, value)| (variable(knob), value.handed()));
    let strides = strides(candidate, ratio);
    let strides = strides.into_iter().map(|(name, stride)| (variable(name), stride.to_string()));
    values.chain(strides).collect()
}

/// The variable with the names of the knobs that are left to the program, where there are any.
pub fn left(program_as_is: &AsIs) -> Option<(String, String)> {
    let names: Vec<&str> = program_as_is.iter().map(String::as_str).collect();
    (!names.is_empty()).then(|| (AS_IS.to_owned(), names.join(",")))
}

/// The stride of each tile that `candidate` has, by the names `tile_stride`, `vae_tile_stride`.
pub fn strides(candidate: &BTreeMap<String, Value>, ratio: i64) -> BTreeMap<&'static str, i64> {
    let beside =
        KNOBS.iter().filter_map(|(name, knob)| knob.handed_beside(candidate.get(*name)?, ratio));
    beside.collect()
}

/// A name for the variable with the profile's path.
///
/// # Errors
/// It is no name, or one that the launch itself or the dynamic linker reads.
pub fn profile_name(name: &str) -> Result<String, String> {
    if !is_name(name) {
        return Err(format!("`{name}` is no name: type letters, digits and _, such as {PROFILE}"));
    }
    if is_taken(name) {
        return Err(format!("`{name}` means something else: type another, such as {PROFILE}"));
    }
    Ok(name.to_owned())
}

/// Checks the name of a variable of the user's own program, into which a knob's value goes.
///
/// # Errors
/// It is no name, or a shell, the dynamic linker, a library or this program acts on it.
pub fn own_variable(name: &str) -> Result<(), String> {
    if is_taken(name) || name == PROFILE {
        let cure = "only you can set it: write `env NAME={knob} COMMAND` as the command";
        return Err(format!("`{name}` means something to more than your program; {cure}"));
    }
    is_name(name).then_some(()).ok_or_else(|| format!("`{name}` is no name of a variable"))
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    begins && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Checks the name of a knob of the user's own command.
///
/// # Errors
/// It is no name, or its variable means something else.
pub fn custom_name(name: &str) -> Result<(), String> {
    knob_name(name)?;
    let variable = variable(name);
    if variable == PROFILE || is_taken(&variable) {
        return Err(format!("`{name}`: {variable} means something else: type another name"));
    }
    Ok(())
}

/// Checks what is to be the name of a knob.
///
/// # Errors
/// It is no name.
pub fn knob_name(name: &str) -> Result<(), String> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || name.len() > 64 || !name.chars().all(is_word) {
        return Err(format!("`{name}` is no name of a knob: type letters a to z, digits and _"));
    }
    Ok(())
}

/// Checks the value of a knob of the user's own command.
///
/// # Errors
/// It is a word that some reader of variables might take for more than a word.
pub fn custom_value(value: &Value) -> Result<(), String> {
    let Value::Word(word) = value else { return Ok(()) };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let is_plain = word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && word.len() <= 255
        && !word.contains("..")
        && word.chars().all(plain);
    let cure =
        "a word begins with a letter, a digit or `_` and has letters, digits, `.`, `_`, `-`, `+`";
    is_plain.then_some(()).ok_or_else(|| format!("`{word}`: {cure}"))
}

/// Whether a shell, the dynamic linker, an interpreter or this program acts on a variable.
fn is_taken(name: &str) -> bool {
    let ours = || {
        let knobs = Knobs::neutral().values();
        variables(&knobs, LARGEST_RATIO).contains_key(name) || OURS.contains(&name)
    };
    let is_acted_on = || ACTED_ON.split(' ').any(|one| one == name);
    let is_of_family = || FAMILIES.split(' ').any(|prefix| name.starts_with(prefix));
    is_acted_on() || is_of_family() || allow_list::decides(name) || ours()
}

/// Variables that this program reads.
const OURS: [&str; 4] = [AS_IS, "WAN22_LOCK_DIR", "WAN22_PROTOCOL", "WAN22_WORKER"];

/// Variables that shells, the C library and interpreters act on.
const ACTED_ON: &str = "\
    ALL_PROXY BASHOPTS CDPATH CHILD_MAX CLASSPATH COLUMNS COMP_WORDBREAKS DEBUGINFOD_URLS \
    DIRSTACK DISPLAY EDITOR ENV EPOCHREALTIME EPOCHSECONDS EUID EXECIGNORE FCEDIT FPATH \
    FTP_PROXY FUNCNAME FUNCNEST GETCONF_DIR GLOBIGNORE GROUPS HISTCMD HISTCONTROL HISTFILE \
    HISTIGNORE HISTSIZE HOME HOSTALIASES HOSTFILE HOSTNAME HOSTTYPE HTTPS_PROXY HTTP_PROXY IFS \
    INPUTRC LANG LANGUAGE LESS LESSCLOSE LESSOPEN LINENO LINES LOCALDOMAIN LOCPATH LOGNAME \
    MACHTYPE MAIL MAKEFLAGS MAPFILE MFLAGS MORE NLSPATH NO_PROXY OLDPWD OPENSSL_CONF \
    OPENSSL_ENGINES OPENSSL_MODULES OPTARG OPTERR OPTIND OSTYPE PAGER PATH PIPESTATUS \
    POSIXLY_CORRECT PPID PROMPT_COMMAND PROMPT_DIRTRIM PS0 PS3 PWD RANDOM READLINE_LINE \
    READLINE_POINT REPLY SECONDS SHELL SHELLOPTS SHLVL SRANDOM SSL_CERT_DIR SSL_CERT_FILE TERM \
    TERMCAP TERMINFO TERMINFO_DIRS TIMEFORMAT TMOUT TMPDIR TZ TZDIR UID USER VISUAL all_proxy \
    ftp_proxy http_proxy https_proxy no_proxy";

/// Beginnings of names that belong to the linker, the C library, interpreters and tools.
const FAMILIES: &str = "\
    BASH CONDA_ CUDA_ DYLD_ GCONV_ GIT_ HF_ JAVA_ JDK_ LC_ LD_ LUA_ NCCL_ NODE_ NVIDIA_ PERL PHP \
    PS1 PS2 PS4 PYTHON RES_ RESOLV_ RUBY SLURM_ SSH_ VIRTUAL_ENV XDG_ ZDOTDIR _JAVA_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knob_and_the_profile_are_handed_over() {
        let candidate = [
            ("tile_size".to_owned(), Value::Integer(512)),
            ("precision".to_owned(), Value::Word("bf16-vae".to_owned())),
        ];
        let handed = variables(&candidate.into(), 16);
        let text: Vec<String> = handed.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let expected = ["WAN22_PRECISION=bf16-vae", "WAN22_TILE_SIZE=512", "WAN22_TILE_STRIDE=384"];
        assert_eq!(text, expected);
    }

    #[test]
    fn the_profiles_variable_has_a_name_of_its_own() {
        for name in ["WAN22_PROFILE", "_x1", "my_profile"] {
            assert_eq!(profile_name(name), Ok(name.to_owned()));
        }
        for name in ["", "1X", "A B", "A=B", "Ä", "PATH", "LD_PRELOAD", "OMP_NUM_THREADS"] {
            assert!(profile_name(name).unwrap_err().contains("WAN22_PROFILE"), "{name}");
        }
        let read_by_shells =
            ["BASH_ENV", "ENV", "IFS", "EUID", "TMOUT", "PS3", "FUNCNEST", "REPLY"];
        let read_by_others = ["PYTHONSTARTUP", "PERL5OPT", "GCONV_PATH", "http_proxy", "MAKEFLAGS"];
        for acted_on in read_by_shells.into_iter().chain(read_by_others) {
            assert!(profile_name(acted_on).is_err(), "{acted_on}");
        }
        for ours in ["WAN22_BATCH_SIZE", "WAN22_VAE_TILE_STRIDE", "WAN22_LOCK_DIR"] {
            assert!(profile_name(ours).is_err(), "{ours}");
        }
    }

    #[test]
    fn the_docs_speak_of_no_variable_that_does_not_exist() {
        // The knob of a command's own in docs/reference.md.
        let example = variable("threshold");
        let known = |name: &str| {
            let handed = variables(&Knobs::neutral().values(), LARGEST_RATIO);
            let all = handed.keys().map(String::as_str).chain(OURS).chain([PROFILE, &example]);
            all.into_iter()
                .any(|known| known == name || (name.ends_with('_') && known.starts_with(name)))
        };
        let docs = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
        let pages = docs.map(|page| std::fs::read_to_string(page.unwrap().path()).unwrap());
        let text: String = pages.collect();
        let word = regex_lite::Regex::new("WAN22_[A-Z0-9_]*").unwrap();
        let mut named = 0;
        for found in word.find_iter(&text) {
            assert!(known(found.as_str()), "{}", found.as_str());
            named += 1;
        }
        assert!(named > 5);
    }
}
