//! The options of the DC/OS Universe package, and the Marathon app that they become: both made from the
//! table of settings, so that none is missing and each says the same everywhere.
//!
//! Cosmos fills the template in with mustache, without escaping for HTML, and strings as JSON has them
//! between quotes (`PackageDefinitionRenderer.scala` in dcos/cosmos).

use serde_json::{Map, Value, json};

use super::settings::{Privacy, Setting, settings};

/// What is of one node, and would be wrong said for all; and where things are on the host, which the
/// package decides.
const OF_ONE_NODE: [&str; 8] = [
    "daemon.node",
    "daemon.root_tmpfs",
    "daemon.admin_socket",
    "backends.ebs.zone",
    "backends.ebs.instance_id",
    "backends.ebs.dev_dir",
    "backends.ebs.sys_dir",
    "backends.nfs.zone",
];
/// The same: its address is each node's own.
const ADDRESS: &str = "peer.address";

/// What DC/OS has in the place of a setting's default.
const ON_DCOS: [(&str, &str); 2] =
    [("daemon.cluster", "dcos"), ("cluster.zookeeper", "master.mesos:2181")];

fn offered() -> impl Iterator<Item = &'static Setting> {
    settings().filter(|setting| setting.key != ADDRESS && !OF_ONE_NODE.contains(&setting.key))
}

fn default_of(setting: &Setting) -> &'static str {
    let there = ON_DCOS.iter().find(|(key, _)| *key == setting.key);
    there.map_or(setting.default, |(_, default)| default)
}

/// `config.json`: a JSON schema of the options.
#[must_use]
pub fn options() -> String {
    let mut properties = Map::new();
    properties.insert("service".to_owned(), service());
    properties.insert("security".to_owned(), security());
    for setting in offered() {
        let path: Vec<_> = setting.key.split('.').collect();
        insert(&mut properties, &path, setting);
    }
    let schema = json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "properties": properties,
    });
    // A value of serde_json's own is always written.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

fn insert(properties: &mut Map<String, Value>, path: &[&str], setting: &Setting) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        properties.insert((*first).to_owned(), option(setting));
        return;
    }
    let section = properties.entry(*first).or_insert_with(|| {
        json!({"type": "object", "description": format!("Settings of hawser: {first}"), "properties": {}})
    });
    if let Some(Value::Object(below)) = section.get_mut("properties") {
        insert(below, rest, setting);
    }
}

fn option(setting: &Setting) -> Value {
    let mut description = format!("{} ({})", setting.meaning, setting.env);
    if setting.privacy == Privacy::Secret {
        description.push_str(" Whoever may read apps can read it here: better ");
        description.push_str(&secret_option(setting));
        description.push('.');
    }
    match default_of(setting) {
        truth @ ("true" | "false") => {
            json!({"type": "boolean", "default": truth == "true", "description": description})
        }
        text => json!({"type": "string", "default": text, "description": description}),
    }
}

fn service() -> Value {
    json!({
        "type": "object",
        "description": "The app that installs hawser on the agents, and looks after it there",
        "properties": {
            "name": {
                "type": "string",
                "pattern": "^/?[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
                "default": "hawser",
                "description": "The name of the app in Marathon, in no group: in one its role would be the group's, and it could not run on public agents.",
            },
            "agents": {
                "type": "integer",
                "minimum": 1,
                "default": 1,
                "description": "How many agents there are, public ones included: hawser is installed on so many, one task on each. More than there are leaves a deployment that waits.",
            },
            "minimum_health_capacity": {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "default": 0,
                "description": "The part of the tasks that go on running while others are upgraded. 0: all agents are upgraded at once, which disturbs no container. 0.9: a tenth at a time; with fewer than 10 agents the upgrade would then wait for ever for an agent without a task.",
            },
            "cpus": {
                "type": "number",
                "minimum": 0.01,
                "default": 0.05,
                "description": "Processors of each task, which only watches: the service itself runs outside of it.",
            },
            "mem": {
                "type": "integer",
                "minimum": 32,
                "default": 64,
                "description": "Memory of each task in MiB.",
            },
        },
        "required": ["name", "agents", "minimum_health_capacity", "cpus", "mem"],
    })
}

/// The option that says where a secret setting is kept: `security.ebs_secret_key_secret`.
fn secret_option(setting: &Setting) -> String {
    let key = setting.key.strip_prefix("backends.").unwrap_or(setting.key);
    format!("security.{}_secret", key.replace('.', "_"))
}

fn secret_settings() -> impl Iterator<Item = &'static Setting> {
    offered().filter(|setting| setting.privacy == Privacy::Secret)
}

