//! What an app asks of volume drivers, by each of the ways that Marathon has.
//!
//! | route | where | options |
//! |---|---|---|
//! | parameter | `docker.parameters`: `volume-driver`, and `volume` = `NAME:/path` | in the name |
//! | mount | `docker.parameters`: `mount` = `source=NAME,target=/path,volume-driver=…` | in the name, `volume-opt` |
//! | external | `volumes[].external`, provider `dvdi` | in the name; with Mesos' containers also `dvdi/…` and `size` |

use super::{
    app::{Container, Containerizer},
    json::At,
};
use crate::spec::{self, Asked, BackendKind, Defaults, Key, Request, Sharing, Value};

/// The prefix of the options that Marathon hands on to a volume driver.
pub(super) const PREFIX: &str = "dvdi/";

/// The option that names the driver.
pub(super) const DRIVER: &str = "dvdi/driver";

/// How a volume gets to the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Parameter,
    Mount,
    External,
}

/// A volume of a driver.
#[derive(Debug, Clone)]
pub(super) struct Volume<'a> {
    pub(super) route: Route,
    /// The parameter's value, or the object `external`.
    pub(super) at: At<'a>,
    /// Where the name is.
    pub(super) path: String,
    /// The name as it is written, which may be an inline spec.
    pub(super) name: String,
    pub(super) driver: Option<String>,
    /// Where it is in the container.
    pub(super) target: Option<String>,
    /// The options beside the name, as the driver gets them.
    pub(super) options: Vec<(String, String)>,
}

impl<'a> Volume<'a> {
    /// The container's, those of parameters first.
    pub(super) fn all(container: &Container<'a>) -> Vec<Self> {
        let mut all = Vec::new();
        if container.kind == Containerizer::Docker {
            let driver = driver_parameters(&container.at).pop();
            let driver = driver.and_then(|at| at.text()).map(str::to_owned);
            for (key, value) in parameters(&container.at) {
                let Some(text) = value.text() else { continue };
                let volume = match key {
                    "volume" => Self::of_parameter(&value, text, driver.clone()),
                    "mount" => Self::of_mount(&value, text),
                    _ => None,
                };
                all.extend(volume);
            }
        }
        let external = container.at.list("volumes");
        all.extend(external.iter().filter_map(|volume| Self::external(volume, container.kind)));
        all
    }

    fn of_parameter(at: &At<'a>, text: &str, driver: Option<String>) -> Option<Self> {
        let Ok(Argument { source: Some(name), target, .. }) = Argument::read(text) else {
            return None;
        };
        Some(Self {
            route: Route::Parameter,
            at: at.clone(),
            path: at.path.clone(),
            name,
            driver,
            target: Some(target),
            options: Vec::new(),
        })
    }

    fn of_mount(at: &At<'a>, text: &str) -> Option<Self> {
        let fields = csv(text);
        let of = |names: &[&str]| {
            let mut values = fields.iter().rev().filter_map(|field| field.split_once('='));
            values.find(|(key, _)| names.contains(key)).map(|(_, value)| value.to_owned())
        };
        if of(&["type"]).is_some_and(|kind| kind != "volume") {
            return None;
        }
        let options = fields.iter().filter_map(|field| field.strip_prefix("volume-opt="));
        let options = options.map(|option| option.split_once('=').unwrap_or((option, "")));
        Some(Self {
            route: Route::Mount,
            at: at.clone(),
            path: at.path.clone(),
            name: of(&["source", "src"])?,
            driver: of(&["volume-driver"]),
            target: of(&["target", "dst", "destination"]),
            options: options.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        })
    }

    fn external(volume: &At<'a>, kind: Containerizer) -> Option<Self> {
        let at = volume.get("external")?;
        if at.text_of("provider") != Some("dvdi") {
            return None;
        }
        let given = at.get("options").map(|options| options.entries()).unwrap_or_default();
        let text = |at: &At<'_>| at.text().map(|text| text.trim().to_owned());
        let driver = given.iter().find(|(key, _)| *key == DRIVER).and_then(|(_, at)| text(at));
        let size = at.get("size").and_then(|size| size.value.as_u64());
        let mut options = Vec::new();
        // The Docker containerizer hands on nothing but the name.
        if kind == Containerizer::Mesos {
            for (key, at) in &given {
                let key = key.strip_prefix(PREFIX).filter(|_| !key.eq_ignore_ascii_case(DRIVER));
                let key = key.filter(|key| *key != "size" || size.is_none());
                options.extend(key.and_then(|key| Some((key.to_owned(), text(at)?))));
            }
            options.extend(size.map(|size| ("size".to_owned(), size.to_string())));
        }
        Some(Self {
            route: Route::External,
            path: at.place("name"),
            name: at.text_of("name").unwrap_or_default().to_owned(),
            driver,
            target: volume.text_of("containerPath").map(str::to_owned),
            options,
            at,
        })
    }

