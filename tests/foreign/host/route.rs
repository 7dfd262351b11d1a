//! ASP.NET Core's routing, as far as function.json reaches.

use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    Anonymous,
    /// Needs a function key or the master key.
    Function,
    /// Needs the master key.
    Admin,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Parameter,
    CatchAll,
}

#[derive(Clone, Debug)]
pub struct Route {
    pub auth: Auth,
    methods: Vec<String>,
    segments: Vec<Segment>,
}

impl Route {
    pub fn new(function: &str, prefix: &str, trigger: &Value) -> Result<Self, String> {
        let route = trigger["route"].as_str().unwrap_or(function);
        let reserved = ["admin", "runtime"];
        if reserved.iter().any(|word| {
            route
                .split('/')
                .next()
                .is_some_and(|first| first.eq_ignore_ascii_case(word))
        }) {
            return Err(format!("the route {route} is the host's own"));
        }
        let auth = match trigger["authLevel"].as_str() {
            Some("anonymous") => Auth::Anonymous,
            Some("function") | None => Auth::Function,
            Some("admin") => Auth::Admin,
            Some(other) => return Err(format!("authLevel {other}")),
        };
        let methods = trigger["methods"].as_array().map_or(&[][..], Vec::as_slice);
        let methods = methods
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_uppercase)
            .collect();
        let whole = if prefix.is_empty() {
            route.to_owned()
        } else {
            format!("{prefix}/{route}")
        };
        let segments = whole
            .split('/')
            .filter(|part| !part.is_empty())
            .map(Segment::new)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            auth,
            methods,
            segments,
        })
    }

    /// Literals before parameters before catch-alls.
    pub fn precedence(&self) -> Vec<u8> {
        let rank = |segment: &Segment| match segment {
            Segment::Literal(_) => 1,
            Segment::Parameter => 3,
            Segment::CatchAll => 5,
        };
        self.segments.iter().map(rank).collect()
    }

    /// A method that is not listed is another resource: 404, not 405.
    pub fn takes(&self, method: &str, path: &str) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|known| known == method))
            && self.matches(path)
    }

    fn matches(&self, path: &str) -> bool {
        let path = path.strip_prefix('/').unwrap_or(path);
        let mut rest = if path.is_empty() { None } else { Some(path) };
        for segment in &self.segments {
            let (first, behind) = match rest {
                Some(rest) => rest
                    .split_once('/')
                    .map_or((rest, None), |(first, behind)| (first, Some(behind))),
                None => ("", None),
            };
            match segment {
                // Nothing at all, or something that begins with a segment that is not empty.
                Segment::CatchAll => {
                    return rest.is_none_or(|rest| rest.is_empty() || !rest.starts_with('/'));
                }
                Segment::Literal(literal) if first.eq_ignore_ascii_case(literal) => {}
                Segment::Parameter if !first.is_empty() => {}
                _ => return false,
            }
            rest = behind;
        }
        // One slash at the end does not matter.
        rest.is_none_or(str::is_empty)
    }
}

impl Segment {
    fn new(text: &str) -> Result<Self, String> {
        match text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(name) if name.starts_with('*') => Ok(Self::CatchAll),
            Some(name) if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Ok(Self::Parameter)
            }
            None if !text.contains(['{', '}']) => Ok(Self::Literal(text.to_owned())),
            _ => Err(format!("this host knows no route segment {text}")),
        }
    }
}
