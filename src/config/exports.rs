//! The settings of the NFS backend, read: which exports there are, and what holds for each.

mod server;
mod values;

use super::{Mistake, Reader, boolean, ebs, parsed, size};
use crate::{
    backend::nfs::{
        Control, ExportSettings, Locks, NfsSettings, NfsVersion, OverLimit, Records, Server,
        ServerKind,
    },
    spec::NfsDefaults,
};
use server::Place;

const SECTION: &str = "backends.nfs";

/// The export that `backends.nfs.server` makes.
const UNNAMED: &str = "default";

/// What AWS recommends for EFS, in bytes.
/// <https://docs.aws.amazon.com/efs/latest/ug/mount-helper-setting.html>
const EFS_TRANSFER: u32 = 1_048_576;

/// The NFS backend as it is configured: what it is told, and what specs leave open.
pub(super) struct Nfs {
    pub(super) settings: NfsSettings,
    pub(super) defaults: NfsDefaults,
}

impl Reader {
    /// `None` after a mistake, `Some(None)` where no export is configured. What is for all exports is
    /// read in either case: a mistake in it is one today, not on the day when there is an export.
    pub(super) fn nfs(&mut self, records: Records) -> Option<Option<Nfs>> {
        let cluster = self.get("daemon.cluster", ebs::cluster);
        let secret = self.get("backends.nfs.secret", values::secret);
        let default_export = self.get("backends.nfs.default_export", values::name);
        let nobodys = Server { host: String::new(), path: "/".into(), kind: ServerKind::Filer };
        let for_all = self.export("", nobodys);
        let servers = self.servers();
        let names: Vec<String> = servers.iter().map(|(name, _)| name.clone()).collect();
        let read = |(name, server): (String, Option<Server>)| self.export(&name, server?);
        // All are read before the first that is wrong ends it.
        let exports: Vec<Option<ExportSettings>> = servers.into_iter().map(read).collect();
        let export = self.default_export(default_export?, &names);
        let (cluster, exports) = (cluster?, exports.into_iter().collect::<Option<Vec<_>>>()?);
        let (secret, export, _) = (secret?, export?, for_all?);
        if exports.is_empty() {
            return Some(None);
        }
        let Some(cluster) = cluster else {
            self.mistake(
                "daemon.cluster",
                "the nfs backend needs a name for the cluster, the same on every node: it is in the \
                 mark of every directory",
            );
            return None;
        };
        let defaults = NfsDefaults { exports: names, export };
        Some(Some(Nfs { settings: NfsSettings { cluster, records, secret, exports }, defaults }))
    }

    /// Every export's name and server, which is `None` after a mistake.
    fn servers(&mut self) -> Vec<(String, Option<Server>)> {
        let unnamed = format!("{SECTION}.server");
        let mut names = self.values.names(SECTION);
        // Empty is not set, as in the sample file.
        let has_unnamed = !self.values.get(&unnamed).0.is_empty();
        if has_unnamed {
            names.entry(UNNAMED.to_owned()).or_default();
        }
        let server = |(name, source): (String, String)| {
            let own = format!("{SECTION}.{name}.server");
            let at = match (!self.values.get(&own).0.is_empty(), has_unnamed) {
                (true, true) if name == UNNAMED => {
                    self.mistake(
                        &own,
                        "backends.nfs.server makes an export of that name too: remove one of them",
                    );
                    return (name, None);
                }
                (true, _) => own,
                (false, true) if name == UNNAMED => unnamed.clone(),
                (false, _) => {
                    let (value, why) =
                        ("(not set)".to_owned(), "an export needs it: write HOST:/PATH");
                    self.report(Mistake { source, key: own, value, why: why.to_owned() });
                    return (name, None);
                }
            };
            let server = self.server(&name, &at);
            (name, server)
        };
        names.into_iter().map(server).collect()
    }

    /// The server that is written at `key`, of the export `name`.
    fn server(&mut self, name: &str, key: &str) -> Option<Server> {
        let region = self.of(name, "region", ebs::word)?;
        let zone = self.of(name, "zone", ebs::word)?;
        let ebs_region = self.get("backends.ebs.region", ebs::word)?;
        let ebs_zone = self.get("backends.ebs.zone", ebs::word)?;
        let aws_region = self.values.aws_region().map(str::to_owned);
        let region = region.or(ebs_region).or(aws_region);
        let place = Place { region, zone: zone.or(ebs_zone) };
        let (value, _) = self.values.get(key);
        let server = match server::parse(&value, &place) {
            Ok(server) => server,
            Err(why) => {
                self.mistake(key, &why);
                return None;
            }
        };
        for field in ["region", "zone"] {
            let own = format!("{SECTION}.{name}.{field}");
            if server.kind == ServerKind::Filer && self.values.is_set(&own) {
                self.mistake(
                    &own,
                    "it is for EFS file systems, and this server is none: remove it",
                );
                return None;
            }
        }
        Some(server)
    }

