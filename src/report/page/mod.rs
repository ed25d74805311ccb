//! The page: one file that needs nothing else, in a light and a dark scheme.
//!
//! maud escapes whatever stands in parentheses; only this program's own style sheet and script,
//! and SVG that plotters has escaped, go in as they are.

pub mod views;

use std::path::Path;

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use strum::VariantArray;

use super::page::views::Views;
use super::plots::drift::DriftPlot;
use super::plots::scaling::ScalingPlot;
use super::plots::stages::StagesPlot;
use super::plots::{Elements, Picture, font, palette};
use super::tables::time_breakdown::TimeBreakdown;
use super::tables::{Table, facts, fidelity, nodes, pictures, trials, usage, work};
use super::winner::{self, Winner};
use super::{summary, verdict};
use crate::evidence::confirmation::Verdict;
use crate::io::number::{count, digits, percent};
use crate::io::printable::line as plain;
use crate::profile::export::Dialect;
use crate::results::Results;

const STYLE: &str = include_str!("page.css");
const SORT: &str = include_str!("sort.js");

/// The page of a tune with its pictures.
///
/// # Errors
/// The profile can't be made, or a time in the journal can't be read.
pub fn page(results: &Results, pictures: &[Picture], views: Option<&Views>) -> Result<String> {
    let drawn = |name: &str| figure(pictures.iter().find(|picture| picture.name == name));
    let body = html! {
        main {
            (head(results))
            (knobs(results))
            (commands(results)?)
            (section("Best so far against time", &html! {
                (drawn("progress"))
                p { (TimeBreakdown::of(results).time_line(results.tune.budget_s)) "." }
                @if let Some(sentence) = summary::cut_short(results) { p { (sentence) "." } }
                @for lost in &results.lost { p { "trials.csv: " (plain(lost)) "." } }
            }))
            (stages(results, &drawn("stages"), &drawn("scaling")))
            (work(results))
            (quality(results, views))
            (responses(results, &drawn("importance"), &drawn("knobs"), &drawn("pairs")))
            (drift(results, &drawn("drift"))?)
            (failures(results))
            (several(results))
            (section("Every trial", &table(&trials::all(results), true)))
            (section("The machine", &html! {
                (drawn("placement"))
                (table(&facts::machine(&results.machine), false))
            }))
            (section("How it was run", &html! {
                (table(&facts::tune(results), false))
                p { "This page is made from machine.json, space.toml, trials.csv and views alone: " code { "wan22-tune report DIR" } " makes it again." }
            }))
        }
    };
    Ok(document(&format!("wan22-tune: {}", plain(&results.machine.host)), &body).into_string())
}

pub(crate) fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                // No icon: a browser would ask a server for one.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(font::css())) (PreEscaped(STYLE)) (PreEscaped(palette::dark_css("figure svg"))) }
            }
            body { (body) script { (PreEscaped(SORT)) } }
        }
    }
}

pub(crate) fn section(title: &str, content: &Markup) -> Markup {
    html! { section { h2 { (title) } (content) } }
}

fn head(results: &Results) -> Markup {
    let machine = &results.machine;
    let breakdown = TimeBreakdown::of(results);
    let findings = results.findings();
    let verdict = findings.verdict;
    let metric = results.metric();
    let [factor, times] = metric.factor();
    let class = if matches!(verdict, Verdict::Gain(_)) { "gain" } else { "none" };
    html! {
        header {
            p.kind { "wan22-tune report" }
            h1 class=(class) { (plain(&verdict::sentence(results))) }
            @for sentence in fidelity::of_own_sizes(results).into_iter().chain(pictures::unchanged(results)) { p { (sentence) } }
            p { (plain(&machine.cpu.model)) ", " (count(machine.core_count(), "core")) ", host " (plain(&machine.host)) ", " (plain(&results.tune.started)) }
            dl {
                @if let Some(baseline_s) = findings.baseline_s { (tile("baseline", &digits(metric.shown(baseline_s)), metric.unit())) }
                @if let Some(best) = &findings.finalist {
                    (tile(if best.confirmed { "finalist" } else { "best, not confirmed" }, &digits(metric.shown(best.score_s)), metric.unit()))
                }
                @if let Verdict::Gain(gain) = verdict {
                    (tile(factor, &format!("{}\u{d7}", digits(1.0 / (1.0 - gain.mean))), times))
                }
                (tile("trials", &breakdown.trials().to_string(), &format!("{} failed", breakdown.failed())))
            }
        }
    }
}

