/*
 * A jobserver that is a character device, for the guest of `cargo xtask e2e device`: tokens counted by process, as steve
 * (Gentoo's) is said to do it by its manual. Who returns a token that his process does not hold gets ENOSPC; what the
 * dead had comes back by itself. It speaks the kernel's protocol for devices in user space
 * (include/uapi/linux/fuse.h, fs/fuse/cuse.c) without a library.
 *
 * pool N FILE: N tokens behind /dev/pool; FILE always tells how many are free, and the fewest that ever were.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 64

static struct holder {
	int pid, pidfd, tokens;
} holders[MOST];
static struct waiter {
	uint64_t unique;
	int pid;
} waiters[MOST];
static uint64_t poll_handle;
static int count, waiting, free_tokens, fewest, cuse, told;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void tell(void)
{
	char text[32];

	if (free_tokens < fewest)
		fewest = free_tokens;
	snprintf(text, sizeof(text), "%-3d %-3d\n", free_tokens, fewest);
	if (pwrite(told, text, strlen(text), 0) < 0)
		die("tell");
}

static void reply(uint64_t unique, int error, const void *body, size_t size)
{
	struct fuse_out_header head = { .len = sizeof(head) + size, .error = -error, .unique = unique };
	struct iovec parts[] = { { &head, sizeof(head) }, { (void *)body, size } };

	/* A request that was interrupted meanwhile is not there any more. */
	if (writev(cuse, parts, size ? 2 : 1) < 0 && errno != ENOENT)
		die("reply");
}

/* Requests name the thread; tokens belong to its process. */
static int process_of(int thread)
{
	char path[64], line[256];
	int pid = thread;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", thread);
	status = fopen(path, "r");
	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "Tgid: %d", &pid) == 1)
			break;
	if (status)
		fclose(status);
	return pid;
}

static struct holder *holder(int pid)
{
	for (int i = 0; i < count; i++)
		if (holders[i].pid == pid)
			return &holders[i];
	if (count == MOST)
		return NULL;
	holders[count].pid = pid;
	holders[count].tokens = 0;
	holders[count].pidfd = syscall(SYS_pidfd_open, pid, 0);
	return &holders[count++];
}

static void give(uint64_t unique, int pid)
{
	struct holder *to = holder(pid);

	if (!to) {
		reply(unique, ENOMEM, NULL, 0);
		return;
	}
	to->tokens++;
	free_tokens--;
	tell();
	reply(unique, 0, "s", 1);
}

/* Whoever waits gets what is free. */
static void serve_waiters(void)
{
	while (waiting && free_tokens) {
		struct waiter next = waiters[0];

		memmove(waiters, waiters + 1, --waiting * sizeof(*waiters));
		give(next.unique, next.pid);
	}
	if (free_tokens && poll_handle) {
		struct fuse_out_header head = { .error = FUSE_NOTIFY_POLL };
		struct fuse_notify_poll_wakeup_out wake = { .kh = poll_handle };
		struct iovec parts[] = { { &head, sizeof(head) }, { &wake, sizeof(wake) } };

		head.len = sizeof(head) + sizeof(wake);
		poll_handle = 0;
		if (writev(cuse, parts, 2) < 0)
			perror("wake");
	}
	tell();
}

static void take_back(const struct fuse_in_header *in, const struct fuse_write_in *write)
{
	struct holder *from = holder(process_of(in->pid));
	struct fuse_write_out out = { .size = write->size };

	if (!from || from->tokens < (int)write->size) {
		reply(in->unique, ENOSPC, NULL, 0);
		return;
	}
	from->tokens -= write->size;
	free_tokens += write->size;
	reply(in->unique, 0, &out, sizeof(out));
	serve_waiters();
}

static void answer(const struct fuse_in_header *in)
{
	const void *body = in + 1;
	const struct fuse_read_in *read = body;
	const struct fuse_poll_in *poll = body;
	struct fuse_open_out open = { .fh = 1, .open_flags = FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE };
	struct fuse_poll_out ready = { .revents = POLLOUT | (free_tokens ? POLLIN : 0) };

	switch (in->opcode) {
	case FUSE_OPEN:
		reply(in->unique, 0, &open, sizeof(open));
		break;
	case FUSE_READ:
		if (free_tokens)
			give(in->unique, process_of(in->pid));
		else if (read->flags & O_NONBLOCK || waiting == MOST)
			reply(in->unique, EAGAIN, NULL, 0);
		else
			waiters[waiting++] = (struct waiter){ in->unique, process_of(in->pid) };
		break;
	case FUSE_WRITE:
		take_back(in, body);
		break;
	case FUSE_POLL:
		if (poll->flags & FUSE_POLL_SCHEDULE_NOTIFY)
			poll_handle = poll->kh;
		reply(in->unique, 0, &ready, sizeof(ready));
		break;
	case FUSE_INTERRUPT:
		for (int i = 0; i < waiting; i++)
			if (waiters[i].unique == ((const struct fuse_interrupt_in *)body)->unique) {
				reply(waiters[i].unique, EINTR, NULL, 0);
				waiters[i] = waiters[--waiting];
			}
		break;
	case FUSE_RELEASE:
		reply(in->unique, 0, NULL, 0);
		break;
	default:
		reply(in->unique, ENOSYS, NULL, 0);
	}
}

static void begin(void)
{
	static const char name[] = "DEVNAME=pool";
	char buffer[FUSE_MIN_READ_BUFFER];
	const struct fuse_in_header *in = (void *)buffer;
	struct {
		struct cuse_init_out init;
		char name[sizeof(name)];
	} out = { .init = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
			    .max_read = 4096, .max_write = 4096 } };

	cuse = open("/dev/cuse", O_RDWR);
	if (cuse < 0 || read(cuse, buffer, sizeof(buffer)) < (ssize_t)sizeof(*in) || in->opcode != CUSE_INIT)
		die("/dev/cuse");
	memcpy(out.name, name, sizeof(name));
	reply(in->unique, 0, &out, offsetof(typeof(out), name) + sizeof(name));
}

int main(int argc, char **argv)
{
	static char buffer[FUSE_MIN_READ_BUFFER + 4096];

	if (argc != 3)
		return 2;
	free_tokens = fewest = atoi(argv[1]);
	told = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (told < 0)
		die(argv[2]);
	tell();
	begin();
	for (;;) {
		struct pollfd ready[MOST + 1] = { { .fd = cuse, .events = POLLIN } };

		for (int i = 0; i < count; i++)
			ready[i + 1] = (struct pollfd){ .fd = holders[i].pidfd, .events = POLLIN };
		if (poll(ready, count + 1, -1) < 0)
			die("poll");
		/* From behind, since what is gone is replaced by the last. */
		for (int i = count - 1; i >= 0; i--)
			if (ready[i + 1].revents || holders[i].pidfd < 0) {
				free_tokens += holders[i].tokens;
				close(holders[i].pidfd);
				holders[i] = holders[--count];
				serve_waiters();
			}
		if (ready[0].revents) {
			if (read(cuse, buffer, sizeof(buffer)) < 0 && errno != ENOENT && errno != EINTR)
				die("read");
			answer((void *)buffer);
		}
	}
}
