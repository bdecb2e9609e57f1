// SPDX-License-Identifier: MIT OR Apache-2.0
// Looks symbols up in the kernel's table, both ways: by name through kprobes, by address through sprint_symbol, and,
// where the kernel hands the function out to kprobes, every name that the table has.
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/string.h>

static int ignore(struct kprobe *probe, struct pt_regs *registers)
{
	return 0;
}

// Where a function is, 0 if the table does not say.
static unsigned long address_of(const char *name)
{
	struct kprobe probe = { .symbol_name = name, .pre_handler = ignore };
	unsigned long address;

	if (register_kprobe(&probe) < 0)
		return 0;
	address = (unsigned long)probe.addr;
	unregister_kprobe(&probe);
	return address;
}

static const char *const names[] = { "vfs_read", "schedule_timeout", "kallsyms_lookup_name", "do_exit" };

static int __init lookup(void)
{
	char found[KSYM_SYMBOL_LEN];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		unsigned long address = address_of(names[i]);

		if (!address) {
			pr_err("kbt_lookup: no %s\n", names[i]);
			return -ENOENT;
		}
		sprint_symbol_no_offset(found, address);
		if (strcmp(found, names[i])) {
			pr_err("kbt_lookup: %s is %s\n", names[i], found);
			return -EINVAL;
		}
	}
	pr_info("kbt_lookup: %u names and addresses agree\n", i);
	return 0;
}

static void __exit leave(void)
{
}

module_init(lookup);
module_exit(leave);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Looks symbols up in the kernel's table");
