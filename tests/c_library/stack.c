/*
 * How deep the stack gets: BASE OVERLAY IMAGE INDEX. Prints the bytes that a merge, a merge of the image as an overlay
 * (which is refused), and a load of the entry take.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ufdt_overlay.h>

#define DEPTH (256 << 10)
#define PAINT 0xa7

/* Not this program's malloc, whose own stack would be counted. */
#define HEAP_SIZE (64 << 20)
#include "heap.h"

static struct {
	void *bytes;
	size_t size;
} files[3];
static uint32_t entry;
static struct kbt_error error;

static void merge(int overlay)
{
	struct kbt_overlay one = { files[overlay].bytes, files[overlay].size };

	kbt_apply_overlays(files[0].bytes, files[0].size, &one, 1, NULL, &error);
}

static void good(void)
{
	merge(1);
}

static void bad(void)
{
	merge(2);
}

static void load(void)
{
	size_t size;

	kbt_image_load(files[2].bytes, files[2].size, entry, 0, &size, &error);
}

static __attribute__((noinline)) void paint(void)
{
	volatile unsigned char area[DEPTH];

	for (size_t i = 0; i < DEPTH; i++)
		area[i] = PAINT;
	__asm__ volatile("" : : "r"(area) : "memory");
}

/* The same place again. */
static __attribute__((noinline)) size_t painted_over(void)
{
	volatile unsigned char area[DEPTH];
	size_t i = 0;

	__asm__ volatile("" : : "r"(area) : "memory");
	while (i < DEPTH && area[i] == PAINT)
		i++;
	return DEPTH - i;
}

static __attribute__((noinline)) void measure(void (*step)(void), const char *name)
{
	size_t depth;

	paint();
	step();
	depth = painted_over();
	printf("%s %zu %u\n", name, depth, error.code);
}

int main(int argc, char **argv)
{
	for (int i = 0; i < 3 && i + 1 < argc; i++) {
		FILE *file = fopen(argv[i + 1], "rb");

		files[i].bytes = malloc(8 << 20);
		files[i].size = file ? fread(files[i].bytes, 1, 8 << 20, file) : 0;
		if (file)
			fclose(file);
	}
	entry = argc > 4 ? (uint32_t)atoi(argv[4]) : 0;
	measure(good, "merge");
	measure(bad, "refuse");
	measure(load, "load");
	return 0;
}
