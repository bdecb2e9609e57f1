/*
 * A boot loader that has nothing: no C library, its own start, a heap that only grows, and the four functions that the
 * library asks for. It merges a base and an overlay that stand in it as bytes; its exit code is 0 if that worked.
 */
#include <stddef.h>

#include <ufdt_overlay.h>

#define HEAP_SIZE (1 << 20)
#include "heap.h"

void *memcpy(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((char *)to)[i] = ((const char *)from)[i];
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	if ((size_t)to < (size_t)from)
		return memcpy(to, from, size);
	while (size--)
		((char *)to)[size] = ((const char *)from)[size];
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((char *)to)[i] = (char)byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < size; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

#define WORD(value) (unsigned char)((value) >> 24), (unsigned char)((value) >> 16), (unsigned char)((value) >> 8), (unsigned char)(value)
/* A header, no reservations, a structure block of `size` bytes behind it, strings of `strings` bytes behind that. */
#define HEADER(size, strings) \
	WORD(0xd00dfeedu), WORD(56 + (size) + (strings)), WORD(56), WORD(56 + (size)), WORD(40), WORD(17), WORD(16), \
		WORD(0), WORD(strings), WORD(size), WORD(0), WORD(0), WORD(0), WORD(0)

/* / { }; */
static unsigned char base[] = { HEADER(16, 0), WORD(1), WORD(0), WORD(2), WORD(9) };

/* / { f { target-path = "/"; __overlay__ { x; }; }; }; */
static unsigned char overlay[] = {
	HEADER(76, 14),
	WORD(1), WORD(0),
	WORD(1), 'f', 0, 0, 0,
	WORD(3), WORD(2), WORD(0), '/', 0, 0, 0,
	WORD(1), '_', '_', 'o', 'v', 'e', 'r', 'l', 'a', 'y', '_', '_', 0,
	WORD(3), WORD(0), WORD(12),
	WORD(2), WORD(2), WORD(2), WORD(9),
	't', 'a', 'r', 'g', 'e', 't', '-', 'p', 'a', 't', 'h', 0, 'x', 0,
};

static int run(void)
{
	struct kbt_overlay overlays[1] = { { overlay, sizeof(overlay) } };
	struct kbt_image_entry entry;
	struct kbt_error error;
	uint32_t number = 0;

	if (!ufdt_install_blob(base, sizeof(base)))
		return 1;
	if (!ufdt_apply_overlay((struct fdt_header *)base, sizeof(base), overlay, sizeof(overlay)))
		return 2;
	if (!kbt_apply_overlays(base, sizeof(base), overlays, 1, NULL, &error) || error.code != KBT_OK)
		return 3;
	/* The others are linked, and refuse what is no image. */
	if (kbt_image_count(base, sizeof(base), &number, &error) != KBT_ERROR_IMAGE ||
	    kbt_image_find(base, sizeof(base), 0, 0, &number, NULL) != KBT_ERROR_IMAGE ||
	    kbt_image_entry(base, sizeof(base), 0, &entry, NULL) != KBT_ERROR_IMAGE ||
	    kbt_image_load(base, sizeof(base), 0, 0, NULL, NULL))
		return 4;
	if (kbt_apply_overlays(NULL, 10, overlays, 1, NULL, &error) || error.code != KBT_ERROR_ARGUMENT ||
	    kbt_apply_overlays(base, (size_t)-1, overlays, 1, NULL, &error) || error.code != KBT_ERROR_ARGUMENT ||
	    kbt_apply_overlays(base, sizeof(base), NULL, 1, NULL, &error) || error.code != KBT_ERROR_ARGUMENT)
		return 5;
	return 0;
}

/* Linux' exit, so that there is something to look at. */
static void leave(int code)
{
#if defined(__x86_64__)
	__asm__ volatile("syscall" : : "a"(231), "D"(code) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x0 __asm__("x0") = code;
	register long x8 __asm__("x8") = 94;

	__asm__ volatile("svc 0" : : "r"(x0), "r"(x8) : "memory");
#else
#error "how does a program end here?"
#endif
}

#if defined(__x86_64__)
__attribute__((force_align_arg_pointer))
#endif
void _start(void)
{
	leave(run());
	__builtin_unreachable();
}
