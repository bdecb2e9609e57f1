/* Two threads with small stacks that merge the same trees again and again: BASE OVERLAY. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ufdt_overlay.h>

void *dto_malloc(size_t size)
{
	return malloc(size);
}

void dto_free(void *pointer)
{
	free(pointer);
}

static void *trees[2];
static size_t sizes[2];

static size_t merged_size(const unsigned char *fdt)
{
	return (size_t)fdt[4] << 24 | (size_t)fdt[5] << 16 | (size_t)fdt[6] << 8 | fdt[7];
}

static void *merge(void *expected)
{
	for (int round = 0; round < 300; round++) {
		void *merged = ufdt_apply_overlay(trees[0], sizes[0], trees[1], sizes[1]);

		if (!merged || memcmp(merged, expected, merged_size(expected)) != 0)
			return expected;
		dto_free(merged);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_attr_t small;
	pthread_t threads[2];
	void *expected, *failed;
	int code = 0;

	for (int i = 0; i < 2 && i + 1 < argc; i++) {
		FILE *file = fopen(argv[i + 1], "rb");

		trees[i] = malloc(1 << 20);
		sizes[i] = file ? fread(trees[i], 1, 1 << 20, file) : 0;
		if (file)
			fclose(file);
	}
	expected = ufdt_apply_overlay(trees[0], sizes[0], trees[1], sizes[1]);
	if (!expected)
		return 1;
	if (pthread_attr_init(&small) || pthread_attr_setstacksize(&small, 32 << 10))
		return 3;
	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], &small, merge, expected))
			return 2;
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &failed);
		code |= failed != NULL;
	}
	return code;
}
