//! Device-tree overlays merged into a base tree in one pass.