fn tile(name: &str, value: &str, unit: &str) -> Markup {
    html! { div { dt { (name) } dd { strong { (value) } " " (unit) } } }
}

fn knobs(results: &Results) -> Markup {
    let findings = results.findings();
    let Some(finalist) = &findings.finalist else { return html! {} };
    let rows = table(&summary::knobs(results, finalist, work::in_words), false);
    let idle = summary::idle(results);
    section(
        "Baseline against best",
        &html! {
            (rows)
            @if let Some(sentence) = summary::as_in_the_baseline(results, finalist) { p { (sentence) "." } }
            @if let Some(sentence) = summary::against_preset(results) { p { (sentence) } }
            @if !idle.is_empty() { p { "With a single value on this machine: " (idle.join(", ")) "." } }
        },
    )
}

fn several(results: &Results) -> Markup {
    let Some(nodes) = nodes::nodes(results) else { return html! {} };
    section(
        "The nodes",
        &html! {
            (table(&nodes, false))
            @for sentence in nodes::sentences(results) { p { (plain(&sentence)) "." } }
        },
    )
}

fn commands(results: &Results) -> Result<Markup> {
    let profile = crate::profile::build::profile(results)?;
    let (here, own) = (Path::new("profile.json"), Winner::of(results));
    let after_exec = winner::after_exec(results, Path::new(""));
    let line = own.as_ref().and_then(|own| own.line(Path::new("")));
    let verify = usage::verify(here, results);
    let others = Dialect::VARIANTS.iter().filter(|dialect| **dialect != Dialect::Systemd);
    let others: Vec<String> = others.map(Dialect::to_string).collect();
    Ok(section(
        "Use it",
        &html! {
            p { "In this folder:" }
            pre tabindex="0" { code { (usage::with_tool(here, after_exec.as_deref())) } }
            p { "Prove it again on this machine, in minutes; write it as a unit for systemd (or for " (others.join(", ")) "):" }
            pre tabindex="0" { code { (verify) "\n" (usage::export(Path::new("profile.json"))) } }
            p { "The same without wan22-tune:" }
            pre tabindex="0" { code { (usage::without_tool(&profile, line)) } }
            p { "Tile sizes, batch size and worker counts are the program's own to set: " code { "optimal_settings" } " and " code { "workers" } " in profile.json hold them." }
        },
    ))
}

fn stages(results: &Results, figure: &Markup, laws: &Markup) -> Markup {
    let Some(stages) = StagesPlot::of(results) else { return html! {} };
    let (baseline, best) = stages.overlap();
    let overlap =
        |name: &str, times: f64| format!("{name}: {} busy seconds per second", digits(times));
    let overlaps = [baseline.map(|o| overlap("baseline", o)), best.map(|o| overlap("best", o))];
    let scaling = trials::scaling(results);
    section(
        "Where the time goes",
        &html! {
            (figure)
            p { "Stages run side by side, so their busy times don't add up to the clip's (" (overlaps.into_iter().flatten().collect::<Vec<_>>().join("; ")) ")." @if let Some(sentence) = stages.busiest() { " " (sentence) } }
            (table(&stages.shares(), false))
            @if let Some(found) = ScalingPlot::of(results) {
                h3 { "How stages scale with their threads" }
                (laws)
                p { (found.sentence()) }
            }
            @if !scaling.rows.is_empty() {
                h3 { "Stages by number of threads" }
                p { "Median busy seconds per clip over all successful trials, as they were measured: their other knobs vary." }
                (table(&scaling, true))
            }
        },
    )
}

fn work(results: &Results) -> Markup {
    let sizes = work::sizes(results);
    if sizes.rows.is_empty() {
        return html! {};
    }
    section(
        "How near to the machine's peak",
        &html! {
            (table(&sizes, false))
            p { "Operations, and bytes of weights read, a second:" }
            (table(&work::speeds(results), false))
            @for sentence in work::sentences(results) { p { (sentence) } }
        },
    )
}

