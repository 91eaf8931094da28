//! STATUS of a plugin with that of its IPAM plugin.

use podbond_cni::{Code, Delegates, Failure, NodeRequest};

/// Returns the error of STATUS where a plugin cannot serve ADD, with all reasons: its own, whose codes are
/// 50 and 51 of the specification, and those of its IPAM plugin: "If a plugin relies on a delegated plugin
/// (e.g. IPAM) to service ADD requests, it must also execute a STATUS request to that plugin" (section
/// "STATUS").
pub fn readiness(
    own: Vec<Failure>,
    request: &NodeRequest,
    delegates: &Delegates<'_>,
) -> Result<(), Failure> {
    error_of(&request.config.name, own, delegates.ipam_status(request).err())
}

fn error_of(network: &str, own: Vec<Failure>, ipam: Option<Failure>) -> Result<(), Failure> {
    let mut reasons = own;
    // An IPAM plugin that cannot answer STATUS, as one that is not installed, cannot lease addresses.
    reasons.extend(ipam.map(|failure| match failure.code {
        Code::NOT_AVAILABLE | Code::LIMITED_CONNECTIVITY => failure,
        _ => Failure { code: Code::NOT_AVAILABLE, ..failure },
    }));
    let limited = reasons.iter().any(|reason| reason.code == Code::LIMITED_CONNECTIVITY);
    let code = if limited { Code::LIMITED_CONNECTIVITY } else { Code::NOT_AVAILABLE };
    if reasons.is_empty() {
        return Ok(());
    }
    let why = joined(reasons.iter().map(|reason| &reason.msg));
    let msg = format!("network {network}: not ready for ADD: {why}");
    Err(Failure::new(code, msg).with_details(joined(reasons.iter().map(|reason| &reason.details))))
}

fn joined<'t>(texts: impl Iterator<Item = &'t String>) -> String {
    let texts = texts.filter(|text| !text.is_empty()).map(String::as_str);
    texts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_joined_under_the_graver_code() {
        let not = |code, msg: &str| Failure::new(code, msg);
        let (unavailable, limited) = (Code::NOT_AVAILABLE, Code::LIMITED_CONNECTIVITY);
        let table = [
            (vec![], None, None),
            (vec![not(unavailable, "a")], None, Some((unavailable, "a"))),
            (vec![], Some(not(unavailable, "range")), Some((unavailable, "range"))),
            (vec![], Some(not(limited, "server")), Some((limited, "server"))),
            (vec![], Some(not(Code::INVALID_CONFIG, "absent")), Some((unavailable, "absent"))),
            (vec![not(limited, "a"), not(unavailable, "b")], None, Some((limited, "a; b"))),
            (vec![not(unavailable, "a")], Some(not(limited, "b")), Some((limited, "a; b"))),
        ];
        for (own, ipam, expected) in table {
            let expected = expected
                .map(|(code, msg)| not(code, &format!("network n: not ready for ADD: {msg}")));
            assert_eq!(error_of("n", own, ipam).err(), expected);
        }
    }
}
