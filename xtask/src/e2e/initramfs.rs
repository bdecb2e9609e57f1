//! An archive that the kernel unpacks as its first file system: cpio in its "newc" form
//! (kernel, Documentation/driver-api/early-userspace/buffer-format.rst).

/// An archive in the making.
#[derive(Default)]
pub struct Initramfs {
    bytes: Vec<u8>,
    entries: u32,
}

impl Initramfs {
    /// A directory.
    pub fn directory(&mut self, name: &str) {
        self.entry(name, 0o040_755, (0, 0), b"");
    }

    /// A file that can be run.
    pub fn program(&mut self, name: &str, content: &[u8]) {
        self.entry(name, 0o100_755, (0, 0), content);
    }

    /// The device that the first process has open.
    pub fn console(&mut self, name: &str) {
        self.entry(name, 0o020_600, (5, 1), b"");
    }

    /// The archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), b"");
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        // Inode, mode, owner, group, links, time, size, device of the file, device that it is, length of the name, check.
        let fields = [
            self.entries as usize,
            mode as usize,
            0,
            0,
            1,
            0,
            content.len(),
            0,
            0,
            device.0 as usize,
            device.1 as usize,
            name.len() + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    /// Names and contents end at a multiple of four bytes.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_header_of_110_bytes_a_name_and_a_content() {
        let mut archive = Initramfs::default();
        archive.program("init", b"#!/bin/sh\n");
        let bytes = archive.finish();
        let header = "070701000000010000\
                      81ed000000000000000000000001000000000000000a00000000000000000000000000000000\
                      0000000500000000";
        assert_eq!(String::from_utf8_lossy(&bytes[..110]), header);
        assert_eq!(&bytes[110..116], b"init\0\0");
        assert_eq!(&bytes[116..128], b"#!/bin/sh\n\0\0");
        assert_eq!(bytes.len() % 4, 0);
        assert!(bytes.windows(11).any(|name| name == b"TRAILER!!!\0"));
    }
}
