//! Manifest: an Indexed Job of Kubernetes, each of whose pods tunes the node on which it runs.

use std::fmt::Write;
use std::path::Path;

use super::engine::{NODE_VARIABLE, Task};

/// Seconds in which a tune that is told to end writes its profile.
const GRACE_S: u32 = 120;

/// What a manifest is made of.
#[derive(Clone, Copy, Debug)]
pub struct Manifest<'a> {
    /// The image, which has the program.
    pub image: &'a str,
    /// The volume claim that holds the fleet's folder.
    pub claim: &'a str,
    /// The fleet's folder, as pods see it.
    pub folder: &'a Path,
    /// The nodes, by the label `kubernetes.io/hostname`.
    pub nodes: &'a [String],
    /// Pods at once.
    pub at_once: usize,
    /// Starts of a pod that may fail.
    pub tries: u32,
    /// The longest that a pod may take, seconds.
    pub limit_s: u64,
}

impl Manifest<'_> {
    /// The manifest, as YAML. Texts are written as JSON strings, which YAML reads as they are. In a command
    /// Kubernetes takes `$(NAME)` for a variable, and `$$` for a dollar.
    pub fn yaml(&self) -> String {
        let count = self.nodes.len();
        let folder = self.folder.display().to_string();
        let probe_and_tune = format!(
            "wan22-tune fleet \"$0\" --here={} && exec wan22-tune fleet \"$0\" --here={}",
            Task::Probe,
            Task::Tune
        );
        let words = ["sh", "-c", &probe_and_tune, &folder];
        let words = words.map(|word| string(word.replace('$', "$$"))).join(", ");
        let nodes: Vec<String> = self.nodes.iter().map(string).collect();
        let mut text = String::from(
            "# Tunes each of the nodes named below, one pod a node. Then, where the volume is mounted,\n\
             # `wan22-tune fleet DIR --engine none --each node` gathers profiles and the report.\n",
        );
        let _ = write!(
            text,
            "apiVersion: batch/v1\n\
             kind: Job\n\
             metadata:\n\
             \x20 name: wan22-fleet\n\
             spec:\n\
             \x20 completionMode: Indexed\n\
             \x20 completions: {count}\n\
             \x20 parallelism: {}\n\
             \x20 backoffLimitPerIndex: {}\n\
             \x20 maxFailedIndexes: {count}\n\
             \x20 template:\n\
             \x20   metadata:\n\
             \x20     labels:\n\
             \x20       app: wan22-fleet\n\
             \x20   spec:\n\
             \x20     restartPolicy: Never\n\
             \x20     terminationGracePeriodSeconds: {GRACE_S}\n\
             \x20     activeDeadlineSeconds: {}\n",
            self.at_once.min(count),
            self.tries,
            self.limit_s
        );
        let _ = write!(
            text,
            "\x20     affinity:\n\
             \x20       nodeAffinity:\n\
             \x20         requiredDuringSchedulingIgnoredDuringExecution:\n\
             \x20           nodeSelectorTerms:\n\
             \x20             - matchExpressions:\n\
             \x20                 - key: kubernetes.io/hostname\n\
             \x20                   operator: In\n\
             \x20                   values: [{}]\n\
             \x20       podAntiAffinity:\n\
             \x20         requiredDuringSchedulingIgnoredDuringExecution:\n\
             \x20           - topologyKey: kubernetes.io/hostname\n\
             \x20             labelSelector:\n\
             \x20               matchLabels:\n\
             \x20                 app: wan22-fleet\n",
            nodes.join(", ")
        );
        let _ = write!(
            text,
            "\x20     containers:\n\
             \x20       - name: tune\n\
             \x20         image: {}\n\
             \x20         command: [{words}]\n\
             \x20         env:\n\
             \x20           - name: {NODE_VARIABLE}\n\
             \x20             valueFrom:\n\
             \x20               fieldRef:\n\
             \x20                 fieldPath: spec.nodeName\n\
             \x20         volumeMounts:\n\
             \x20           - name: fleet\n\
             \x20             mountPath: {}\n\
             \x20     volumes:\n\
             \x20       - name: fleet\n\
             \x20         persistentVolumeClaim:\n\
             \x20           claimName: {}\n",
            string(self.image),
            string(&folder),
            string(self.claim)
        );
        text
    }
}