fn quality(results: &Results, views: Option<&Views>) -> Markup {
    const TITLE: &str = "What the picture looks like";
    let Some(views) = views else {
        let findings = results.findings();
        let best = findings.finalist.as_ref().and_then(|best| results.quality_of(&best.knobs));
        return html! {
            @if let Some(quality) = best {
                (section(TITLE, &html! {
                    @if results.workload.is_custom() {
                        p { "With the best settings the pictures are those of the baseline: " (work::in_words(quality)) "." }
                    } @else {
                    p { "With the best settings what the VAE makes of a fixed latent and of a fixed picture is, to the eye, what the reference has, which was made whole in float32. The worse of the two: " (work::in_words(quality)) "." }
                    }
                }))
            }
        };
    };
    section(
        TITLE,
        &html! {
            div.views {
                @for (name, url) in &views.pictures {
                    figure { img src=(url) alt=(name); figcaption { (name) } }
                }
            }
            @if results.workload.is_custom() {
                p { "The frame that differs most from the baseline's of the same seed: " (work::in_words(views.quality)) "." }
            } @else {
            p { "The first frame of one fixed latent. Of it and of a fixed picture's latents, the worse against the reference: " (work::in_words(views.quality)) "." }
            }
        },
    )
}

fn responses(results: &Results, importance: &Markup, knobs: &Markup, pairs: &Markup) -> Markup {
    let dropped = results.dropped();
    if knobs.0.is_empty() && dropped.ignored.is_empty() {
        return html! {};
    }
    section(
        "What each knob does",
        &html! {
            @if !importance.0.is_empty() {
                (importance)
                p { "What a random forest, fitted to all candidates, says of each knob by itself; what knobs do together is in none of the shares." }
            }
            (knobs)
            @for no_effect in dropped.no_effect { p { (no_effect.sentence()) "." } }
            @for ignored in dropped.ignored { p { (ignored.sentence()) "." } }
            @if !knobs.0.is_empty() {
                p { "Each dot is a candidate; its other knobs vary too, and a search looks longer where it is fast. So a good median shows good company as well as a good value." }
            }
            (pairs)
        },
    )
}

fn drift(results: &Results, figure: &Markup) -> Result<Markup> {
    let Some(drift) = DriftPlot::of(results)? else { return Ok(html! {}) };
    let slowdown = drift.slowdown().map(|share| {
        let way = if share < 0.0 { "faster" } else { "slower" };
        format!(", and by the end it ran {} {way} than at the start", percent(share.abs()))
    });
    Ok(section(
        "Noise and drift",
        &html! {
            (figure)
            @if let Some(spread) = drift.spread() {
                p { "The baseline ran " (drift.repeats.len()) " times with a standard deviation of " (percent(spread)) (slowdown.unwrap_or_default()) "." }
            }
        },
    ))
}

fn failures(results: &Results) -> Markup {
    let failures = trials::failures(results);
    section(
        "Failures",
        &html! {
            p { (TimeBreakdown::of(results).trials_line()) "." }
            @for unsupported in results.dropped().unsupported { p { (unsupported.sentence()) "." } }
            @if !failures.rows.is_empty() { (table(&failures, true)) }
        },
    )
}

pub(crate) fn figure(picture: Option<&Picture>) -> Markup {
    html! {
        @if let Some(picture) = picture {
            figure {
                (svg(picture, &picture.wide, "wide"))
                (svg(picture, &picture.narrow, "narrow"))
            }
        }
    }
}

fn svg(picture: &Picture, elements: &Elements, class: &str) -> Markup {
    let Elements { width, height, text } = elements;
    html! {
        svg class=(class) viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(picture.title) {
            (PreEscaped(text))
        }
    }
}

/// A table in a box of its own that scrolls where the window is too narrow. The first cell of
/// each row names it; a head without words is left out.
pub(crate) fn table(table: &Table, sortable: bool) -> Markup {
    let headed = table.columns.iter().any(|column| !column.title.is_empty());
    let number = |i: usize| table.columns[i].numbers.then_some("number");
    html! {
        div.scroll tabindex="0" {
            table class=[sortable.then_some("sortable")] {
                @if headed {
                    thead { tr { @for (i, column) in table.columns.iter().enumerate() {
                        @if column.title.is_empty() { td {} }
                        @else { th scope="col" class=[number(i)] { (plain(&column.title)) } }
                    } } }
                }
                tbody { @for row in &table.rows {
                    tr { @for (i, cell) in row.iter().enumerate() {
                        @if i == 0 && !sortable { th scope="row" { (plain(cell)) } }
                        @else { td class=[number(i)] { (plain(cell)) } }
                    } }
                } }
            }
        }
    }
}
