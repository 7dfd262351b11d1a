//! OCSP by GET (RFC 6960 §A.1): the request that a path was before clients, front ends and proxies
//! mangled it.
//!
//! A path may have been percent-encoded once or more or not at all, `+` may have become a space,
//! `/` and `+` may be of the url-safe alphabet, padding may be missing, slashes may stand in front,
//! and slashes inside may have been merged. Only the last loses something. What comes out is the
//! request that was sent, or nothing: its length stands in its first octets, so nothing shorter
//! passes for it, and a lost slash is put back only where one place fits.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use percent_encoding::percent_decode_str;

use super::Request;
use crate::core::der::tag;

/// How often a path may have been percent-encoded.
const ENCODINGS: usize = 3;
/// Most octets of a path that are looked at.
const LONGEST: usize = 32 * 1024;

/// The DER request in `path`, which is what follows the responder's address. `sent` is what was
/// sent, if a front end says so; it is believed only if that is what arrived, but for slashes.
/// `is_for_us` tells whether a request is about an issuer of ours; a slash is put back only where
/// that makes one.
pub fn decode(
    path: &str,
    sent: Option<&str>,
    is_for_us: impl Fn(&[u8]) -> bool,
) -> Option<Vec<u8>> {
    let text = plain(path)?;
    let der = |text: &str| octets(text).filter(|der| Request::read(der).is_ok());
    der(&text)
        .or_else(|| der(&as_sent(&text, sent?)?))
        .or_else(|| restored(&text, is_for_us))
}

/// The base64 in a path. `%` is not in the alphabet, so decoding again and again is safe.
fn plain(path: &str) -> Option<String> {
    if path.len() > LONGEST {
        return None;
    }
    let mut text = path.to_owned();
    for _ in 0..ENCODINGS {
        if !text.contains('%') {
            break;
        }
        text = percent_decode_str(&text).decode_utf8().ok()?.into_owned();
    }
    let plain = |c: char| match c {
        ' ' | '-' => '+',
        '_' => '/',
        c => c,
    };
    Some(text.trim_start_matches('/').chars().map(plain).collect())
}

