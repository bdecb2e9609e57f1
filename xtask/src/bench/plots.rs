//! `cargo xtask bench --plots`: the pictures of docs/benchmarks.md. Each is drawn from the CSV file beside it in
//! docs/plots/, so that the picture can be drawn again without measuring; `measured.csv` says when and where each was
//! measured. The sweeps are short ones, some four minutes on a machine at rest: the tables of `cargo xtask bench AREA` are
//! where limits are kept.

mod axis;
mod drawing;
mod numbers;
mod svg;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use self::axis::Scale;
use self::drawing::{Frame, Group, Panel, Series};
pub use self::numbers::{Numbers, digits};
use super::{depmod, dto, jobserver, kallsyms};
use crate::files;
use crate::run::{self, Result};

/// A picture, and the columns of its table that are drawn.
struct Plot {
    /// Of its files.
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    /// Column and name of each series.
    series: &'static [(&'static str, &'static str)],
    /// The column that the others are measured by, if there is one.
    dashed: &'static str,
    form: Form,
}

enum Form {
    /// Over the first column.
    Lines { x: &'static str },
    /// A panel for each text of the first column, over the second.
    Panels { x: &'static str, scale: Scale },
    /// A group for each row, named by the first column.
    Bars { most: u32 },
}

/// What is measured together.
struct Area {
    name: &'static str,
    /// The reason why it cannot be measured here.
    needs: fn() -> Result,
    measure: fn() -> Result<Vec<Sweep>>,
    plots: &'static [Plot],
}

/// The figures of one plot.
pub struct Sweep {
    pub plot: &'static str,
    /// What was measured, in a line.
    pub of: String,
    pub numbers: Numbers,
}

const AREAS: &[Area] = &[
    Area {
        name: "dto",
        needs: dto::sweep::needs,
        measure: dto::sweep::measure,
        plots: &[
            Plot {
                name: "dto-time",
                title: "Merging an overlay: time by the size of the base",
                unit: "processor time of a merge, ms",
                series: &DTO,
                dashed: "",
                form: Form::Lines { x: "nodes of the base" },
            },
            Plot {
                name: "dto-memory",
                title: "Merging an overlay: peak memory by the size of the base",
                unit: "peak of the process after its first merge, MiB",
                series: &DTO_AND_FILES,
                dashed: "files",
                form: Form::Lines { x: "nodes of the base" },
            },
        ],
    },
    Area {
        name: "depmod",
        needs: depmod::sweep::needs,
        measure: depmod::sweep::measure,
        plots: &[
            Plot {
                name: "depmod-time",
                title: "depmod: time by the modules' format and threads",
                unit: "time on the clock, s",
                series: &DEPMOD,
                dashed: "kmod 34.2",
                form: Form::Panels { x: "threads", scale: Scale::Log },
            },
            Plot {
                name: "depmod-memory",
                title: "depmod: peak memory by the modules' format and threads",
                unit: "peak of the process, MiB",
                series: &DEPMOD,
                dashed: "kmod 34.2",
                form: Form::Panels { x: "threads", scale: Scale::Linear },
            },
        ],
    },
    Area {
        name: "kallsyms",
        needs: kallsyms::sweep::needs,
        measure: kallsyms::sweep::measure,
        plots: &[
            Plot {
                name: "kallsyms-time",
                title: "The table of symbols, from ELF to object: time by symbols",
                unit: "processor time of all processes, ms",
                series: &[
                    ("kbt", "kbt kallsyms generate"),
                    ("stock", "nm, mksysmap, scripts/kallsyms, gcc -c"),
                ],
                dashed: "",
                form: Form::Lines { x: "symbols" },
            },
            Plot {
                name: "kallsyms-memory",
                title: "The table of symbols: peak memory by symbols",
                unit: "peak of the largest process, MiB",
                series: &[("kbt", "kbt kallsyms generate"), ("stock", "scripts/kallsyms, and as in gcc -c")],
                dashed: "",
                form: Form::Lines { x: "symbols" },
            },
        ],
    },
    Area {
        name: "jobserver",
        needs: || Ok(()),
        measure: jobserver::sweep,
        plots: &[Plot {
            name: "jobserver-tokens",
            title: "Tokens of seven that are back in the pool two seconds after the end",
            unit: "tokens",
            series: &[
                ("kbt: tokens", "kbt jobserver exec"),
                ("script: tokens", "as the kernel's script does"),
            ],
            dashed: "",
            form: Form::Bars { most: 7 },
        }],
    },
];

const DTO: [(&str, &str); 3] =
    [("kbt", "kbt, lists kept between merges"), ("dtoolkit", "dtoolkit 0.4.1"), ("libfdt", "libfdt 1.7.2")];
const DTO_AND_FILES: [(&str, &str); 4] = [("kbt", "kbt"), DTO[1], DTO[2], ("files", "the files themselves")];
const DEPMOD: [(&str, &str); 2] = [("kbt", "kbt depmod"), ("kmod 34.2", "kmod 34.2 (one thread)")];

/// Where the record of the plots is, beside them.
const RECORD: &str = "measured.csv";
const RECORD_HEAD: [&str; 6] = ["plot", "of", "date", "commit", "load", "machine"];

/// The option of `bench`: the areas, all where none is said, and `--redraw` to measure none of them.
///
/// # Errors
/// Where an area or a file fails; the others are drawn nevertheless. An area whose peers are not there is told and left.
pub fn run(words: &[String]) -> Result {
    let redraw = words.iter().any(|word| word == "--redraw");
    let names: Vec<&String> = words.iter().filter(|word| *word != "--redraw").collect();
    if let Some(unknown) = names.iter().find(|name| AREAS.iter().all(|area| area.name != **name)) {
        let known: Vec<&str> = AREAS.iter().map(|area| area.name).collect();
        return Err(format!("no plots of '{unknown}'; there are {}", known.join(", ")));
    }
    let wanted = AREAS.iter().filter(|area| names.is_empty() || names.iter().any(|name| *name == area.name));
    let directory = directory();
    files::create(&directory)?;
    // Before the builds, which are a load of their own.
    let place = if redraw { None } else { Some(place()?) };
    let mut failed = Vec::new();
    for area in wanted {
        let start = Instant::now();
        let done = place.as_ref().map_or(Ok(()), |place| measured(area, &directory, place));
        if let Err(error) = done.and_then(|()| draw(area, &directory)) {
            failed.push(format!("{}: {error}", area.name));
        }
        eprintln!("{}: {} s", area.name, start.elapsed().as_secs());
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n  ")) }
}

fn directory() -> PathBuf {
    run::root().join("docs/plots")
}

/// Measures an area and writes its tables and their record; where it cannot be measured, what is there stays.
fn measured(area: &Area, directory: &Path, place: &[String; 4]) -> Result {
    if let Err(reason) = (area.needs)() {
        eprintln!("{}: SKIPPED, the plots stay as they are: {reason}", area.name);
        return Ok(());
    }
    eprintln!("{}: building", area.name);
    for sweep in (area.measure)()? {
        write(&directory.join(sweep.plot).with_extension("csv"), &sweep.numbers.to_string())?;
        let mut record = read(&directory.join(RECORD)).unwrap_or_else(|_| Numbers::new(&RECORD_HEAD));
        record.rows.retain(|row| row.first().is_none_or(|name| name != sweep.plot));
        record.row([sweep.plot.to_owned(), sweep.of].into_iter().chain(place.iter().cloned()));
        record.rows.sort();
        write(&directory.join(RECORD), &record.to_string())?;
    }
    Ok(())
}

/// Draws an area's plots from their tables.
fn draw(area: &Area, directory: &Path) -> Result {
    let record = read(&directory.join(RECORD))?;
    for plot in area.plots {
        let file = directory.join(plot.name).with_extension("csv");
        let numbers = read(&file)?;
        let drawing = plot.draw(&numbers, &record).map_err(|error| format!("{}: {error}", file.display()))?;
        write(&file.with_extension("svg"), &drawing)?;
        println!("{}", file.with_extension("svg").display());
    }
    Ok(())
}

impl Plot {
    fn draw(&self, numbers: &Numbers, record: &Numbers) -> Result<String> {
        let series: Vec<Series> = self
            .series
            .iter()
            .map(|(column, name)| Series { name: (*name).to_owned(), dashed: *column == self.dashed })
            .collect();
        let columns = self.series.iter().map(|(column, _)| {
            let place = numbers.head.iter().position(|name| name == column);
            place.ok_or_else(|| format!("no column '{column}'"))
        });
        let columns = columns.collect::<Result<Vec<usize>>>()?;
        let foot = foot(self.name, record);
        let frame = Frame { title: self.title, unit: self.unit, series: &series, foot: &foot };
        let rows: Vec<usize> = (0..numbers.rows.len()).collect();
        match self.form {
            Form::Lines { x } => {
                let panel = Panel { title: String::new(), points: points(numbers, &rows, 0, &columns)? };
                Ok(drawing::lines(&frame, x, Scale::Log, &[panel]))
            }
            Form::Panels { x, scale } => {
                let same = rows.chunk_by(|&one, &other| numbers.text(one, 0) == numbers.text(other, 0));
                let panels = same.map(|rows| {
                    let title = rows.first().map_or("", |&row| numbers.text(row, 0)).to_owned();
                    Ok(Panel { title, points: points(numbers, rows, 1, &columns)? })
                });
                Ok(drawing::lines(&frame, x, scale, &panels.collect::<Result<Vec<_>>>()?))
            }
            Form::Bars { most } => {
                let groups = rows.iter().map(|&row| {
                    let figures = columns.iter().map(|&column| figure(numbers, row, column));
                    Ok(Group {
                        name: numbers.text(row, 0).to_owned(),
                        figures: figures.collect::<Result<_>>()?,
                    })
                });
                Ok(drawing::bars(&frame, most, &groups.collect::<Result<Vec<_>>>()?))
            }
        }
    }
}

/// For each column its points over the column `x`, where there is a figure.
fn points(numbers: &Numbers, rows: &[usize], x: usize, columns: &[usize]) -> Result<Vec<Vec<(f64, f64)>>> {
    let of_column = |&column: &usize| {
        let mut points = Vec::new();
        for &row in rows {
            if let Some(y) = numbers.figure(row, column)? {
                points.push((figure(numbers, row, x)?, y));
            }
        }
        Ok(points)
    };
    columns.iter().map(of_column).collect()
}

/// The figure of a cell that must have one.
fn figure(numbers: &Numbers, row: usize, column: usize) -> Result<f64> {
    numbers.figure(row, column)?.ok_or_else(|| format!("line {}: a cell is empty", row + 2))
}

/// What the record says of a plot.
fn foot(name: &str, record: &Numbers) -> Vec<String> {
    let rows = record.rows.iter().filter(|row| row.first().is_some_and(|own| own == name));
    rows.flat_map(|row| match row.as_slice() {
        [_, of, date, commit, load, machine] => {
            vec![of.clone(), format!("{date}, commit {commit}, load {load} at the start; {machine}")]
        }
        _ => Vec::new(),
    })
    .collect()
}

/// Date, commit, load and machine.
fn place() -> Result<[String; 4]> {
    let said = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        run::text(command.args(words).current_dir(run::root())).map(|text| text.trim().to_owned())
    };
    let date = said("date", &["-u", "+%F"])?;
    // The documents do not matter to what is measured; the plots themselves are among them.
    let changed = !said("git", &["status", "--porcelain", "--", ".", ":!docs"])?.is_empty();
    let commit =
        said("git", &["rev-parse", "--short=7", "HEAD"])? + if changed { " and changes" } else { "" };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, name)| name.trim());
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let release = said("uname", &["-r"])?;
    let release: Vec<&str> = release.split(['.', '-']).take(2).collect();
    let rustc = said("rustc", &["--version"])?;
    let rustc = rustc.split(' ').nth(1).unwrap_or_default();
    let machine = format!("{count} CPUs ({model}); Linux {}; rustc {rustc}", release.join("."));
    Ok([date, commit, load, machine])
}

