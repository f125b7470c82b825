//! `mirror chain cabal`: computes the share of the pay that the cabal of an experiment file keeps, by its share of the
//! stake.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use mirror_chain::Hyperparameters;
use mirror_chain::cabal::{Cabal, Opinion};
use mirror_spec::Experiment;
use mirror_spec::ValidatorBehaviour;
use serde::Serialize;

use super::check::{Overrides, show};
use super::{Misuse, Status};

/// Shares of the stake, in percent, denser around one half, where the consensus changes sides.
const SHARES: [u8; 15] = [10, 15, 20, 25, 30, 35, 40, 45, 48, 49, 50, 51, 52, 55, 60];

#[derive(Debug, Args)]
pub(super) struct CabalArguments {
    /// Experiment file that has a cabal of validators
    file: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    /// Writes the curves as an SVG image
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Prints the curves as JSON
    #[arg(long)]
    json: bool,
}

/// A curve: the share of the pay that the cabal keeps at each share of the stake.
#[derive(Debug, Serialize)]
struct Curve {
    rules: &'static str,
    honest_validators: &'static str,
    /// Share of the stake in percent, and share of the pay, 0..=1.
    retained: Vec<(u8, f64)>,
}

pub(super) fn cabal(arguments: &CabalArguments) -> anyhow::Result<Status> {
    let loaded = match arguments.overrides.load(&arguments.file) {
        Ok(loaded) => loaded,
        Err(problems) => {
            show(&problems);
            return Ok(Status::Misused);
        }
    };
    let cabal = of_file(&loaded.experiment).map_err(Misuse::of)?;
    let curves = curves(cabal, &loaded.experiment).map_err(Misuse::of)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut out, &curves)?;
        writeln!(out)?;
    } else {
        writeln!(
            out,
            "the cabal has {} of {} validators and {} of {} miners; percent of the pay that it keeps",
            cabal.validators,
            cabal.validators + cabal.honest_validators,
            cabal.miners,
            cabal.miners + cabal.other_miners
        )?;
        writeln!(
            out,
            "recognise: honest validators give the cabal's miners no weight; do not: equal weight"
        )?;
        write!(out, "{}", table(&curves))?;
    }
    if let Some(path) = &arguments.plot {
        std::fs::write(path, plot(&curves)).with_context(|| format!("cannot write {}", path.display()))?;
        if !arguments.json {
            writeln!(out, "wrote {}", path.display())?;
        }
    }
    Ok(Status::Done)
}

/// Returns the members of the cabal. All cabals of a file are treated as one.
fn of_file(experiment: &Experiment) -> anyhow::Result<Cabal> {
    let Some(model) = &experiment.model else {
        bail!("the file has no `model`, so it describes no network")
    };
    if experiment.network.metagraph.is_some() {
        bail!(
            "the network starts from a metagraph file, so the stake of its cabal is fixed: remove `network.metagraph`"
        );
    }
    let mut validators = BTreeSet::new();
    let mut members = BTreeSet::new();
    for group in &experiment.network.validator_groups {
        match &group.behaviour {
            Some(ValidatorBehaviour::Cabal(args)) => {
                validators.extend(group.validators.iter());
                members.extend(args.members.iter());
            }
            Some(_) => group.validators.iter().for_each(|index| {
                validators.remove(&index);
            }),
            None => {}
        }
    }
    let miners = model.metagraph.args().num_nodes;
    let rest = |all: u32, part: &BTreeSet<u32>| u16::try_from(all).ok()?.checked_sub(part.len() as u16);
    let sides = (
        rest(experiment.network.validators, &validators),
        rest(miners, &members),
    );
    let (Some(honest_validators @ 1..), Some(other_miners @ 1..), false) =
        (sides.0, sides.1, validators.is_empty())
    else {
        bail!(
            "the file has no cabal: some validators and some miners must be members of one, and others not, as in \
             `network: {{validator_groups: [{{validators: 3-4, behaviour: cabal, members: 12-15}}]}}`"
        )
    };
    Ok(Cabal {
        honest_validators,
        validators: validators.len() as u16,
        other_miners,
        miners: members.len() as u16,
    })
}

fn curves(cabal: Cabal, experiment: &Experiment) -> anyhow::Result<Vec<Curve>> {
    let mut curves = Vec::new();
    for (rules, preset) in [
        ("classic", Hyperparameters::CLASSIC),
        ("today", Hyperparameters::TODAY),
    ] {
        let changed = experiment.network.hyperparameters.given();
        let hyperparameters = preset.with_all(changed.iter().map(|(name, &value)| (name.as_str(), value)))?;
        for (honest_validators, opinion) in [
            ("recognise", Opinion::TellsApart),
            ("do not", Opinion::CannotTell),
        ] {
            let retained = SHARES.map(|share| Ok((share, cabal.retained(share, opinion, &hyperparameters)?)));
            curves.push(Curve {
                rules,
                honest_validators,
                retained: retained.into_iter().collect::<anyhow::Result<_>>()?,
            });
        }
    }
    Ok(curves)
}

