//! What another plugin's volume is, said to hawser.

use crate::spec::{self, Asked, Bytes, Key, Request, VolumeName};

/// A plugin whose apps are converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Rexray,
    Portworx,
}

impl Peer {
    /// By the driver's name: `rexray`, `rexray/ebs`, `rexray/ebs:0.11.4`, `pxd`.
    pub(super) fn of_driver(driver: &str) -> Option<Self> {
        let name = driver.split([':', '/']).next().unwrap_or_default();
        match name {
            "rexray" => Some(Self::Rexray),
            "pxd" => Some(Self::Portworx),
            _ => None,
        }
    }

    /// What a volume gets for which no size is said.
    const fn default_size(self) -> Bytes {
        match self {
            Self::Rexray => Bytes::gib(16),
            Self::Portworx => Bytes::gib(1),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Rexray => "REX-Ray",
            Self::Portworx => "Portworx",
        }
    }

    const fn about_the_data(self) -> &'static str {
        match self {
            Self::Rexray => {
                "take the volume over first (`hawser volume import`, MIGRATION.md): else the app begins with an empty one"
            }
            Self::Portworx => "the app begins with an empty volume: copy the data",
        }
    }
}

/// A volume, translated.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) request: Request,
    /// What is not simply the same.
    pub(super) notes: Vec<String>,
}

impl Translated {
    /// # Errors
    /// Why there is no such volume of hawser.
    pub(super) fn new(
        peer: Peer,
        name: &str,
        options: &[(String, String)],
    ) -> Result<Self, String> {
        let (name, pairs) = elements(name, options)?;
        let name: VolumeName = name.parse().map_err(|error: spec::SpecError| error.to_string())?;
        let mut notes = Vec::new();
        let mut kept = String::new();
        for (key, value) in &pairs {
            match spec::parse_options([(key.as_str(), value.as_str())]) {
                Ok(stated) if stated.is_empty() => {}
                Ok(stated) => {
                    kept.push(',');
                    kept.push_str(&stated.canonical());
                }
                Err(error) => notes.push(format!("left out: {error}")),
            }
        }
        let read = |text: &str| match spec::parse(text, []) {
            Ok(Asked::Volume(request)) => Ok(request),
            Ok(Asked::Help) => Err("it asks for help and not for a volume".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let mut request = read(&format!("name={name}{kept}"))?;
        if request.stated.get(Key::Size).is_none() && request.stated.get(Key::Snapshot).is_none() {
            let size = peer.default_size();
            request = read(&format!("name={name},size={size}{kept}"))?;
            notes.push(format!(
                "size={size} is what {} makes where nothing is said: look whether its configuration said otherwise",
                peer.name()
            ));
        }
        notes.push(format!("`{name}`: {}", peer.about_the_data()));
        Ok(Self { request, notes })
    }
}

/// The name, and the rest as pairs.
fn elements(
    name: &str,
    options: &[(String, String)],
) -> Result<(String, Vec<(String, String)>), String> {
    let mut names = Vec::new();
    let mut pairs = Vec::new();
    for element in name.split(',').map(str::trim).filter(|element| !element.is_empty()) {
        match element.split_once('=') {
            Some((key, value)) if key.trim().eq_ignore_ascii_case("name") => {
                names.push(value.trim())
            }
            Some((key, value)) => pairs.push((key.to_owned(), value.to_owned())),
            None => names.push(element),
        }
    }
    let [name] = names.as_slice() else {
        return Err("it does not have exactly one name".to_owned());
    };
    pairs.extend(options.iter().cloned());
    Ok(((*name).to_owned(), pairs))
}
