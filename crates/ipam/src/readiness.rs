use podbond_cni::{Code, Delegates, Failure, NodeRequest};

/// Whether a plugin can serve ADD, for the reasons of its own against it, whose codes are 50 and 51
/// of the specification, and those of its IPAM plugin: "If a plugin relies on a delegated plugin
/// (e.g. IPAM) to service ADD requests, it must also execute a STATUS request to that plugin"
/// (section "STATUS"). All that is wrong is told at once.
pub fn readiness(
    own: Vec<Failure>,
    request: &NodeRequest,
    delegates: &Delegates<'_>,
) -> Result<(), Failure> {
    together(&request.config.name, own, delegates.ipam_status(request).err())
}

fn together(network: &str, own: Vec<Failure>, ipam: Option<Failure>) -> Result<(), Failure> {
    let mut reasons = own;
    // Whatever keeps an IPAM plugin from answering, as that it is not installed, keeps it from
    // giving addresses.
    reasons.extend(ipam.map(|failure| match failure.code {
        Code::NOT_AVAILABLE | Code::LIMITED_CONNECTIVITY => failure,
        _ => Failure { code: Code::NOT_AVAILABLE, ..failure },
    }));
    let limited = reasons.iter().any(|reason| reason.code == Code::LIMITED_CONNECTIVITY);
    let code = if limited { Code::LIMITED_CONNECTIVITY } else { Code::NOT_AVAILABLE };
    let texts = |text: fn(&Failure) -> &str| {
        let texts: Vec<_> = reasons.iter().map(text).filter(|text| !text.is_empty()).collect();
        texts.join("; ")
    };
    if reasons.is_empty() {
        return Ok(());
    }
    let msg = format!("network {network}: not ready for ADD: {}", texts(|reason| &reason.msg));
    Err(Failure::new(code, msg).with_details(texts(|reason| &reason.details)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_together_under_the_graver_code() {
        let not = |code, msg: &str| Failure::new(code, msg);
        let (away, limited) = (Code::NOT_AVAILABLE, Code::LIMITED_CONNECTIVITY);
        let table = [
            (vec![], None, None),
            (vec![not(away, "a")], None, Some((away, "a"))),
            (vec![], Some(not(away, "range")), Some((away, "range"))),
            (vec![], Some(not(limited, "server")), Some((limited, "server"))),
            (vec![], Some(not(Code::INVALID_CONFIG, "absent")), Some((away, "absent"))),
            (vec![not(limited, "a"), not(away, "b")], None, Some((limited, "a; b"))),
            (vec![not(away, "a")], Some(not(limited, "b")), Some((limited, "a; b"))),
        ];
        for (own, ipam, expected) in table {
            let expected = expected
                .map(|(code, msg)| not(code, &format!("network n: not ready for ADD: {msg}")));
            assert_eq!(together("n", own, ipam).err(), expected);
        }
    }
}
