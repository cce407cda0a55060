//! The commands in README.md and docs/*.md.
//!
//! Fenced blocks marked `sh` are commands, those marked `console` have commands after a prompt (`# ` or
//! `$ `) and what they print. Comments above a block, which no reader sees, say what its commands need:
//!
//! - `<!-- run: COMMANDS -->`: commands to run before it.
//! - `<!-- let: WORD=COMMAND -->`: from here on `WORD` stands for what the command prints.
//! - `<!-- varies: WHY -->`: what its commands print is not compared.
//! - `<!-- no-run: WHY -->`: it is not run.
//!
//! A command must exit with 0, or as the comment behind it says: `# exits with 255`. One of jailwarden
//! may exit with 1 (found wanting) as well.

use std::fs;
use std::path::{Path, PathBuf};

/// A document.
pub(crate) struct Document {
    /// Its path from the root of the repository.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A fenced block with what stands above it.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The line of its first command.
    pub(crate) line: usize,
    pub(crate) marks: Vec<(String, String)>,
    pub(crate) commands: Vec<Command>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) line: usize,
    pub(crate) text: String,
    /// What it prints, as far as the document says.
    pub(crate) prints: Option<String>,
}

impl Block {
    pub(crate) fn has(&self, mark: &str) -> bool {
        self.marks.iter().any(|(name, _)| name == mark)
    }
}

impl Command {
    /// The exit codes that are as the document says.
    pub(crate) fn codes(&self) -> Vec<i32> {
        if let Some((_, said)) = self.text.split_once("# exits with ") {
            let digits = said.split(|c: char| !c.is_ascii_digit()).next();
            return vec![digits.unwrap().parse().unwrap()];
        }
        if self.text.trim_start().starts_with("jailwarden ") {
            return vec![0, 1];
        }
        vec![0]
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether what is made or measured is to be written: `JAILWARDEN_WRITE_DOCS=1`.
pub(crate) fn is_written() -> bool {
    std::env::var_os("JAILWARDEN_WRITE_DOCS").is_some_and(|set| set == "1")
}

/// Holds a file to what was made for it, or writes it.
pub(crate) fn hold(name: &str, made: &str) {
    let file = root().join(name);
    if is_written() {
        fs::write(&file, made).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == made,
        "{name} is out of date; JAILWARDEN_WRITE_DOCS=1 writes it"
    );
}

/// README.md, then docs/*.md by their names.
pub(crate) fn documents() -> Vec<Document> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let mut paths: Vec<PathBuf> = docs.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.sort();
    paths.insert(0, root().join("README.md"));
    let document = |path: PathBuf| Document {
        name: path.strip_prefix(root()).unwrap().display().to_string(),
        text: fs::read_to_string(&path).unwrap(),
    };
    paths.into_iter().map(document).collect()
}

/// What the blocks of YAML that begin with this line say, one after the other.
pub(crate) fn yaml(document: &str, begins: &str) -> String {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let fenced = text.split("```").skip(1).step_by(2);
    let blocks = fenced.filter_map(|block| {
        let body = block.strip_prefix("yaml\n")?;
        let indent = body.len() - body.trim_start().len();
        let lines = body
            .lines()
            .map(|line| line.get(indent..).unwrap_or_default());
        let body: String = lines.flat_map(|line| [line, "\n"]).collect();
        body.starts_with(begins).then_some(body)
    });
    blocks.collect()
}

/// The blocks with commands.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let (mut blocks, mut marks) = (Vec::new(), Vec::new());
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(mark) = line.trim_start().strip_prefix("<!-- ") {
            let mut mark = mark.to_owned();
            while !mark.trim_end().ends_with("-->") {
                mark = format!("{mark}\n{}", lines.next().unwrap().1);
            }
            let mark = mark.trim_end().strip_suffix("-->").unwrap().trim_end();
            if let Some((name, value)) = mark.split_once(": ") {
                marks.push((name.to_owned(), value.to_owned()));
            }
        } else if let Some(kind) = line.trim_start().strip_prefix("```") {
            let indent = line.len() - line.trim_start().len();
            let body: Vec<_> = lines
                .by_ref()
                .map(|(number, line)| (number + 1, line.get(indent..).unwrap_or_default()))
                .take_while(|(_, line)| !line.starts_with("```"))
                .collect();
            let commands = match kind {
                "sh" => commands(&body),
                "console" => prompts(&body),
                _ => continue,
            };
            blocks.push(Block {
                line: number + 2,
                marks: std::mem::take(&mut marks),
                commands,
            });
        }
    }
    blocks
}

/// One a line, unless the line goes on.
fn commands(body: &[(usize, &str)]) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut goes_on = false;
    for (line, text) in body.iter().filter(|(_, text)| !text.trim().is_empty()) {
        // A comment alone goes on with the one above.
        let text = text.trim_end();
        match commands.last_mut() {
            Some(last) if goes_on || text.trim_start().starts_with('#') => {
                last.text = format!("{}\n{text}", last.text);
            }
            _ => commands.push(Command {
                line: *line,
                text: text.to_owned(),
                prints: None,
            }),
        }
        goes_on = ["\\", "|", "&&", "||"]
            .iter()
            .any(|end| text.ends_with(end));
    }
    commands
}

fn prompts(body: &[(usize, &str)]) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for (line, text) in body {
        let command = text.strip_prefix("# ").or(text.strip_prefix("$ "));
        match (command, commands.last_mut()) {
            (Some(command), _) => commands.push(Command {
                line: *line,
                text: command.to_owned(),
                prints: Some(String::new()),
            }),
            (None, Some(last)) => {
                last.prints = last.prints.take().map(|said| format!("{said}{text}\n"));
            }
            (None, None) => panic!("line {line}: output before any command"),
        }
    }
    commands
}

/// The commands of jailwarden in a text: `jailwarden` and what follows it, in code.
pub(crate) fn spans(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with("```"))
    {
        let code = line.split('`').skip(1).step_by(2);
        found.extend(code.filter(|code| code.starts_with("jailwarden ")));
    }
    found
}