/// A text in double quotes; letters that YAML does not print are written by their numbers.
fn string(text: impl AsRef<str>) -> String {
    let text = serde_json::to_string(text.as_ref()).expect("a text is plain data");
    let letter = |c: char| match c {
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
            format!("\\u{:04x}", u32::from(c))
        }
        c => c.to_string(),
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The fields of Kubernetes' reference that the manifest uses, each below the object that has it.
    const FIELDS: [(&str, &[&str]); 12] = [
        ("", &["apiVersion", "kind", "metadata", "spec"]),
        ("/metadata", &["name"]),
        (
            "/spec",
            &[
                "completionMode",
                "completions",
                "parallelism",
                "backoffLimitPerIndex",
                "maxFailedIndexes",
                "template",
            ],
        ),
        ("/spec/template", &["metadata", "spec"]),
        (
            "/spec/template/spec",
            &[
                "restartPolicy",
                "terminationGracePeriodSeconds",
                "activeDeadlineSeconds",
                "affinity",
                "containers",
                "volumes",
            ],
        ),
        ("/spec/template/spec/affinity", &["nodeAffinity", "podAntiAffinity"]),
        ("/spec/template/spec/containers/0", &["name", "image", "command", "env", "volumeMounts"]),
        ("/spec/template/spec/containers/0/env/0", &["name", "valueFrom"]),
        ("/spec/template/spec/containers/0/env/0/valueFrom/fieldRef", &["fieldPath"]),
        ("/spec/template/spec/containers/0/volumeMounts/0", &["name", "mountPath"]),
        ("/spec/template/spec/volumes/0", &["name", "persistentVolumeClaim"]),
        ("/spec/template/spec/volumes/0/persistentVolumeClaim", &["claimName"]),
    ];

    fn read() -> Value {
        read_in("/fleet/my dir")
    }

    fn read_in(folder: &str) -> Value {
        let nodes: Vec<String> = ["a", "b: c", "d"].map(str::to_owned).to_vec();
        let (image, claim, folder) = ("registry/wan22:1", "shared", Path::new(folder));
        let manifest =
            Manifest { image, claim, folder, nodes: &nodes, at_once: 64, tries: 3, limit_s: 2400 };
        serde_saphyr::from_str(&manifest.yaml()).unwrap()
    }

    #[test]
    fn each_object_has_fields_that_kubernetes_documents() {
        let manifest = read();
        for (place, fields) in FIELDS {
            let object = manifest.pointer(place).and_then(Value::as_object);
            let found: Vec<&String> = object.unwrap_or_else(|| panic!("{place}")).keys().collect();
            assert_eq!(found, fields, "{place}");
        }
    }

    #[test]
    fn one_pod_tunes_each_node() {
        let manifest = read();
        let spec = &manifest["spec"];
        assert_eq!((&spec["completions"], &spec["parallelism"]), (&json!(3), &json!(3)));
        // What a limit per index is allowed with.
        let pod = &spec["template"]["spec"];
        assert_eq!(
            (&spec["completionMode"], &pod["restartPolicy"]),
            (&json!("Indexed"), &json!("Never"))
        );
        let label = &spec["template"]["metadata"]["labels"]["app"];
        let apart = &pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            [0];
        assert_eq!(&apart["labelSelector"]["matchLabels"]["app"], label);
        let on = pod.pointer("/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions/0");
        assert_eq!(on.unwrap()["values"], json!(["a", "b: c", "d"]));
        let container = &pod["containers"][0];
        assert_eq!(container["command"][3], json!("/fleet/my dir"));
        assert_eq!(container["volumeMounts"][0]["mountPath"], json!("/fleet/my dir"));
        assert_eq!(container["volumeMounts"][0]["name"], pod["volumes"][0]["name"]);
        assert_eq!(container["env"][0]["name"], json!("WAN22_FLEET_NODE"));
    }

    /// What Kubernetes makes of a word of a command (third_party/forked/golang/expansion): a dollar before
    /// another one is dropped, a name in parentheses is looked for, anything else stays.
    fn expanded(word: &str) -> String {
        let (mut rest, mut text) = (word, String::new());
        while let Some((before, after)) = rest.split_once('$') {
            text += before;
            let (letters, left) = match (after.chars().next(), after.find(')')) {
                (Some('$'), _) => ("$".to_owned(), &after[1..]),
                (Some('('), Some(end)) => ("EXPANDED".to_owned(), &after[end + 1..]),
                _ => ("$".to_owned(), after),
            };
            text += &letters;
            rest = left;
        }
        text + rest
    }

    #[test]
    fn a_container_gets_the_words_that_were_meant() {
        let script =
            "wan22-tune fleet \"$0\" --here=probe && exec wan22-tune fleet \"$0\" --here=tune";
        for folder in [
            "/fleet/$(HOME)/$$(X) $1",
            "/it's \"quoted\": # no comment\n- {a: b}",
            "/\\n\t\u{7f}\u{85}\u{2028}ü😀",
            "/%s {{x}} *a &b !c | > @ `",
        ] {
            let manifest = read_in(folder);
            let container = &manifest["spec"]["template"]["spec"]["containers"][0];
            let command = container["command"].as_array().unwrap().iter();
            let words: Vec<String> = command.map(|word| expanded(word.as_str().unwrap())).collect();
            assert_eq!(words, ["sh", "-c", script, folder]);
            assert_eq!(container["volumeMounts"][0]["mountPath"], json!(folder), "never expanded");
        }
    }
}
