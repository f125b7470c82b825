//! `mirror runs list`: one line per run.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use clap::Args;
use mirror_analysis::terminal_table::{Alignment, TerminalColumn, TerminalTable};
use mirror_runs::{Listed, Manifest, Run, State};

use super::super::{Status, terminal};

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Prints the list as JSON, one run per line
    #[arg(long)]
    json: bool,
    /// Lists only runs with this tag
    #[arg(long, value_name = "WORD")]
    tag: Option<String>,
    /// Lists only the runs of groups whose name begins with this
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Lists only runs in this state
    #[arg(long, value_enum, value_name = "STATE")]
    state: Option<Standing>,
    /// Prints every column, even if the table is wider than the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
}

/// State of a run, as on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Standing {
    Running,
    Done,
    Failed,
    Interrupted,
}

impl Standing {
    fn of(state: State) -> Self {
        match state {
            State::Running => Self::Running,
            State::Done => Self::Done,
            State::Failed => Self::Failed,
            State::Interrupted => Self::Interrupted,
        }
    }
}

impl ListArguments {
    /// Returns whether a run is listed. A run that cannot be read is listed unless there is a filter.
    fn selects(&self, listed: &Listed) -> bool {
        let Ok((manifest, state)) = &listed.run else {
            return self.tag.is_none() && self.group.is_none() && self.state.is_none();
        };
        let tagged = self.tag.as_ref().is_none_or(|tag| manifest.tags.contains(tag));
        let member = self.group.as_ref().is_none_or(|group| {
            let named = manifest.group.as_ref();
            named.is_some_and(|named| named.starts_with(group))
        });
        let standing = self.state.is_none_or(|wanted| wanted == Standing::of(*state));
        tagged && member && standing
    }

    fn filters(&self) -> bool {
        self.tag.is_some() || self.group.is_some() || self.state.is_some()
    }
}

pub(super) fn list(runs_dir: &Path, arguments: &ListArguments) -> anyhow::Result<Status> {
    let mut out = std::io::stdout().lock();
    let mut runs = mirror_runs::runs(runs_dir)?;
    runs.retain(|listed| arguments.selects(listed));
    if arguments.json {
        for listed in runs {
            let line = match &listed.run {
                Ok((manifest, state)) => {
                    serde_json::json!({ "id": listed.id, "state": state, "manifest": manifest })
                }
                Err(error) => serde_json::json!({ "id": listed.id, "problem": error.to_string() }),
            };
            writeln!(out, "{line}")?;
        }
        return Ok(Status::Done);
    }
    if runs.is_empty() {
        let folder = runs_dir.display();
        if arguments.filters() {
            writeln!(out, "no run in {folder} matches: `mirror runs list` lists all")?;
        } else {
            writeln!(out, "no runs in {folder}: `mirror run FILE` starts one")?;
        }
        return Ok(Status::Done);
    }
    let column = |title, alignment, rank| TerminalColumn {
        title,
        alignment,
        rank,
    };
    let mut table = TerminalTable::new([
        column("run", Alignment::Left, 0),
        column("experiment", Alignment::Left, 8),
        column("state", Alignment::Left, 0),
        column("seed", Alignment::Right, 1),
        column("steps", Alignment::Right, 2),
        column("events", Alignment::Right, 3),
        column("age", Alignment::Right, 4),
        column("size", Alignment::Right, 5),
        column("tags", Alignment::Left, 6),
        column("group", Alignment::Left, 7),
    ]);
    let mut unreadable = Vec::new();
    for listed in runs {
        match &listed.run {
            Ok((manifest, state)) => table.push(row(&listed, manifest, *state)),
            Err(error) => unreadable.push(format!("{} cannot be read: {error}", listed.id)),
        }
    }
    if !table.is_empty() {
        writeln!(out, "{}", table.fitted(terminal::width(arguments.wide)))?;
    }
    for line in unreadable {
        writeln!(out, "{line}")?;
    }
    drop(out);
    list_groups(runs_dir, arguments)
}

/// Lists the groups of the runs below them.
fn list_groups(runs_dir: &Path, arguments: &ListArguments) -> anyhow::Result<Status> {
    let mut groups = mirror_runs::groups(runs_dir)?;
    groups.retain(|found| {
        let wanted = arguments.group.as_ref();
        wanted.is_none_or(|group| found.group.id.starts_with(group))
    });
    if groups.is_empty() || arguments.tag.is_some() || arguments.state.is_some() {
        return Ok(Status::Done);
    }
    let column = |title, alignment, rank| TerminalColumn {
        title,
        alignment,
        rank,
    };
    let mut table = TerminalTable::new([
        column("group", Alignment::Left, 0),
        column("experiment", Alignment::Left, 2),
        column("runs", Alignment::Right, 0),
        column("created", Alignment::Left, 1),
    ]);
    for found in groups {
        table.push([
            found.group.id,
            found.group.experiment,
            format!("{} of {}", found.runs.len(), found.group.replicates),
            found.group.created,
        ]);
    }
    writeln!(
        std::io::stdout(),
        "\n{}",
        table.fitted(terminal::width(arguments.wide))
    )?;
    Ok(Status::Done)
}

fn row(listed: &Listed, manifest: &Manifest, state: State) -> [String; 10] {
    let unknown = || "–".to_owned();
    // Rows are counted when a run ends.
    let events = manifest.counts.rows.get("events");
    let steps = match state {
        State::Running => None,
        _ => Run::open(&listed.path)
            .ok()
            .and_then(|run| run.steps().ok().flatten()),
    };
    let modified = fs::metadata(listed.path.join("experiment.yml")).and_then(|file| file.modified());
    let age = modified
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok());
    [
        listed.id.clone(),
        manifest.experiment.clone(),
        state.name().to_owned(),
        manifest.seed.to_string(),
        steps.map_or_else(unknown, |steps| steps.to_string()),
        events.map_or_else(unknown, u64::to_string),
        age.map_or_else(unknown, |age| age_of(age.as_secs())),
        size_of(bytes_in(&listed.path)),
        manifest.tags.join(" "),
        manifest.group.clone().unwrap_or_default(),
    ]
}

/// Returns an age as `12 s`, `3 min`, `5 h` or `2 d`.
fn age_of(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Returns a size as `12 kB`, `3.4 MB` or `1.2 GB`.
pub(in crate::command) fn size_of(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        0.0..1e6 => format!("{:.0} kB", bytes / 1e3),
        1e6..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

/// Returns the size of all files in a folder. Files that cannot be read, because they were just removed, have none.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes_in(&entry.path()),
        Ok(_) => entry.metadata().map_or(0, |metadata| metadata.len()),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_short() {
        assert_eq!(
            [0, 59, 60, 7_200, 200_000].map(age_of),
            ["0 s", "59 s", "1 min", "2 h", "2 d"]
        );
        assert_eq!(
            [900, 1_500_000, 2_000_000_000].map(size_of),
            ["1 kB", "1.5 MB", "2.0 GB"]
        );
    }
}