    /// Whether its driver is called so, perhaps with a tag: `hawser:latest` is the managed plugin.
    pub(super) fn is_of(&self, driver: &str) -> bool {
        let own = self.driver.as_deref().unwrap_or_default();
        own == driver || own.strip_prefix(driver).is_some_and(|rest| rest.starts_with(':'))
    }

    /// What is asked of hawser.
    pub(super) fn request(&self) -> Result<Request, String> {
        let options = self.options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        match spec::parse(&self.name, options).map_err(|error| error.to_string())? {
            Asked::Volume(request) => Ok(request),
            Asked::Help => Err("it asks for help and not for a volume: remove `help`".to_owned()),
        }
    }
}

/// Whether tasks on many nodes can use such a volume at the same time.
pub(super) fn is_shared(request: &Request, defaults: Option<&Defaults>) -> bool {
    let stated = &request.stated;
    match stated.get(Key::Shared) {
        Some(Value::Sharing(sharing)) => *sharing == Sharing::Shared,
        _ => is_directory(request, defaults),
    }
}

/// Whether it is a directory on an NFS server, which every node mounts for itself.
fn is_directory(request: &Request, defaults: Option<&Defaults>) -> bool {
    let stated = &request.stated;
    let kinds = stated.iter().filter_map(|(key, value)| {
        let stated = if let Value::Backend(kind) = value { Some(*kind) } else { None };
        stated.or(key.backend())
    });
    let kind = kinds.last().or(defaults.map(|defaults| defaults.backend));
    let image = matches!(stated.get(Key::Layout), Some(Value::Text(layout)) if layout == "image");
    kind == Some(BackendKind::Nfs) && !image
}

/// The container's Docker parameters that have a key.
pub(super) fn parameters<'a>(container: &At<'a>) -> Vec<(&'a str, At<'a>)> {
    let list = container.get("docker").map(|docker| docker.list("parameters")).unwrap_or_default();
    list.iter().filter_map(|one| Some((one.text_of("key")?, one.get("value")?))).collect()
}

/// Those that name the driver of `volume` parameters; Docker takes the last.
pub(super) fn driver_parameters<'a>(container: &At<'a>) -> Vec<At<'a>> {
    let of = parameters(container).into_iter().filter(|(key, _)| *key == "volume-driver");
    of.map(|(_, value)| value).collect()
}

/// What follows `docker run --volume`.
#[derive(Debug)]
pub(super) struct Argument {
    /// The volume's name; none for a directory of the host, and for a volume without a name.
    pub(super) source: Option<String>,
    pub(super) target: String,
    /// What follows the path, with its colon.
    pub(super) options: String,
}

impl Argument {
    /// # Errors
    /// What Docker would not take.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let parts: Vec<_> = text.split(':').collect();
        let (source, target, options) = match parts.as_slice() {
            [target] => ("", *target, String::new()),
            [source, target] => (*source, *target, String::new()),
            [source, target, options] => (*source, *target, format!(":{options}")),
            _ => return Err("it has too many colons, and a volume's name can have none"),
        };
        if !target.starts_with('/') {
            return Err("it has no absolute path in the container: write NAME:/PATH");
        }
        let named = !source.is_empty() && !source.starts_with(['/', '.', '~']);
        let source = named.then(|| source.to_owned());
        Ok(Self { source, target: target.to_owned(), options })
    }
}

/// The fields of a line as `docker run --mount` reads it: a field with commas is in quotes.
pub(super) fn csv(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match (c, quoted, fields.last_mut()) {
            ('"', _, _) => quoted = !quoted,
            (',', false, _) => fields.push(String::new()),
            (c, _, Some(field)) => field.push(c),
            (_, _, None) => {}
        }
    }
    fields
}
