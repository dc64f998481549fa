//! YAML as a flat list: every scalar with its path, as it was written.

use granit_parser::{Event, Parser, ScalarStyle};

use super::ImportError;

/// A scalar, or a list of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// The keys that lead to it. A key with dots in it is several: `a.b: 1` is `a: {b: 1}`.
    pub(super) path: Vec<String>,
    /// Its text; a list's elements with commas between them.
    pub(super) value: String,
    pub(super) line: usize,
}

/// A collection that is not closed yet.
enum Open {
    /// A mapping, with the keys that the next value stands under, once they were read.
    Mapping(Option<Vec<String>>),
    /// A list, with where it began and what it has.
    List(usize, Vec<String>),
}

/// Reads `text`.
///
/// Messages of the parser are its own words, with no piece of the text, which may hold a secret.
pub(super) fn leaves(text: &str) -> Result<Vec<Leaf>, ImportError> {
    let mut leaves = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| ImportError::Yaml {
            line: error.marker().line(),
            why: error.info(),
        })?;
        let line = span.start.line();
        let refuse = |why: &str| ImportError::Yaml { line, why: why.to_owned() };
        match event {
            Event::Scalar(value, style, _, _) => {
                let none = style == ScalarStyle::Plain && ["", "~", "null"].contains(&&*value);
                scalar(&mut open, &mut leaves, (&value, line), none)?;
            }
            Event::MappingStart(..) => match open.last() {
                None | Some(Open::Mapping(Some(_))) => open.push(Open::Mapping(None)),
                Some(Open::Mapping(None)) => return Err(refuse("a mapping cannot be a key here")),
                Some(Open::List(..)) => return Err(refuse("no list here has mappings in it")),
            },
            Event::SequenceStart(..) => match open.last() {
                Some(Open::Mapping(Some(_))) => open.push(Open::List(line, Vec::new())),
                None | Some(Open::Mapping(None) | Open::List(..)) => {
                    return Err(refuse("no list can stand here"));
                }
            },
            Event::MappingEnd => {
                open.pop();
                value_ends(&mut open);
            }
            Event::SequenceEnd => {
                if let Some(Open::List(line, elements)) = open.pop() {
                    leaves.push(Leaf { path: path(&open), value: elements.join(","), line });
                }
                value_ends(&mut open);
            }
            Event::Alias(..) | Event::UnresolvedAlias(..) => {
                return Err(refuse("anchors are not followed: write the value out"));
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Anchor(..) => {}
            // The parser may learn to tell more; none of it is a value.
            _ => {}
        }
    }
    Ok(leaves)
}

fn scalar(
    open: &mut [Open],
    leaves: &mut Vec<Leaf>,
    (value, line): (&str, usize),
    none: bool,
) -> Result<(), ImportError> {
    let at = path(open);
    match open.last_mut() {
        // An empty document, or one of comments.
        None if none => Ok(()),
        None => Err(ImportError::Yaml { line, why: "a mapping was expected".to_owned() }),
        Some(Open::Mapping(key @ None)) => {
            *key = Some(value.split('.').map(str::to_owned).collect());
            Ok(())
        }
        Some(Open::Mapping(key)) => {
            *key = None;
            if !none {
                leaves.push(Leaf { path: at, value: value.to_owned(), line });
            }
            Ok(())
        }
        Some(Open::List(_, elements)) => {
            elements.push(value.to_owned());
            Ok(())
        }
    }
}

/// A collection was the value of the mapping's key, which is done with.
fn value_ends(open: &mut [Open]) {
    if let Some(Open::Mapping(key)) = open.last_mut() {
        *key = None;
    }
}

fn path(open: &[Open]) -> Vec<String> {
    open.iter()
        .flat_map(|open| match open {
            Open::Mapping(Some(key)) => key.clone(),
            Open::Mapping(None) | Open::List(..) => Vec::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let leaves = leaves(text).unwrap().into_iter();
        leaves.map(|leaf| (leaf.path.join("/"), leaf.value)).collect()
    }

    #[test]
    fn scalars_keep_their_text_and_their_path() {
        let text = "# a comment\nrexray:\n  logLevel: warn\n  storageDrivers: [ec2, 'b']\n  empty:\n\
                    linux:\n  volume.filemode: 0700\nlast: \"~\"\n";
        let expected = [
            ("rexray/logLevel", "warn"),
            ("rexray/storageDrivers", "ec2,b"),
            ("linux/volume/filemode", "0700"),
            ("last", "~"),
        ];
        assert_eq!(read(text), expected.map(|(path, value)| (path.to_owned(), value.to_owned())));
        assert_eq!(read("# nothing\n"), []);
    }

    #[test]
    fn what_is_no_configuration_is_told_by_its_line_without_its_text() {
        for text in [
            "a: 1\nb: 'hunter2",
            "a: 1\nb: [[hunter2]]",
            "a: 1\nb: [{c: hunter2}]",
            "a: &x hunter2\nb: *x",
        ] {
            let found = leaves(text).unwrap_err().to_string();
            assert!(found.starts_with("line 2: "), "{found}");
            assert!(!found.contains("hunter2"), "{found}");
        }
        assert!(leaves("hunter2").is_err());
    }
}
