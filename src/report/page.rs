//! The page: one file that needs nothing else, in a light and a dark scheme.

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::account::Account;
use super::contender::Contender;
use super::plot::{Elements, Picture, font, palette};
use super::table::{Table, plain};
use super::{summary, verdict};
use crate::results::Results;

const STYLE: &str = include_str!("page.css");
const SORT: &str = include_str!("sort.js");

/// The page of a tune with its pictures.
///
/// # Errors
/// The profile can't be made.
pub fn page(results: &Results, pictures: &[Picture]) -> Result<String> {
    let account = Account::of(results);
    let machine = &results.machine;
    let title = format!("wan22-tune on {}", plain(&machine.host));
    let body = html! {
        main {
            header {
                p.kind { "wan22-tune report" }
                h1 { (verdict::sentence(results)) }
                p { (plain(&machine.cpu.model)) " (" (plain(&machine.host)) "), " (results.tune.started) }
            }
            (knobs(results))
            @for picture in pictures { (figure(picture)) }
            section {
                h2 { "Trials" }
                p { (account.trials_line()) "." }
                p { (account.time_line(results.tune.budget_s)) "." }
            }
        }
    };
    Ok(document(&title, &body).into_string())
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(font::css())) (PreEscaped(STYLE)) (PreEscaped(palette::dark_css("figure svg"))) }
            }
            body { (body) script { (PreEscaped(SORT)) } }
        }
    }
}

fn knobs(results: &Results) -> Markup {
    html! {
        @if let Some(contender) = Contender::of(results) {
            section {
                h2 { "Baseline against best" }
                (table(&summary::knobs(results, &contender, true)))
            }
        }
    }
}

fn figure(picture: &Picture) -> Markup {
    html! {
        section {
            h2 { (picture.title) }
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

/// A table in a box of its own that scrolls where the window is too narrow.
pub fn table(table: &Table) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead {
                    tr { @for column in &table.columns {
                        th scope="col" class=[column.numbers.then_some("number")] { (plain(&column.title)) }
                    } }
                }
                tbody { @for row in &table.rows {
                    tr { @for (cell, column) in row.iter().zip(&table.columns) {
                        td class=[column.numbers.then_some("number")] { (plain(cell)) }
                    } }
                } }
            }
        }
    }
}
