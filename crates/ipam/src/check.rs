//! CHECK of a plugin with that of its IPAM plugin.

use podbond_cni::{Code, Delegates, Failure, Request};

/// Calls CHECK of the IPAM plugin, and returns an error where it has one or where the plugin has found its
/// interface other than ADD left it: a sentence for each difference.
pub fn check(
    request: &Request,
    delegates: &Delegates<'_>,
    differences: Vec<String>,
) -> Result<(), Failure> {
    let of_ipam = delegates.ipam_check(request);
    if differences.is_empty() {
        return of_ipam;
    }
    let of_ipam = of_ipam.err().map(|failure| failure.to_string());
    let all: Vec<String> = differences.into_iter().chain(of_ipam).collect();
    let msg = format!(
        "network {}: interface {} is not as ADD left it: {}: put that right in the pod, or make the pod anew",
        request.config.name,
        request.ifname,
        all.join("; ")
    );
    Err(Failure::new(Code::DIFFERS, msg))
}

#[cfg(test)]
mod tests {
    use podbond_cni::Lookup;

    use super::*;
    use crate::testing;

    #[test]
    fn difference_names_interface_and_remedy() {
        let request = testing::request("not-installed", "c1");
        let delegates = Delegates::new(&[], Lookup::PathOnly);
        let of_ipam = check(&request, &delegates, Vec::new()).unwrap_err();
        let failure = check(&request, &delegates, vec!["miimon is 50, not 100".into()]);
        let failure = failure.unwrap_err();
        let expected = format!(
            "network n: interface net1 is not as ADD left it: miimon is 50, not 100; {of_ipam}: put that \
             right in the pod, or make the pod anew"
        );
        assert_eq!((failure.code, failure.msg), (Code::DIFFERS, expected));
    }
}
