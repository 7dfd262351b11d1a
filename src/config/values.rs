//! Values as they were given, each with the place it came from: a file, the environment, or the
//! table of settings.

use std::{collections::BTreeMap, fmt};

use toml::de::{DeTable, DeValue};

use super::settings::SETTINGS;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody gave one.
    Default,
    /// The configuration file.
    File {
        file: String,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Environment(name) => f.write_str(name),
        }
    }
}

/// What is wrong with file or environment as such.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValuesError {
    /// Not TOML.
    #[error("{file} is not TOML")]
    Toml {
        /// The file.
        file: String,
        /// What its parser says.
        #[source]
        error: toml::de::Error,
    },
    /// A key that does not exist.
    #[error("{origin}: there is no setting {key}; did you mean {nearest}?")]
    Unknown {
        origin: Source,
        /// What was written.
        key: String,
        /// The most similar one that exists.
        nearest: String,
    },
    /// A table where a value belongs, or the other way round.
    #[error("{origin}: {key} {what}")]
    Shape {
        origin: Source,
        key: String,
        /// What it should be.
        what: &'static str,
    },
}

/// What was given for a key: one text, or a list of them.
type Given = (Vec<String>, Source);

/// Values by path, with issuers counted: `issuer.0.crl.validity`.
#[derive(Clone, Debug, Default)]
pub struct Values {
    given: BTreeMap<String, Given>,
    defaults: BTreeMap<String, Given>,
    issuers: usize,
    aliases: usize,
}

/// The prefix of environment variables that override settings.
pub(crate) const PREFIX: &str = "RESCIND__";

