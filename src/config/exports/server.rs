//! Servers as they are written: `HOST:/PATH`, an address, or an EFS file system by its id.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::backend::nfs::{Server, ServerKind};

/// MOUNT takes so many bytes as a path (RFC 1813, section 5.1.3).
const PATH_MAX: usize = 1024;

/// Where AWS is, as far as it is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) region: Option<String>,
    pub(super) zone: Option<String>,
}

/// Reads a server.
pub(super) fn parse(text: &str, place: &Place) -> Result<Server, String> {
    if text.starts_with("fsap-") {
        // The access point's id travels in the certificate of a TLS connection, which efs-utils makes;
        // the kernel has no option for it.
        // <https://docs.aws.amazon.com/efs/latest/ug/mounting-access-points.html>
        return Err(
            "an access point of EFS is only reached through AWS's own mount helper, which \
                    hawser does not use: name the file system and the access point's directory, \
                    fs-0123456789abcdef0:/PATH"
                .into(),
        );
    }
    if let Some(efs) = efs(text, place) {
        return efs;
    }
    if text.contains("://") {
        return Err("must be HOST:/PATH, without the name of a protocol before it".into());
    }
    let Some((host, _)) = text.split_once(":/") else {
        return Err("must be HOST:/PATH, or the id of an EFS file system such as \
                    fs-0123456789abcdef0"
            .into());
    };
    let path = path(&text[host.len() + 1..])?;
    let host = self::host(host)?;
    let kind = if is_efs_name(&host) { ServerKind::Efs } else { ServerKind::Filer };
    Ok(Server { host, path, kind })
}

/// `fs-ID` or `fs-ID:/PATH`; `None` if it is no id.
fn efs(text: &str, place: &Place) -> Option<Result<Server, String>> {
    let (id, path) = text.split_once(':').unwrap_or((text, "/"));
    is_efs_id(id).then(|| {
        let Some(region) = &place.region else {
            return Err("the region of the EFS file system is not known: set `region` beside \
                        `server`, or backends.ebs.region, or the variable AWS_REGION"
                .to_owned());
        };
        // <https://docs.aws.amazon.com/efs/latest/ug/mounting-fs-mount-cmd-dns-name.html>
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let zone = place.zone.as_ref().map(|zone| format!("{zone}.")).unwrap_or_default();
        let host = format!("{zone}{id}.efs.{region}.{domain}");
        Ok(Server { host, path: self::path(path)?, kind: ServerKind::Efs })
    })
}

fn is_efs_id(text: &str) -> bool {
    let id = text.strip_prefix("fs-").unwrap_or_default();
    (8..=40).contains(&id.len()) && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A name of EFS's own, written in full.
fn is_efs_name(host: &str) -> bool {
    let mut labels = host.split('.').skip_while(|label| !is_efs_id(label)).skip(1);
    let amazon = [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|end| host.ends_with(end));
    amazon && labels.next() == Some("efs")
}

fn host(text: &str) -> Result<String, String> {
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address
            .map(|address| address.to_string())
            .ok_or_else(|| format!("`{text}` is not an IPv6 address"));
    }
    if text.contains(':') {
        return Err("write an IPv6 address in brackets: [2001:db8::1]:/PATH".into());
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let numbers = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match text {
        "" => Err("the server has no name: write HOST:/PATH".into()),
        _ if numbers && text.parse::<Ipv4Addr>().is_err() => {
            Err(format!("`{text}` is not an address"))
        }
        _ if text.len() <= 253 && text.bytes().all(allowed) => Ok(text.to_owned()),
        _ => Err("a server's name has at most 253 letters, digits, `-`, `.` and `_`".into()),
    }
}

/// An absolute path, without `/` at its end.
fn path(text: &str) -> Result<String, String> {
    let Some(inner) = text.strip_prefix('/') else {
        return Err("the path must be absolute: write HOST:/PATH".into());
    };
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let wrong = |part: &str| matches!(part, "" | "." | "..");
    match inner {
        "" => Ok("/".to_owned()),
        _ if text.len() > PATH_MAX => Err(format!("the path has more than {PATH_MAX} bytes")),
        _ if inner.split('/').any(wrong) => {
            Err("the path has an empty part, `.` or `..`: write it without".into())
        }
        _ if inner.chars().any(char::is_control) => {
            Err("the path holds a control character".into())
        }
        _ => Ok(format!("/{inner}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Server, String> {
        parse(text, &Place { region: Some("eu-west-1".to_owned()), zone: None })
    }

    #[test]
    fn a_server_is_a_name_or_an_address_and_a_path() {
        for (text, host, path) in [
            ("filer:/export/apps", "filer", "/export/apps"),
            ("filer.example.org:/", "filer.example.org", "/"),
            ("10.0.0.1:/vol0/", "10.0.0.1", "/vol0"),
            ("[2001:db8::1]:/x", "2001:db8::1", "/x"),
            ("filer:/with a space", "filer", "/with a space"),
        ] {
            let server = read(text).unwrap();
            assert_eq!((server.host.as_str(), server.path.as_str()), (host, path), "{text}");
            assert_eq!(server.kind, ServerKind::Filer);
        }
        assert_eq!(read("[2001:db8::1]:/x/").unwrap().to_string(), "[2001:db8::1]:/x");
    }

    #[test]
    fn what_is_no_server_is_answered_with_what_is() {
        for (text, why) in [
            ("", "must be HOST:/PATH"),
            ("filer", "must be HOST:/PATH"),
            ("filer:export", "must be HOST:/PATH"),
            (":/export", "no name"),
            ("2001:db8::1:/x", "in brackets"),
            ("[2001:db8::g]:/x", "not an IPv6 address"),
            ("[10.0.0.1]:/x", "not an IPv6 address"),
            ("300.0.0.1:/x", "not an address"),
            ("nfs://filer:/x", "without the name of a protocol"),
            ("fi ler:/x", "a server's name"),
            ("filer:/a//b", "empty part"),
            ("filer:/a/../b", "`..`"),
            ("filer:/a\nb", "control character"),
            ("fsap-0123456789abcdef0", "AWS's own mount helper"),
            ("fs-0123456789abcdef0:data", "must be absolute"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
    }

    #[test]
    fn an_efs_file_system_is_found_by_its_id() {
        let id = "fs-0123456789abcdef0";
        let plain = read(id).unwrap();
        assert_eq!(plain.to_string(), format!("{id}.efs.eu-west-1.amazonaws.com:/"));
        assert_eq!(plain.kind, ServerKind::Efs);
        let at = |region: &str, zone: Option<&str>| {
            let place = Place { region: Some(region.to_owned()), zone: zone.map(str::to_owned) };
            parse(&format!("{id}:/apps"), &place).unwrap().to_string()
        };
        assert_eq!(
            at("us-east-1", Some("us-east-1a")),
            format!("us-east-1a.{id}.efs.us-east-1.amazonaws.com:/apps")
        );
        assert_eq!(at("cn-north-1", None), format!("{id}.efs.cn-north-1.amazonaws.com.cn:/apps"));
        let lost = parse(id, &Place::default()).unwrap_err();
        assert!(lost.contains("backends.ebs.region, or the variable AWS_REGION"), "{lost}");
        let in_full = read(&format!("us-east-1a.{id}.efs.us-east-1.amazonaws.com:/")).unwrap();
        assert_eq!(in_full.kind, ServerKind::Efs);
        assert_eq!(read("fs-01234567.example.org:/x").unwrap().kind, ServerKind::Filer);
    }
}
