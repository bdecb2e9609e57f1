/*
 * libfdt's merge inside a program, for `cargo xtask bench dto`; the command line is that of dto.rs:
 *
 *   once BASE OVERLAY...    merges once, within measured_apply, for callgrind
 *   serve BASE OVERLAY...   for each number on standard input, merges so many times and prints the nanoseconds
 *                          of processor time
 *
 * A merge is what fdtoverlay does: open the base into a larger buffer, apply each overlay to it, pack it.
 * libfdt changes the overlay, so each merge starts with a copy of that too.
 */
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* libfdt.a may come from a newer C library than the one it is linked with here. */
unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
	return strtoul(text, end, base);
}

struct file {
	void *bytes;
	size_t size;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static void *allocate(size_t size)
{
	void *room = malloc(size);

	if (!room)
		die("malloc", "no memory");
	return room;
}

static struct file read_file(const char *name)
{
	FILE *stream = fopen(name, "rb");
	struct file file;
	long size;

	if (!stream || fseek(stream, 0, SEEK_END) || (size = ftell(stream)) < 0)
		die(name, "cannot be read");
	rewind(stream);
	file.size = (size_t)size;
	file.bytes = allocate(file.size);
	if (fread(file.bytes, 1, file.size, stream) != file.size)
		die(name, "cannot be read");
	fclose(stream);
	return file;
}

__attribute__((noinline)) static void measured_apply(const struct file *files, int count)
{
	size_t size = 0;
	void *tree;
	int i, error;

	for (i = 0; i < count; i++)
		size += files[i].size;
	/* Paths in symbols and values of fixups come on top, but never more than the overlays over again. */
	size += size - files[0].size + 65536;
	tree = allocate(size);
	error = fdt_open_into(files[0].bytes, tree, (int)size);
	for (i = 1; i < count && !error; i++) {
		void *overlay = allocate(files[i].size);

		memcpy(overlay, files[i].bytes, files[i].size);
		error = fdt_overlay_apply(tree, overlay);
		free(overlay);
	}
	if (!error)
		error = fdt_pack(tree);
	free(tree);
	if (error)
		die("libfdt", fdt_strerror(error));
}

static long long nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char **argv)
{
	struct file *files;
	int i, count = argc - 2;
	unsigned int times;

	if (argc < 4)
		die("dto_libfdt", "`cargo xtask bench dto` runs this");
	files = allocate(sizeof(*files) * (size_t)count);
	for (i = 0; i < count; i++)
		files[i] = read_file(argv[i + 2]);
	if (!strcmp(argv[1], "once")) {
		measured_apply(files, count);
		return 0;
	}
	while (scanf("%u", &times) == 1) {
		long long start = nanoseconds();

		while (times--)
			measured_apply(files, count);
		printf("%lld\n", nanoseconds() - start);
		fflush(stdout);
	}
	return 0;
}