impl Values {
    /// Collects values from the text of a file, if there is one, and from `RESCIND__…` variables,
    /// which win.
    pub fn collect(
        file: Option<(&str, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ValuesError> {
        let mut values = Self::default();
        if let Some((name, text)) = file {
            let table = DeTable::parse(text).map_err(|error| ValuesError::Toml {
                file: name.to_owned(),
                error,
            })?;
            values.table(&File { name, text }, "", table.get_ref())?;
        }
        values.count_lists();
        let mut variables: Vec<_> = environment
            .into_iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        // What is for all issuers first, so that what is for one wins.
        let is_for_one = |name: &str| {
            name[PREFIX.len()..]
                .split("__")
                .any(|part| part.parse::<usize>().is_ok())
        };
        variables.sort_by_key(|(name, _)| (is_for_one(name), name.clone()));
        for (name, text) in &variables {
            values.variable(name, text)?;
        }
        values.fill_defaults();
        Ok(values)
    }

    fn table(
        &mut self,
        file: &File<'_>,
        prefix: &str,
        table: &DeTable<'_>,
    ) -> Result<(), ValuesError> {
        for (key, value) in table {
            let path = format!("{prefix}{}", key.get_ref());
            let origin = file.at(key.span().start);
            match value.get_ref() {
                DeValue::Table(inner) if is_section(&path) => {
                    self.table(file, &format!("{path}."), inner)?
                }
                DeValue::Array(items) if path == "issuer" || path == "alias" => {
                    for (at, item) in items.iter().enumerate() {
                        let DeValue::Table(inner) = item.get_ref() else {
                            return Err(ValuesError::Shape {
                                origin,
                                key: path,
                                what: "must be written [[issuer]]",
                            });
                        };
                        self.table(file, &format!("{path}.{at}."), inner)?;
                    }
                }
                DeValue::Table(_) if path == "issuer" => {
                    return Err(ValuesError::Shape {
                        origin,
                        key: path,
                        what: "must be written [[issuer]]",
                    });
                }
                value => {
                    self.check_known(&path, &origin)?;
                    let texts = texts(value).ok_or(ValuesError::Shape {
                        origin: origin.clone(),
                        key: path.clone(),
                        what: "must be a text, a number, true or false",
                    })?;
                    self.given.insert(path, (texts, origin));
                }
            }
        }
        Ok(())
    }

    /// `RESCIND__ISSUER__0__CRL__REFRESH` sets it for the first issuer,
    /// `RESCIND__ISSUER__CRL__REFRESH` for all.
    fn variable(&mut self, name: &str, text: &str) -> Result<(), ValuesError> {
        let origin = Source::Environment(name.to_owned());
        let path = name[PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
        self.check_known(&path, &origin)?;
        if path.starts_with("alias.") && !path[6..].starts_with(|c: char| c.is_ascii_digit()) {
            let what = "needs a number: RESCIND__ALIAS__0__…";
            return Err(ValuesError::Shape {
                origin,
                key: path,
                what,
            });
        }
        let value = (vec![text.to_owned()], origin);
        match path.strip_prefix("issuer.") {
            Some(rest) if !rest.starts_with(|c: char| c.is_ascii_digit()) => {
                self.issuers = self.issuers.max(1);
                for at in 0..self.issuers {
                    self.given
                        .insert(format!("issuer.{at}.{rest}"), value.clone());
                }
            }
            _ => {
                self.given.insert(path, value);
                self.count_lists();
            }
        }
        Ok(())
    }

    fn count_lists(&mut self) {
        let count = |list: &str| {
            let at = |path: &String| {
                path.strip_prefix(list)?
                    .split('.')
                    .next()?
                    .parse::<usize>()
                    .ok()
            };
            self.given
                .keys()
                .filter_map(at)
                .max()
                .map_or(0, |last| last + 1)
        };
        let (issuers, aliases) = (count("issuer."), count("alias."));
        self.issuers = self.issuers.max(issuers);
        self.aliases = aliases;
    }

    fn check_known(&self, path: &str, origin: &Source) -> Result<(), ValuesError> {
        let plain = without_places(path);
        if SETTINGS.iter().any(|setting| setting.key == plain) {
            return Ok(());
        }
        let known = SETTINGS.iter().map(|setting| setting.key);
        let nearest = known
            .min_by_key(|known| strsim::damerau_levenshtein(known, &plain))
            .unwrap_or_default();
        Err(ValuesError::Unknown {
            origin: origin.clone(),
            key: plain,
            nearest: nearest.to_owned(),
        })
    }

    fn fill_defaults(&mut self) {
        for setting in SETTINGS {
            let mut put = |path: String, text: String| {
                self.defaults.insert(path, (vec![text], Source::Default));
            };
            match setting.key.split_once('.') {
                Some(("issuer", rest)) => {
                    for at in 0..self.issuers {
                        let name = self.given.get(&format!("issuer.{at}.name"));
                        let name = name
                            .and_then(|(texts, _)| texts.first())
                            .map_or("", String::as_str);
                        put(
                            format!("issuer.{at}.{rest}"),
                            setting.default.replace("{name}", name),
                        );
                    }
                }
                Some(("alias", rest)) => {
                    (0..self.aliases).for_each(|at| {
                        put(format!("alias.{at}.{rest}"), setting.default.to_owned())
                    });
                }
                _ => put(setting.key.to_owned(), setting.default.to_owned()),
            }
        }
    }

    /// How many issuers there are.
    pub fn issuers(&self) -> usize {
        self.issuers
    }

    /// How many aliases there are.
    pub fn aliases(&self) -> usize {
        self.aliases
    }

    /// A value and its source.
    pub fn list(&self, path: &str) -> (&[String], &Source) {
        match self.given.get(path).or_else(|| self.defaults.get(path)) {
            Some((texts, origin)) => (texts, origin),
            None => (&[], &Source::Default),
        }
    }

    /// A value as one text, and its source.
    pub fn text(&self, path: &str) -> (&str, &Source) {
        let (texts, origin) = self.list(path);
        (texts.first().map_or("", String::as_str), origin)
    }

    /// Every value with its source, in the order of paths.
    pub fn all(&self) -> impl Iterator<Item = (&str, &[String], &Source)> {
        self.defaults.keys().map(|path| {
            let (texts, origin) = self.list(path);
            (path.as_str(), texts, origin)
        })
    }
}

/// A value as it may be shown: without the signature in a storage URL, which is as good as a
/// password.
pub(crate) fn shown(text: &str) -> String {
    match text.split_once("sig=") {
        Some((before, behind)) => format!(
            "{before}sig=…{}",
            behind.find('&').map_or("", |at| &behind[at..])
        ),
        None => text.to_owned(),
    }
}

/// The text of a file, to find lines in.
struct File<'a> {
    name: &'a str,
    text: &'a str,
}

impl File<'_> {
    fn at(&self, offset: usize) -> Source {
        let line = self
            .text
            .bytes()
            .take(offset)
            .filter(|&byte| byte == b'\n')
            .count()
            + 1;
        Source::File {
            file: self.name.to_owned(),
            line,
        }
    }
}

/// Whether settings stand below this path.
fn is_section(path: &str) -> bool {
    let section = format!("{}.", without_places(path));
    section != "issuer."
        && section != "alias."
        && SETTINGS
            .iter()
            .any(|setting| setting.key.starts_with(&section))
}

/// `issuer.0.crl.validity` as `issuer.crl.validity`.
fn without_places(path: &str) -> String {
    let parts = path
        .split('.')
        .filter(|part| !part.bytes().all(|byte| byte.is_ascii_digit()));
    parts.collect::<Vec<_>>().join(".")
}

fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::String(text) => Some(vec![text.to_string()]),
        DeValue::Integer(number) => Some(vec![number.as_str().to_owned()]),
        DeValue::Boolean(flag) => Some(vec![flag.to_string()]),
        DeValue::Array(items) => {
            let one = |item: &toml::Spanned<DeValue<'_>>| match item.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                _ => None,
            };
            items.iter().map(one).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(file: &str, environment: &[(&str, &str)]) -> Result<Values, ValuesError> {
        let environment = environment
            .iter()
            .map(|(name, text)| (name.to_string(), text.to_string()));
        Values::collect(Some(("rescind.toml", file)), environment)
    }

