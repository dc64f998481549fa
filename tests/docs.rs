//! What the documentation shows is what the program says.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code runs programs and fails by panicking"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

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

/// The documents that are for users: those at the top, and every page in `docs`.
fn documents() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root.join("docs")).unwrap();
    let pages = pages.map(|page| format!("docs/{}", page.unwrap().file_name().to_str().unwrap()));
    let top =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "MIGRATION.md", "examples/README.md"];
    let all: Vec<_> = top.map(str::to_owned).into_iter().chain(pages).collect();
    let all: Vec<_> = all.into_iter().filter(|name| name.ends_with(".md")).collect();
    assert!(all.len() >= 25, "{all:?}");
    all
}

#[test]
fn what_the_documents_show_of_hawser_spec_is_what_it_says() {
    for (name, least) in [("README.md", 2), ("docs/volumes.md", 1)] {
        let mut shown = 0;
        for (command, expected) in console(&document(name)) {
            let Some(arguments) = command.strip_prefix("hawser spec ") else { continue };
            let output = Command::new(env!("CARGO_BIN_EXE_hawser"))
                .arg("spec")
                .args(arguments.split_whitespace())
                .output()
                .unwrap();
            let said = [output.stdout, output.stderr].concat();
            assert_eq!(String::from_utf8(said).unwrap(), expected, "{name}: {command}");
            shown += 1;
        }
        assert!(shown >= least, "{name} shows what `hawser spec` says");
    }
}

/// Every `hawser …` in a console block is one that the program knows.
#[test]
fn the_documented_commands_exist() {
    let mut known = BTreeSet::new();
    for name in documents() {
        for (command, _) in console(&document(&name)) {
            let Some(arguments) = command.strip_prefix("hawser ") else { continue };
            let words = arguments.split_whitespace();
            let subcommand: Vec<_> =
                words.take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect();
            if !known.insert(subcommand.join(" ")) {
                continue;
            }
            let help = Command::new(env!("CARGO_BIN_EXE_hawser"))
                .args(&subcommand)
                .arg("--help")
                .output()
                .unwrap();
            assert!(help.status.success(), "{name}: {command}");
        }
    }
    assert!(known.len() >= 15, "{known:?}");
}

/// The commands that `hawser … --help` lists.
fn subcommands(of: &[&str]) -> Vec<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_hawser")).args(of).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| !line.is_empty());
    let own =
        lines.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    own.map(|line| line.split(' ').next().unwrap().to_owned()).filter(|it| it != "help").collect()
}

#[test]
fn the_page_about_operations_has_every_command() {
    let page = document("docs/operations.md");
    let commands = subcommands(&[]);
    assert!(commands.len() >= 12, "{commands:?}");
    for command in &commands {
        let start = format!("| `hawser {command}");
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with(&start)).collect();
        assert!(!rows.is_empty(), "hawser {command}");
        for subcommand in subcommands(&[command]) {
            let named = |row: &&str| {
                let cell = row.split('|').nth(1).unwrap();
                cell.split(['`', ' ', ',']).any(|word| word == subcommand)
            };
            assert!(rows.iter().any(named), "hawser {command} {subcommand}");
        }
    }
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in documents() {
        let directory = root.join(&name).parent().unwrap().to_owned();
        let text = document(&name);
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let outside = link.starts_with("https://");
            assert!(outside || directory.join(link).exists(), "{name}: {link}");
        }
    }
}

/// The names and texts of the files below a directory that are text.
fn texts(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path, text));
        }
    }
}

/// In errors, settings, comments and examples: `docs/NAME.md`.
#[test]
fn every_page_that_something_else_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for directory in
        ["src", "tests", "examples", "dist", "scripts", "plugin", "demo", "dcos-package"]
    {
        texts(&root.join(directory), &mut found);
    }
    let mut named = BTreeSet::new();
    for (path, text) in &found {
        let before = text.split("docs/").map(|part| part.chars().next_back());
        for (before, rest) in before.zip(text.split("docs/").skip(1)) {
            // Not a page of another project, such as `.docs/…` and `rancher/convoy/docs/…`.
            let ours = before.is_none_or(|c| c.is_whitespace() || "(\"`".contains(c));
            let length = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-');
            let (page, rest) = rest.split_at(length.unwrap_or(rest.len()));
            if !ours || !rest.starts_with(".md") {
                continue;
            }
            let page = format!("docs/{page}.md");
            assert!(root.join(&page).exists(), "{}: {page}", path.display());
            named.insert(page);
        }
    }
    assert!(named.len() >= 8, "{named:?}");
}

/// The blocks of a document in one language. A block within a list is indented.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let blocks = document.split(&opening).skip(1).map(|block| block.split("```").next().unwrap());
    blocks
        .map(|block| block.lines().map(|line| format!("{}\n", line.trim_start())).collect())
        .collect()
}

/// `hawser …` with a configuration file, and nothing of this machine's.
fn hawser(configuration: &str, arguments: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), configuration).unwrap();
    Command::new(env!("CARGO_BIN_EXE_hawser"))
        .env_clear()
        .args(arguments)
        .arg("--config")
        .arg(file.path())
        .output()
        .unwrap()
}

