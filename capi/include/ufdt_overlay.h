/*
 * Device-tree overlays for boot loaders: libufdt's two entry points, and kbt's own.
 *
 * Of kbt's making; it includes no other header of the project, and stands beside libfdt's <libfdt.h>.
 * The library is libufdt_overlay.a; docs/capi.md says how it is built, what it needs and what it promises.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef UFDT_OVERLAY_H
#define UFDT_OVERLAY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* libfdt's; only pointers to it are used here. */
struct fdt_header;

/*
 * What the host provides. dto_malloc gives `size` bytes aligned to 8, or NULL; dto_free takes back what it gave.
 * Neither may call into this library. Besides these the library calls memcpy, memmove, memset and memcmp, and
 * nothing else.
 */
void *dto_malloc(size_t size);
void dto_free(void *pointer);

/*
 * Checks that `blob` starts with a sound header and that its blocks lie within `blob_size` bytes.
 * Returns `blob`, or NULL. Nothing is copied or changed.
 */
struct fdt_header *ufdt_install_blob(void *blob, size_t blob_size);

/*
 * Applies an overlay to the main tree. Returns the merged tree in a new buffer, to be given to dto_free, or NULL.
 * Neither input is changed, whatever happens. Sizes may be larger than the trees.
 */
struct fdt_header *ufdt_apply_overlay(struct fdt_header *main_fdt_header, size_t main_fdt_size, void *overlay_fdt,
				      size_t overlay_size);

/* What a call came to. */
enum kbt_code {
	KBT_OK = 0,
	KBT_ERROR_ARGUMENT = 1,	   /* a null pointer, a size that no object has, an unknown flag */
	KBT_ERROR_MEMORY = 2,	   /* dto_malloc gave NULL */
	KBT_ERROR_TREE = 3,	   /* an input is no sound device tree */
	KBT_ERROR_OVERLAY = 4,	   /* the overlay does not apply to the base */
	KBT_ERROR_IMAGE = 5,	   /* no sound DTBO image */
	KBT_ERROR_NO_ENTRY = 6,	   /* the image has no such entry */
	KBT_ERROR_COMPRESSION = 7, /* an entry is corrupt, or compressed in a way that is not known here */
	KBT_ERROR_TOO_LARGE = 8	   /* the result would be larger than it may be */
};

#define KBT_NO_OVERLAY UINT32_MAX
#define KBT_NO_OFFSET SIZE_MAX

/* Written by every function that takes one, after success too; NULL is fine where nobody wants to know. */
struct kbt_error {
	uint32_t code;	  /* an enum kbt_code */
	uint32_t overlay; /* the overlay that it is about, from 0, or KBT_NO_OVERLAY */
	size_t offset;	  /* byte in that overlay, in the base or in the image, or KBT_NO_OFFSET */
	char text[256];	  /* one sentence with its place, printable ASCII, NUL-ended, no newline */
};

struct kbt_overlay {
	const void *fdt; /* needs no alignment */
	size_t size;
};

/* Flags of struct kbt_options. */
#define KBT_CONCAT_BOOTARGS 1u /* join /chosen/bootargs and every bootargs_ext, in order, and remove the latter */
#define KBT_LOOSE_NAMES 2u     /* let a name without a unit address match a node that has one, as libfdt does */
#define KBT_FORBID_ROOT 4u     /* refuse an overlay that changes the root node */
#define KBT_LABELS_ONLY 8u     /* refuse an overlay that names its target by a path */

struct kbt_options {
	uint32_t padding; /* zero bytes to leave free at the end of the tree */
	uint32_t flags;
};

/*
 * Applies `count` overlays in their order, in one pass. Returns the merged tree in a new buffer, to be given to
 * dto_free, or NULL. `options` may be NULL. The bytes are those of `kbt dto apply`.
 */
struct fdt_header *kbt_apply_overlays(const void *base, size_t base_size, const struct kbt_overlay *overlays,
				      size_t count, const struct kbt_options *options, struct kbt_error *error);

/* How the bytes of an entry are stored: the low four bits of its flags. */
#define KBT_COMPRESSION_NONE 0u
#define KBT_COMPRESSION_ZLIB 1u
#define KBT_COMPRESSION_GZIP 2u

/* An entry of a DTBO image, as its table has it; what the table's version lacks is 0. */
struct kbt_image_entry {
	uint32_t offset; /* of the stored bytes, from the start of the image; not aligned */
	uint32_t size;	 /* stored bytes, compressed where the entry is */
	uint32_t id;
	uint32_t rev;
	uint32_t flags;
	uint32_t compression; /* KBT_COMPRESSION_*; other values are for kbt_image_load to refuse */
	uint32_t custom[11];
};

/*
 * The entries of a DTBO image (versions 0, 1 and 2). Each of these checks the whole table first. They return an enum
 * kbt_code and leave the result alone where it is not KBT_OK.
 */
int kbt_image_count(const void *image, size_t image_size, uint32_t *count, struct kbt_error *error);

/* The index of the first entry with this id, from entry `from` on. */
int kbt_image_find(const void *image, size_t image_size, uint32_t id, uint32_t from, uint32_t *index,
		   struct kbt_error *error);

int kbt_image_entry(const void *image, size_t image_size, uint32_t index, struct kbt_image_entry *entry,
		    struct kbt_error *error);

/*
 * The content of an entry, decompressed (none, zlib, gzip), in a new buffer, to be given to dto_free, or NULL. It is
 * refused where it would have more than `max_size` bytes; 0 stands for 64 MiB.
 */
void *kbt_image_load(const void *image, size_t image_size, uint32_t index, size_t max_size, size_t *size,
		     struct kbt_error *error);

#ifdef __cplusplus
}
#endif

#endif /* UFDT_OVERLAY_H */
