// SPDX-License-Identifier: MIT OR Apache-2.0
// The first and only process of the guest: waits for the kernel's self-test, loads a module, prints /proc/kallsyms, and
// ends the machine. It needs no C library, so that a cross compiler is enough.

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, NANOSLEEP = 35, SYSLOG = 103, MOUNT = 165, REBOOT = 169, OPENAT = 257, FINIT_MODULE = 313 };

static long system_call(long number, long a, long b, long c, long d, long e)
{
	register long fourth __asm__("r10") = d;
	register long fifth __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
enum { MOUNT = 40, OPENAT = 56, READ = 63, WRITE = 64, NANOSLEEP = 101, SYSLOG = 116, REBOOT = 142, FINIT_MODULE = 273 };

static long system_call(long number, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}
#else
#error "no system calls for this machine"
#endif

enum { AT_FDCWD = -100, SYSLOG_READ_ALL = 3, SYSLOG_CONSOLE_LEVEL = 8, SELFTEST_SECONDS = 1200 };

static char buffer[1 << 18];

static unsigned long length(const char *text)
{
	unsigned long length = 0;

	while (text[length])
		length++;
	return length;
}

static void say(const char *text)
{
	system_call(WRITE, 1, (long)text, length(text), 0, 0);
}

static int contains(const char *text, unsigned long size, const char *part)
{
	unsigned long at, same;

	for (at = 0; at + length(part) <= size; at++) {
		for (same = 0; part[same] && text[at + same] == part[same]; same++)
			;
		if (!part[same])
			return 1;
	}
	return 0;
}

// The self-test runs in a thread of its own; these are its last words. On a busy host the guest's seconds pass far faster
// than its instructions: who has started the guest ends it in time.
static void wait_for_selftest(void)
{
	long second[2] = { 1, 0 };
	int seconds;

	for (seconds = 0; seconds < SELFTEST_SECONDS; seconds++) {
		long size = system_call(SYSLOG, SYSLOG_READ_ALL, (long)buffer, sizeof(buffer), 0, 0);

		if (size > 0 && (contains(buffer, size, "kallsyms_selftest: finish") ||
				 contains(buffer, size, "kallsyms_selftest: abort")))
			return;
		system_call(NANOSLEEP, (long)second, 0, 0, 0, 0);
	}
}

static void load_module(void)
{
	long file = system_call(OPENAT, AT_FDCWD, (long)"/module.ko", 0, 0, 0);
	long result = system_call(FINIT_MODULE, file, (long)"", 0, 0, 0);

	say(result == 0 ? "kbt: module loaded\n" : "kbt: module refused\n");
}

static void print_kallsyms(void)
{
	long file = system_call(OPENAT, AT_FDCWD, (long)"/proc/kallsyms", 0, 0, 0);
	long size;

	say("\nkbt: begin\n");
	while ((size = system_call(READ, file, (long)buffer, sizeof(buffer), 0, 0)) > 0) {
		long written = 0;

		while (written < size) {
			long step = system_call(WRITE, 1, (long)buffer + written, size - written, 0, 0);

			if (step <= 0)
				break;
			written += step;
		}
	}
	say("\nkbt: end\n");
}

void _start(void)
{
	system_call(MOUNT, (long)"proc", (long)"/proc", (long)"proc", 0, 0);
#ifdef SELFTEST
	wait_for_selftest();
#else
	(void)wait_for_selftest;
#endif
	load_module();
	// So that no message of the kernel comes between the lines.
	system_call(SYSLOG, SYSLOG_CONSOLE_LEVEL, 0, 1, 0, 0);
	print_kallsyms();
	// RESTART, which ends qemu -no-reboot.
	system_call(REBOOT, 0xfee1dead, 672274793, 0x1234567, 0, 0);
	for (;;)
		;
}