#[test]
fn the_configurations_of_the_nfs_page_are_right() {
    let blocks = blocks(&document("docs/nfs.md"), "toml");
    for block in &blocks {
        let output = hawser(block, &["config", "check"]);
        assert!(output.status.success(), "{block}\n{output:?}");
    }
    assert!(blocks.len() >= 3, "{blocks:?}");
}

/// Makes sure that a volume of an example is one on NFS.
#[track_caller]
fn is_on_nfs(name: &str, options: &[String]) {
    const EXPORTS: &str =
        "[daemon]\ncluster = \"prod\"\n[backends.nfs.fast]\nserver = \"filer:/x\"";
    let options: Vec<_> = options.iter().flat_map(|option| ["-o", option]).collect();
    let output = hawser(EXPORTS, &[&["spec", name, "--json"], &options[..]].concat());
    assert!(output.status.success(), "{name} {options:?}: {output:?}");
    let explained: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(explained["backend"], "nfs", "{name} {options:?}");
}

/// The value of `docker run -v` without the path in the container.
fn volume_of(argument: &str) -> &str {
    argument.split(':').next().unwrap()
}

#[test]
fn the_volumes_of_the_nfs_page_can_be_made() {
    let mut shown = 0;
    for (command, _) in console(&document("docs/nfs.md")) {
        if !command.starts_with("docker ") || !command.contains("export=") {
            continue;
        }
        let words: Vec<_> = command.split_whitespace().collect();
        let after = |flag: &str| {
            let pairs = words.windows(2).filter(|pair| pair[0] == flag);
            pairs.map(|pair| pair[1].to_owned()).collect::<Vec<_>>()
        };
        match after("-v").first() {
            Some(volume) => is_on_nfs(volume_of(volume), &[]),
            None => is_on_nfs(words.last().unwrap(), &after("-o")),
        }
        shown += 1;
    }
    assert!(shown >= 3, "{shown}");
}

#[test]
fn the_marathon_apps_with_nfs_volumes_ask_for_what_can_be_had() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/marathon");
    let mut volumes = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_string_lossy().starts_with("nfs") {
            continue;
        }
        let app: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let list = |pointer: &str| {
            app.pointer(pointer).and_then(|list| list.as_array()).cloned().unwrap_or_default()
        };
        let parameters = list("/container/docker/parameters");
        for parameter in parameters.iter().filter(|parameter| parameter["key"] == "volume") {
            is_on_nfs(volume_of(parameter["value"].as_str().unwrap()), &[]);
            volumes += 1;
        }
        for volume in list("/container/volumes") {
            let external = &volume["external"];
            // As Marathon hands them on: the size, and the options without their prefix.
            let own = external["options"].as_object().unwrap().iter();
            let own = own.filter(|(key, _)| *key != "dvdi/driver").map(|(key, value)| {
                format!("{}={}", key.strip_prefix("dvdi/").unwrap(), value.as_str().unwrap())
            });
            let options: Vec<_> = own.chain([format!("size={}", external["size"])]).collect();
            is_on_nfs(external["name"].as_str().unwrap(), &options);
            volumes += 1;
        }
    }
    assert_eq!(volumes, 3);
}

/// What `hawser spec` makes of a volume that Swarm asks for.
#[track_caller]
fn swarm_volume(name: &str, options: &[String]) -> serde_json::Value {
    const EBS: &str = "[daemon]\ncluster = \"prod\"\n[backends.ebs]\nenabled = true";
    let options: Vec<_> = options.iter().flat_map(|option| ["-o", option]).collect();
    let output = hawser(EBS, &[&["spec", name, "--json"], &options[..]].concat());
    assert!(output.status.success(), "{name} {options:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_volumes_of_the_swarm_page_and_its_example_can_be_made() {
    let mut shown = 0;
    for (command, _) in console(&document("docs/swarm.md")) {
        let Some((_, mount)) = command.split_once("--mount ") else { continue };
        let fields = || mount.split(' ').next().unwrap().split(',');
        let name = fields().find_map(|field| field.strip_prefix("source=")).unwrap();
        let options = fields().filter_map(|field| field.strip_prefix("volume-opt="));
        swarm_volume(name, &options.map(str::to_owned).collect::<Vec<_>>());
        shown += 1;
    }
    assert_eq!(shown, 2);

    let stack = document("examples/swarm/shared.yml");
    let (_, options) = stack.split_once("driver_opts:\n").unwrap();
    let options = options.lines().map(|line| line.trim().replace(": ", "=").replace('"', ""));
    let explained = swarm_volume("site", &options.collect::<Vec<_>>());
    assert_eq!(explained["backend"], "ebs", "{explained}");
    assert!(explained["notes"].to_string().contains("many tasks"), "{explained}");
}

/// In order, in an empty directory: the CA, the nodes, and their rotation.
#[test]
fn the_commands_of_the_security_page_work_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = 0;
    for (command, _) in console(&document("docs/security.md")) {
        let Some(arguments) = command.strip_prefix("hawser pki ") else { continue };
        let output = Command::new(env!("CARGO_BIN_EXE_hawser"))
            .current_dir(dir.path())
            .arg("pki")
            .args(arguments.split_whitespace())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        run += 1;
    }
    assert!(run >= 4, "{run}");
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
