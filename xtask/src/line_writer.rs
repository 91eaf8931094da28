//! A stream that is handed on line by line, however it is cut.

use std::io::{self, Write};

/// Takes bytes, and gives each whole line of them, without its end, to a function.
pub(crate) struct LineWriter<F> {
    line: Vec<u8>,
    each: F,
}

impl<F: FnMut(&str) -> io::Result<()>> LineWriter<F> {
    pub(crate) fn new(each: F) -> Self {
        Self { line: Vec::new(), each }
    }
}

impl<F: FnMut(&str) -> io::Result<()>> Write for LineWriter<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                (self.each)(&String::from_utf8_lossy(&line))?;
            } else {
                self.line.push(byte);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
