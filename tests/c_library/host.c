/*
 * A host of the C library for the tests: answers requests on standard input, until its end, with what a call gave and
 * what it cost. Its dto_malloc can fail at any call, fills what it gives, and counts.
 *
 * A request, in words of 32 bits of this machine: the call, the dto_malloc call to fail (from 1, 0 for none), four
 * arguments, how many buffers there are, and for each its size and its bytes. An answer: code, overlay, offset (64),
 * text (256 bytes), calls of dto_malloc, blocks that were not given back, whether an input was changed, bytes held at
 * most (64), a number, and a buffer's size (64) and bytes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ufdt_overlay.h>

enum { UFDT_APPLY, APPLY, COUNT, FIND, ENTRY, LOAD, INSTALL };

static uint32_t calls, fail_at, live;
static uint64_t held, peak;

/* Each block has its size in front, so that what is held can be counted. */
#define FRONT 16

void *dto_malloc(size_t size)
{
	char *block;

	calls++;
	if (calls == fail_at || size > SIZE_MAX - FRONT || !(block = malloc(FRONT + size)))
		return NULL;
	memcpy(block, &size, sizeof(size));
	memset(block + FRONT, 0xa5, size);
	live++;
	held += size;
	if (held > peak)
		peak = held;
	return block + FRONT;
}

void dto_free(void *pointer)
{
	char *block = (char *)pointer - FRONT;
	size_t size;

	memcpy(&size, block, sizeof(size));
	/* Whoever reads it afterwards reads rubbish. */
	memset(block, 0x5a, FRONT + size);
	live--;
	held -= size;
	free(block);
}

static void get(void *to, size_t size)
{
	if (size && fread(to, 1, size, stdin) != size)
		exit(feof(stdin) ? 0 : 3);
}

static void put(const void *from, size_t size)
{
	if (size && fwrite(from, 1, size, stdout) != size)
		exit(3);
}

struct input {
	/* One byte behind the start of a block, so that nothing is aligned and every end is an end. */
	char *block, *before;
	size_t size;
};

static struct input read_input(void)
{
	struct input input;
	uint32_t size;

	get(&size, sizeof(size));
	input.size = size;
	input.block = malloc(input.size + 1);
	input.before = malloc(input.size + 1);
	if (!input.block || !input.before)
		exit(3);
	get(input.block + 1, size);
	memcpy(input.before, input.block + 1, size);
	return input;
}

static void *call(const uint32_t *request, struct input *inputs, uint32_t count, struct kbt_error *error,
		  uint32_t *number, size_t *size)
{
	const uint32_t *arguments = request + 2;
	void *first = count ? inputs[0].block + 1 : NULL;
	size_t first_size = count ? inputs[0].size : 0;
	struct kbt_options options = { arguments[0], arguments[1] };
	struct kbt_overlay *overlays;
	struct kbt_image_entry entry;
	void *result;

	switch (request[0]) {
	case INSTALL:
		*number = ufdt_install_blob(first, first_size) == first;
		return NULL;
	case UFDT_APPLY:
		result = ufdt_apply_overlay(first, first_size, count > 1 ? inputs[1].block + 1 : NULL,
					    count > 1 ? inputs[1].size : 0);
		break;
	case APPLY:
		overlays = calloc(count, sizeof(*overlays));
		for (uint32_t i = 1; i < count; i++) {
			overlays[i - 1].fdt = inputs[i].block + 1;
			overlays[i - 1].size = inputs[i].size;
		}
		result = kbt_apply_overlays(first, first_size, overlays, count - 1, &options, error);
		free(overlays);
		break;
	case COUNT:
		kbt_image_count(first, first_size, number, error);
		return NULL;
	case FIND:
		kbt_image_find(first, first_size, arguments[0], arguments[1], number, error);
		return NULL;
	case ENTRY:
		if (kbt_image_entry(first, first_size, arguments[0], &entry, error) != KBT_OK)
			return NULL;
		/* As a buffer, to be freed like the others. */
		fail_at = 0;
		*size = sizeof(entry);
		result = dto_malloc(*size);
		memcpy(result, &entry, *size);
		calls--;
		return result;
	default:
		return kbt_image_load(first, first_size, arguments[0], arguments[1], size, error);
	}
	/* The size of a tree stands in its second word, big-endian. */
	if (result) {
		const unsigned char *word = (const unsigned char *)result + 4;

		*size = (size_t)word[0] << 24 | (size_t)word[1] << 16 | (size_t)word[2] << 8 | word[3];
	}
	return result;
}

static void answer(void)
{
	uint32_t request[6], count, number = 0, changed = 0;
	struct kbt_error error;
	struct input *inputs;
	size_t size = 0;
	uint64_t wide;
	void *result;

	get(request, sizeof(request));
	get(&count, sizeof(count));
	inputs = calloc(count + 1, sizeof(*inputs));
	for (uint32_t i = 0; i < count; i++)
		inputs[i] = read_input();
	memset(&error, 0, sizeof(error));
	calls = live = 0;
	held = peak = 0;
	fail_at = request[1];
	result = call(request, inputs, count, &error, &number, &size);

	put(&error.code, 4);
	put(&error.overlay, 4);
	wide = error.offset;
	put(&wide, 8);
	put(error.text, sizeof(error.text));
	put(&calls, 4);
	live -= result != NULL;
	put(&live, 4);
	for (uint32_t i = 0; i < count; i++)
		changed |= memcmp(inputs[i].block + 1, inputs[i].before, inputs[i].size) != 0;
	put(&changed, 4);
	put(&peak, 8);
	put(&number, 4);
	/* No result and an empty one differ. */
	wide = result ? size + 1 : 0;
	put(&wide, 8);
	if (result) {
		put(result, size);
		live++;
		dto_free(result);
	}
	fflush(stdout);
	for (uint32_t i = 0; i < count; i++) {
		free(inputs[i].block);
		free(inputs[i].before);
	}
	free(inputs);
}

int main(void)
{
	for (;;)
		answer();
}
