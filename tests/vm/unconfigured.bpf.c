/* SPDX-License-Identifier: GPL-2.0-only */
/* unconfigured: a scheduler that cannot do without a value that no kernel's configuration has. */
#include <scxhost/bpf/common.bpf.h>

char _license[] SEC("license") = "GPL";

extern bool CONFIG_OF_ANOTHER_WORLD __kconfig;

u64 seen;

s32 SCX_OP_SLEEPABLE(unconfigured_init)
{
	seen = CONFIG_OF_ANOTHER_WORLD;
	return 0;
}

SCX_OPS(unconfigured_ops) = {
	.init = (void *)unconfigured_init,
	.name = "unconfigured",
};