fn table(curves: &[Curve]) -> String {
    let mut text = String::from("stake");
    for curve in curves {
        let heading = format!("{}, {}", curve.rules, curve.honest_validators);
        write!(text, "  {heading:>17}").expect("a text takes all");
    }
    text.push('\n');
    for (row, share) in SHARES.iter().enumerate() {
        write!(text, "{share:>4}%").expect("a text takes all");
        for curve in curves {
            let kept = curve.retained[row].1 * 100.0;
            write!(text, "  {kept:>16.1}%").expect("a text takes all");
        }
        text.push('\n');
    }
    text
}

/// Left edge, top edge, width and height of the plotted area.
const AREA: (f64, f64, f64, f64) = (60.0, 40.0, 520.0, 320.0);

/// Draws the curves as a self-contained SVG image. The colour shows how honest validators judge, the dashes the rules.
fn plot(curves: &[Curve]) -> String {
    let (left, top, width, height) = AREA;
    let x = |share: f64| left + (share - 10.0) / 50.0 * width;
    let y = |kept: f64| top + (1.0 - kept) * height;
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 600 500\" font-family=\"sans-serif\" font-size=\"13\" \
         role=\"img\" aria-label=\"Share of the pay that a cabal keeps, by its share of the stake\">\n\
         <rect width=\"600\" height=\"500\" fill=\"#fff\"/>\n\
         <text x=\"60\" y=\"24\" font-size=\"15\">Share of the pay that a cabal keeps</text>\n",
    );
    let mut line = |text: std::fmt::Arguments<'_>| {
        svg.write_fmt(text).expect("a text takes all");
        svg.push('\n');
    };
    for tick in 0..=5 {
        let (share, kept) = (10.0 + 10.0 * f64::from(tick), f64::from(tick) / 5.0);
        let (at_x, at_y) = (x(share), y(kept));
        let (right, bottom) = (left + width, top + height);
        line(format_args!(
            "<path d=\"M{left} {at_y:.1}H{right}M{at_x:.1} {top}V{bottom}\" stroke=\"#ddd\" fill=\"none\"/>"
        ));
        line(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0}%</text>",
            left - 8.0,
            at_y + 4.0,
            kept * 100.0
        ));
        line(format_args!(
            "<text x=\"{at_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{share:.0}%</text>",
            bottom + 18.0
        ));
    }
    line(format_args!(
        "<text x=\"{:.0}\" y=\"398\" text-anchor=\"middle\">share of the stake that the cabal has</text>",
        left + width / 2.0
    ));
    for (number, curve) in curves.iter().enumerate() {
        let colour = if curve.honest_validators == "recognise" {
            "#0b6e99"
        } else {
            "#c2410c"
        };
        let dashes = if curve.rules == "classic" { "none" } else { "7 5" };
        let points = curve.retained.iter();
        let points: Vec<String> = points
            .map(|&(share, kept)| format!("{:.1},{:.1}", x(share.into()), y(kept)))
            .collect();
        line(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\" stroke-dasharray=\"{dashes}\"/>",
            points.join(" ")
        ));
        let at = 420 + 18 * number;
        line(format_args!(
            "<path d=\"M60 {}H100\" stroke=\"{colour}\" stroke-width=\"2.5\" stroke-dasharray=\"{dashes}\"/>\
             <text x=\"110\" y=\"{at}\">{}: honest validators {} its miners</text>",
            at - 4,
            curve.rules,
            if curve.honest_validators == "recognise" {
                "give no weight to"
            } else {
                "give equal weight to"
            },
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn catalogue() -> Experiment {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/attacks/cabal.yml");
        mirror_config::load(&file).expect("it is sound").experiment
    }

    #[test]
    fn the_catalogue_has_a_cabal() {
        let expected = Cabal {
            honest_validators: 3,
            validators: 2,
            other_miners: 12,
            miners: 4,
        };
        assert_eq!(of_file(&catalogue()).expect("it has one"), expected);
    }

    #[test]
    fn curves_are_drawn_and_tabled_at_every_share() {
        let experiment = catalogue();
        let curves = curves(of_file(&experiment).expect("it has one"), &experiment).expect("rules are sound");
        let tabled = table(&curves);
        assert_eq!(tabled.lines().count(), SHARES.len() + 1);
        // With half of the stake, the cabal keeps half of the pay.
        let half = tabled
            .lines()
            .find(|line| line.starts_with("  50%"))
            .expect("it is a share");
        assert!(half.contains(" 50.0%"), "{half}");
        assert_eq!(plot(&curves).matches("<polyline").count(), 4);
    }

    #[test]
    fn a_file_without_a_cabal_is_refused() {
        let mut experiment = catalogue();
        experiment.network.validator_groups.clear();
        let refused = of_file(&experiment).expect_err("there is none");
        assert!(refused.to_string().contains("the file has no cabal"), "{refused}");
    }
}
