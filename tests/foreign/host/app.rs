//! The packaged app, read as the host reads it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::route::Route;

/// Keeps the zip's modes, as the platform's unzip does; `zipfile` itself does not.
const UNPACK: &str = r#"
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    for entry in archive.infolist():
        path = archive.extract(entry, sys.argv[2])
        mode = entry.external_attr >> 16 & 0o777
        if mode and not entry.is_dir():
            os.chmod(path, mode)
"#;

/// What `customHandler` may have in host.json.
const KEYS: [&str; 5] = [
    "description",
    "enableForwardingHttpRequest",
    "enableProxyingHttpRequest",
    "http",
    "port",
];

pub struct App {
    pub root: tempfile::TempDir,
    pub executable: PathBuf,
    pub directory: PathBuf,
    pub arguments: Vec<String>,
    pub forwarding: bool,
    pub proxying: bool,
    pub routes: Vec<Route>,
    /// Function and binding of every timer.
    pub timers: Vec<Timer>,
    pub timeout: std::time::Duration,
    pub homepage: bool,
}

#[derive(Clone, Debug)]
pub struct Timer {
    pub function: String,
    pub binding: String,
    /// The maximum of a retry policy.
    pub retries: Option<i64>,
}

impl App {
    /// Unpacks and reads; `settings` are the app settings.
    pub fn open(zip: &Path, settings: &BTreeMap<String, String>) -> Result<Self, String> {
        let root = tempfile::tempdir().map_err(|error| error.to_string())?;
        let unpack = Command::new("python3")
            .args(["-c", UNPACK])
            .arg(zip)
            .arg(root.path())
            .output();
        let unpack = unpack.map_err(|error| format!("these tests need python3: {error}"))?;
        if !unpack.status.success() {
            return Err(format!(
                "{}: {}",
                zip.display(),
                String::from_utf8_lossy(&unpack.stderr)
            ));
        }
        let host = read(&root.path().join("host.json"))?;
        if host["version"] != "2.0" {
            return Err("host.json: version must be \"2.0\"".into());
        }
        let handler = host["customHandler"]
            .as_object()
            .ok_or("host.json: no customHandler")?;
        if let Some(key) = handler.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!(
                "host.json: customHandler.{key} is not in the schema"
            ));
        }
        let description = &handler["description"];
        let directory = root
            .path()
            .join(description["workingDirectory"].as_str().unwrap_or("."));
        let mut app = Self {
            executable: executable(root.path(), description)?,
            directory,
            arguments: arguments(description, settings),
            forwarding: handler.get("enableForwardingHttpRequest") == Some(&Value::Bool(true)),
            proxying: handler.get("enableProxyingHttpRequest") == Some(&Value::Bool(true)),
            routes: vec![],
            timers: vec![],
            timeout: timeout(&host)?,
            homepage: settings
                .get("AzureWebJobsDisableHomepage")
                .is_none_or(|value| value != "true"),
            root,
        };
        let prefix = host["extensions"]["http"]["routePrefix"]
            .as_str()
            .unwrap_or("api")
            .to_owned();
        app.functions(&prefix, settings)?;
        Ok(app)
    }

    /// Only direct sub-folders with a function.json are functions.
    fn functions(
        &mut self,
        prefix: &str,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let entries = fs::read_dir(self.root.path()).map_err(|error| error.to_string())?;
        let mut folders: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        folders.sort();
        for folder in folders
            .iter()
            .filter(|folder| folder.join("function.json").is_file())
        {
            let name = folder
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default()
                .to_owned();
            let function = read(&folder.join("function.json"))?;
            let off = [
                format!("AzureWebJobs.{name}.Disabled"),
                format!("AzureWebJobs__{name}__Disabled"),
            ];
            let off = off.iter().filter_map(|setting| settings.get(setting));
            if off
                .into_iter()
                .any(|value| value.eq_ignore_ascii_case("true") || value == "1")
            {
                continue;
            }
            self.function(&name, prefix, &function, settings)
                .map_err(|problem| format!("{name}/function.json: {problem}"))?;
        }
        // The most specific route is tried first.
        self.routes.sort_by_key(Route::precedence);
        Ok(())
    }

    fn function(
        &mut self,
        name: &str,
        prefix: &str,
        function: &Value,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        if !name.starts_with(|first: char| first.is_ascii_alphabetic())
            || !plain(name)
            || name == "host"
        {
            return Err("this is no name for a function".into());
        }
        let bindings = function["bindings"].as_array().ok_or("no bindings")?;
        let of = |kind: &str| {
            bindings
                .iter()
                .filter(move |one| one["type"] == kind)
                .collect::<Vec<_>>()
        };
        match (
            of("httpTrigger").as_slice(),
            of("timerTrigger").as_slice(),
            of("http").as_slice(),
        ) {
            ([trigger], [], [out]) if out["direction"] == "out" && trigger["direction"] == "in" => {
                self.routes.push(Route::new(name, prefix, trigger)?);
            }
            ([], [trigger], []) => {
                schedule(trigger["schedule"].as_str().unwrap_or_default(), settings)?;
                let binding = trigger["name"]
                    .as_str()
                    .ok_or("the binding has no name")?
                    .to_owned();
                self.timers.push(Timer {
                    function: name.to_owned(),
                    binding,
                    retries: retries(&function["retry"])?,
                });
            }
            _ => {
                return Err(
                    "neither one httpTrigger with one http output nor one timerTrigger".into(),
                );
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Value, String> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// It must be in the package and executable: not every plan adds the bit.
fn executable(root: &Path, description: &Value) -> Result<PathBuf, String> {
    let name = description["defaultExecutablePath"]
        .as_str()
        .ok_or("host.json: no defaultExecutablePath")?;
    let path = root.join(name);
    let metadata =
        fs::metadata(&path).map_err(|error| format!("defaultExecutablePath {name}: {error}"))?;
    match metadata.permissions().mode() & 0o111 {
        0 => Err(format!("{name} has no execute bit in the package")),
        _ => Ok(path),
    }
}

/// Joined with blanks and not quoted, so what has blanks falls apart; `%NAME%` is expanded.
fn arguments(description: &Value, settings: &BTreeMap<String, String>) -> Vec<String> {
    let list = description["arguments"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let line = list
        .iter()
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join(" ");
    line.split_whitespace()
        .map(|argument| expanded(argument, settings))
        .collect()
}

fn expanded(text: &str, settings: &BTreeMap<String, String>) -> String {
    let name = text
        .strip_prefix('%')
        .and_then(|rest| rest.strip_suffix('%'));
    name.and_then(|name| settings.get(name))
        .cloned()
        .unwrap_or_else(|| text.to_owned())
}

/// NCRONTAB with five or six fields, or a time span; an app setting that is missing is an error.
fn schedule(text: &str, settings: &BTreeMap<String, String>) -> Result<(), String> {
    let schedule = expanded(text, settings);
    if schedule.starts_with('%') {
        return Err(format!("{schedule} does not resolve to a value"));
    }
    let fields = schedule.split_whitespace().count();
    match fields == 5 || fields == 6 || seconds(&schedule).is_some() {
        true => Ok(()),
        false => Err(format!("no schedule: {schedule:?}")),
    }
}

fn retries(policy: &Value) -> Result<Option<i64>, String> {
    let Some(policy) = policy.as_object() else {
        return Ok(None);
    };
    let needed: &[_] = match policy.get("strategy").and_then(Value::as_str) {
        Some("fixedDelay") => &["delayInterval"],
        Some("exponentialBackoff") => &["minimumInterval", "maximumInterval"],
        other => return Err(format!("retry.strategy {other:?}")),
    };
    for field in needed {
        let time = policy.get(*field).and_then(Value::as_str).and_then(seconds);
        time.ok_or_else(|| format!("retry.{field} must be HH:MM:SS"))?;
    }
    policy
        .get("maxRetryCount")
        .and_then(Value::as_i64)
        .map(Some)
        .ok_or_else(|| "retry.maxRetryCount is missing".into())
}

fn timeout(host: &Value) -> Result<std::time::Duration, String> {
    let Some(text) = host["functionTimeout"].as_str() else {
        return Ok(std::time::Duration::from_secs(1800));
    };
    let time = seconds(text).ok_or_else(|| format!("host.json: functionTimeout {text:?}"))?;
    Ok(std::time::Duration::from_secs(time))
}

/// `HH:MM:SS`.
fn seconds(text: &str) -> Option<u64> {
    let parts: Vec<u64> = text
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    match parts.as_slice() {
        [hours, minutes, seconds] => Some(hours * 3600 + minutes * 60 + seconds),
        _ => None,
    }
}