/// App Service's front end decodes paths and merges slashes, and says in a header what was sent:
/// the only way to tell apart two places where a slash may be missing.
fn as_sent(arrived: &str, sent: &str) -> Option<String> {
    let sent = plain(sent)?;
    let parts = |text: &str| {
        text.split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    (parts(&sent) == parts(arrived)).then_some(sent)
}

/// Padding may be missing.
fn octets(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    LENIENT.decode(text).ok().filter(|der| !der.is_empty())
}

/// Most slashes that can have been lost, most places to try, and the longest text to try them in.
/// Clients send by GET what is short (RFC 9919 §6: up to 255 octets).
const LOST_SLASHES: usize = 3;
const MOST_TRIES: usize = 256;
const LONGEST_RESTORED: usize = 512;

/// Puts slashes back beside those that are left, and takes the result only if exactly one is a
/// request for an issuer of ours: never an answer about another certificate.
fn restored(text: &str, is_for_us: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    if text.len() > LONGEST_RESTORED {
        return None;
    }
    let lost = length_sent(text)?
        .checked_sub(text.len())
        .filter(|lost| (1..=LOST_SLASHES).contains(lost))?;
    // One place in each run of slashes: the others give the same text.
    let runs: Vec<_> = text
        .match_indices('/')
        .map(|(at, _)| at)
        .filter(|at| !text[at + 1..].starts_with('/'))
        .collect();
    let mut choices = vec![vec![]];
    for _ in 0..lost {
        let longer = choices.iter().flat_map(|chosen: &Vec<usize>| {
            let from = chosen.last().copied().unwrap_or_default();
            runs.iter()
                .filter(move |at| **at >= from)
                .map(|at| [&chosen[..], &[*at]].concat())
        });
        choices = longer.take(MOST_TRIES + 1).collect();
        if choices.len() > MOST_TRIES {
            // Where not all are tried, one that fits may not be the only one.
            return None;
        }
    }
    let mut found = choices
        .iter()
        .filter_map(|at| octets(&with_slashes(text, at)))
        .filter(|der| is_for_us(der));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// How many characters without padding the request had, by the length in its first octets. No slash
/// can be missing before them.
fn length_sent(text: &str) -> Option<usize> {
    let len = match octets(text.get(..8)?)?[..] {
        [tag::SEQUENCE, len @ ..=0x7f, ..] => 2 + usize::from(len),
        [tag::SEQUENCE, 0x81, len, ..] => 3 + usize::from(len),
        [tag::SEQUENCE, 0x82, high, low, ..] => 4 + usize::from(u16::from_be_bytes([high, low])),
        _ => return None,
    };
    Some((len * 4).div_ceil(3))
}

/// Puts a slash in front of each of these places, which rise.
fn with_slashes(text: &str, places: &[usize]) -> String {
    let mut longer = String::with_capacity(text.len() + places.len());
    let mut done = 0;
    for &at in places {
        longer.push_str(&text[done..at]);
        longer.push('/');
        done = at;
    }
    longer.push_str(&text[done..]);
    longer
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::der::{oid, write};

    const NAME: [u8; 20] = [0xff; 20];

    /// A request whose issuer has these octets for the hash of its name: many slashes.
    fn request(name: &[u8], key: &[u8], serial: &[u8], nonce: &[u8]) -> Vec<u8> {
        let algorithm = write::sequence(&[&write::value(tag::OID, &[oid::SHA1]), &[tag::NULL, 0]]);
        let [name, key] = [name, key].map(|hash| write::value(tag::OCTET_STRING, &[hash]));
        let id = write::sequence(&[
            &algorithm,
            &name,
            &key,
            &write::value(tag::INTEGER, &[&[0x7f], serial]),
        ]);
        let list = write::sequence(&[&write::sequence(&[&id])]);
        let nonce = write::extension(
            oid::OCSP_NONCE,
            false,
            &write::value(tag::OCTET_STRING, &[nonce]),
        );
        let extensions = write::value(tag::context(2), &[&write::sequence(&[&nonce])]);
        write::sequence(&[&write::sequence(&[&list, &extensions])])
    }

    fn encode(der: &[u8]) -> String {
        base64::engine::general_purpose::STANDARD.encode(der)
    }

    fn is_ours(der: &[u8]) -> bool {
        Request::read(der)
            .is_ok_and(|request| request.cert_ids.iter().all(|id| id.name_hash == NAME))
    }

    /// Octets whose base64 is rich in slashes.
    fn slashy(len: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![3 => Just(0xff), 1 => any::<u8>()], len)
    }

    /// What is done to each character of a path: how often it is percent-encoded, in which case,
    /// and whether it is of the other alphabet or a space.
    fn mangled(text: &str, ways: &[u8], unpadded: bool, leading: usize) -> String {
        let text = if unpadded {
            text.trim_end_matches('=')
        } else {
            text
        };
        let mut path = "/".repeat(leading);
        for (c, way) in text.chars().zip(ways.iter().cycle()) {
            let c = match (c, way >> 4 & 3) {
                ('+', 0) => ' ',
                ('+', 1) => '-',
                ('/', 1) => '_',
                (c, _) => c,
            };
            match way & 7 {
                1 => path += &format!("%{:02x}", c as u32),
                2 => path += &format!("%25{:02X}", c as u32),
                3 => path += &format!("%2525{:02x}", c as u32),
                _ => path.push(c),
            }
        }
        path
    }

    fn merged(path: &str) -> String {
        path.chars().fold(String::new(), |mut merged, c| {
            if c != '/' || !merged.ends_with('/') {
                merged.push(c);
            }
            merged
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn any_mangled_path_is_the_request_that_was_sent_or_nothing(
            key in slashy(20), serial in slashy(0..20), nonce in slashy(1..128),
            ways in prop::collection::vec(any::<u8>(), 1..400),
            unpadded: bool, leading in 0..4usize, decodes: bool, merges: bool, tells: bool,
        ) {
            let der = request(&NAME, &key, &serial, &nonce);
            prop_assume!(der.len() <= 255);
            let sent = mangled(&encode(&der), &ways, unpadded, leading);
            let mut arrived = sent.clone();
            if decodes {
                arrived = percent_decode_str(&arrived).decode_utf8().unwrap().into_owned();
            }
            if merges {
                arrived = merged(&arrived);
            }
            let found = decode(&arrived, tells.then_some(sent.as_str()), is_ours);
            match found {
                Some(found) => prop_assert_eq!(found, der),
                None => prop_assert!(merges && !tells, "{} is lost", arrived),
            }
        }

        #[test]
        fn merged_slashes_are_put_back_where_one_place_fits(
            serial in prop::collection::vec(any::<u8>(), 1..20)
        ) {
            // A name hash with `//` and `///` in it, and nothing else with a slash that could take
            // them.
            let name = [[0x3f, 0xff, 0xf0], [0; 3]].concat().repeat(3);
            let serial: Vec<_> = serial.iter().map(|octet| octet & 0x11).collect();
            let der = request(&name, &[0; 20], &serial, &[1]);
            let is_ours = |der: &[u8]| {
                Request::read(der).is_ok_and(|request| request.cert_ids[0].name_hash == name)
            };
            let text = encode(&der);
            let arrived = merged(&text);
            let lost = text.len() - arrived.len();
            let found = decode(&arrived, None, is_ours);
            prop_assert_eq!(found, (lost <= LOST_SLASHES).then_some(der));
        }

        #[test]
        fn any_path_is_taken_without_harm(
            path in any::<String>(), sent in any::<Option<String>>()
        ) {
            prop_assert_eq!(decode(&path, sent.as_deref(), |_| true), None);
        }
    }

    #[test]
    fn paths_that_hold_no_request_are_refused() {
        for path in [
            "",
            "/",
            "/!",
            "/%00",
            "/%zz",
            "/..%2f..",
            "/M",
            "/MPv%80",
            "/MAA=",
            "/MIH/////",
        ] {
            assert_eq!(decode(path, None, |_| true), None, "{path}");
        }
    }

    #[test]
    fn what_was_sent_is_believed_only_if_it_arrived() {
        assert_eq!(
            as_sent("MPv/j4/A=", "MPv%2F%2fj4/A%3D").as_deref(),
            Some("MPv//j4/A=")
        );
        for sent in ["/MPv//j5", "/MPvj4", "", "/%80"] {
            assert_eq!(as_sent("MPv/j4", sent), None, "{sent}");
        }
    }
}
