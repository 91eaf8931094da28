//! How long a node's network plugins have taken, as containerd counts it: the plugins of a pod, all of them, as
//! the runtime calls them.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::error::Error;

/// The histogram of containerd's calls of network plugins; its sum is exact.
const OPERATIONS: &str = "network_plugin_operations_duration_seconds";

/// How long containerd may take to answer.
const LIMIT: Duration = Duration::from_secs(20);

/// How often pods were attached or detached, and how long that took in all.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Operations {
    pub(crate) count: f64,
    pub(crate) seconds: f64,
}

/// Asks containerd for its counts of an operation, `set_up_pod` or `tear_down_pod`.
pub(crate) fn operations(address: SocketAddr, operation: &str) -> Result<Operations, Error> {
    let text = ask(address).map_err(Error::start(format!("asking containerd at {address}")))?;
    Ok(read(&text, operation))
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET /v1/metrics HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn read(text: &str, operation: &str) -> Operations {
    let label = format!("\"{operation}\"");
    let mut operations = Operations::default();
    for line in text.lines().filter(|line| line.contains(OPERATIONS) && line.contains(&label)) {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let value = value.parse().unwrap_or_default();
        let name = name.split('{').next().unwrap_or_default();
        if name.ends_with("_sum") {
            operations.seconds = value;
        } else if name.ends_with("_count") {
            operations.count = value;
        }
    }
    operations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_and_count_of_an_operation_are_read() {
        let of = "container_runtime_cri_network_plugin_operations_duration_seconds";
        let text = format!(
            "HTTP/1.0 200 OK\n\n# TYPE {of} histogram\n\
             {of}_bucket{{operation_type=\"set_up_pod\",le=\"0.25\"}} 1\n\
             {of}_sum{{operation_type=\"set_up_pod\"}} 1.25\n\
             {of}_count{{operation_type=\"set_up_pod\"}} 2\n\
             {of}_sum{{operation_type=\"tear_down_pod\"}} 9\n"
        );
        assert_eq!(read(&text, "set_up_pod"), Operations { count: 2.0, seconds: 1.25 });
        assert_eq!(read(&text, "get_status"), Operations::default());
    }
}
