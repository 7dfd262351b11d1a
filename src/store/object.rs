//! An object in a Key Vault, by its URL.

use url::Url;

/// `https://VAULT/KIND/NAME[/VERSION]`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// `https://VAULT`.
    pub vault: String,
    /// `certificates`, `keys` or `secrets`.
    pub kind: String,
    pub name: String,
    /// Its version; none for the newest.
    pub version: Option<String>,
}

impl Object {
    /// Takes the URL of an object of one kind apart.
    pub fn parse(url: &Url, kind: &str) -> Option<Self> {
        let mut path = url.path_segments()?.filter(|segment| !segment.is_empty());
        let found = path.next().filter(|found| *found == kind)?.to_owned();
        let name = path.next()?.to_owned();
        let version = path.next().map(str::to_owned);
        let is_plain = path.next().is_none() && url.query().is_none() && url.scheme() == "https";
        let vault = url.origin().ascii_serialization();
        is_plain.then_some(Self {
            vault,
            kind: found,
            name,
            version,
        })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let version = self
            .version
            .as_ref()
            .map(|version| format!("/{version}"))
            .unwrap_or_default();
        format!("{}/{}/{}{version}", self.vault, self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_urls_are_taken_apart() {
        let parse = |url: &str, kind| Object::parse(&Url::parse(url).unwrap(), kind);
        let object = parse(
            "https://contoso.vault.azure.net/certificates/issuing-1/abc",
            "certificates",
        )
        .unwrap();
        assert_eq!(
            (object.name.as_str(), object.version.as_deref()),
            ("issuing-1", Some("abc"))
        );
        assert_eq!(
            object.url(),
            "https://contoso.vault.azure.net/certificates/issuing-1/abc"
        );
        assert_eq!(
            parse("https://v.vault.azure.net/keys/k", "certificates"),
            None
        );
        assert_eq!(
            parse("https://v.vault.azure.net/keys/k/1/sign", "keys"),
            None
        );
    }
}
