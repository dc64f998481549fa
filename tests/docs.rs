//! What the documentation shows is what the program says.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code runs programs and fails by panicking"
)]

use std::{fs, path::Path, process::Command};

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The commands of a document's console blocks, each with the lines that follow it. A block within a
/// list is indented.
fn console(document: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let blocks = document.split("```console\n").skip(1);
    for line in blocks.flat_map(|block| block.split("```").next().unwrap().lines()) {
        match (line.trim_start().strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => output.push_str(&format!("{line}\n")),
            (None, None) => panic!("{line}: output without a command"),
        }
    }
    commands
}

#[test]
fn what_the_readme_shows_of_hawser_spec_is_what_it_says() {
    let mut shown = 0;
    for (command, expected) in console(&document("README.md")) {
        let Some(arguments) = command.strip_prefix("hawser spec ") else { continue };
        let output = Command::new(env!("CARGO_BIN_EXE_hawser"))
            .arg("spec")
            .args(arguments.split_whitespace())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(String::from_utf8(said).unwrap(), expected, "{command}");
        shown += 1;
    }
    assert!(shown >= 2, "the README shows what `hawser spec` says");
}

/// Every `hawser …` in a console block is one that the program knows.
#[test]
fn the_documented_commands_exist() {
    for name in ["README.md", "MIGRATION.md", "docs/operations.md", "docs/ebs.md"] {
        for (command, _) in console(&document(name)) {
            let Some(arguments) = command.strip_prefix("hawser ") else { continue };
            let words = arguments.split_whitespace();
            let subcommand: Vec<_> =
                words.take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect();
            let help = Command::new(env!("CARGO_BIN_EXE_hawser"))
                .args(&subcommand)
                .arg("--help")
                .output()
                .unwrap();
            assert!(help.status.success(), "{name}: {command}");
        }
    }
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "MIGRATION.md",
        "docs/ebs.md",
        "docs/operations.md",
        "docs/limitations.md",
    ] {
        let directory = root.join(name).parent().unwrap().to_owned();
        let text = document(name);
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let outside = link.starts_with("https://");
            assert!(outside || directory.join(link).exists(), "{name}: {link}");
        }
    }
}

/// Which is made from the calls in the code.
#[test]
#[cfg(feature = "ebs")]
fn the_iam_policy_in_the_documentation_is_the_one_that_the_program_prints() {
    let printed = Command::new(env!("CARGO_BIN_EXE_hawser"))
        .args(["config", "iam-policy", "--cluster", "prod"])
        .output()
        .unwrap();
    assert!(printed.status.success(), "{printed:?}");
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), document("docs/iam-policy.json"));
}

/// Every test that the documentation names is there.
#[test]
fn the_tests_that_the_ebs_page_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    for dir in ["tests/ebs", "src/backend/ebs"] {
        for entry in fs::read_dir(root.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                sources.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let page = document("docs/ebs.md");
    let table = page.split("## How it was tested").nth(1).unwrap();
    let names = table.split('`').skip(1).step_by(2).filter(|word| {
        word.matches('_').count() >= 3 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    });
    let mut checked = 0;
    for name in names {
        assert!(sources.contains(&format!("fn {name}()")), "{name}");
        checked += 1;
    }
    assert!(checked >= 12, "{checked}");
}