    /// An export, or with an empty name what is for all.
    fn export(&mut self, name: &str, server: Server) -> Option<ExportSettings> {
        let efs = server.kind == ServerKind::Efs;
        let versions = self.versions(name, server.kind);
        let port = self.of(name, "port", values::auto_port);
        let mount_port = self.of(name, "mount_port", values::auto_port);
        let portmapper_port = self.of(name, "portmapper_port", values::port);
        let control = self.control(name, server.kind);
        let privileged_port = self.of(name, "privileged_port", boolean);
        let (uid, gid) = (self.of(name, "uid", values::id), self.of(name, "gid", values::id));
        let locks = self.of(name, "locks", parsed::<Locks>);
        let timeo = self.of(name, "timeo", values::timeo);
        let retrans = self.of(name, "retrans", values::retrans);
        let nconnect = self.of(name, "nconnect", values::nconnect);
        let rsize = self.of(name, "rsize", values::transfer);
        let wsize = self.of(name, "wsize", values::transfer);
        let noresvport = self.of(name, "noresvport", values::auto_boolean);
        let options = self.of(name, "options", values::options);
        let over_limit = self.of(name, "over_limit", parsed::<OverLimit>);
        let measure_every = self.of(name, "measure_every", values::measure_every);
        let measure_rate = self.of(name, "measure_rate", values::rate);
        let margin = self.of(name, "margin", size);
        Some(ExportSettings {
            name: name.to_owned(),
            server,
            versions: versions?,
            port: port?,
            mount_port: mount_port?,
            portmapper_port: portmapper_port?,
            control: control?,
            privileged_port: privileged_port?,
            uid: uid?,
            gid: gid?,
            locks: locks?,
            timeo: timeo?,
            retrans: retrans?,
            nconnect: nconnect?,
            rsize: rsize?.or(efs.then_some(EFS_TRANSFER)),
            wsize: wsize?.or(efs.then_some(EFS_TRANSFER)),
            noresvport: noresvport?.unwrap_or(efs),
            options: options?,
            over_limit: over_limit?,
            measure_every: measure_every?,
            measure_rate: measure_rate?,
            margin: margin?,
        })
    }

    fn versions(&mut self, name: &str, kind: ServerKind) -> Option<Vec<NfsVersion>> {
        let versions = self.of(name, "versions", values::versions)?;
        let (auto, has): (&[_], fn(&NfsVersion) -> bool) = match kind {
            ServerKind::Filer => (&NfsVersion::ALL, |_| true),
            // <https://docs.aws.amazon.com/efs/latest/ug/nfs4-unsupported-features.html>
            ServerKind::Efs => {
                (&[NfsVersion::V4_1], |v| matches!(v, NfsVersion::V4_1 | NfsVersion::V4_0))
            }
        };
        let Some(versions) = versions else { return Some(auto.to_vec()) };
        if let Some(missing) = versions.iter().find(|version| !has(version)) {
            let why = format!("EFS has no version {missing}: use 4.1 or 4.0 for export {name}");
            self.mistake(&self.key_of(name, "versions"), &why);
            return None;
        }
        Some(versions)
    }

    fn control(&mut self, name: &str, kind: ServerKind) -> Option<Control> {
        let control = self.of(name, "control", values::control)?;
        match (control, kind) {
            (Some(Control::V3), ServerKind::Efs) => {
                let why = format!("EFS has no NFSv3: use auto or mount for export {name}");
                self.mistake(&self.key_of(name, "control"), &why);
                None
            }
            (Some(control), _) => Some(control),
            (None, ServerKind::Filer) => Some(Control::V3),
            (None, ServerKind::Efs) => Some(Control::Mount),
        }
    }

    /// The export of volumes that name none: `None` after a mistake.
    fn default_export(
        &mut self,
        stated: Option<String>,
        names: &[String],
    ) -> Option<Option<String>> {
        match stated {
            Some(stated) if !names.contains(&stated) => {
                let why = match names {
                    [] => {
                        "no export is configured: [backends.nfs.NAME] with a server is one".into()
                    }
                    _ => format!("there is no such export, of {}", names.join(", ")),
                };
                self.mistake("backends.nfs.default_export", &why);
                None
            }
            Some(stated) => Some(Some(stated)),
            None => Some(names.iter().find(|name| *name == UNNAMED).cloned()),
        }
    }

    /// A setting of an export.
    fn of<T>(
        &mut self,
        name: &str,
        field: &str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let key = self.key_of(name, field);
        self.get(&key, parse)
    }

    /// The key that says it for that export: its own, or the one for all.
    fn key_of(&self, name: &str, field: &str) -> String {
        let own = format!("{SECTION}.{name}.{field}");
        if self.values.is_set(&own) { own } else { format!("{SECTION}.{field}") }
    }
}

#[cfg(test)]
mod tests;
