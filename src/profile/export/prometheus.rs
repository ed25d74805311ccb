//! `prometheus`: what the profile says, for the node exporter's textfile collector.

use std::fmt::Write;

use crate::profile::Profile;

pub(super) fn text(profile: &Profile) -> String {
    let mut text = String::new();
    let fingerprint = &profile.machine.fingerprint;
    let evidence = profile.evidence.as_ref();
    let labels = [
        ("host", profile.machine.host.as_str()),
        ("shape", &fingerprint.shape),
        ("identity", &fingerprint.identity),
        ("verdict", evidence.map_or("never measured", |evidence| &evidence.verdict)),
        ("cpus", &profile.launch.cpus.to_string()),
        ("memory", &profile.launch.memory.to_string()),
        ("tool", &profile.tool),
    ]
    .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    let labels = format!("{{{}}}", labels.join(","));
    gauge(&mut text, "info", "Which profile it is.", &labels, 1.0);
    let made = profile.timestamp.parse::<jiff::Timestamp>();
    if let Ok(made) = made {
        let help = "When the profile was made.";
        gauge(&mut text, "timestamp_seconds", help, "", made.as_second() as f64);
    }
    let Some(evidence) = evidence else { return text };
    let gain = evidence.gain_percent.map(|percent| percent / 100.0);
    let (metric, [baseline, score]) = (evidence.metric(), evidence.scores());
    let (heading, name) = (metric.heading(), metric.gauge());
    let gained = format!("By what share: {} {}.", metric.better()[0], metric.noun());
    for (name, help, value) in [
        ("gain_ratio", gained, gain),
        (name, format!("When it was tuned: {heading}."), score),
        (&format!("baseline_{name}"), format!("The baseline's then: {heading}."), baseline),
    ] {
        if let Some(value) = value {
            gauge(&mut text, name, &help, "", value);
        }
    }
    text
}

fn gauge(text: &mut String, name: &str, help: &str, labels: &str, value: f64) {
    let name = format!("wan22_profile_{name}");
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{labels} {value}");
}

/// A label's value in the text format.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