fn read(file: &Path) -> Result<Numbers> {
    let text = fs::read_to_string(file).map_err(|error| files::cannot("read", file, &error))?;
    Numbers::parse(&text).map_err(|error| format!("{}: {error}", file.display()))
}

fn write(file: &Path, text: &str) -> Result {
    fs::write(file, text).map_err(|error| files::cannot("write", file, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pictures are those of their tables, well-formed, and no text hides another.
    #[test]
    fn the_committed_plots_are_drawn_from_their_tables() {
        let record = read(&directory().join(RECORD)).unwrap();
        for plot in AREAS.iter().flat_map(|area| area.plots) {
            let file = directory().join(plot.name).with_extension("csv");
            let drawing = plot.draw(&read(&file).unwrap(), &record).unwrap();
            svg::tests::check(plot.name, &drawing);
            let committed = fs::read_to_string(file.with_extension("svg")).unwrap();
            assert_eq!(committed, drawing, "{}: `cargo xtask bench --plots --redraw`", plot.name);
            assert_eq!(foot(plot.name, &record).len(), 2, "{}: nothing in {RECORD}", plot.name);
        }
    }

    #[test]
    fn what_a_plot_cannot_draw_is_told() {
        let record = Numbers::new(&RECORD_HEAD);
        let told = |plot: &Plot, text: &str| plot.draw(&Numbers::parse(text).unwrap(), &record).unwrap_err();
        let plots: Vec<&Plot> = AREAS.iter().flat_map(|area| area.plots).collect();
        let lines = plots.iter().find(|plot| matches!(plot.form, Form::Lines { .. })).unwrap();
        assert_eq!(told(lines, "nodes,kbt\n"), "no column 'dtoolkit'");
        assert_eq!(told(lines, "nodes,kbt,dtoolkit,libfdt\n,1,2,3\n"), "line 2: a cell is empty");
        let bars = plots.iter().find(|plot| matches!(plot.form, Form::Bars { .. })).unwrap();
        assert_eq!(told(bars, "end,kbt: tokens,script: tokens\nTERM,7,\n"), "line 2: a cell is empty");
    }

    #[test]
    fn an_area_without_plots_is_told() {
        let error = run(&["--redraw".to_owned(), "matrix".to_owned()]).unwrap_err();
        assert_eq!(error, "no plots of 'matrix'; there are dto, depmod, kallsyms, jobserver");
    }
}