fn security() -> Value {
    let mut properties = Map::new();
    properties.insert(
        "ca_secret".to_owned(),
        json!({
            "type": "string",
            "default": "",
            "description": "The path in DC/OS's secret store below which `ca.pem` and `ca.key` of the cluster's CA are (`hawser pki init` makes them): each agent then gets a certificate under its host name, and a new one before it ends. Whoever reads ca.key can be any node. Empty: certificates are put on the agents by hand (`hawser pki node`).",
        }),
    );
    for setting in secret_settings() {
        let option = secret_option(setting);
        let name = option.strip_prefix("security.").unwrap_or(&option).to_owned();
        let key = setting.key;
        let description = format!(
            "The path in DC/OS's secret store where {key} is; what that option says does not count then."
        );
        properties
            .insert(name, json!({"type": "string", "default": "", "description": description}));
    }
    json!({
        "type": "object",
        "description": "Certificates by which the nodes know each other, and where secrets are kept",
        "properties": properties,
    })
}

/// `marathon.json.mustache`.
#[must_use]
pub fn app() -> String {
    let line = |setting: &Setting| {
        let Setting { env, key, .. } = setting;
        let plain = format!("\"{env}\": \"{{{{{{{key}}}}}}}\"");
        if setting.privacy == Privacy::Open {
            return format!("    {plain}");
        }
        let option = secret_option(setting);
        let secret = format!("\"{env}\": {{\"secret\": \"{env}\"}}");
        format!("    {}{}", section('#', &[&option], &secret), section('^', &[&option], &plain))
    };
    let environment = offered().map(line).collect::<Vec<_>>().join(",\n");
    APP.replace("    ENVIRONMENT", &environment).replace("  SECRETS\n", &secrets())
}

/// The app's secrets: of those that are said. Mustache knows no comma between what may be missing: each
/// looks whether one before it is there.
fn secrets() -> String {
    let ca = "\"ca\": {\"source\": \"{{{security.ca_secret}}}/ca.pem\"}, \"ca-key\": {\"source\": \"{{{security.ca_secret}}}/ca.key\"}";
    let mut all = vec![("security.ca_secret".to_owned(), ca.to_owned())];
    all.extend(secret_settings().map(|setting| {
        let option = secret_option(setting);
        let member = format!("\"{}\": {{\"source\": \"{{{{{{{option}}}}}}}\"}}", setting.env);
        (option, member)
    }));
    let options: Vec<_> = all.iter().map(|(option, _)| option.as_str()).collect();
    // Once, where any of them is there: by the last that is.
    let once = |of: &[&str], text: &str| {
        let by = |at: usize| section('#', &of[at..=at], &section('^', &of[at + 1..], text));
        (0..of.len()).map(by).collect::<String>()
    };
    let mut text = String::new();
    for (at, (option, member)) in all.iter().enumerate() {
        let before = &options[..at];
        let begin = section('^', before, "\"secrets\": { ") + &once(before, ", ");
        text.push_str(&format!("  {}\n", section('#', &[option], &(begin + member))));
    }
    text.push_str(&format!("  {}\n", once(&options, " },")));
    text
}

/// A text that is there where all of these options are said (`#`), or none (`^`).
fn section(kind: char, options: &[&str], text: &str) -> String {
    let inside =
        |inner: String, option: &&str| format!("{{{{{kind}{option}}}}}{inner}{{{{/{option}}}}}");
    options.iter().rev().fold(text.to_owned(), inside)
}

/// Without an image the task sees the host's files, and as root its systemd; the file that is fetched
/// keeps the last part of its URI as its name. `sha256` is filled in by `dcos-package/build.sh`, from the
/// program that it packs: what was fetched is not run unless it is that.
const APP: &str = r#"{
  "id": "{{{service.name}}}",
  "cmd": "echo '{{sha256}}  hawser' | sha256sum -c - && exec ./hawser agent supervise{{#security.ca_secret}} --ca-dir pki{{/security.ca_secret}}",
  "user": "root",
  "instances": {{service.agents}},
  "cpus": {{service.cpus}},
  "mem": {{service.mem}},
  "networks": [{"mode": "host"}],
  "fetch": [{"uri": "{{{resource.assets.uris.hawser}}}", "executable": true, "extract": false, "cache": false}],
  {{#security.ca_secret}}
  "container": {
    "type": "MESOS",
    "volumes": [
      {"containerPath": "pki/ca.pem", "secret": "ca"},
      {"containerPath": "pki/ca.key", "secret": "ca-key"}
    ]
  },
  {{/security.ca_secret}}
  SECRETS
  "constraints": [["hostname", "UNIQUE"]],
  "acceptedResourceRoles": ["*", "slave_public"],
  "upgradeStrategy": {"minimumHealthCapacity": {{service.minimum_health_capacity}}, "maximumOverCapacity": 0},
  "taskKillGracePeriodSeconds": 10,
  "healthChecks": [
    {
      "protocol": "COMMAND",
      "command": {"value": "$MESOS_SANDBOX/hawser agent status"},
      "gracePeriodSeconds": 300,
      "intervalSeconds": 60,
      "timeoutSeconds": 30,
      "maxConsecutiveFailures": 3
    }
  ],
  "env": {
    ENVIRONMENT
  }
}
"#;
