/*
 * What a boot loader does with one overlay, as a program: main.dtb overlay.dtbo merged.dtb.
 *
 * The steps are those of AOSP's page on device-tree overlays: load both, install the main tree, apply, and hand the
 * merged tree to the kernel. Here "the kernel" is a file.
 *
 *     gcc -Wall -Wextra -Werror -I include samples/apply_overlay.c libufdt_overlay.a -lfdt
 */
#include <stdio.h>
#include <stdlib.h>

#include <libfdt.h>
#include <ufdt_overlay.h>

void *dto_malloc(size_t size)
{
	return malloc(size);
}

void dto_free(void *pointer)
{
	free(pointer);
}

/* A whole file in a buffer of dto_malloc, or NULL. */
static void *load(const char *name, size_t *size)
{
	FILE *file = fopen(name, "rb");
	char *buffer = NULL;
	long end;

	if (!file)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0) {
		*size = (size_t)end;
		buffer = dto_malloc(*size);
	}
	if (buffer && fread(buffer, 1, *size, file) != *size) {
		dto_free(buffer);
		buffer = NULL;
	}
	fclose(file);
	return buffer;
}

/* In the kernel's place. */
static int enter_kernel(const char *name, const struct fdt_header *fdt)
{
	size_t size = fdt_totalsize(fdt);
	FILE *file = fopen(name, "wb");
	int written = file && fwrite(fdt, 1, size, file) == size;

	if (file && fclose(file) != 0)
		written = 0;
	return written;
}

int main(int argc, char **argv)
{
	struct fdt_header *main_fdt = NULL, *merged = NULL;
	size_t main_size, overlay_size;
	void *main_blob, *overlay;
	int done = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: %s MAIN.dtb OVERLAY.dtbo MERGED.dtb\n", argv[0]);
		return 2;
	}
	main_blob = load(argv[1], &main_size);
	overlay = load(argv[2], &overlay_size);
	if (main_blob)
		main_fdt = ufdt_install_blob(main_blob, main_size);
	if (main_fdt && overlay)
		merged = ufdt_apply_overlay(main_fdt, main_size, overlay, overlay_size);
	if (merged)
		done = enter_kernel(argv[3], merged);
	else
		fprintf(stderr, "%s: cannot apply %s\n", argv[1], argv[2]);
	if (merged)
		dto_free(merged);
	if (overlay)
		dto_free(overlay);
	if (main_blob)
		dto_free(main_blob);
	return done ? 0 : 1;
}
