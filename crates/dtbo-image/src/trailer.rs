//! What Android Verified Boot leaves at the end of a partition.

/// Size of the footer in bytes; it is the last thing of the partition.
pub const AVB_FOOTER_SIZE: usize = 64;

/// The footer of Android Verified Boot (AOSP `external/avb`, `libavb/avb_footer.h`; big-endian).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvbFooter {
    /// Major version of the footer's layout, 1.
    pub version_major: u32,
    /// Minor version.
    pub version_minor: u32,
    /// Bytes of the image before avbtool padded it.
    pub original_image_size: u64,
    /// Byte offset of the vbmeta block in the partition.
    pub vbmeta_offset: u64,
    /// Size of the vbmeta block in bytes.
    pub vbmeta_size: u64,
}

impl AvbFooter {
    /// The footer at the end of these bytes. Its numbers are told, never used as offsets.
    pub fn find(bytes: &[u8]) -> Option<Self> {
        let footer: &[u8; AVB_FOOTER_SIZE] = bytes.last_chunk()?;
        let fields = footer.strip_prefix(b"AVBf")?;
        let (major, fields) = fields.split_first_chunk()?;
        let (minor, fields) = fields.split_first_chunk()?;
        let (quads, _) = fields.as_chunks();
        let [original, offset, size, ..] = quads else { return None };
        Some(Self {
            version_major: u32::from_be_bytes(*major),
            version_minor: u32::from_be_bytes(*minor),
            original_image_size: u64::from_be_bytes(*original),
            vbmeta_offset: u64::from_be_bytes(*offset),
            vbmeta_size: u64::from_be_bytes(*size),
        })
    }
}