    const ISSUERS: &str =
        "[[issuer]]\nname = \"a\"\n[issuer.crl]\nvalidity = \"8d\"\n[[issuer]]\nname = \"b\"\n";

    #[test]
    fn values_know_their_source() {
        let values = collect(ISSUERS, &[("RESCIND__ISSUER__1__CRL__VALIDITY", "9d")]).unwrap();
        let shown = |path: &str| {
            let (text, origin) = values.text(path);
            format!("{text} {origin}")
        };
        assert_eq!(values.issuers(), 2);
        assert_eq!(shown("issuer.0.crl.validity"), "8d rescind.toml:4");
        assert_eq!(
            shown("issuer.1.crl.validity"),
            "9d RESCIND__ISSUER__1__CRL__VALIDITY"
        );
        assert_eq!(shown("issuer.1.crl.refresh"), "1d default");
        assert_eq!(shown("issuer.0.credential"), "file:data/a-ocsp.pem default");
    }

    #[test]
    fn a_variable_without_place_sets_every_issuer() {
        let values = collect(ISSUERS, &[("RESCIND__ISSUER__OCSP__MAX_STALENESS", "1m")]).unwrap();
        assert_eq!(values.text("issuer.0.ocsp.max_staleness").0, "1m");
        assert_eq!(values.text("issuer.1.ocsp.max_staleness").0, "1m");
    }

    #[test]
    fn a_variable_for_one_issuer_wins_over_one_for_all() {
        let variables = [
            ("RESCIND__ISSUER__0__CRL__REFRESH", "2h"),
            ("RESCIND__ISSUER__CRL__REFRESH", "3h"),
        ];
        let values = collect(ISSUERS, &variables).unwrap();
        assert_eq!(
            (
                values.text("issuer.0.crl.refresh").0,
                values.text("issuer.1.crl.refresh").0
            ),
            ("2h", "3h")
        );
    }

    #[test]
    fn signatures_are_not_shown() {
        assert_eq!(
            shown("https://a/crl?sv=1&sig=abc&se=2"),
            "https://a/crl?sv=1&sig=…&se=2"
        );
        assert_eq!(shown("https://a/crl?sig=abc"), "https://a/crl?sig=…");
    }

    #[test]
    fn environment_alone_is_enough() {
        let values = collect(
            "",
            &[
                ("RESCIND__ISSUER__0__NAME", "x"),
                ("RESCIND__HTTP__LISTEN", "[::1]:1"),
            ],
        )
        .unwrap();
        assert_eq!((values.issuers(), values.text("issuer.0.name").0), (1, "x"));
    }

    #[test]
    fn unknown_keys_name_the_nearest_known_one() {
        let error = collect("[storage]\nindx = \"file:x\"\n", &[])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "rescind.toml:2: there is no setting storage.indx; did you mean storage.index?"
        );
        let error = collect("", &[("RESCIND__HTTP__LISTN", "x")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("RESCIND__HTTP__LISTN") && error.contains("http.listen"),
            "{error}"
        );
        assert!(collect("[[issuer]]\n[issuer.crl]\nvalidty = \"1d\"\n", &[]).is_err());
    }
}
