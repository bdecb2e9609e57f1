//! Detection, bounded decompression and compression of the formats that kernel artefacts use.
