/* SPDX-License-Identifier: GPL-2.0-only */
/* configured: a scheduler that asks for what the kernel was built with, one value of which no kernel has. */
#include <scxhost/bpf/common.bpf.h>

char _license[] SEC("license") = "GPL";

extern int CONFIG_HZ __kconfig;
extern bool CONFIG_SMP __kconfig;
extern int CONFIG_OF_ANOTHER_WORLD __kconfig __weak;

struct {
	u64 hz;
	u32 smp;
	u32 other;
} seen;

s32 SCX_OP_SLEEPABLE(configured_init)
{
	seen.hz = CONFIG_HZ;
	seen.smp = CONFIG_SMP;
	seen.other = CONFIG_OF_ANOTHER_WORLD;
	return 0;
}

SCX_OPS(configured_ops) = {
	.init = (void *)configured_init,
	.name = "configured",
};
