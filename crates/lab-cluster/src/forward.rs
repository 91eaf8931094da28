//! Lets programs outside of the cluster's network namespace reach its API server: connections that a socket
//! of theirs accepts are joined to new ones here.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

use crate::network::{HOST, PORT};

/// Serves the socket, which may be of another network namespace, until this process ends.
pub(crate) fn serve(listener: TcpListener) {
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || {
                // A client whose server is gone sees its connection end.
                if let Ok(server) = TcpStream::connect((HOST, PORT)) {
                    let _ = join(&client, &server);
                }
            });
        }
    });
}

/// Copies both ways until both have ended.
fn join(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    let (client_in, server_out) = (client.try_clone()?, server.try_clone()?);
    let request = thread::spawn(move || copy(&client_in, &server_out));
    copy(server, client);
    let _ = request.join();
    Ok(())
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    // However a stream ends, the other side is told that no more comes.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
